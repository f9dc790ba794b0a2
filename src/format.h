// The bundle format's fixed parts: anchor, records of the index section, section names, limits. Specification: docs/format.md.
#ifndef PANNIER_SRC_FORMAT_H_
#define PANNIER_SRC_FORMAT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "src/bytes.h"
#include "src/result.h"
#include "src/sha256.h"

namespace pannier {

inline constexpr std::uint16_t kVersionMajor = 1;
inline constexpr std::uint16_t kVersionMinor = 0;

// Our sections, as the manifest and ELF name them.
inline constexpr std::string_view kAnchorSection = ".tvm.anchor";
inline constexpr std::string_view kExtraSection = ".tvm.extra";
inline constexpr std::string_view kFactorySection = ".tvm.factory";  // graph and params within TVM's blob of modules
inline constexpr std::string_view kIndexSection = ".tvm.index";
inline constexpr std::string_view kUndoSection = ".tvm.undo";
inline constexpr std::string_view kManifestSection = ".tvm.manifest";
inline constexpr std::string_view kSignatureSection = ".tvm.sig";
// Where there is no room for a section header each: from the index on, and all.
inline constexpr std::string_view kTailSection = ".tvm.meta";
inline constexpr std::string_view kWholeSection = ".tvm";

// The two artifacts whose meaning is known.
inline constexpr std::string_view kGraphArtifact = "graph";
inline constexpr std::string_view kParamsArtifact = "params";

// Limits a reader enforces.
inline constexpr std::uint64_t kMaxManifestSize = std::uint64_t{16} << 20;
inline constexpr std::uint64_t kMaxTensorTableSize = std::uint64_t{1} << 30;  // FlatBuffers' own limit is just below 2 GiB
inline constexpr std::uint32_t kMaxArtifacts = 4096;
inline constexpr std::uint32_t kMaxSections = kMaxArtifacts + 8;  // in the file only, each is looked up by name
inline constexpr std::size_t kMaxArtifactName = 255;
inline constexpr std::uint32_t kMaxHostPieces = 1024;
inline constexpr std::uint32_t kMinChunkSize = 4096;
inline constexpr std::uint32_t kMaxChunkSize = std::uint32_t{16} << 20;

// What the writer uses.
inline constexpr std::uint32_t kChunkSize = 256 << 10;
inline constexpr std::uint32_t kHostChunkSize = 1 << 20;
inline constexpr std::uint64_t kTensorAlignment = 64;
inline constexpr std::uint64_t kSignatureRoom = 8192;

// The first bytes of the payload: tells a bundle from other libraries, and leads to the manifest. Offsets count from the anchor.
struct Anchor {
  static constexpr std::size_t kSize = 128;

  std::uint16_t version_major = kVersionMajor;
  std::uint16_t version_minor = kVersionMinor;
  std::uint64_t payload_size = 0;
  std::uint64_t manifest_offset = 0;
  std::uint64_t manifest_size = 0;
  std::uint64_t signature_offset = 0;
  std::uint64_t signature_size = 0;
  Sha256Digest manifest_sha256;
};

bool HasAnchorMagic(ByteView bytes);
// Checks magic, version, reserved bytes, and that all ranges lie in the payload (not that the payload is all there).
Result<Anchor> ParseAnchor(ByteView bytes);
std::array<std::uint8_t, Anchor::kSize> EncodeAnchor(const Anchor& anchor);

enum class Codec : std::uint8_t { kStore = 0, kZstd = 1, kPlanes = 2 };  // a record may hold another value, of a later version

// A record of a chunk table: where a chunk's stored bytes are, from the start of its artifact's.
struct ChunkRecord {
  static constexpr std::size_t kSize = 48;

  std::uint64_t offset = 0;
  std::uint32_t stored_size = 0;
  Codec codec = Codec::kStore;
  Sha256Digest sha256;  // of the stored bytes
};

// `table` holds the record.
Result<ChunkRecord> ParseChunkRecord(ByteView table, std::uint64_t index);
// `table` has room for it.
void StoreChunkRecord(std::vector<std::uint8_t>& table, std::uint64_t index, const ChunkRecord& record);

// A record of the span table: bytes of the host's image by address. A gap belongs to no section; strip may have zeroed it.
struct SpanRecord {
  static constexpr std::size_t kSize = 56;

  std::uint64_t address = 0;
  std::uint64_t size = 0;
  bool is_gap = false;
  Sha256Digest sha256;
};

Result<SpanRecord> ParseSpanRecord(ByteView table, std::uint64_t index);
void AppendSpanRecord(std::vector<std::uint8_t>& table, const SpanRecord& record);

// How many chunks of `chunk_size` hold `size` bytes.
inline std::uint64_t ChunkCount(std::uint64_t size, std::uint64_t chunk_size) {
  return size / chunk_size + (size % chunk_size != 0 ? 1 : 0);
}

// 1 to 255 bytes of UTF-8 without control characters or slash, and not "." or ".." (extract makes files of them).
bool IsArtifactName(std::string_view name);

}  // namespace pannier

#endif  // PANNIER_SRC_FORMAT_H_
