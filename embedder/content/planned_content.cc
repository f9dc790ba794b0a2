// Contents listed: those with equal bytes found, codecs chosen by samples.
#include "embedder/content/planned_content.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "embedder/content/equal_ranges.h"
#include "embedder/edit_plan.h"
#include "src/parallel.h"

namespace pannier {
namespace {

constexpr std::uint64_t kPageAlignedFrom = 256 << 10;
constexpr std::uint64_t kMostInGroup = 16 << 10;  // of a member
constexpr std::uint64_t kGroupSize = 64 << 10;    // to get at one member, all are decoded
constexpr std::uint64_t kSpreadSize = 16 << 10;
constexpr std::uint64_t kSpreadCount = 16;

using Sample = std::vector<std::uint8_t>;

Result<Sample> ReadSample(const FileSource& file, const PlannedContent& content, std::uint64_t at, std::uint64_t size) {
  Sample sample(static_cast<std::size_t>(std::min(size, content.size - at)));
  PANNIER_CHECK_OK(file.ReadAt(content.source_offset + at, sample.data(), sample.size()).WithContext(Printable(file.path())));
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
  PANNIER_TRY(const std::vector<std::size_t> firsts, FindEqualRanges(file, ranges, threads).WithContext(Printable(file.path())));
  for (std::size_t i = 0; i < contents.size(); ++i) {
    if (firsts[i] != i) contents[i].equal_to = firsts[i];
  }
  return {};
}

// Small tensors by type, as many together as a group may hold.
std::vector<ContentGroup> ListGroups(const ParamsFile& params, const std::vector<PlannedContent>& contents) {
  std::vector<ContentGroup> groups;
  std::map<std::tuple<unsigned, unsigned, unsigned>, std::size_t> open;  // by type: the group that is not full
  for (std::size_t i = 0; i < contents.size(); ++i) {
    const std::uint64_t size = contents[i].size;
    if (size == 0 || size > kMostInGroup || contents[i].equal_to) continue;
    const DataType dtype = params.tensors[i].dtype;
    const auto [entry, is_new] = open.try_emplace({dtype.code, dtype.bits, dtype.lanes}, groups.size());
    if (is_new || groups[entry->second].size + size > kGroupSize) {
      entry->second = groups.size();
      groups.emplace_back();
    }
    ContentGroup& group = groups[entry->second];
    group.members.push_back(i);
    group.size += static_cast<std::uint32_t>(size);
  }
  groups.erase(std::remove_if(groups.begin(), groups.end(), [](const ContentGroup& group) { return group.members.size() < 2; }),
               groups.end());
  return groups;
}

// Answers which contents need no plan of their own any more. A group that gains nothing is none: its members are stored as they
// are, each where it can be used in place.
Result<std::vector<bool>> PlanGroups(const ArtifactInput& input, const EncodeOptions& options, EncoderPool& encoders,
                                     ContentPlan& plan) {
  std::vector<bool> is_planned(plan.contents.size());
  if (!input.params || options.codec == CodecChoice::kStore) return is_planned;
  plan.groups = ListGroups(*input.params, plan.contents);
  PANNIER_CHECK_OK(ParallelFor(plan.groups.size(), options.threads, [&](std::uint64_t i) -> Status {
    ContentGroup& group = plan.groups[i];
    PANNIER_TRY(const Sample bytes, ReadGroup(*input.file, plan, group));
    const EncoderPool::Lease encoder = encoders.Take();
    PANNIER_TRY(group.plan,
                ChooseCodec(options.codec, input.params->tensors[group.members.front()].dtype, Views({bytes}), *encoder));
    return {};
  }));
  for (const ContentGroup& group : plan.groups) {
    for (const std::size_t member : group.members) is_planned[member] = true;
  }
  plan.groups.erase(std::remove_if(plan.groups.begin(), plan.groups.end(),
                                   [](const ContentGroup& group) { return group.plan.codec == Codec::kStore; }),
                    plan.groups.end());
  for (std::size_t i = 0; i < plan.groups.size(); ++i) {
    std::uint32_t offset = 0;
    for (const std::size_t member : plan.groups[i].members) {
      plan.contents[member].group = i;
      plan.contents[member].group_offset = offset;
      offset += static_cast<std::uint32_t>(plan.contents[member].size);
    }
  }
  return is_planned;
}

}  // namespace

Result<std::vector<std::uint8_t>> ReadGroup(const FileSource& file, const ContentPlan& plan, const ContentGroup& group) {
  Sample bytes(group.size);
  std::size_t at = 0;
  for (const std::size_t member : group.members) {
    const PlannedContent& content = plan.contents[member];
    PANNIER_CHECK_OK(file.ReadAt(content.source_offset, bytes.data() + at, static_cast<std::size_t>(content.size))
                         .WithContext(Printable(file.path())));
    at += static_cast<std::size_t>(content.size);
  }
  return bytes;
}

ContentPlan PlanVerbatim(const ArtifactInput& input, std::uint64_t from) {
  ContentPlan plan;
  plan.contents = ListContents(input);
  for (PlannedContent& content : plan.contents) content.keep_frames = false;
  plan.verbatim_from = from;
  return plan;
}

Result<ContentPlan> PlanContents(const ArtifactInput& input, const EncodeOptions& options, EncoderPool& encoders) {
  ContentPlan plan;
  plan.contents = ListContents(input);
  PANNIER_CHECK_OK(FindEqualContents(*input.file, options.threads, plan.contents));
  PANNIER_TRY(const std::vector<bool> is_planned, PlanGroups(input, options, encoders, plan));
  PANNIER_CHECK_OK(ParallelFor(plan.contents.size(), options.threads, [&](std::uint64_t i) -> Status {
    PlannedContent& content = plan.contents[i];
    if (content.equal_to || is_planned[i]) return {};
    const ParamsTensor* const tensor = input.params ? &input.params->tensors[i] : nullptr;
    const EncoderPool::Lease encoder = encoders.Take();
    PANNIER_TRY(content.plan, PlanChunks(*input.file, content, tensor, options.codec, *encoder));
    // What has to be decoded anyway may begin anywhere.
    if (content.compress() && input.params) content.align = 1;
    if (!content.compress() && content.size >= kPageAlignedFrom) content.align = kPage;
    return {};
  }));
  return plan;
}

}  // namespace pannier
