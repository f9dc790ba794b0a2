// The payload found in a file: by a program header that leads to the anchor, or by section headers.
#include "src/payload.h"

#include <cstring>

#include "src/elf_file.h"
#include "src/format.h"
#include "src/text.h"

namespace pannier {
namespace {

Result<Payload> FindInElf(ByteView file) {
  PANNIER_TRY(elf::Header header, elf::ParseHeader(file));
  PANNIER_TRY(const std::vector<elf::Segment> segments, elf::ParseSegments(file, header));
  PANNIER_CHECK_OK(elf::CheckSegmentsInFile(segments, file.size()));
  for (const elf::Segment& segment : segments) {
    if (segment.type != elf::kSegmentLoad || (segment.flags & elf::kSegmentReadable) == 0) continue;
    const ByteView bytes = *file.Slice(segment.offset, segment.filesz);
    if (bytes.size() < Anchor::kSize || !HasAnchorMagic(bytes)) continue;
    Payload payload;
    payload.anchor = bytes;
    payload.segment = bytes;
    payload.anchor_file_offset = segment.offset;
    return payload;
  }

  PANNIER_TRY(const std::vector<elf::Section> sections, elf::ParseSections(file, header));
  Payload payload;
  for (const elf::Section& section : sections) {
    if (!section.has_bytes() || section.name.substr(0, 5) != ".tvm.") continue;
    const ByteView bytes = *file.Slice(section.offset, section.size);
    payload.sections.push_back({section.name, bytes, section.offset});
    if (section.name != kAnchorSection || !payload.anchor.empty()) continue;  // the first counts, as of segments above
    if (bytes.size() < Anchor::kSize || !HasAnchorMagic(bytes))
      return Malformed(StrCat("section ", kAnchorSection, ": magic number not found"));
    payload.anchor = bytes;
    payload.anchor_file_offset = section.offset;
  }
  if (payload.anchor.empty()) return NoPayload();
  return payload;
}

}  // namespace

FileFormat DetectFormat(ByteView file) {
  if (elf::HasMagic(file)) return FileFormat::kElf;
  if (file.text().substr(0, 8) == "!<arch>\n" || file.text().substr(0, 8) == "!<thin>\n") return FileFormat::kArchive;
  if (file.text().substr(0, 2) == "MZ") return FileFormat::kPe;
  if (const auto magic = file.Read<std::uint32_t>(0)) {
    for (const std::uint32_t known : {0xfeedfaceU, 0xfeedfacfU, 0xcefaedfeU, 0xcffaedfeU, 0xbebafecaU, 0xbfbafecaU}) {
      if (*magic == known) return FileFormat::kMachO;
    }
  }
  return FileFormat::kUnknown;
}

std::string_view FormatName(FileFormat format) {
  switch (format) {
    case FileFormat::kElf:
      return "an ELF file";
    case FileFormat::kArchive:
      return "a static archive";
    case FileFormat::kMachO:
      return "a Mach-O file";
    case FileFormat::kPe:
      return "a PE file";
    case FileFormat::kUnknown:
      break;
  }
  return "a file of unknown format";
}

std::optional<ByteView> Payload::Find(std::string_view name, std::uint64_t offset, std::uint64_t size) const {
  if (is_mapped()) return segment.Slice(offset, size);
  for (const NamedSection& section : sections) {
    if (section.name == name && section.bytes.size() == size) return section.bytes;
  }
  return std::nullopt;
}

Result<Payload> FindPayload(ByteView file) {
  const FileFormat format = DetectFormat(file);
  if (format == FileFormat::kElf) return FindInElf(file);
  return {ErrorCode::kUnsupported, StrCat("found ", FormatName(format), ", expected an ELF shared library")};
}

Status NoPayload() {
  return {ErrorCode::kNotABundle,
          "not a bundle: it carries no pannier payload (never embedded, or removed by a tool such as llvm-strip or eu-strip)"};
}

}  // namespace pannier
