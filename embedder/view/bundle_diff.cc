// Part by part; what has the same digest on both sides is not read.
#include "embedder/view/bundle_diff.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "embedder/content/artifact_stream.h"
#include "embedder/view/code_diff.h"
#include "embedder/view/graph_diff.h"
#include "embedder/view/graph_model.h"
#include "embedder/view/params_diff.h"
#include "src/sha256.h"
#include "src/signature_check.h"
#include "src/text.h"

namespace pannier {
namespace {

using Json = nlohmann::json;

Json SideJson(const DiffSide& side) {
  const BundleReader& reader = side.bundle.reader;
  Json json = {
      {"bundle", side.path}, {"bytes", side.bundle.file.bytes().size()}, {"file_digest", nullptr}, {"host_sha256", nullptr}};
  if (!reader.has_digests()) return json;
  json["file_digest"] = reader.anchor().manifest_sha256.Hex();
  json["host_sha256"] = ToDigest(*reader.manifest().host()->sha256()).Hex();
  return json;
}

const format::Artifact* Find(const DiffSide& side, std::string_view name) {
  const auto index = side.bundle.reader.FindArtifact(name);
  return index ? &side.bundle.reader.artifact(*index) : nullptr;
}

// Of the original file. What TVM exported has none: then it is made.
Result<Sha256Digest> DigestOf(const DiffSide& side, const format::Artifact& artifact) {
  if (side.bundle.reader.has_digests()) return ToDigest(*artifact.sha256());
  Sha256 sha256;
  PANNIER_CHECK_OK(StreamArtifact(side.bundle.file, side.bundle.reader, artifact, 0, [&](ByteView bytes) -> Status {
    sha256.Update(bytes);
    return {};
  }));
  return sha256.Finish();
}

// Nodes where both are graphs; else their sizes are all there is to say. Null: no difference.
Result<Json> CompareGraphArtifacts(const DiffSide& a, const DiffSide& b) {
  const format::Artifact* const left = Find(a, kGraphArtifact);
  const format::Artifact* const right = Find(b, kGraphArtifact);
  if (left == nullptr || right == nullptr) return Json();
  PANNIER_TRY(const Sha256Digest one, DigestOf(a, *left));
  PANNIER_TRY(const Sha256Digest other, DigestOf(b, *right));
  if (one == other) return Json();
  const Result<GraphModel> before = ReadGraph(a.bundle, *left);
  const Result<GraphModel> after = ReadGraph(b.bundle, *right);
  if (before.ok() && after.ok()) return CompareGraphs(*before, *after);
  return Json{{"note", before.ok() ? after.status().message() : before.status().message()}};
}

bool IsTensors(const format::Artifact* artifact) {
  return artifact != nullptr && artifact->kind() == format::ArtifactKind::TvmParams;
}

Result<Json> CompareParamsArtifacts(const DiffSide& a, const DiffSide& b, const Effort& effort) {
  const format::Artifact* const left = Find(a, kParamsArtifact);
  const format::Artifact* const right = Find(b, kParamsArtifact);
  if (!IsTensors(left) || !IsTensors(right)) return Json();
  PANNIER_TRY(const TensorReader one, a.bundle.reader.Tensors(*left));
  PANNIER_TRY(const TensorReader other, b.bundle.reader.Tensors(*right));
  return CompareParams({one, a.bundle.reader.has_digests()}, {other, b.bundle.reader.has_digests()}, effort);
}

// All artifacts by name: only in one, or with other bytes.
Result<Json> CompareArtifacts(const DiffSide& a, const DiffSide& b) {
  Json differing = Json::array();
  std::set<std::string> names;
  for (const DiffSide* side : {&a, &b}) {
    const BundleReader& reader = side->bundle.reader;
    for (std::uint32_t i = 0; i < reader.artifact_count(); ++i) names.insert(std::string(ToText(reader.artifact(i).name())));
  }
  for (const std::string& name : names) {
    const format::Artifact* const left = Find(a, name);
    const format::Artifact* const right = Find(b, name);
    if (left != nullptr && right != nullptr) {
      PANNIER_TRY(const Sha256Digest one, DigestOf(a, *left));
      PANNIER_TRY(const Sha256Digest other, DigestOf(b, *right));
      if (one == other && left->kind() == right->kind()) continue;
    }
    differing.push_back({{"name", name},
                         {"a_bytes", left != nullptr ? Json(left->size()) : Json()},
                         {"b_bytes", right != nullptr ? Json(right->size()) : Json()}});
  }
  return differing;
}

Result<std::set<std::string>> SignersOf(const DiffSide& side) {
  std::set<std::string> signers;
  if (!side.bundle.reader.has_digests()) return signers;
  PANNIER_TRY(const std::vector<CheckedSignature> signatures, CheckSignatures(side.bundle.reader, {}));
  for (const CheckedSignature& signature : signatures) signers.insert(signature.key_id);
  return signers;
}

Result<Json> CompareSignatures(const DiffSide& a, const DiffSide& b) {
  PANNIER_TRY(const std::set<std::string> left, SignersOf(a));
  PANNIER_TRY(const std::set<std::string> right, SignersOf(b));
  std::vector<std::string> removed;
  std::vector<std::string> added;
  std::set_difference(left.begin(), left.end(), right.begin(), right.end(), std::back_inserter(removed));
  std::set_difference(right.begin(), right.end(), left.begin(), left.end(), std::back_inserter(added));
  return Json{{"added", added}, {"removed", removed}};
}

// Is the host in both the same file?
bool HaveSameHost(const Json& json) {
  return !json["a"]["host_sha256"].is_null() && json["a"]["host_sha256"] == json["b"]["host_sha256"];
}

bool AnyOf(const Json& object, std::initializer_list<const char*> lists) {
  return std::any_of(lists.begin(), lists.end(), [&](const char* name) { return object.contains(name) && !object[name].empty(); });
}

}  // namespace

Result<Json> CompareBundles(const DiffSide& a, const DiffSide& b, const Effort& effort) {
  Json json = {{"schema", "pannier.diff"}, {"version", 1}, {"a", SideJson(a)}, {"b", SideJson(b)}};
  json["same_host"] = HaveSameHost(json);
  json["library"] = nullptr;
  if (!HaveSameHost(json)) {
    PANNIER_TRY(const LibraryFacts left, ReadLibraryFacts(a.bundle.file.bytes()).WithContext(Printable(a.path)));
    PANNIER_TRY(const LibraryFacts right, ReadLibraryFacts(b.bundle.file.bytes()).WithContext(Printable(b.path)));
    json["library"] = CompareLibraries(left, a.bundle.file.bytes(), right, b.bundle.file.bytes());
  }
  PANNIER_TRY(json["artifacts"], CompareArtifacts(a, b));
  PANNIER_TRY(json["graph"], CompareGraphArtifacts(a, b));
  PANNIER_TRY(json["params"], CompareParamsArtifacts(a, b, effort));
  PANNIER_TRY(json["signatures"], CompareSignatures(a, b));
  const bool has_other_code = !json["library"].is_null() && (AnyOf(json["library"], {"facts", "sections"}) ||
                                                             AnyOf(json["library"]["functions"], {"added", "removed", "changed"}) ||
                                                             json["a"]["host_sha256"] != json["b"]["host_sha256"]);
  json["differ"] = has_other_code || !json["artifacts"].empty() || AnyOf(json["signatures"], {"added", "removed"}) ||
                   (!json["params"].is_null() && AnyOf(json["params"], {"added", "removed", "changed", "recoded"}));
  return json;
}

}  // namespace pannier
