// PE files for tests, made from parts: headers with as much room as wanted, sections, COFF symbols, a debug directory, a
// certificate table, an overlay.
#ifndef PANNIER_TESTS_PE_BUILDER_H_
#define PANNIER_TESTS_PE_BUILDER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "src/bytes.h"
#include "src/pe_file.h"
#include "src/pe_model.h"
#include "tests/file_fixture.h"

namespace pannier {

struct PeSectionParts {
  std::string name;
  std::uint32_t characteristics = 0x60000020;
  std::uint32_t virtual_size = 100;
  std::uint32_t raw_size = 512;  // 0: none in the file
};

struct PeSymbolParts {
  std::uint16_t section = 0;
  std::uint16_t associated = 0;  // not 0: an auxiliary record says that the section goes with that one
};

struct PeExportParts {
  std::string name;  // empty: it has a number alone
  std::uint32_t address = 0;
  std::string forwarder = {};  // instead of the address
};

struct PeParts {
  bool is_64 = true;
  std::uint16_t machine = 0x8664;
  std::uint16_t characteristics = 0x2022;
  std::uint32_t section_alignment = 4096;
  std::uint32_t file_alignment = 512;
  std::uint32_t headers_size = 1024;
  std::uint32_t room = 400;  // bytes between section headers and the headers' end, about
  std::uint32_t checksum = 0x1234;
  std::vector<PeSectionParts> sections = {
      {".text", 0x60000020, 100, 512}, {".bss", 0xc0000080, 5000, 0}, {".rdata", 0x40000040, 600, 1024}};
  bool has_debug_directory = false;  // at the start of the last section that is none for debugging, its data at the end of the file
  std::vector<PeExportParts> exports;  // by ordinal, from 5 on; names ascend. In the last section that is none for debugging
  std::vector<PeSymbolParts> symbols;
  std::string overlay;
  std::uint32_t certificate_size = 0;
};

inline constexpr std::uint32_t kPeDebugSection = 0x42000040;

// Of a file that is sound.
inline PeModel ModelOf(const std::string& file) {
  PeModel model;
  model.bytes = View(file);
  model.header = *pe::ParseHeader(model.bytes);
  model.sections = *pe::ParseSections(model.bytes, model.header);
  return model;
}

// Writes fields at offsets of a string.
class PeWriter {
 public:
  explicit PeWriter(std::string& bytes) : bytes_(bytes) {}
  template <typename T>
  void Put(std::uint64_t offset, T value) {
    if (bytes_.size() < offset + sizeof(T)) bytes_.resize(offset + sizeof(T));
    StoreInteger(reinterpret_cast<std::uint8_t*>(bytes_.data()) + offset, value, ByteOrder::kLittle);
  }
  void Half(std::uint64_t offset, std::uint64_t value) { Put(offset, static_cast<std::uint16_t>(value)); }
  void Word(std::uint64_t offset, std::uint64_t value) { Put(offset, static_cast<std::uint32_t>(value)); }

