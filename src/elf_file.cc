// ELF header, program headers and section headers, parsed with every field checked before it is used.
#include "src/elf_file.h"

#include <algorithm>
#include <cstring>

#include "src/text.h"

namespace pannier::elf {
namespace {

// Without a limit, many sections could each have the whole table for a name, and looking for its end took quadratic time.
constexpr std::size_t kMaxSectionName = 4096;

constexpr std::uint8_t kMagic[4] = {0x7f, 'E', 'L', 'F'};

// Reads fields one after another; the caller has checked that all are there.
class FieldReader {
 public:
  FieldReader(const std::uint8_t* bytes, const Header& header) : bytes_(bytes), header_(header) {}
  std::uint16_t Half() { return Take<std::uint16_t>(); }
  std::uint32_t Word() { return Take<std::uint32_t>(); }
  std::uint64_t Address() { return header_.is_64 ? Take<std::uint64_t>() : Take<std::uint32_t>(); }

 private:
  template <typename T>
  T Take() {
    T value = LoadInteger<T>(bytes_, header_.order);
    bytes_ += sizeof(T);
    return value;
  }
  const std::uint8_t* bytes_;
  const Header& header_;
};

class FieldWriter {
 public:
  FieldWriter(std::uint8_t* out, const Header& header) : out_(out), header_(header) {}
  void Word(std::uint32_t value) { Put(value); }
  void Address(std::uint64_t value) {
    if (header_.is_64) {
      Put(value);
    } else {
      Put(static_cast<std::uint32_t>(value));
    }
  }

