// PlannedContent: a part of an input (a tensor, or all of a blob) that is encoded as a row of chunks, and how.
#ifndef PANNIER_EMBEDDER_CONTENT_PLANNED_CONTENT_H_
#define PANNIER_EMBEDDER_CONTENT_PLANNED_CONTENT_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "embedder/content/artifact_input.h"
#include "embedder/content/chunk_encoder.h"
#include "embedder/content/codec_choice.h"
#include "embedder/content/encoder.h"
#include "embedder/content/encoder_pool.h"
#include "src/result.h"

namespace pannier {

struct PlannedContent {
  std::uint64_t source_offset = 0;
  std::uint64_t size = 0;
  std::uint64_t first_chunk = 0;        // in the artifact's chunk table
  std::optional<std::size_t> equal_to;  // an earlier content with the same bytes, whose stored chunks are this one's, too
  std::optional<std::size_t> group;     // whose one chunk holds this content, too
  std::uint32_t group_offset = 0;       // in what that chunk decodes to
  ChunkPlan plan;
  bool keep_frames = false;  // every chunk a zstd frame, gain or not, so that the whole is a zstd stream
  std::uint64_t align = 1;

  bool compress() const { return plan.codec != Codec::kStore; }
};

// Small tensors of one type that make one chunk: each alone would hardly pay for a code of its own.
struct ContentGroup {
  std::vector<std::size_t> members;  // numbers of contents, in the file's order, one behind another in the chunk
  std::uint32_t size = 0;
  ChunkPlan plan;
};

struct ContentPlan {
  std::vector<PlannedContent> contents;  // in the file's order
  std::vector<ContentGroup> groups;
  // Stored as it is, as far apart as in the file, of which the artifact then holds all from here on.
  std::optional<std::uint64_t> verbatim_from;
};

// The group's bytes as they are before they are encoded.
Result<std::vector<std::uint8_t>> ReadGroup(const FileSource& file, const ContentPlan& plan, const ContentGroup& group);

// How one is best stored, as far as samples tell. `tensor`: what it is; null for a blob, which is stored whole or as a zstd stream.
Result<ChunkPlan> PlanChunks(const FileSource& file, const PlannedContent& content, const ParamsTensor* tensor, CodecChoice choice,
                             ChunkEncoder& encoder);

// All as it is in the file from this offset on, where the first content or what belongs to it begins.
ContentPlan PlanVerbatim(const ArtifactInput& input, std::uint64_t from);

Result<ContentPlan> PlanContents(const ArtifactInput& input, const EncodeOptions& options, EncoderPool& encoders);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_CONTENT_PLANNED_CONTENT_H_
