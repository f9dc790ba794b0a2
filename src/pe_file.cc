// PE headers, data directories and section headers, parsed with every field checked before it is used.
#include "src/pe_file.h"

#include <algorithm>
#include <charconv>

#include "src/text.h"

namespace pannier::pe {
namespace {

constexpr std::size_t kDosHeaderSize = 64;
constexpr std::size_t kSignatureField = 60;
constexpr std::size_t kCoffHeaderEnd = 24;  // from the signature

// All fields are little-endian; the caller has checked that they are there.
std::uint16_t Half(ByteView bytes, std::uint64_t offset) {
  return LoadInteger<std::uint16_t>(bytes.data() + offset, ByteOrder::kLittle);
}
std::uint32_t Word(ByteView bytes, std::uint64_t offset) {
  return LoadInteger<std::uint32_t>(bytes.data() + offset, ByteOrder::kLittle);
}

Status ParseOptionalHeader(ByteView image, Header& header) {
  const auto optional = image.Slice(header.optional_offset(), header.optional_size);
  if (!optional) {
    return Malformed(StrCat("optional header: found ", header.optional_size, " bytes at ", Hex(header.optional_offset()),
                            ", expected a range within ", image.size(), " bytes"));
  }
  if (optional->size() < 2) return Malformed(StrCat("optional header: found ", optional->size(), " bytes, expected an image's"));
  const std::uint16_t magic = Half(*optional, 0);
  if (magic != 0x10b && magic != 0x20b) {
    return {ErrorCode::kUnsupported,
            StrCat("optional header: magic: found ", Hex(magic), ", expected 0x10b (PE32) or 0x20b (PE32+)")};
  }
  header.is_64 = magic == 0x20b;
  const std::size_t fixed_size = header.is_64 ? 112 : 96;
  if (optional->size() < fixed_size)
    return Malformed(StrCat("optional header: found ", optional->size(), " bytes, expected at least ", fixed_size));
  header.initialized_size = Word(*optional, 8);
  header.entry = Word(*optional, 16);
  header.image_base = header.is_64 ? LoadInteger<std::uint64_t>(optional->data() + 24, ByteOrder::kLittle) : Word(*optional, 28);
  header.section_alignment = Word(*optional, 32);
  header.file_alignment = Word(*optional, 36);
  header.image_size = Word(*optional, 56);
  header.headers_size = Word(*optional, 60);
  header.checksum = Word(*optional, 64);
  header.subsystem = Half(*optional, 68);
  header.dll_characteristics = Half(*optional, 70);
  // The count may claim more than the sixteen that there are.
  header.directory_count = std::min<std::uint32_t>(Word(*optional, fixed_size - 4), kDirectoryCount);
  if (optional->size() < fixed_size + 8 * std::size_t{header.directory_count}) {
    return Malformed(StrCat("optional header: found ", optional->size(), " bytes, expected ",
                            fixed_size + 8 * std::size_t{header.directory_count}, " for ", header.directory_count,
                            " data directories"));
  }
  for (std::size_t i = 0; i < header.directory_count; ++i)
    header.directories[i] = {Word(*optional, fixed_size + 8 * i), Word(*optional, fixed_size + 8 * i + 4)};
  return {};
}

}  // namespace

bool HasMagic(ByteView file) { return file.text().substr(0, 2) == "MZ"; }

Result<Header> ParseHeader(ByteView image) {
  if (!HasMagic(image)) return Unsupported("found no MZ magic number");
  if (image.size() < kDosHeaderSize)
    return Malformed(StrCat("dos header: found ", image.size(), " bytes, expected ", kDosHeaderSize));
  Header header;
  header.signature_offset = Word(image, kSignatureField);
  const auto coff = image.Slice(header.signature_offset, kCoffHeaderEnd);
  if (!coff) {
    return Malformed(StrCat("dos header: pe header: found offset ", Hex(header.signature_offset), ", expected room for one in ",
                            image.size(), " bytes"));
  }
  if (coff->text().substr(0, 4) != std::string_view("PE\0\0", 4))
    return Unsupported("found an MZ file without a PE header (for DOS or 16-bit Windows?), expected a PE library");
  header.machine = Half(*coff, 4);
  header.section_count = Half(*coff, 6);
  header.symbol_offset = Word(*coff, 12);
  header.symbol_count = Word(*coff, 16);
  header.optional_size = Half(*coff, 20);
  header.characteristics = Half(*coff, 22);
  PANNIER_CHECK_OK(ParseOptionalHeader(image, header));
  return header;
}

Result<std::vector<Section>> ParseSections(ByteView image, const Header& header) {
  const auto table = image.Slice(header.section_table_offset(), std::uint64_t{header.section_count} * kSectionHeaderSize);
  if (!table) {
    return Malformed(StrCat("section headers: found ", header.section_count, " at ", Hex(header.section_table_offset()),
                            ", expected a range within ", image.size(), " bytes"));
  }
  std::vector<Section> sections(header.section_count);
  for (std::size_t i = 0; i < sections.size(); ++i) {
    const ByteView bytes = *table->Slice(i * kSectionHeaderSize, kSectionHeaderSize);
    Section& section = sections[i];
    std::copy_n(bytes.data(), section.name.size(), section.name.begin());
    section.virtual_size = Word(bytes, 8);
    section.address = Word(bytes, 12);
    section.raw_size = Word(bytes, 16);
    section.raw_offset = Word(bytes, 20);
    section.relocation_offset = Word(bytes, 24);
    section.line_offset = Word(bytes, 28);
    section.relocation_count = Half(bytes, 32);
    section.line_count = Half(bytes, 34);
    section.characteristics = Word(bytes, 36);
  }
  return sections;
}

Status CheckSectionsInFile(const std::vector<Section>& sections, std::uint64_t file_size) {
  for (std::size_t i = 0; i < sections.size(); ++i) {
    const Section& section = sections[i];
    if (!section.has_bytes() || FitsWithin(section.raw_offset, section.raw_size, file_size)) continue;
    return Malformed(StrCat("section header ", i, ": found ", section.raw_size, " bytes at ", Hex(section.raw_offset),
                            ", expected a range within the file's ", file_size, " bytes; the file is cut off or damaged"));
  }
  return {};
}

std::string_view SectionName(ByteView file, const Header& header, const Section& section) {
  const std::string_view padded(reinterpret_cast<const char*>(section.name.data()), section.name.size());
  const std::string_view name = padded.substr(0, padded.find('\0'));
  if (name.size() < 2 || name[0] != '/' || header.symbol_offset == 0) return name;
  std::uint32_t at = 0;
  const auto [end, error] = std::from_chars(name.data() + 1, name.data() + name.size(), at);
  if (error != std::errc() || end != name.data() + name.size()) return name;
  // The string table counts its own size's four bytes.
  const std::uint64_t strings = header.symbol_offset + std::uint64_t{header.symbol_count} * kSymbolSize;
  const auto size = file.Read<std::uint32_t>(strings);
  const auto table = size ? file.Slice(strings, *size) : std::nullopt;
  if (!table || at >= table->size()) return name;
  const std::string_view text = table->text().substr(at);
  const std::size_t length = text.find('\0');
  return length == std::string_view::npos ? name : text.substr(0, length);
}

void EncodeSection(const Section& section, std::uint8_t* out) {
  std::copy(section.name.begin(), section.name.end(), out);
  const std::array<std::uint32_t, 6> words = {section.virtual_size, section.address,           section.raw_size,
                                              section.raw_offset,   section.relocation_offset, section.line_offset};
  for (std::size_t i = 0; i < words.size(); ++i) StoreInteger(out + 8 + 4 * i, words[i], ByteOrder::kLittle);
  StoreInteger(out + 32, section.relocation_count, ByteOrder::kLittle);
  StoreInteger(out + 34, section.line_count, ByteOrder::kLittle);
  StoreInteger(out + 36, section.characteristics, ByteOrder::kLittle);
}

}  // namespace pannier::pe
