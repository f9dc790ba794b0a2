// Mach-O load commands in a canonical form, and segments cut into spans. docs/format.md, "The image digest".
#include "src/image_macho.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <vector>

#include "src/macho_commands.h"
#include "src/macho_file.h"
#include "src/text.h"

namespace pannier {
namespace {

using macho::Segment;

// Commands that do not count: what they lead to is for debuggers and signers, or is rewritten by strip.
constexpr std::uint32_t kLeftOut[] = {macho::kSymbolTable,
                                      macho::kDynamicSymbolTable,
                                      macho::kCodeSignature,
                                      macho::kFunctionStarts,
                                      macho::kDataInCode,
                                      0x3 /* SYMSEG */,
                                      0x16 /* TWOLEVEL_HINTS */,
                                      0x1e /* SEGMENT_SPLIT_INFO */,
                                      0x2b /* DYLIB_CODE_SIGN_DRS */,
                                      0x2e /* LINKER_OPTIMIZATION_HINT */,
                                      0x31 /* NOTE */,
                                      0x36 /* ATOM_INFO */};

// Commands whose bytes in __LINKEDIT dyld acts on: their digests count, not where they are.
constexpr std::uint32_t kByContent[] = {macho::kDyldInfo,      macho::kDyldInfoOnly,     macho::kExportsTrie,
                                        macho::kChainedFixups, macho::kFunctionVariants, macho::kFunctionVariantFixups};

template <std::size_t kCount>
bool Contains(const std::uint32_t (&list)[kCount], std::uint32_t type) {
  return std::find(std::begin(list), std::end(list), type) != std::end(list);
}

class HeaderWriter {
 public:
  template <typename T>
  void Put(T value) {
    bytes.resize(bytes.size() + sizeof(T));
    StoreInteger<T>(bytes.data() + bytes.size() - sizeof(T), value, ByteOrder::kLittle);
  }
  void Put(ByteView more) { bytes.insert(bytes.end(), more.begin(), more.end()); }
  void PutName(std::string_view name) {
    Put(View(name));
    bytes.resize(bytes.size() + 16 - name.size());
  }

