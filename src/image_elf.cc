// An ELF library's segments cut into spans; the same facts read from a file.
#include "src/image_elf.h"

#include <algorithm>

namespace pannier {
namespace {

struct Range {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

// Splits a segment's file bytes into section bytes and gaps.
void AppendSpans(Range segment, std::uint64_t address, const std::vector<Range>& sections, bool all_known,
                 std::vector<ImageSpan>& spans) {
  auto append = [&](std::uint64_t begin, std::uint64_t end, bool is_gap) {
    for (std::uint64_t at = begin; at < end; at += kLongestSpan)
      spans.push_back({address + (at - segment.begin), std::min(kLongestSpan, end - at), is_gap, at});
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

// The parts of a range that none of `cuts` covers.
std::vector<Range> Without(Range range, const std::vector<Range>& cuts) {
  std::vector<Range> parts = {range};
  for (const Range& cut : cuts) {
    std::vector<Range> rest;
    for (const Range& part : parts) {
      if (part.begin < std::min(part.end, cut.begin)) rest.push_back({part.begin, std::min(part.end, cut.begin)});
      if (std::max(part.begin, cut.end) < part.end) rest.push_back({std::max(part.begin, cut.end), part.end});
    }
    parts = std::move(rest);
  }
  return parts;
}

// All but the spans.
LibraryImage ElfFacts(ByteView file, const elf::Header& header, const std::vector<elf::Segment>& segments) {
  LibraryImage image;
  std::copy_n(file.data(), image.identification.size(), image.identification.begin());
  image.type = header.type;
  image.machine = header.machine;
  image.flags = header.flags;
  image.entry = header.entry;
  for (const elf::Segment& segment : segments)
    image.segments.push_back({segment.type, segment.flags, segment.vaddr, segment.filesz, segment.memsz});
  return image;
}

}  // namespace

LibraryImage ElfImage(ByteView file, const elf::Header& header, const std::vector<elf::Segment>& segments,
                      const std::vector<elf::Section>& sections, std::uint64_t anchor_address) {
  LibraryImage image = ElfFacts(file, header, segments);
  const std::vector<Range> known = AllocatedRanges(sections);
  const std::vector<Range> cuts = {{0, header.size()},
                                   {header.segment_offset, header.segment_offset + segments.size() * header.segment_entry_size()}};
  for (const elf::Segment& segment : segments) {
    if (segment.type != elf::kSegmentLoad || segment.vaddr == anchor_address) continue;
    for (const Range& part : Without({segment.offset, segment.offset + segment.filesz}, cuts))
      AppendSpans(part, segment.vaddr + (part.begin - segment.offset), known, sections.empty(), image.spans);
  }
  return image;
}

Result<MappedImage> ReadElfImage(ByteView file) {
  PANNIER_TRY(const elf::Header header, elf::ParseHeader(file));
  PANNIER_TRY(const std::vector<elf::Segment> segments, elf::ParseSegments(file, header));
  PANNIER_CHECK_OK(elf::CheckSegmentsInFile(segments, file.size()));
  MappedImage mapped;
  mapped.image = ElfFacts(file, header, segments);
  for (const elf::Segment& segment : segments) {
    if (segment.type == elf::kSegmentLoad) mapped.ranges.push_back({segment.vaddr, segment.filesz, false, segment.offset});
  }
  return mapped;
}

}  // namespace pannier
