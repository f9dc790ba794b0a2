// Encoder: streams artifacts into a payload, chunk by chunk, on all cores, with memory that does not grow.
#ifndef PANNIER_EMBEDDER_CONTENT_ENCODER_H_
#define PANNIER_EMBEDDER_CONTENT_ENCODER_H_

#include <cstdint>
#include <vector>

#include "embedder/content/artifact_input.h"
#include "embedder/content/codec_choice.h"
#include "embedder/output_file.h"
#include "src/chunked_content.h"
#include "src/effort.h"
#include "src/result.h"
#include "src/sha256.h"

namespace pannier {

struct EncodeOptions {
  CodecChoice codec = CodecChoice::kAuto;
  int level = 3;                     // zstd's
  unsigned threads = 0;              // 0: one for each processor
  ProgressSink* progress = nullptr;  // told of original bytes
};

// What became of one piece of content (a blob, or a tensor).
struct EncodedContent {
  std::uint64_t first_chunk = 0;  // into EncodedArtifact::chunk_table
  std::uint64_t chunk_count = 0;
  GroupPlace group;
  std::uint64_t stored_size = 0;    // of the chunks that are not kept elsewhere already; a group's is its first tensor's
  std::uint64_t encoding_time = 0;  // nanoseconds of one processor; 0 for what is stored as it is
};

struct EncodedArtifact {
  std::uint64_t offset = 0;  // from the anchor: where its stored bytes begin
  std::uint64_t stored_size = 0;
  std::uint64_t align = 1;
  bool has_frames = false;                // some chunk is compressed
  Sha256Digest sha256;                    // of the input file
  std::vector<std::uint8_t> chunk_table;  // ChunkRecords
  std::vector<EncodedContent> contents;   // one for a blob, one for each tensor of params
};

// Where stored bytes go. With a null file nothing is written: a dry run.
struct PayloadTarget {
  OutputFile* file = nullptr;
  std::uint64_t anchor_offset = 0;   // in the file
  std::uint64_t anchor_address = 0;  // what alignment is counted by; congruent to anchor_offset modulo a page
};

// Encodes an artifact so that its stored bytes begin at or behind `payload_offset`.
Result<EncodedArtifact> EncodeArtifact(const ArtifactInput& input, std::uint64_t payload_offset, const PayloadTarget& target,
                                       const EncodeOptions& options);

// Stores an artifact as the file is from `from` on, at exactly `payload_offset`. What stands between tensors is left to the caller.
Result<EncodedArtifact> StoreVerbatim(const ArtifactInput& input, std::uint64_t from, std::uint64_t payload_offset,
                                      const PayloadTarget& target, const EncodeOptions& options);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_CONTENT_ENCODER_H_
