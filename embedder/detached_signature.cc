// Fields are looked for by their paths, which messages name; unknown ones are skipped, as the specifications demand.
//
// https://github.com/ossf/model-signing-spec has the resource of a single file named like the file. model-signing 1.1.1 names it
// ".", and accepts nothing else. So that is written, and both are read.
#include "embedder/detached_signature.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "embedder/content/strict_json.h"
#include "src/base64.h"
#include "src/signatures.h"
#include "src/text.h"

namespace pannier {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kMediaType = "application/vnd.dev.sigstore.bundle.v0.3+json";
constexpr std::string_view kStatement = "https://in-toto.io/Statement/v1";
constexpr std::string_view kPredicate = "https://model_signing/signature/v1.0";
constexpr std::string_view kMethod = "files";
constexpr std::string_view kDigest = "sha256";
constexpr std::string_view kOneFile = ".";

// A value and its path from the root.
class Field {
 public:
  Field(const Json& value, std::string path) : value_(&value), path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  // null stands for nothing, as in protobuf's JSON.
  bool Has(const char* name) const { return value_->is_object() && value_->contains(name) && !(*value_)[name].is_null(); }

  Result<Field> Member(const char* name) const {
    if (!value_->is_object()) return Unlike("an object");
    std::string path = path_.empty() ? name : StrCat(path_, ".", name);
    if (!Has(name)) return Malformed(StrCat(path, ": found nothing"));
    return Field((*value_)[name], std::move(path));
  }

  Status RequireObject() const { return value_->is_object() ? Status() : Unlike("an object"); }

  Result<std::string> Text() const {
    if (!value_->is_string()) return Unlike("a string");
    return value_->get<std::string>();
  }
  Result<std::string> Text(const char* name) const {
    PANNIER_TRY(const Field member, Member(name));
    return member.Text();
  }

  // The only element of an array.
  Result<Field> Only(const char* name) const {
    PANNIER_TRY(const Field member, Member(name));
    if (!member.value_->is_array()) return member.Unlike("an array");
    if (member.value_->size() != 1) {
      return {member.value_->empty() ? ErrorCode::kMalformed : ErrorCode::kUnsupported,
              StrCat(member.path_, ": found ", member.value_->size(), ", expected one")};
    }
    return Field((*member.value_)[0], member.path_);
  }

  Status Require(const char* name, std::string_view expected) const {
    PANNIER_TRY(const std::string found, Text(name));
    if (found == expected) return {};
    return {ErrorCode::kUnsupported,
            StrCat(path_, path_.empty() ? "" : ".", name, ": found \"", Printable(found), "\", expected \"", expected, "\"")};
  }

 private:
  Status Unlike(const char* kind) const {
    return Malformed(StrCat(path_, path_.empty() ? "" : ": ", "found ", value_->type_name(), ", expected ", kind));
  }

  const Json* value_;
  std::string path_;
};

Result<std::vector<std::uint8_t>> Bytes(const Field& field, const char* name) {
  PANNIER_TRY(const std::string text, field.Text(name));
  std::optional<std::vector<std::uint8_t>> bytes = DecodeBase64(text);
  if (!bytes || bytes->empty()) return Malformed(StrCat(field.path(), ".", name, ": found something else, expected base64"));
  return std::move(*bytes);
}

std::string HintOf(const PublicKey& key) { return Sha256Of(View(key.pem())).Hex(); }

// What model signing puts over all resources: SHA-256 of their digests, one after the other.
Sha256Digest RootOf(const Sha256Digest& file) { return Sha256Of(View(file.bytes)); }

Status Differs(std::string_view what, std::string_view found, std::string_view expected) {
  return {ErrorCode::kDigestMismatch, StrCat(what, ": found SHA-256 ", Printable(found), ", expected ", expected)};
}

}  // namespace

Result<DetachedSignature> ParseDetachedSignature(std::string_view text) {
  PANNIER_TRY(const Json json, ParseStrictJson(text));
  const Field root(json, "");
  PANNIER_CHECK_OK(root.Require("mediaType", kMediaType));
  PANNIER_TRY(const Field material, root.Member("verificationMaterial"));
  if (material.Has("certificate") || material.Has("x509CertificateChain")) {
    return {ErrorCode::kUnsupported,
            StrCat(material.path(),
                   ": found a certificate, expected a public key: only what `model_signing sign key` makes is checked")};
  }
  DetachedSignature signature;
  PANNIER_TRY(const Field key, material.Member("publicKey"));
  PANNIER_CHECK_OK(key.RequireObject());
  if (key.Has("hint")) {
    PANNIER_TRY(signature.key_hint, key.Text("hint"));
  }
  PANNIER_TRY(const Field envelope, root.Member("dsseEnvelope"));
  PANNIER_CHECK_OK(envelope.Require("payloadType", kStatementType));
  PANNIER_TRY(const std::vector<std::uint8_t> payload, Bytes(envelope, "payload"));
  signature.payload.assign(payload.begin(), payload.end());
  PANNIER_TRY(const Field only, envelope.Only("signatures"));
  PANNIER_TRY(signature.signature, Bytes(only, "sig"));
  return signature;
}

