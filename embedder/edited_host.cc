// A host with its edits applied while it is read, cut into chunks (file) and spans (image), and digested.
#include "embedder/edited_host.h"

#include <algorithm>
#include <cstring>

#include "src/format.h"
#include "src/parallel.h"
#include "src/sha256.h"

namespace pannier {
namespace {

constexpr std::uint64_t kLongestSpan = 1 << 20;

struct Range {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

// Splits [begin, end) of a segment's file bytes into section bytes and gaps.
void AppendSpans(Range segment, std::uint64_t address, const std::vector<Range>& sections, bool all_known,
                 std::vector<SpanRecord>& spans) {
  auto append = [&](std::uint64_t begin, std::uint64_t end, bool is_gap) {
    for (std::uint64_t at = begin; at < end; at += kLongestSpan) {
      SpanRecord span;
      span.address = address + (at - segment.begin);
      span.size = std::min(kLongestSpan, end - at);
      span.is_gap = is_gap;
      spans.push_back(span);
    }
  };
  if (all_known) return append(segment.begin, segment.end, false);
  std::uint64_t at = segment.begin;
  for (const Range& section : sections) {
    if (section.end <= at) continue;
    if (section.begin >= segment.end) break;
    if (section.begin > at) append(at, section.begin, true);
    const std::uint64_t begin = std::max(at, section.begin);
    const std::uint64_t end = std::min(section.end, segment.end);
    append(begin, end, false);
    at = end;
  }
  if (at < segment.end) append(at, segment.end, true);
}

// Sections that touch one another become one range.
std::vector<Range> AllocatedRanges(const std::vector<elf::Section>& sections) {
  std::vector<Range> ranges;
  for (const elf::Section& section : sections) {
    if (section.is_allocated() && section.has_bytes() && section.size != 0)
      ranges.push_back({section.offset, section.offset + section.size});
  }
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
  std::vector<Range> merged;
  for (const Range& range : ranges) {
    if (!merged.empty() && range.begin <= merged.back().end) {
      merged.back().end = std::max(merged.back().end, range.end);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

}  // namespace

Status EditedHost::ReadAt(std::uint64_t offset, void* out, std::size_t size) const {
  PANNIER_CHECK_OK(MemorySource(host_).ReadAt(offset, out, size));
  for (const Edit& edit : edits_) {
    const std::uint64_t begin = std::max(edit.offset, offset);
    const std::uint64_t end = std::min(edit.offset + edit.bytes.size(), offset + size);
    if (begin >= end) continue;
    std::memcpy(static_cast<std::uint8_t*>(out) + (begin - offset), edit.bytes.data() + (begin - edit.offset), end - begin);
  }
  return {};
}

Result<std::vector<std::uint8_t>> HostChunkDigests(const ByteSource& host, std::uint32_t chunk_size, unsigned threads) {
  constexpr std::size_t kDigest = sizeof(Sha256Digest::bytes);
  const std::uint64_t chunks = ChunkCount(host.size(), chunk_size);
  std::vector<std::uint8_t> digests(static_cast<std::size_t>(chunks) * kDigest);
  PANNIER_CHECK_OK(ParallelFor(chunks, threads, [&](std::uint64_t i) -> Status {
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(std::min<std::uint64_t>(chunk_size, host.size() - i * chunk_size)));
    PANNIER_CHECK_OK(host.ReadAt(i * chunk_size, bytes.data(), bytes.size()));
    const Sha256Digest digest = Sha256Of(ByteView(bytes.data(), bytes.size()));
    std::memcpy(digests.data() + i * kDigest, digest.bytes.data(), kDigest);
    return {};
  }));
  return digests;
}

Result<std::vector<std::uint8_t>> ElfImageSpans(const ByteSource& file, const elf::Header& header,
                                                const std::vector<elf::Segment>& segments,
                                                const std::vector<elf::Section>& sections, std::uint64_t anchor_address,
                                                unsigned threads) {
  // Header and table count as known bytes here, and are taken out of the spans below.
  std::vector<Range> known = AllocatedRanges(sections);
  const Range elf_header = {0, header.size()};
  const Range table = {header.segment_offset, header.segment_offset + segments.size() * header.segment_entry_size()};
  std::vector<SpanRecord> spans;
  std::vector<std::uint64_t> file_offsets;
  for (const elf::Segment& segment : segments) {
    if (segment.type != elf::kSegmentLoad || segment.vaddr == anchor_address) continue;
    // The parts of the segment beside header and table.
    std::vector<Range> parts = {{segment.offset, segment.offset + segment.filesz}};
    for (const Range& cut : {elf_header, table}) {
      std::vector<Range> rest;
      for (const Range& part : parts) {
        if (part.begin < std::min(part.end, cut.begin)) rest.push_back({part.begin, std::min(part.end, cut.begin)});
        if (std::max(part.begin, cut.end) < part.end) rest.push_back({std::max(part.begin, cut.end), part.end});
      }
      parts = std::move(rest);
    }
    for (const Range& part : parts) {
      const std::size_t first = spans.size();
      AppendSpans(part, segment.vaddr + (part.begin - segment.offset), known, sections.empty(), spans);
      for (std::size_t i = first; i < spans.size(); ++i)
        file_offsets.push_back(segment.offset + (spans[i].address - segment.vaddr));
    }
  }
  PANNIER_CHECK_OK(ParallelFor(spans.size(), threads, [&](std::uint64_t i) -> Status {
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(spans[i].size));
    PANNIER_CHECK_OK(file.ReadAt(file_offsets[i], bytes.data(), bytes.size()));
    spans[i].sha256 = Sha256Of(ByteView(bytes.data(), bytes.size()));
    return {};
  }));
  std::vector<std::uint8_t> table_bytes;
  for (const SpanRecord& span : spans) AppendSpanRecord(table_bytes, span);
  return table_bytes;
}

}  // namespace pannier