 private:
  std::string& bytes_;
};

inline constexpr std::uint32_t kPeExportsAt = 64;  // from the section's start

// Directory, tables, texts; all within the directory's range.
inline void WriteExports(const std::vector<PeExportParts>& exports, std::uint64_t address, std::uint64_t raw,
                         std::uint64_t directory_field, std::string& bytes) {
  std::string tables(40 + 4 * exports.size(), '\0');
  std::string names;
  std::string indices;
  std::uint32_t text = 1000;  // from the directory on
  std::string texts(text, '\0');
  const auto add_text = [&](const std::string& added) {
    texts += added + '\0';
    const std::uint64_t at = address + text;
    text = static_cast<std::uint32_t>(texts.size());
    return at;
  };
  PeWriter table(tables);
  table.Word(12, add_text("host.dll"));
  table.Word(16, 5);
  table.Word(20, exports.size());
  for (std::size_t i = 0; i < exports.size(); ++i) {
    table.Word(40 + 4 * i, exports[i].forwarder.empty() ? exports[i].address : add_text(exports[i].forwarder));
    if (exports[i].name.empty()) continue;
    PeWriter(names).Word(names.size(), add_text(exports[i].name));
    PeWriter(indices).Half(indices.size(), i);
  }
  table.Word(24, names.size() / 4);
  table.Word(28, address + 40);
  table.Word(32, address + tables.size());
  table.Word(36, address + tables.size() + names.size());
  tables += names + indices;
  texts.replace(0, tables.size(), tables);
  bytes.replace(raw, texts.size(), texts);
  PeWriter(bytes).Word(directory_field, address);
  PeWriter(bytes).Word(directory_field + 4, texts.size());
}

inline std::string BuildPe(const PeParts& parts) {
  std::string bytes(parts.headers_size, '\0');
  PeWriter write(bytes);
  const std::uint32_t optional_size = parts.is_64 ? 240 : 224;
  const std::size_t table_size = parts.sections.size() * pe::kSectionHeaderSize;
  const std::uint64_t signature = (parts.headers_size - parts.room - table_size - optional_size - 24) / 8 * 8;
  const std::uint64_t optional = signature + 24;
  bytes.replace(0, 2, "MZ");
  bytes.replace(64, signature - 64, Pattern(signature - 64, 1));  // the DOS program
  write.Word(60, signature);
  bytes.replace(signature, 2, "PE");
  write.Half(signature + 4, parts.machine);
  write.Half(signature + 6, parts.sections.size());
  write.Half(signature + 20, optional_size);
  write.Half(signature + 22, parts.characteristics);
  write.Half(optional, parts.is_64 ? 0x20b : 0x10b);
  write.Word(optional + 8, 2048);
  write.Word(optional + 16, 4096);
  parts.is_64 ? write.Put(optional + 24, std::uint64_t{0x180000000}) : write.Word(optional + 28, 0x10000000);
  write.Word(optional + 32, parts.section_alignment);
  write.Word(optional + 36, parts.file_alignment);
  write.Half(optional + 40, 6);
  write.Half(optional + 48, 6);
  write.Word(optional + 60, parts.headers_size);
  write.Word(optional + 64, parts.checksum);
  write.Half(optional + 68, 3);
  write.Half(optional + 70, 0x160);
  const std::uint64_t directories = optional + (parts.is_64 ? 112 : 96);
  write.Word(directories - 4, 16);

  std::uint64_t address = AlignUp(parts.headers_size, parts.section_alignment);
  std::uint64_t raw = parts.headers_size;
  std::uint64_t debug_directory = 0;
  std::uint64_t exports_raw = 0;
  std::uint64_t exports_address = 0;
  for (std::size_t i = 0; i < parts.sections.size(); ++i) {
    const PeSectionParts& section = parts.sections[i];
    pe::Section header;
    std::copy_n(section.name.begin(), std::min<std::size_t>(section.name.size(), 8), header.name.begin());
    header.virtual_size = section.virtual_size;
    header.address = static_cast<std::uint32_t>(address);
    header.raw_size = section.raw_size;
    header.raw_offset = static_cast<std::uint32_t>(section.raw_size != 0 ? raw : 0);
    header.characteristics = section.characteristics;
    pe::EncodeSection(header,
                      reinterpret_cast<std::uint8_t*>(bytes.data()) + optional + optional_size + i * pe::kSectionHeaderSize);
    bytes += Pattern(section.raw_size, static_cast<std::uint32_t>(10 + i));
    if (section.raw_size != 0)
      std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(raw + std::min(section.virtual_size, section.raw_size)), bytes.end(),
                '\0');
    if (section.characteristics != kPeDebugSection && section.raw_size != 0) {
      exports_raw = raw + kPeExportsAt;
      exports_address = address + kPeExportsAt;
    }
    if (parts.has_debug_directory && section.characteristics != kPeDebugSection && section.raw_size != 0) {
      debug_directory = raw;
      write.Word(directories + 8 * pe::kDebugDirectory, address);
      write.Word(directories + 8 * pe::kDebugDirectory + 4, 28);
    }
    raw += section.raw_size;
    address = AlignUp(address + section.virtual_size, parts.section_alignment);
  }
  write.Word(optional + 56, address);
  if (!parts.exports.empty()) WriteExports(parts.exports, exports_address, exports_raw, directories, bytes);

  if (debug_directory != 0) {  // its data as old linkers have it: in no section
    bytes.replace(debug_directory, 28, std::string(28, '\0'));
    write.Word(debug_directory + 12, 2);
    write.Word(debug_directory + 16, 24);
    write.Word(debug_directory + 24, bytes.size());
    bytes += Pattern(24, 3);
  }
  if (!parts.symbols.empty()) {
    const std::uint64_t table = bytes.size();
    std::uint64_t at = table;
    for (const PeSymbolParts& symbol : parts.symbols) {
      bytes += std::string(pe::kSymbolSize, '\0');
      bytes.replace(at, 4, "name");
      write.Half(at + 12, symbol.section);
      write.Put(at + 16, std::uint8_t{3});
      at += pe::kSymbolSize;
      if (symbol.associated == 0) continue;
      bytes += std::string(pe::kSymbolSize, '\0');
      write.Put(at - 1, std::uint8_t{1});
      write.Half(at + 12, symbol.associated);
      write.Put(at + 14, std::uint8_t{5});
      at += pe::kSymbolSize;
    }
    write.Word(signature + 12, table);
    write.Word(signature + 16, (at - table) / pe::kSymbolSize);
    const std::string strings = std::string(".debug_info") + '\0' + ".debug_line" + '\0';
    write.Word(at, 4 + strings.size());
    bytes += strings;
  }
  bytes += parts.overlay;
  if (parts.certificate_size != 0) {
    bytes.resize(AlignUp(bytes.size(), 8));
    write.Word(directories + 8 * pe::kCertificateDirectory, bytes.size());
    write.Word(directories + 8 * pe::kCertificateDirectory + 4, parts.certificate_size);
    const std::uint64_t at = bytes.size();
    bytes += Pattern(parts.certificate_size, 4);
    write.Word(at, parts.certificate_size);
    write.Word(at + 4, 0x00020200);
  }
  return bytes;
}

}  // namespace pannier

#endif  // PANNIER_TESTS_PE_BUILDER_H_