 private:
  template <typename T>
  void Put(T value) {
    StoreInteger(out_, value, header_.order);
    out_ += sizeof(T);
  }
  std::uint8_t* out_;
  const Header& header_;
};

Section ReadSection(const std::uint8_t* bytes, const Header& header) {
  FieldReader fields(bytes, header);
  Section section;
  section.name_offset = fields.Word();
  section.type = fields.Word();
  section.flags = fields.Address();
  section.address = fields.Address();
  section.offset = fields.Address();
  section.size = fields.Address();
  section.link = fields.Word();
  section.info = fields.Word();
  section.align = fields.Address();
  section.entry_size = fields.Address();
  return section;
}

// Section counts too large for the header's 16 bits are kept in section header 0.
Status ResolveExtendedNumbers(ByteView file, Header& header) {
  if (header.section_offset == 0) {
    header.section_count = 0;
    header.name_section = 0;
    return {};
  }
  if (header.section_count != 0 && header.name_section != kExtendedSectionNumber) return {};
  const auto bytes = file.Slice(header.section_offset, header.section_entry_size());
  if (!bytes) {
    return Malformed(StrCat("section headers: found offset ", Hex(header.section_offset), ", expected room for one in the file's ",
                            file.size(), " bytes"));
  }
  const Section first = ReadSection(bytes->data(), header);
  if (header.section_count == 0) {
    if (first.size > UINT32_MAX)
      return Malformed(StrCat("section headers: found a count of ", first.size, ", expected at most 32 bits"));
    header.section_count = static_cast<std::uint32_t>(first.size);
  }
  if (header.name_section == kExtendedSectionNumber) header.name_section = first.link;
  return {};
}

Status ReadNames(ByteView file, const Header& header, std::vector<Section>& sections) {
  if (header.name_section == 0) return {};
  if (header.name_section >= sections.size()) {
    return Malformed(StrCat("section names: found section ", header.name_section, ", expected less than ", sections.size()));
  }
  const Section& names = sections[header.name_section];
  if (!names.has_bytes())
    return Malformed(StrCat("section names: found section type ", names.type, ", expected bytes in the file"));
  const ByteView strings = *file.Slice(names.offset, names.size);
  for (std::size_t i = 0; i < sections.size(); ++i) {
    const std::uint32_t at = sections[i].name_offset;
    if (at == 0 && strings.empty()) continue;
    if (at >= strings.size())
      return Malformed(StrCat("section ", i, ": name: found offset ", at, ", expected less than ", strings.size()));
    const std::size_t left = strings.size() - at;
    const void* end = std::memchr(strings.data() + at, 0, std::min(left, kMaxSectionName + 1));
    if (end == nullptr && left > kMaxSectionName)
      return Malformed(StrCat("section ", i, ": name: found more than ", kMaxSectionName, " bytes"));
    if (end == nullptr) return Malformed(StrCat("section ", i, ": name: found no terminating zero in the name table"));
    const auto length = static_cast<std::size_t>(static_cast<const std::uint8_t*>(end) - (strings.data() + at));
    sections[i].name = strings.text().substr(at, length);
  }
  return {};
}

}  // namespace

bool HasMagic(ByteView file) { return file.size() >= sizeof(kMagic) && std::memcmp(file.data(), kMagic, sizeof(kMagic)) == 0; }

Result<Header> ParseHeader(ByteView file) {
  constexpr std::size_t kIdentificationSize = 16;
  if (!HasMagic(file)) return Unsupported("found no ELF magic number");
  if (file.size() < kIdentificationSize)
    return Malformed(StrCat("elf header: found ", file.size(), " bytes, expected at least ", kIdentificationSize));
  Header header;
  const std::uint8_t file_class = file.data()[4];
  const std::uint8_t data = file.data()[5];
  if (file_class != 1 && file_class != 2)
    return Malformed(StrCat("elf header: class: found ", int{file_class}, ", expected 1 (32-bit) or 2 (64-bit)"));
  if (data != 1 && data != 2)
    return Malformed(StrCat("elf header: byte order: found ", int{data}, ", expected 1 (little) or 2 (big)"));
  header.is_64 = file_class == 2;
  header.order = data == 1 ? ByteOrder::kLittle : ByteOrder::kBig;
  if (file.size() < header.size()) return Malformed(StrCat("elf header: found ", file.size(), " bytes, expected ", header.size()));

  FieldReader fields(file.data() + kIdentificationSize, header);
  header.type = fields.Half();
  header.machine = fields.Half();
  const std::uint32_t version = fields.Word();
  header.entry = fields.Address();
  header.segment_offset = fields.Address();
  header.section_offset = fields.Address();
  header.flags = fields.Word();
  fields.Half();  // e_ehsize: readers use the size the class implies
  const std::uint16_t segment_entry_size = fields.Half();
  header.segment_count = fields.Half();
  const std::uint16_t section_entry_size = fields.Half();
  header.section_count = fields.Half();
  header.name_section = fields.Half();

  if (version != 1) return Malformed(StrCat("elf header: version: found ", version, ", expected 1"));
  if (header.segment_count != 0 && segment_entry_size != header.segment_entry_size()) {
    return Malformed(
        StrCat("elf header: program header size: found ", segment_entry_size, ", expected ", header.segment_entry_size()));
  }
  if (header.section_offset != 0 && section_entry_size != header.section_entry_size()) {
    return Malformed(
        StrCat("elf header: section header size: found ", section_entry_size, ", expected ", header.section_entry_size()));
  }
  if (header.segment_count == kExtendedSegmentCount) {
    return Unsupported("elf header: found 65535 or more program headers, expected fewer");
  }
  return header;
}

Result<std::vector<Segment>> ParseSegments(ByteView file, const Header& header) {
  const std::uint64_t size = std::uint64_t{header.segment_count} * header.segment_entry_size();
  const auto table = file.Slice(header.segment_offset, size);
  if (!table) {
    return Malformed(StrCat("program headers: found ", size, " bytes at ", Hex(header.segment_offset), ", expected a range within ",
                            file.size(), " bytes"));
  }
  std::vector<Segment> segments(header.segment_count);
  for (std::size_t i = 0; i < segments.size(); ++i) {
    FieldReader fields(table->data() + i * header.segment_entry_size(), header);
    Segment& segment = segments[i];
    segment.type = fields.Word();
    if (header.is_64) segment.flags = fields.Word();
    segment.offset = fields.Address();
    segment.vaddr = fields.Address();
    segment.paddr = fields.Address();
    segment.filesz = fields.Address();
    segment.memsz = fields.Address();
    if (!header.is_64) segment.flags = fields.Word();
    segment.align = fields.Address();
  }
  return segments;
}

Result<std::vector<Section>> ParseSections(ByteView file, Header& header) {
  PANNIER_CHECK_OK(ResolveExtendedNumbers(file, header));
  const std::uint64_t size = std::uint64_t{header.section_count} * header.section_entry_size();
  const auto table = file.Slice(header.section_offset, size);
  if (!table) {
    return Malformed(StrCat("section headers: found ", size, " bytes at ", Hex(header.section_offset), ", expected a range within ",
                            file.size(), " bytes"));
  }
  std::vector<Section> sections(header.section_count);
  for (std::size_t i = 0; i < sections.size(); ++i) {
    sections[i] = ReadSection(table->data() + i * header.section_entry_size(), header);
    const Section& section = sections[i];
    if (section.has_bytes() && !file.Contains(section.offset, section.size)) {
      return Malformed(StrCat("section ", i, ": found ", section.size, " bytes at ", Hex(section.offset),
                              ", expected a range within ", file.size(), " bytes"));
    }
  }
  PANNIER_CHECK_OK(ReadNames(file, header, sections));
  return sections;
}

void EncodeSegment(const Header& header, const Segment& segment, std::uint8_t* out) {
  FieldWriter fields(out, header);
  fields.Word(segment.type);
  if (header.is_64) fields.Word(segment.flags);
  fields.Address(segment.offset);
  fields.Address(segment.vaddr);
  fields.Address(segment.paddr);
  fields.Address(segment.filesz);
  fields.Address(segment.memsz);
  if (!header.is_64) fields.Word(segment.flags);
  fields.Address(segment.align);
}

void EncodeSection(const Header& header, const Section& section, std::uint8_t* out) {
  FieldWriter fields(out, header);
  fields.Word(section.name_offset);
  fields.Word(section.type);
  fields.Address(section.flags);
  fields.Address(section.address);
  fields.Address(section.offset);
  fields.Address(section.size);
  fields.Word(section.link);
  fields.Word(section.info);
  fields.Address(section.align);
  fields.Address(section.entry_size);
}

void EncodeWord(const Header& header, std::uint64_t value, std::uint8_t* out) { FieldWriter(out, header).Address(value); }

Status CheckSegmentsInFile(const std::vector<Segment>& segments, std::uint64_t file_size) {
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const Segment& segment = segments[i];
    if (segment.type != kSegmentLoad || FitsWithin(segment.offset, segment.filesz, file_size)) continue;
    return Malformed(StrCat("program header ", i, ": found ", segment.filesz, " bytes at ", Hex(segment.offset),
                            ", expected a range within the file's ", file_size, " bytes; the file is cut off or damaged"));
  }
  return {};
}

}  // namespace pannier::elf
