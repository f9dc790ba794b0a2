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
constexpr std::uint64_t kSpreadSize = 16 << 10;
constexpr std::uint64_t kSpreadCount = 16;

using Sample = std::vector<std::uint8_t>;

Result<Sample> ReadSample(const FileSource& file, const PlannedContent& content, std::uint64_t at, std::uint64_t size) {
  Sample sample(static_cast<std::size_t>(std::min(size, content.size - at)));
  PANNIER_CHECK_OK(file.ReadAt(content.source_offset + at, sample.data(), sample.size()).WithContext(file.path()));
  return sample;
}

std::vector<ByteView> Views(const std::vector<Sample>& samples) {
  std::vector<ByteView> views;
  for (const Sample& sample : samples) views.emplace_back(sample.data(), sample.size());
  return views;
}

}  // namespace

Result<ChunkPlan> PlanChunks(const FileSource& file, const PlannedContent& content, const ParamsTensor* tensor, CodecChoice choice,
                             ChunkEncoder& encoder) {
  const auto choose = [&](const std::vector<Sample>& samples) {
    return tensor != nullptr ? ChooseCodec(choice, tensor->dtype, Views(samples), encoder)
                             : ChooseBlobCodec(choice, Views(samples), encoder);
  };
  const std::uint64_t chunks = ChunkCount(content.size, kChunkSize);
  if (choice == CodecChoice::kStore || choice == CodecChoice::kZstd || chunks == 0) return choose({});
  PANNIER_TRY(Sample chunk, ReadSample(file, content, (chunks - 1) / 2 * kChunkSize, kChunkSize));
  PANNIER_TRY(const ChunkPlan plan, choose({std::move(chunk)}));
  if (plan.codec != Codec::kStore || chunks == 1) return plan;
  // This chunk gains nothing, but others may: a look all over.
  std::vector<Sample> spread;
  const std::uint64_t last = content.size / kSpreadSize - 1;
  for (std::uint64_t i = 0; i < kSpreadCount; ++i) {
    PANNIER_TRY(Sample sample, ReadSample(file, content, i * last / (kSpreadCount - 1) * kSpreadSize, kSpreadSize));
    spread.push_back(std::move(sample));
  }
  return choose(spread);
}

namespace {

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
    contents.reserve(input.params->tensors.size());
    for (const ParamsTensor& tensor : input.params->tensors) add(tensor.data_offset, tensor.data_size);
  } else {
    add(0, input.file->size());
  }
  return contents;
}

Status FindEqualContents(const FileSource& file, unsigned threads, std::vector<PlannedContent>& contents) {
  std::vector<SourceRange> ranges;
  ranges.reserve(contents.size());
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
    PANNIER_TRY(content.plan, PlanChunks(*input.file, content, tensor, options.codec, *encoder));
    if (!content.compress() && content.size >= kPageAlignedFrom) content.align = kPage;
    return {};
  }));
  return contents;
}

}  // namespace pannier
