// The bundle format's fixed parts, read and written. Field tables: docs/format.md.
#include "src/format.h"

#include <algorithm>
#include <cstring>

#include "src/text.h"

namespace pannier {
namespace {

// Not text, not UTF-8, and changed by transfers that translate line ends, as PNG's is.
constexpr std::array<std::uint8_t, 12> kMagic = {0x89, 'P', 'A', 'N', 'N', 'I', 'E', 'R', '\r', '\n', 0x1A, '\n'};

constexpr std::size_t kReservedWord = 56;
constexpr std::size_t kManifestDigest = 64;
constexpr std::size_t kReservedTail = 96;

Sha256Digest ReadDigest(const std::uint8_t* bytes) {
  Sha256Digest digest;
  std::memcpy(digest.bytes.data(), bytes, digest.bytes.size());
  return digest;
}

std::uint64_t Little64(ByteView bytes, std::size_t offset) {
  return LoadInteger<std::uint64_t>(bytes.data() + offset, ByteOrder::kLittle);
}

}  // namespace

bool HasAnchorMagic(ByteView bytes) {
  return bytes.size() >= kMagic.size() && std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) == 0;
}

Result<Anchor> ParseAnchor(ByteView bytes) {
  if (bytes.size() < Anchor::kSize) return Malformed(StrCat("anchor: found ", bytes.size(), " bytes, expected ", Anchor::kSize));
  if (!HasAnchorMagic(bytes)) return Malformed("anchor: magic number not found");
  Anchor anchor;
  anchor.version_major = LoadInteger<std::uint16_t>(bytes.data() + 12, ByteOrder::kLittle);
  anchor.version_minor = LoadInteger<std::uint16_t>(bytes.data() + 14, ByteOrder::kLittle);
  if (anchor.version_major != kVersionMajor) {
    return {ErrorCode::kUnsupported,
            StrCat("format version: found ", anchor.version_major, ".", anchor.version_minor, ", expected ", kVersionMajor,
                   ".x; a pannier of version ", anchor.version_major, " reads it")};
  }
  anchor.payload_size = Little64(bytes, 16);
  anchor.manifest_offset = Little64(bytes, 24);
  anchor.manifest_size = Little64(bytes, 32);
  anchor.signature_offset = Little64(bytes, 40);
  anchor.signature_size = Little64(bytes, 48);
  anchor.manifest_sha256 = ReadDigest(bytes.data() + kManifestDigest);
  if (Little64(bytes, kReservedWord) != 0 || !IsAllZero(ByteView(bytes.data() + kReservedTail, Anchor::kSize - kReservedTail))) {
    return Malformed("anchor: reserved bytes: found non-zero, expected zero");
  }
  if (anchor.payload_size < Anchor::kSize)
    return Malformed(StrCat("anchor: payload size: found ", anchor.payload_size, ", expected at least ", Anchor::kSize));
  if (anchor.manifest_size > kMaxManifestSize)
    return Malformed(StrCat("anchor: manifest size: found ", anchor.manifest_size, ", expected at most ", kMaxManifestSize));
  if (anchor.manifest_offset < Anchor::kSize || anchor.manifest_offset % 8 != 0 ||
      !FitsWithin(anchor.manifest_offset, anchor.manifest_size, anchor.payload_size)) {
    return Malformed(StrCat("anchor: manifest: found ", anchor.manifest_size, " bytes at ", Hex(anchor.manifest_offset),
                            ", expected a range within the payload's ", anchor.payload_size, " bytes"));
  }
  // No digest covers the anchor: each of its fields has to follow from the manifest's bytes and the other fields.
  if (anchor.signature_offset != AlignUp(anchor.manifest_offset + anchor.manifest_size, 8) ||
      !FitsWithin(anchor.signature_offset, anchor.signature_size, anchor.payload_size) ||
      anchor.signature_offset + anchor.signature_size != anchor.payload_size) {
    return Malformed(StrCat("anchor: signature room: found ", anchor.signature_size, " bytes at ", Hex(anchor.signature_offset),
                            ", expected what lies between the manifest and the payload's end"));
  }
  return anchor;
}

