// Statement, envelope and the records of the signature room.
#include "src/signatures.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "src/base64.h"
#include "src/text.h"

namespace pannier {
namespace {

// Longer lists of artifacts are left out of the statement: the manifest has them, and the file digest covers it.
constexpr std::size_t kMostArtifactText = 2048;

constexpr std::uint32_t kEndOfRecords = 0;
constexpr std::uint32_t kEnvelopeRecord = 1;
constexpr std::size_t kRecordHeader = 8;
constexpr std::size_t kKeyIdSize = 64;

std::string_view FormatText(format::ImageFormat format) {
  if (format == format::ImageFormat::MachO) return "Mach-O";
  return format == format::ImageFormat::Pe ? "PE" : "ELF";
}

// A name of an artifact has no control characters, so these two are all that JSON wants escaped.
std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted.push_back('\\');
    quoted.push_back(c);
  }
  return quoted + "\"";
}

std::string Subject(std::string_view name, const Sha256Digest& digest) {
  return StrCat(R"({"digest":{"sha256":")", digest.Hex(), R"("},"name":)", Quoted(name), "}");
}

// Everything of an envelope before its signatures.
std::string EnvelopeStart(std::string_view statement) {
  return StrCat(R"({"payload":")", EncodeBase64(View(statement)), R"(","payloadType":")", kStatementType, R"(","signatures":[)");
}

constexpr std::string_view kEnvelopeEnd = "]}";
constexpr std::string_view kBeforeKeyId = R"({"keyid":")";
constexpr std::string_view kBeforeSignature = R"(","sig":")";
constexpr std::string_view kAfterSignature = R"("})";

bool Skip(std::string_view& text, std::string_view expected) {
  if (text.substr(0, expected.size()) != expected) return false;
  text.remove_prefix(expected.size());
  return true;
}

bool IsLowerHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::optional<BundleSignature> ParseSignature(std::string_view& text) {
  if (!Skip(text, kBeforeKeyId)) return std::nullopt;
  BundleSignature signature;
  signature.key_id = text.substr(0, kKeyIdSize);
  if (signature.key_id.size() != kKeyIdSize || !IsLowerHex(signature.key_id)) return std::nullopt;
  text.remove_prefix(kKeyIdSize);
  if (!Skip(text, kBeforeSignature)) return std::nullopt;
  const std::size_t size = std::min(text.find('"'), text.size());
  std::optional<std::vector<std::uint8_t>> bytes = DecodeBase64(text.substr(0, size));
  text.remove_prefix(size);
  if (!bytes || bytes->empty() || !Skip(text, kAfterSignature)) return std::nullopt;
  signature.bytes = std::move(*bytes);
  return signature;
}

// What does not follow from the bundle: only this much of JSON has to be read.
Result<std::vector<BundleSignature>> ParseEnvelope(std::string_view text, std::string_view statement) {
  if (!Skip(text, EnvelopeStart(statement)))
    return {ErrorCode::kSignature, "signatures: found them over something else, expected them over this bundle's statement"};
  std::vector<BundleSignature> signatures;
  do {
    std::optional<BundleSignature> signature = ParseSignature(text);
    if (!signature) return Malformed("signatures: not an envelope as docs/format.md has it");
    signatures.push_back(std::move(*signature));
  } while (Skip(text, ","));
  if (text != kEnvelopeEnd) return Malformed("signatures: not an envelope as docs/format.md has it");
  return signatures;
}

struct Record {
  std::uint32_t type = kEndOfRecords;
  ByteView bytes;
};

Result<std::vector<Record>> ParseRoom(ByteView room) {
  std::vector<Record> records;
  std::uint64_t at = 0;
  bool has_envelope = false;
  while (room.size() - at >= kRecordHeader) {
    const std::uint32_t type = *room.Read<std::uint32_t>(at);
    if (type == kEndOfRecords) break;
    const std::uint32_t size = *room.Read<std::uint32_t>(at + 4);
    const std::optional<ByteView> bytes = room.Slice(at + kRecordHeader, size);
    const std::uint64_t end = AlignUp(at + kRecordHeader + size, 8);
    if (!bytes || size == 0 || end > room.size())
      return Malformed(StrCat("signature room: record at ", Hex(at), ": found ", size, " bytes, expected 1 to ",
                              room.size() - at - kRecordHeader));
    if (!IsAllZero(*room.Slice(at + kRecordHeader + size, end - at - kRecordHeader - size)))
      return Malformed(StrCat("signature room: record at ", Hex(at), ": padding: found non-zero, expected zero"));
    if (type == kEnvelopeRecord && std::exchange(has_envelope, true))
      return Malformed("signature room: found two envelopes, expected one");
    records.push_back({type, *bytes});
    at = end;
  }
  if (!IsAllZero(*room.Slice(at, room.size() - at)))
    return Malformed(StrCat("signature room: behind its records, at ", Hex(at), ": found non-zero, expected zero"));
  return records;
}

