// BuildManifest and BuildUndoRecord: facts as FlatBuffers, the same bytes for the same facts.
#ifndef PANNIER_EMBEDDER_CONTENT_MANIFEST_BUILDER_H_
#define PANNIER_EMBEDDER_CONTENT_MANIFEST_BUILDER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "embedder/edit_plan.h"
#include "manifest_generated.h"
#include "src/bytes.h"
#include "src/sha256.h"

namespace pannier {

// A range of the index section.
struct IndexEntry {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  Sha256Digest sha256;
};

struct ArtifactFacts {
  std::string name;
  bool is_params = false;
  std::uint32_t section = 0;
  std::uint64_t offset = 0;  // from the section's start
  std::uint64_t stored_size = 0;
  std::uint64_t size = 0;
  Sha256Digest sha256;
  IndexEntry chunks;   // blob: its table with digest; params: all tensors' chunk table, the digest unused
  IndexEntry tensors;  // params
};

struct PartFacts {
  std::string name;
  std::uint64_t offset = 0;  // from the anchor
  std::uint64_t size = 0;
  Sha256Digest sha256;
  format::PartKind kind = format::PartKind::All;
};

struct ManifestFacts {
  format::ImageFormat format = format::ImageFormat::Elf;
  bool is_mapped = false;
  std::uint64_t anchor_file_offset = 0;
  std::uint64_t payload_size = 0;
  std::uint64_t file_size = 0;
  std::vector<PlannedSection> sections;
  std::uint32_t index_section = 0;
  std::uint32_t undo_section = 0;
  std::vector<ArtifactFacts> artifacts;
  std::vector<PartFacts> parts;
  std::uint64_t host_size = 0;
  Sha256Digest host_sha256;
  std::vector<Piece> host_pieces;
  IndexEntry host_chunks;
  LibraryImage image;  // its spans are in the index
  IndexEntry image_spans;
  Sha256Digest image_sha256;
  std::vector<Derived> derived;
};

// The size depends on names and counts alone, not on numbers or digests: it can be known before they are.
std::vector<std::uint8_t> BuildManifest(const ManifestFacts& facts);

// A fat file before payloads go into slices of it.
struct FatFacts {
  std::uint64_t file_size = 0;
  Sha256Digest file_sha256;
  ByteView header;                   // with all slices' entries
  std::vector<Sha256Digest> slices;  // in the header's order
};

// Old bytes of what the plan edits, and of what none of its pieces holds.
// `fat`: the file that the host is a slice of, or null.
std::vector<std::uint8_t> BuildUndoRecord(ByteView host, const Sha256Digest& host_sha256, const EditPlan& plan,
                                          const FatFacts* fat);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_CONTENT_MANIFEST_BUILDER_H_