std::array<std::uint8_t, Anchor::kSize> EncodeAnchor(const Anchor& anchor) {
  std::array<std::uint8_t, Anchor::kSize> out{};
  std::copy(kMagic.begin(), kMagic.end(), out.begin());
  StoreInteger(out.data() + 12, anchor.version_major, ByteOrder::kLittle);
  StoreInteger(out.data() + 14, anchor.version_minor, ByteOrder::kLittle);
  const std::array<std::uint64_t, 5> words = {anchor.payload_size, anchor.manifest_offset, anchor.manifest_size,
                                              anchor.signature_offset, anchor.signature_size};
  for (std::size_t i = 0; i < words.size(); ++i) StoreInteger(out.data() + 16 + 8 * i, words[i], ByteOrder::kLittle);
  std::copy(anchor.manifest_sha256.bytes.begin(), anchor.manifest_sha256.bytes.end(), out.begin() + kManifestDigest);
  return out;
}

Result<ChunkRecord> ParseChunkRecord(ByteView table, std::uint64_t index) {
  const std::uint8_t* bytes = table.data() + index * ChunkRecord::kSize;
  ChunkRecord record;
  record.offset = LoadInteger<std::uint64_t>(bytes, ByteOrder::kLittle);
  record.stored_size = LoadInteger<std::uint32_t>(bytes + 8, ByteOrder::kLittle);
  record.codec = static_cast<Codec>(bytes[12]);
  if (bytes[13] != 0 || bytes[14] != 0 || bytes[15] != 0)
    return Malformed(StrCat("chunk ", index, ": reserved bytes: found non-zero, expected zero"));
  record.sha256 = ReadDigest(bytes + 16);
  return record;
}

void StoreChunkRecord(std::vector<std::uint8_t>& table, std::uint64_t index, const ChunkRecord& record) {
  std::uint8_t* const bytes = table.data() + index * ChunkRecord::kSize;
  StoreInteger<std::uint64_t>(bytes, record.offset, ByteOrder::kLittle);
  StoreInteger<std::uint32_t>(bytes + 8, record.stored_size, ByteOrder::kLittle);
  StoreInteger<std::uint32_t>(bytes + 12, static_cast<std::uint32_t>(record.codec), ByteOrder::kLittle);
  std::copy(record.sha256.bytes.begin(), record.sha256.bytes.end(), bytes + 16);
}

Result<SpanRecord> ParseSpanRecord(ByteView table, std::uint64_t index) {
  const std::uint8_t* bytes = table.data() + index * SpanRecord::kSize;
  SpanRecord record;
  record.address = LoadInteger<std::uint64_t>(bytes, ByteOrder::kLittle);
  record.size = LoadInteger<std::uint64_t>(bytes + 8, ByteOrder::kLittle);
  const auto flags = LoadInteger<std::uint64_t>(bytes + 16, ByteOrder::kLittle);
  if (flags > 1) return Malformed(StrCat("image span ", index, ": flags: found ", Hex(flags), ", expected 0 or 1"));
  record.is_gap = flags == 1;
  record.sha256 = ReadDigest(bytes + 24);
  return record;
}

void AppendSpanRecord(std::vector<std::uint8_t>& table, const SpanRecord& record) {
  AppendLittle(table, record.address);
  AppendLittle(table, record.size);
  AppendLittle(table, static_cast<std::uint64_t>(record.is_gap ? 1 : 0));
  table.insert(table.end(), record.sha256.bytes.begin(), record.sha256.bytes.end());
}

bool IsArtifactName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxArtifactName && name != "." && name != ".." &&
         name.find('/') == std::string_view::npos && IsPrintableUtf8(name);
}

}  // namespace pannier
