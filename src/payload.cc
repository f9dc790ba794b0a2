// The payload found in a file: by a segment or section that begins with the anchor, or by its sections' names.
#include "src/payload.h"

#include <algorithm>
#include <string>

#include "src/elf_file.h"
#include "src/format.h"
#include "src/macho_file.h"
#include "src/pe_file.h"
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

// The payload's first section, and those behind it that follow in file and memory alike. `is_mapped`: sections stand at their
// addresses, not at their raw data's offsets.
Result<Payload> FindInPe(ByteView image, bool is_mapped) {
  PANNIER_TRY(const pe::Header header, pe::ParseHeader(image));
  PANNIER_TRY(const std::vector<pe::Section> sections, pe::ParseSections(image, header));
  if (!is_mapped) PANNIER_CHECK_OK(pe::CheckSectionsInFile(sections, image.size()));
  auto bytes_of = [&](const pe::Section& section) -> std::optional<ByteView> {
    if ((section.characteristics & pe::kSectionReadable) == 0) return std::nullopt;
    return image.Slice(is_mapped ? section.address : section.raw_offset, section.mapped_size());
  };
  for (std::size_t i = 0; i < sections.size(); ++i) {
    const auto first = bytes_of(sections[i]);
    if (!first || first->size() < Anchor::kSize || !HasAnchorMagic(*first)) continue;
    std::uint64_t size = first->size();
    for (std::size_t j = i + 1; j < sections.size(); ++j) {
      const auto next = bytes_of(sections[j]);
      if (!next || sections[j].raw_offset != sections[i].raw_offset + size || sections[j].address != sections[i].address + size)
        break;
      size += next->size();
    }
    Payload payload;
    payload.format = format::ImageFormat::Pe;
    payload.anchor = *first;
    payload.segment = ByteView(first->data(), static_cast<std::size_t>(size));
    payload.anchor_file_offset = is_mapped ? 0 : sections[i].raw_offset;
    return payload;
  }
  return NoPayload();
}

Result<Payload> FindInMachO(ByteView file) {
  PANNIER_TRY(const macho::Header header, macho::ParseHeader(file));
  PANNIER_TRY(const std::vector<macho::Command> commands, macho::ParseCommands(file, header));
  PANNIER_TRY(const std::vector<macho::Segment> segments, macho::ParseSegments(header, commands));
  PANNIER_CHECK_OK(macho::CheckSegmentsInFile(segments, file.size()));
  for (const macho::Segment& segment : segments) {
    const ByteView bytes = *file.Slice(segment.offset, segment.file_size);
    if ((segment.protection & macho::kReadable) == 0 || bytes.size() < Anchor::kSize || !HasAnchorMagic(bytes)) continue;
    Payload payload;
    payload.format = format::ImageFormat::MachO;
    payload.anchor = bytes;
    payload.segment = bytes;
    payload.anchor_file_offset = segment.offset;
    return payload;
  }
  return NoPayload();
}

Result<Payload> FindInFat(ByteView file, std::string_view arch) {
  PANNIER_TRY(macho::FatFile fat, macho::ParseFat(file, file.size()));
  std::stable_partition(fat.slices.begin(), fat.slices.end(),
                        [](const macho::Slice& slice) { return slice.cpu_type == macho::OwnCpuType(); });
  std::string names;
  Status refused;  // the first that is no library that this version reads
  bool is_library = false;
  for (const macho::Slice& slice : fat.slices) {
    const std::string name = macho::ArchName(slice.cpu_type, slice.cpu_subtype);
    names += StrCat(names.empty() ? "" : ", ", name);
    if (!arch.empty() && arch != name) continue;
    const ByteView bytes = *file.Slice(slice.offset, slice.size);
    Result<Payload> payload = FindInMachO(bytes).WithContext(StrCat("slice ", name));
    if (payload.ok()) payload->slice = bytes;
    const ErrorCode code = payload.status().code();
    if (!arch.empty() || (code != ErrorCode::kNotABundle && code != ErrorCode::kUnsupported)) return payload;
    is_library = is_library || code == ErrorCode::kNotABundle;
    if (code == ErrorCode::kUnsupported && refused.ok()) refused = payload.TakeStatus();
  }
  if (!arch.empty())
    return {ErrorCode::kNotFound, StrCat("no slice ", Printable(arch), "; it has ", names.empty() ? "none" : names)};
  return is_library || refused.ok() ? NoPayload() : refused;
}

}  // namespace