Result<PublicKey> FindSigner(const DetachedSignature& signature, const std::vector<PublicKey>& keys) {
  const std::string message = SignedBytes(kStatementType, signature.payload);
  bool has_kind = false;
  bool has_hint = false;
  for (const PublicKey& key : keys) {
    if (key.is_ed25519()) continue;
    has_kind = true;
    if (!signature.key_hint.empty() && signature.key_hint != HintOf(key)) continue;
    has_hint = true;
    if (key.IsSignatureOf(View(message), View(signature.signature))) return key;
  }
  if (!has_kind) return {ErrorCode::kInvalidArgument, "found an Ed25519 key, expected P-256: model signing has no Ed25519"};
  if (!has_hint) {
    return {ErrorCode::kSignature, StrCat("found one by the key whose PEM text has SHA-256 ", Printable(signature.key_hint),
                                          ", expected one by a given key")};
  }
  return {ErrorCode::kSignature, "found a wrong one: not made by the given key, or over another statement"};
}

Result<Sha256Digest> DigestOf(const FileSource& source, const Effort& effort) {
  effort.Begin("reading", source.size());
  Sha256 sha256;
  std::vector<std::uint8_t> window(static_cast<std::size_t>(std::min<std::uint64_t>(source.size(), 1 << 20)));
  for (std::uint64_t at = 0; at < source.size(); at += window.size()) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(source.size() - at, window.size()));
    PANNIER_CHECK_OK(source.ReadAt(at, window.data(), size));
    sha256.Update(ByteView(window.data(), size));
    effort.Advance(size);
  }
  return sha256.Finish();
}

Status CheckModelStatement(std::string_view statement, std::string_view file_name, const Sha256Digest& file) {
  PANNIER_TRY(const Json json, ParseStrictJson(statement).WithContext("statement"));
  const Field root(json, "");
  PANNIER_CHECK_OK(root.Require("_type", kStatement));
  PANNIER_CHECK_OK(root.Require("predicateType", kPredicate));
  PANNIER_TRY(const Field predicate, root.Member("predicate"));
  PANNIER_TRY(const Field serialization, predicate.Member("serialization"));
  PANNIER_CHECK_OK(serialization.Require("method", kMethod));
  PANNIER_CHECK_OK(serialization.Require("hash_type", kDigest));
  PANNIER_TRY(const Field resource, predicate.Only("resources"));
  PANNIER_CHECK_OK(resource.Require("algorithm", kDigest));
  PANNIER_TRY(const std::string name, resource.Text("name"));
  PANNIER_TRY(const std::string digest, resource.Text("digest"));
  PANNIER_TRY(const Field subject, root.Only("subject"));
  PANNIER_TRY(const Field subject_digest, subject.Member("digest"));
  PANNIER_TRY(const std::string root_digest, subject_digest.Text("sha256"));

  if (name != kOneFile && name != file_name) {
    return {ErrorCode::kSignature, StrCat("found one of file ", Printable(name), ", expected one of ", Printable(file_name))};
  }
  if (digest != file.Hex()) return Differs("file", file.Hex(), digest);
  if (root_digest != RootOf(file).Hex()) return Differs(subject.path(), root_digest, RootOf(file).Hex());
  return {};
}

Result<std::string> MakeDetachedSignature(const PrivateKey& key, std::string_view file_name, const Sha256Digest& file) {
  const PublicKey& public_key = key.public_key();
  if (public_key.is_ed25519()) return Unsupported("found an Ed25519 key, expected P-256: model signing has no Ed25519");
  const Json subject = {{"name", file_name}, {"digest", {{kDigest, RootOf(file).Hex()}}}};
  const Json resource = {{"name", kOneFile}, {"algorithm", kDigest}, {"digest", file.Hex()}};
  const Json serialization = {{"method", kMethod}, {"hash_type", kDigest}, {"allow_symlinks", false}};
  const Json json = {{"_type", kStatement},
                     {"predicateType", kPredicate},
                     {"subject", Json::array({subject})},
                     {"predicate", {{"serialization", serialization}, {"resources", Json::array({resource})}}}};
  const std::string statement = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  PANNIER_TRY(std::vector<std::uint8_t> signature, key.Sign(View(SignedBytes(kStatementType, statement))));
  // Which key it was is told by the hint; model signing has no use for a key's id in the envelope.
  return StrCat(R"({"dsseEnvelope":)", EnvelopeOf(statement, {{"", std::move(signature)}}), R"(,"mediaType":")", kMediaType,
                R"(","verificationMaterial":{"publicKey":{"hint":")", HintOf(public_key), R"("},"tlogEntries":[]}})");
}

}  // namespace pannier
