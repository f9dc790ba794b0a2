// The parts of a PE file that pannier reads and edits: DOS, COFF and optional header, data directories, section headers.
#ifndef PANNIER_SRC_PE_FILE_H_
#define PANNIER_SRC_PE_FILE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "src/bytes.h"
#include "src/result.h"

namespace pannier::pe {

inline constexpr std::uint16_t kExecutableImage = 0x0002;  // Header::characteristics: linked without errors

inline constexpr std::uint32_t kInitializedData = 0x00000040;
inline constexpr std::uint32_t kSectionDiscardable = 0x02000000;
inline constexpr std::uint32_t kSectionReadable = 0x40000000;

// Data directories by number.
inline constexpr std::size_t kExportDirectory = 0;
inline constexpr std::size_t kCertificateDirectory = 4;  // its address is an offset in the file
inline constexpr std::size_t kDebugDirectory = 6;
inline constexpr std::size_t kBoundImportDirectory = 11;
inline constexpr std::size_t kClrDirectory = 14;
inline constexpr std::size_t kDirectoryCount = 16;

inline constexpr std::size_t kSectionHeaderSize = 40;
inline constexpr std::size_t kSymbolSize = 18;

struct DataDirectory {
  std::uint32_t address = 0;
  std::uint32_t size = 0;
};

// Addresses count from the image's base.
struct Section {
  std::array<std::uint8_t, 8> name{};  // padded with zeroes; "/" and a decimal number: an offset in the string table
  std::uint32_t virtual_size = 0;
  std::uint32_t address = 0;
  std::uint32_t raw_size = 0;
  std::uint32_t raw_offset = 0;
  std::uint32_t relocation_offset = 0;
  std::uint32_t line_offset = 0;
  std::uint16_t relocation_count = 0;
  std::uint16_t line_count = 0;
  std::uint32_t characteristics = 0;

  bool has_bytes() const { return raw_size != 0 && raw_offset != 0; }
  // The bytes that are the same in file and memory, counted from the section's start in both.
  std::uint32_t mapped_size() const { return has_bytes() ? (virtual_size < raw_size ? virtual_size : raw_size) : 0; }
  // What it takes in memory, before rounding. Old linkers left VirtualSize zero.
  std::uint32_t memory_size() const { return virtual_size != 0 ? virtual_size : raw_size; }
};

// DOS, COFF and optional header.
struct Header {
  bool is_64 = true;                   // PE32+
  std::uint64_t signature_offset = 0;  // of "PE\0\0"
  std::uint16_t machine = 0;
  std::uint16_t section_count = 0;
  std::uint32_t symbol_offset = 0;  // 0: no COFF symbols
  std::uint32_t symbol_count = 0;
  std::uint16_t optional_size = 0;
  std::uint16_t characteristics = 0;
  std::uint32_t initialized_size = 0;
  std::uint32_t entry = 0;
  std::uint64_t image_base = 0;
  std::uint32_t section_alignment = 0;
  std::uint32_t file_alignment = 0;
  std::uint32_t image_size = 0;
  std::uint32_t headers_size = 0;
  std::uint32_t checksum = 0;
  std::uint16_t subsystem = 0;
  std::uint16_t dll_characteristics = 0;
  std::uint32_t directory_count = 0;                            // of those in the file, at most kDirectoryCount
  std::array<DataDirectory, kDirectoryCount> directories = {};  // zero where the file has none

  std::uint64_t optional_offset() const { return signature_offset + 24; }
  std::uint64_t section_table_offset() const { return optional_offset() + optional_size; }
  std::uint64_t section_table_end() const { return section_table_offset() + std::uint64_t{section_count} * kSectionHeaderSize; }
  // Offsets of the fields that an edit changes.
  std::uint64_t section_count_field() const { return signature_offset + 6; }
  std::uint64_t symbol_offset_field() const { return signature_offset + 12; }
  std::uint64_t initialized_size_field() const { return optional_offset() + 8; }
  std::uint64_t image_size_field() const { return optional_offset() + 56; }
  std::uint64_t headers_size_field() const { return optional_offset() + 60; }
  std::uint64_t checksum_field() const { return optional_offset() + 64; }
  std::uint64_t directory_field(std::size_t i) const { return optional_offset() + (is_64 ? 112 : 96) + 8 * i; }
};

bool HasMagic(ByteView file);

// `image` is a file or what the OS mapped of it; a prefix will do as long as the headers are in it. Ranges are not checked.
Result<Header> ParseHeader(ByteView image);
Result<std::vector<Section>> ParseSections(ByteView image, const Header& header);

// All raw data is in the file: the OS refuses one that is cut off.
Status CheckSectionsInFile(const std::vector<Section>& sections, std::uint64_t file_size);

// A section's name, from the string table behind the symbols where it is longer than eight characters. Borrows from the file or
// from the section.
std::string_view SectionName(ByteView file, const Header& header, const Section& section);

void EncodeSection(const Section& section, std::uint8_t* out);

}  // namespace pannier::pe

#endif  // PANNIER_SRC_PE_FILE_H_
