// Facts about a bundle gathered from its manifest, its library's tables and its undo record.
#include "embedder/view/description.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "embedder/restore.h"
#include "embedder/view/misfits.h"
#include "src/module_blob.h"
#include "src/params_walk.h"
#include "src/signature_check.h"
#include "src/text.h"

namespace pannier {
namespace {

using Json = nlohmann::json;

constexpr int kDescriptionVersion = 1;  // of the JSON; fields are added without a new one

std::string KindText(format::ArtifactKind kind) {
  if (kind == format::ArtifactKind::TvmParams) return "params";
  return kind == format::ArtifactKind::Blob ? "blob" : StrCat("unknown (", static_cast<unsigned>(kind), ")");
}

std::string CodecName(Codec codec) {
  if (codec == Codec::kStore) return "store";
  if (codec == Codec::kPlanes) return "planes";
  return codec == Codec::kZstd ? "zstd" : StrCat("unknown (", static_cast<unsigned>(codec), ")");
}

// What TVM's export_library made has none.
Json DigestOrNull(const BundleReader& reader, const format::Sha256& digest) {
  return reader.has_digests() ? Json(ToDigest(digest).Hex()) : Json();
}

Json TextOrNull(const std::string& text) { return text.empty() ? Json() : Json(text); }

Result<Json> DescribeTensors(const TensorReader& tensors) {
  Json list = Json::array();
  for (std::uint32_t i = 0; i < tensors.size(); ++i) {
    const format::Tensor& tensor = tensors[i];
    PANNIER_TRY(const ChunkedContent content, tensors.Content(i));
    PANNIER_TRY(const std::uint64_t stored, content.StoredBytes());
    PANNIER_TRY(const std::string codec, CodecText(content));
    list.push_back({{"name", ToText(tensor.name())},
                    {"dtype", DataTypeName(DataTypeOf(tensor))},
                    {"shape", ShapeOf(tensor)},
                    {"bytes", tensor.size()},
                    {"stored_bytes", stored},
                    {"codec", codec}});
  }
  return list;
}

Result<Json> DescribeArtifact(const BundleReader& reader, const format::Artifact& artifact) {
  Json entry = {{"name", ToText(artifact.name())},
                {"kind", KindText(artifact.kind())},
                {"bytes", artifact.size()},
                {"stored_bytes", artifact.stored_size()},
                {"section", ToText(reader.manifest().sections()->Get(artifact.section())->name())},
                {"sha256", DigestOrNull(reader, *artifact.sha256())}};
  if (!BundleReader::CheckKind(artifact).ok()) return entry;
  if (artifact.kind() == format::ArtifactKind::Blob) {
    PANNIER_TRY(const ChunkedContent content, reader.BlobContent(artifact));
    PANNIER_TRY(entry["codec"], CodecText(content));
    return entry;
  }
  PANNIER_TRY(const TensorReader tensors, reader.Tensors(artifact));
  PANNIER_TRY(entry["tensors"], DescribeTensors(tensors));
  return entry;
}

Result<Json> DescribeArtifacts(const BundleReader& reader) {
  Json artifacts = Json::array();
  for (std::uint32_t i = 0; i < reader.artifact_count(); ++i) {
    PANNIER_TRY(Json entry, DescribeArtifact(reader, reader.artifact(i)).WithContext(Named(reader.artifact(i))));
    artifacts.push_back(std::move(entry));
  }
  return artifacts;
}

Json DescribeSections(const BundleReader& reader) {
  if (!reader.has_digests())
    return Json::array({{{"name", kBlobSymbol}, {"payload_offset", 0}, {"bytes", reader.section(0).size()}}});
  Json sections = Json::array();
  for (const format::Section* section : *reader.manifest().sections())
    sections.push_back({{"name", ToText(section->name())}, {"payload_offset", section->offset()}, {"bytes", section->size()}});
  return sections;
}

Json DescribeFunctions(const LibraryFacts& library) {
  Json functions = Json::array();
  for (const LibraryFunction& function : library.functions) {
    functions.push_back(
        {{"name", function.name}, {"address", function.address}, {"bytes", function.size}, {"exported", function.is_exported}});
  }
  return functions;
}

Json DescribeLibrary(const LibraryFacts& library) {
  return {{"format", FormatText(library.format)},
          {"bits", library.bits},
          {"byte_order", library.order == ByteOrder::kBig ? "big" : "little"},
          {"machine", library.machine},
          {"build_id", TextOrNull(library.build_id)},
          {"name", TextOrNull(library.name)},
          {"linker", TextOrNull(library.linker)},
          {"compilers", library.compilers},
          {"needed", library.needed},
          {"function_count", library.functions.size()},
          {"exported_count", library.exported},
          {"functions", DescribeFunctions(library)}};
}

std::string_view StateName(SignatureState state) {
  if (state == SignatureState::kRight) return "right";
  return state == SignatureState::kWrong ? "wrong" : "unchecked";
}

// Who signed, by their own word; with keys, whether it is right.
void DescribeSignatures(const BundleReader& reader, const std::vector<PublicKey>& keys, Json& json) {
  if (!reader.has_digests()) {
    json["signatures"] = json["signed_by"] = Json::array();
    return;
  }
  const Result<std::vector<CheckedSignature>> signatures = CheckSignatures(reader, keys);
  if (!signatures.ok()) {
    json["signature_error"] = signatures.status().message();
    return;
  }
  json["signatures"] = json["signed_by"] = Json::array();
  for (const CheckedSignature& signature : *signatures) {
    json["signatures"].push_back({{"key_id", signature.key_id}, {"state", StateName(signature.state)}});
    json["signed_by"].push_back(signature.key_id);
  }
}

// What a byte of the host belongs to; its sections are in the file's order.
std::string PlaceOf(const LibraryFacts& library, std::uint64_t offset) {
  const auto next = std::upper_bound(library.sections.begin(), library.sections.end(), offset,
                                     [](std::uint64_t at, const LibrarySection& section) { return at < section.offset; });
  const bool is_inside = next != library.sections.begin() && offset - std::prev(next)->offset < std::prev(next)->size;
  return is_inside ? std::prev(next)->name : "headers and tables";
}

// Where a byte of the host stands in the bundle; the end of all where it does not.
std::uint64_t BundleOffset(const BundleReader& reader, std::uint64_t host_offset) {
  for (const HostRun& run : reader.host_runs()) {
    if (host_offset >= run.host_offset && host_offset - run.host_offset < run.size)
      return run.bundle_offset + (host_offset - run.host_offset);
  }
  return UINT64_MAX;
}

// How many of an edit's bytes are others now.
std::uint64_t ChangedBytes(ByteView file, const BundleReader& reader, const format::Edit& edit) {
  std::uint64_t changed = edit.old()->size();
  for (const HostRun& run : reader.host_runs()) {
    const std::uint64_t begin = std::max(run.host_offset, edit.offset());
    const std::uint64_t end = std::min(run.host_offset + run.size, edit.offset() + edit.old()->size());
    for (std::uint64_t at = begin; at < end; ++at) {
      const auto byte = file.Read<std::uint8_t>(run.bundle_offset + (at - run.host_offset));
      if (byte == edit.old()->Get(static_cast<flatbuffers::uoffset_t>(at - edit.offset()))) --changed;
    }
  }
  return changed;
}

// Edits by place, and parts of the payload that the host's own tables moved to.
Json DescribeChanges(ByteView file, const BundleReader& reader, const LibraryFacts& library) {
  if (!reader.has_digests()) return {};
  const auto undo = OpenUndoRecord(reader);
  if (!undo.ok() || !CheckEdits(**undo).ok()) return {};
  Json edits = Json::array();
  std::uint64_t bytes = 0;
  for (const format::Edit* edit : *(*undo)->edits()) {
    const std::uint64_t changed = ChangedBytes(file, reader, *edit);
    bytes += changed;
    edits.push_back(
        {{"host_offset", edit->offset()}, {"bytes", changed}, {"place", PlaceOf(library, BundleOffset(reader, edit->offset()))}});
  }
  Json added = Json::array();
  for (const format::Part* part : *reader.manifest().parts()) {
    if (!ToText(part->name()).starts_with(".tvm")) added.push_back({{"name", ToText(part->name())}, {"bytes", part->size()}});
  }
  return {{"bytes_changed", bytes}, {"edits", std::move(edits)}, {"added", std::move(added)}};
}

}  // namespace

std::string ChangesText(const Json& changes) {
  std::map<std::string, std::uint64_t> places;
  for (const Json& edit : changes["edits"])
    places[Printable(edit["place"].get_ref<const std::string&>())] += edit["bytes"].get<std::uint64_t>();
  std::string text = StrCat(changes["bytes_changed"].get<std::uint64_t>(), " bytes of the host");
  const char* separator = ": ";
  for (const auto& [place, bytes] : places) text += StrCat(std::exchange(separator, ", "), bytes, " in ", place);
  return text;
}

Result<std::string> CodecText(const ChunkedContent& content) {
  std::set<Codec> codecs;
  for (std::uint64_t i = 0; i < content.chunk_count(); ++i) {
    PANNIER_TRY(const ChunkRecord record, content.Record(i));
    codecs.insert(record.codec);
  }
  std::string text;
  for (const Codec codec : codecs) text += StrCat(text.empty() ? "" : ", ", CodecName(codec));
  return text.empty() ? CodecName(Codec::kStore) : text;
}

Result<Json> Describe(const OpenedBundle& bundle, const std::string& path, const LibraryFacts& library,
                      const std::vector<PublicKey>& keys) {
  const BundleReader& reader = bundle.reader;
  const format::Manifest& manifest = reader.manifest();
  Json json = {{"schema", "pannier.inspect"},
               {"version", kDescriptionVersion},
               {"bundle", path},
               {"format_version", fmt::format("{}.{}", manifest.version_major(), manifest.version_minor())},
               {"producer", ToText(manifest.producer())},
               {"format", FormatText(library.format)},
               {"mapped", manifest.placement() == format::Placement::Mapped},
               {"bytes", bundle.file.bytes().size()},
               {"host_bytes", manifest.host()->size()},
               {"host_sha256", DigestOrNull(reader, *manifest.host()->sha256())},
               {"file_digest", DigestOrNull(reader, ToStored(reader.anchor().manifest_sha256))},
               {"image_digest", DigestOrNull(reader, *manifest.image()->sha256())},
               {"payload_offset", reader.payload().anchor_file_offset},
               {"payload_bytes", manifest.payload_size()}};
  if (!reader.has_digests()) {
    // TVM's blob has no version of ours, and was in the library from the start.
    json["format_version"] = json["host_bytes"] = nullptr;
    json["mapped"] = true;
    json["payload_bytes"] = reader.section(0).size();
  }
  json["library"] = DescribeLibrary(library);
  json["sections"] = DescribeSections(reader);
  DescribeSignatures(reader, keys, json);
  json["changes"] = DescribeChanges(bundle.file.bytes(), reader, library);
  PANNIER_TRY(json["artifacts"], DescribeArtifacts(reader));
  PANNIER_TRY(json["misfits"], FindMisfits(bundle, library));
  return json;
}

}  // namespace pannier