void Append(std::vector<std::uint8_t>& room, std::uint32_t type, ByteView bytes) {
  const std::size_t at = room.size();
  room.resize(at + kRecordHeader);
  StoreInteger<std::uint32_t>(room.data() + at, type, ByteOrder::kLittle);
  StoreInteger<std::uint32_t>(room.data() + at + 4, static_cast<std::uint32_t>(bytes.size()), ByteOrder::kLittle);
  room.insert(room.end(), bytes.begin(), bytes.end());
  room.resize(static_cast<std::size_t>(AlignUp(room.size(), 8)));
}

}  // namespace

std::string StatementOf(const BundleReader& reader) {
  const format::Manifest& manifest = reader.manifest();
  std::string artifacts;
  for (std::uint32_t i = 0; i < reader.artifact_count() && artifacts.size() <= kMostArtifactText; ++i) {
    const format::Artifact& artifact = reader.artifact(i);
    artifacts += StrCat(",", Subject(ToText(artifact.name()), ToDigest(*artifact.sha256())));
  }
  if (artifacts.size() > kMostArtifactText) artifacts.clear();
  return StrCat(R"({"_type":"https://in-toto.io/Statement/v1","predicate":{"format":")", FormatText(manifest.format()),
                R"(","version":")", manifest.version_major(), ".", manifest.version_minor(),
                R"("},"predicateType":"urn:pannier:bundle:1","subject":[)", Subject("bundle/file", reader.anchor().manifest_sha256),
                ",", Subject("bundle/host", ToDigest(*manifest.host()->sha256())), ",",
                Subject("bundle/image", ToDigest(*manifest.image()->sha256())), artifacts, "]}");
}

std::string SignedBytes(std::string_view payload_type, std::string_view payload) {
  return StrCat("DSSEv1 ", payload_type.size(), " ", payload_type, " ", payload.size(), " ", payload);
}

std::string EnvelopeOf(std::string_view statement, const std::vector<BundleSignature>& signatures) {
  std::string text = EnvelopeStart(statement);
  std::string_view comma;
  for (const BundleSignature& signature : signatures) {
    text += StrCat(comma, kBeforeKeyId, signature.key_id, kBeforeSignature, EncodeBase64(View(signature.bytes)), kAfterSignature);
    comma = ",";
  }
  return text.append(kEnvelopeEnd);
}

Result<std::vector<BundleSignature>> ReadSignatures(const BundleReader& reader) {
  PANNIER_TRY(const std::vector<Record> records, ParseRoom(reader.signature_room()));
  for (const Record& record : records) {
    if (record.type == kEnvelopeRecord) return ParseEnvelope(record.bytes.text(), StatementOf(reader));
  }
  return std::vector<BundleSignature>();
}

Result<std::vector<std::uint8_t>> SignatureRoomWith(const BundleReader& reader, const std::vector<BundleSignature>& signatures) {
  PANNIER_TRY(const std::vector<Record> records, ParseRoom(reader.signature_room()));
  std::vector<std::uint8_t> room;
  if (!signatures.empty()) {
    const std::string envelope = EnvelopeOf(StatementOf(reader), signatures);
    Append(room, kEnvelopeRecord, View(envelope));
  }
  for (const Record& record : records) {
    if (record.type != kEnvelopeRecord) Append(room, record.type, record.bytes);
  }
  if (room.size() > reader.signature_room().size()) {
    return {ErrorCode::kLimit, StrCat("signature room: ", signatures.size(), " signatures take ", room.size(),
                                      " bytes, expected at most ", reader.signature_room().size())};
  }
  room.resize(reader.signature_room().size());
  return room;
}

}  // namespace pannier