  std::vector<std::uint8_t> bytes;
};

// Header and load commands of a library, and the memory that they are in.
struct Commands {
  std::vector<std::uint8_t> bytes;
  macho::Header header;
  std::vector<macho::Command> commands;
  std::vector<Segment> segments;
};

Result<std::vector<std::uint8_t>> ReadBytes(const ByteSource& library, std::uint64_t offset, std::uint64_t size) {
  if (!FitsWithin(offset, size, library.size())) {
    return Malformed(
        StrCat("found ", size, " bytes at ", Hex(offset), ", expected a range within the file's ", library.size(), " bytes"));
  }
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(size));
  PANNIER_CHECK_OK(library.ReadAt(offset, bytes.data(), bytes.size()));
  return bytes;
}

Result<Commands> ReadCommands(const ByteSource& library) {
  constexpr std::uint64_t kHeader = 32;
  Commands read;
  PANNIER_TRY(read.bytes, ReadBytes(library, 0, std::min(kHeader, library.size())));
  PANNIER_TRY(read.header, macho::ParseHeader(View(read.bytes)));
  PANNIER_TRY(read.bytes, ReadBytes(library, 0, read.header.commands_end()).WithContext("load commands"));
  PANNIER_TRY(read.commands, macho::ParseCommands(View(read.bytes), read.header));
  PANNIER_TRY(read.segments, macho::ParseSegments(read.header, read.commands));
  PANNIER_CHECK_OK(macho::CheckSegmentsInFile(read.segments, library.size()));
  return read;
}

void PutSegment(const Segment& segment, std::uint32_t type, HeaderWriter& out) {
  out.Put(type);
  out.PutName(segment.name);
  if (segment.name == macho::kPayloadSegment) return;
  for (const macho::Section& section : segment.sections) {
    out.PutName(section.name);
    out.PutName(section.segment_name);
    out.Put(section.address);
    out.Put(section.size);
    out.Put(section.flags);
    out.Put(section.reserved1);
    out.Put(section.reserved2);
  }
}

// No two commands may lead to the same bytes through one type: a hostile file could ask for endless digests otherwise.
Status PutContent(const ByteSource& library, const Commands& read, std::size_t i, HeaderWriter& out) {
  const macho::Command& command = read.commands[i];
  for (std::size_t other = 0; other < i; ++other) {
    if (read.commands[other].type == command.type)
      return Malformed(StrCat("load command ", Hex(command.type), ": found it twice, expected it once"));
  }
  PANNIER_TRY(const std::vector<macho::Blob> blobs, macho::BlobsOf(read.header, command));
  out.Put(command.type);
  for (const macho::Blob& blob : blobs) {
    std::vector<std::uint8_t> bytes;
    if (blob.size != 0) {
      PANNIER_TRY(bytes, ReadBytes(library, blob.offset, blob.size).WithContext(StrCat("load command ", Hex(command.type))));
    }
    const Sha256Digest digest = Sha256Of(View(bytes));
    out.Put(blob.size);
    out.Put(View(digest.bytes));
  }
  return {};
}

Result<std::vector<std::uint8_t>> CanonicalCommands(const ByteSource& library, const Commands& read) {
  HeaderWriter out;
  std::size_t next_segment = 0;
  for (std::size_t i = 0; i < read.commands.size(); ++i) {
    const macho::Command& command = read.commands[i];
    if (next_segment < read.segments.size() && read.segments[next_segment].command == i) {
      const Segment& segment = read.segments[next_segment++];
      if (segment.name != macho::kLinkEdit) PutSegment(segment, command.type, out);
    } else if (Contains(kByContent, command.type)) {
      PANNIER_CHECK_OK(PutContent(library, read, i, out));
    } else if (!Contains(kLeftOut, command.type)) {
      out.Put(command.bytes);
    }
  }
  return std::move(out.bytes);
}

// Segments with sections are as long as those: llvm-objcopy rounds their sizes as it likes.
ImageSegment SegmentFact(const Segment& segment, std::uint32_t type) {
  const bool by_sections = !segment.sections.empty() || segment.name == macho::kPayloadSegment;
  return {type, segment.protection | segment.max_protection << 4 | segment.flags << 8, segment.address,
          by_sections ? 0 : segment.file_size, by_sections ? 0 : segment.memory_size};
}

// Bytes of sections, and gaps between them.
void AppendSpans(const Segment& segment, std::vector<ImageSpan>& spans) {
  struct SectionRange {
    std::uint64_t begin = 0;  // from the segment's start
    std::uint64_t end = 0;
  };
  auto append = [&](std::uint64_t begin, std::uint64_t end, bool is_gap) {
    for (std::uint64_t at = begin; at < end; at += kLongestSpan)
      spans.push_back({segment.address + at, std::min(kLongestSpan, end - at), is_gap, segment.offset + at});
  };
  if (segment.sections.empty() && segment.offset != 0) return append(0, segment.file_size, false);
  std::vector<SectionRange> ranges;
  for (const macho::Section& section : segment.sections) {
    if (!section.has_bytes() || section.address < segment.address) continue;
    const std::uint64_t begin = section.address - segment.address;
    if (begin < segment.file_size) ranges.push_back({begin, begin + std::min(section.size, segment.file_size - begin)});
  }
  std::sort(ranges.begin(), ranges.end(), [](const SectionRange& a, const SectionRange& b) { return a.begin < b.begin; });
  // Before the first section of the segment that begins the file are the load commands: nothing else, in a library without code.
  const std::uint64_t content = ranges.empty() ? segment.file_size : ranges.front().begin;
  std::uint64_t at = segment.offset == 0 ? content : 0;
  for (const SectionRange& range : ranges) {
    append(at, range.begin, true);
    append(std::max(at, range.begin), range.end, false);
    at = std::max(at, range.end);
  }
  append(at, segment.file_size, true);
}

LibraryImage Facts(const Commands& read) {
  LibraryImage image;
  std::copy_n(read.bytes.begin(), image.identification.size(), image.identification.begin());
  image.type = static_cast<std::uint16_t>(read.header.file_type);
  image.machine = static_cast<std::uint16_t>(read.header.cpu_type);
  image.flags = read.header.flags;
  for (const Segment& segment : read.segments) {
    if (segment.name != macho::kLinkEdit) image.segments.push_back(SegmentFact(segment, read.header.segment_command()));
  }
  return image;
}

}  // namespace

Result<LibraryImage> MachOImage(const ByteSource& library) {
  PANNIER_TRY(const Commands read, ReadCommands(library));
  LibraryImage image = Facts(read);
  PANNIER_TRY(image.headers, CanonicalCommands(library, read));
  for (const Segment& segment : read.segments) {
    if (segment.name != macho::kLinkEdit && segment.name != macho::kPayloadSegment) AppendSpans(segment, image.spans);
  }
  return image;
}

Result<MappedImage> ReadMachOImage(ByteView file) {
  const MemorySource library(file);
  PANNIER_TRY(const Commands read, ReadCommands(library));
  MappedImage mapped;
  mapped.image = Facts(read);
  PANNIER_TRY(mapped.image.headers, CanonicalCommands(library, read));
  for (const Segment& segment : read.segments) mapped.ranges.push_back({segment.address, segment.file_size, false, segment.offset});
  return mapped;
}

}  // namespace pannier