FileFormat DetectFormat(ByteView file) {
  if (elf::HasMagic(file)) return FileFormat::kElf;
  if (file.text().substr(0, 8) == "!<arch>\n" || file.text().substr(0, 8) == "!<thin>\n") return FileFormat::kArchive;
  if (pe::HasMagic(file)) return FileFormat::kPe;
  if (macho::HasMagic(file) || macho::HasFatMagic(file)) return FileFormat::kMachO;
  if (file.text().substr(0, 3) == "\xfe\xed\xfa") return FileFormat::kMachO;  // big-endian
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

Status NotALibrary(FileFormat format) { return Unsupported(StrCat("found ", FormatName(format), ", expected a shared library")); }

std::optional<ByteView> Payload::Find(std::string_view name, std::uint64_t offset, std::uint64_t size) const {
  if (is_mapped()) return segment.Slice(offset, size);
  for (const NamedSection& section : sections) {
    if (section.name == name && section.bytes.size() == size) return section.bytes;
  }
  return std::nullopt;
}

Result<Payload> FindPayload(ByteView file, std::string_view arch) {
  const FileFormat format = DetectFormat(file);
  const bool is_fat = format == FileFormat::kMachO && macho::HasFatMagic(file);
  if (is_fat) return FindInFat(file, arch);
  if (!arch.empty()) return Unsupported(StrCat("found ", FormatName(format), " of one architecture, expected a fat file"));
  if (format == FileFormat::kElf) return FindInElf(file);
  if (format == FileFormat::kMachO) return FindInMachO(file);
  if (format == FileFormat::kPe) return FindInPe(file, false);
  return NotALibrary(format);
}

Result<Payload> FindMappedPe(ByteView image) { return FindInPe(image, true); }

Result<Payload> FindMappedMachO(const void* image) {
  const auto* const start = static_cast<const std::uint8_t*>(image);
  PANNIER_TRY(const macho::Header header, macho::ParseHeader(ByteView(start, 32)));  // a 32-bit one is followed by load commands
  PANNIER_TRY(const std::vector<macho::Command> commands,
              macho::ParseCommands(ByteView(start, static_cast<std::size_t>(header.commands_end())), header));
  PANNIER_TRY(const std::vector<macho::Segment> segments, macho::ParseSegments(header, commands));
  const auto first = std::find_if(segments.begin(), segments.end(),
                                  [](const macho::Segment& segment) { return segment.offset == 0 && segment.file_size != 0; });
  if (first == segments.end()) return Malformed("segments: found none that holds the load commands");
  for (const macho::Segment& segment : segments) {
    const std::uint64_t size = std::min(segment.file_size, segment.memory_size);
    if ((segment.protection & macho::kReadable) == 0 || size < Anchor::kSize) continue;
    // Where the image is in memory shows in its header's place: all segments moved by the same distance.
    const ByteView bytes(start + static_cast<std::ptrdiff_t>(segment.address - first->address), static_cast<std::size_t>(size));
    if (!HasAnchorMagic(bytes)) continue;
    Payload payload;
    payload.format = format::ImageFormat::MachO;
    payload.anchor = bytes;
    payload.segment = bytes;
    return payload;
  }
  return NoPayload();
}

Status NoPayload() {
  return {ErrorCode::kNotABundle,
          "not a bundle: it carries no pannier payload (never embedded, or removed by a tool such as llvm-strip or eu-strip)"};
}

}  // namespace pannier
