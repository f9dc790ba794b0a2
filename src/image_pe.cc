// A PE library's sections cut into spans; the same facts read from a file.
#include "src/image_pe.h"

#include <algorithm>
#include <vector>

#include "src/text.h"

namespace pannier {
namespace {

// What strip and objcopy set or clear: line numbers, local symbols and debug information are gone.
constexpr std::uint16_t kStrippedCharacteristics = 0x0004 | 0x0008 | 0x0200;
// Of sections: alignment means something in objects only.
constexpr std::uint32_t kAlignCharacteristics = 0x00f00000;
constexpr std::uint32_t kExecutable = 0x20000000;
constexpr std::uint32_t kWritable = 0x80000000;
constexpr std::uint32_t kSectionType = 1;
constexpr std::uint64_t kPointerSize = 4;

// How many of a section's bytes in the file the OS maps: up to the end of the last page, so that some may be padding.
std::uint64_t BytesInMemory(const pe::Header& header, const pe::Section& section) {
  if (!section.has_bytes() || !IsPowerOfTwo(header.section_alignment)) return section.mapped_size();
  return std::min<std::uint64_t>(section.raw_size, AlignUp(section.memory_size(), header.section_alignment));
}

void Append(std::vector<std::uint8_t>& out, std::uint64_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

// GNU strip makes some sections of data writable, by their names (.rsrc).
std::uint32_t LastingCharacteristics(std::uint32_t characteristics) {
  const std::uint32_t passing = kAlignCharacteristics | ((characteristics & kExecutable) == 0 ? kWritable : 0);
  return characteristics & ~passing;
}

// All but the spans.
LibraryImage PeFacts(const PeModel& model, std::size_t section_count) {
  const pe::Header& header = model.header;
  LibraryImage image;
  std::vector<std::uint8_t> identification;
  Append(identification, header.is_64 ? 0x20b : 0x10b, 2);
  Append(identification, header.subsystem, 2);
  Append(identification, header.dll_characteristics, 2);
  Append(identification, 0, 2);
  Append(identification, header.image_base, 8);
  std::copy(identification.begin(), identification.end(), image.identification.begin());
  image.type = static_cast<std::uint16_t>(header.characteristics & ~kStrippedCharacteristics);
  image.machine = header.machine;
  image.flags = header.section_alignment;
  image.entry = header.entry;
  for (std::size_t i = 0; i < section_count; ++i) {
    const pe::Section& section = model.sections[i];
    image.segments.push_back({kSectionType, LastingCharacteristics(section.characteristics), section.address, section.mapped_size(),
                              section.virtual_size});
  }
  for (std::size_t i = 0; i < header.directories.size(); ++i) {
    const bool is_certificate = i == pe::kCertificateDirectory;
    Append(image.headers, is_certificate ? 0 : header.directories[i].address, 4);
    Append(image.headers, is_certificate ? 0 : header.directories[i].size, 4);
  }
  return image;
}

}  // namespace

LibraryImage PeImage(const PeModel& model, std::size_t section_count, std::uint64_t anchor_address, std::uint64_t payload_size) {
  LibraryImage image = PeFacts(model, section_count);
  std::vector<std::uint64_t> left_out = PeDebugPointerFields(model);
  std::sort(left_out.begin(), left_out.end());
  for (std::size_t i = 0; i < section_count; ++i) {
    const pe::Section& section = model.sections[i];
    if (section.address >= anchor_address && section.address - anchor_address < payload_size) continue;
    const std::uint64_t begin = section.raw_offset;
    auto append = [&](std::uint64_t from, std::uint64_t to, bool is_gap) {
      for (std::uint64_t at = from; at < to; at += kLongestSpan)
        image.spans.push_back({section.address + (at - begin), std::min(kLongestSpan, to - at), is_gap, at});
    };
    const std::uint64_t end = begin + section.mapped_size();
    std::uint64_t at = begin;
    for (const std::uint64_t field : left_out) {
      if (field < at || field + kPointerSize > end) continue;
      append(at, field, false);
      at = field + kPointerSize;
    }
    append(at, end, false);
    append(end, begin + BytesInMemory(model.header, section), true);
  }
  return image;
}

std::string PeSignedSince(ByteView file) {
  const Result<pe::Header> header = pe::ParseHeader(file);
  if (!header.ok()) return {};
  // A bundle is written without.
  const pe::DataDirectory& table = header->directories[pe::kCertificateDirectory];
  if (table.address == 0 && table.size == 0) return {};
  return StrCat("certificate table: found ", table.size, " bytes at ", Hex(table.address), ", expected none: it was signed since");
}

Result<MappedImage> ReadPeImage(ByteView file) {
  PANNIER_TRY(const PeModel model, ReadPeModel(file));
  MappedImage mapped;
  mapped.image = PeFacts(model, FirstTrailingDebugSection(model));
  for (const pe::Section& section : model.sections)
    mapped.ranges.push_back({section.address, BytesInMemory(model.header, section), false, section.raw_offset});
  return mapped;
}

}  // namespace pannier
