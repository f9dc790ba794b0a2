// Contents listed: those with equal bytes found, codecs chosen by samples.
#include "embedder/planned_content.h"

#include <algorithm>
#include <utility>

#include "embedder/equal_ranges.h"
#include "src/parallel.h"

namespace pannier {
namespace {

constexpr std::uint64_t kPageAlignedFrom = 256 << 10;
constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kSampleSize = 64 << 10;
constexpr std::uint64_t kFewestSamples = 4;
constexpr std::uint64_t kMostSamples = 32;

// Evenly spread parts of it: all of a small one, a sixteenth of a large one.
Result<std::vector<std::vector<std::uint8_t>>> ReadSamples(const FileSource& file, const PlannedContent& content) {
  const std::uint64_t parts = ChunkCount(content.size, kSampleSize);
  const std::uint64_t count = std::min(parts, std::clamp(parts / 16, kFewestSamples, kMostSamples));
  std::vector<std::vector<std::uint8_t>> samples(static_cast<std::size_t>(count));
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t at = i * parts / count * kSampleSize;
    samples[i].resize(static_cast<std::size_t>(std::min(kSampleSize, content.size - at)));
    PANNIER_CHECK_OK(file.ReadAt(content.source_offset + at, samples[i].data(), samples[i].size()).WithContext(file.path()));
  }
  return samples;
}

// How it is best stored, as far as samples tell. A blob is stored whole or as a zstd stream.
Result<ChunkPlan> PlanChunks(const FileSource& file, const PlannedContent& content, const ParamsTensor* tensor,
                             const EncodeOptions& options, ChunkEncoder& encoder) {
  const bool is_blob = tensor == nullptr;
  const CodecChoice choice = is_blob && options.codec == CodecChoice::kPlanes ? CodecChoice::kStore : options.codec;
  ChunkPlan plan;
  if (choice == CodecChoice::kZstd) plan.codec = Codec::kZstd;
  if (choice == CodecChoice::kStore || choice == CodecChoice::kZstd || content.size == 0) return plan;
  PANNIER_TRY(const auto samples, ReadSamples(file, content));
  std::vector<ByteView> views;
  for (const std::vector<std::uint8_t>& sample : samples) views.emplace_back(sample.data(), sample.size());
  if (!is_blob) return encoder.Choose(choice, tensor->dtype, views);
  PANNIER_TRY(const bool gains, encoder.GainsByZstd(views));
  if (gains) plan.codec = Codec::kZstd;
  return plan;
}

// Chunks are numbered in the order of the contents.
std::vector<PlannedContent> ListContents(const ArtifactInput& input) {
  std::vector<PlannedContent> contents;
  std::uint64_t next_chunk = 0;
  const auto add = [&](std::uint64_t offset, std::uint64_t size) {
    PlannedContent content;
    content.source_offset = offset;
    content.size = size;
    content.first_chunk = next_chunk;
    content.keep_frames = !input.params;
    content.align = kTensorAlignment;
    next_chunk += ChunkCount(size, kChunkSize);
    contents.push_back(content);
  };
  if (input.params) {
    for (const ParamsTensor& tensor : input.params->tensors) add(tensor.data_offset, tensor.data_size);
  } else {
    add(0, input.file->size());
  }
  return contents;
}

Status FindEqualContents(const FileSource& file, unsigned threads, std::vector<PlannedContent>& contents) {
  std::vector<SourceRange> ranges;
  for (const PlannedContent& content : contents) ranges.push_back({content.source_offset, content.size});
  PANNIER_TRY(const std::vector<std::size_t> firsts, FindEqualRanges(file, ranges, threads).WithContext(file.path()));
  for (std::size_t i = 0; i < contents.size(); ++i) {
    if (firsts[i] != i) contents[i].equal_to = firsts[i];
  }
  return {};
}

}  // namespace

Result<std::vector<PlannedContent>> PlanContents(const ArtifactInput& input, const EncodeOptions& options, EncoderPool& encoders) {
  std::vector<PlannedContent> contents = ListContents(input);
  PANNIER_CHECK_OK(FindEqualContents(*input.file, options.threads, contents));
  PANNIER_CHECK_OK(ParallelFor(contents.size(), options.threads, [&](std::uint64_t i) -> Status {
    PlannedContent& content = contents[i];
    if (content.equal_to) return {};
    const ParamsTensor* const tensor = input.params ? &input.params->tensors[i] : nullptr;
    const EncoderPool::Lease encoder = encoders.Take();
    PANNIER_TRY(content.plan, PlanChunks(*input.file, content, tensor, options, *encoder));
    if (!content.compress() && content.size >= kPageAlignedFrom) content.align = kPage;
    return {};
  }));
  return contents;
}

}  // namespace pannier
