// ELF: header, program headers and section headers of any class and byte order, in one widened form.
// Source: System V gABI, chapters 4 (Object Files) and 5 (Program Loading); constants from its processor supplements.
#ifndef PANNIER_SRC_ELF_FILE_H_
#define PANNIER_SRC_ELF_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "src/bytes.h"
#include "src/result.h"

namespace pannier::elf {

inline constexpr std::uint16_t kTypeRelocatable = 1;
inline constexpr std::uint16_t kTypeExecutable = 2;
inline constexpr std::uint16_t kTypeShared = 3;
inline constexpr std::uint16_t kTypeCore = 4;

inline constexpr std::uint32_t kSegmentNull = 0;
inline constexpr std::uint32_t kSegmentLoad = 1;
inline constexpr std::uint32_t kSegmentDynamic = 2;
inline constexpr std::uint32_t kSegmentInterpreter = 3;
inline constexpr std::uint32_t kSegmentNote = 4;
inline constexpr std::uint32_t kSegmentHeaders = 6;
inline constexpr std::uint32_t kSegmentGnuProperty = 0x6474e553;
inline constexpr std::uint32_t kSegmentReadable = 4;

inline constexpr std::uint32_t kSectionNull = 0;
inline constexpr std::uint32_t kSectionProgramBits = 1;
inline constexpr std::uint32_t kSectionSymbols = 2;
inline constexpr std::uint32_t kSectionNote = 7;
inline constexpr std::uint32_t kSectionNoBits = 8;
inline constexpr std::uint32_t kSectionDynamicSymbols = 11;
inline constexpr std::uint64_t kSectionAllocated = 2;

// From this section count on, the real numbers are in section header 0 (gABI, "Extended section numbering").
inline constexpr std::uint32_t kReservedSectionNumbers = 0xff00;
inline constexpr std::uint16_t kExtendedSectionNumber = 0xffff;
inline constexpr std::uint16_t kExtendedSegmentCount = 0xffff;

struct Segment {
  std::uint32_t type = 0;
  std::uint32_t flags = 0;
  std::uint64_t offset = 0;
  std::uint64_t vaddr = 0;
  std::uint64_t paddr = 0;
  std::uint64_t filesz = 0;
  std::uint64_t memsz = 0;
  std::uint64_t align = 0;
};

struct Section {
  std::uint32_t name_offset = 0;
  std::string_view name;  // borrowed from the file
  std::uint32_t type = 0;
  std::uint64_t flags = 0;
  std::uint64_t address = 0;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::uint32_t link = 0;
  std::uint32_t info = 0;
  std::uint64_t align = 0;
  std::uint64_t entry_size = 0;

  bool has_bytes() const { return type != kSectionNull && type != kSectionNoBits; }
  bool is_allocated() const { return (flags & kSectionAllocated) != 0; }
};

// The shape of an ELF file: everything that does not depend on what is in its tables.
struct Header {
  bool is_64 = true;
  ByteOrder order = ByteOrder::kLittle;
  std::uint16_t type = 0;
  std::uint16_t machine = 0;
  std::uint32_t flags = 0;
  std::uint64_t entry = 0;
  std::uint64_t segment_offset = 0;
  std::uint32_t segment_count = 0;
  std::uint64_t section_offset = 0;  // 0: no section headers
  std::uint32_t section_count = 0;
  std::uint32_t name_section = 0;  // index of the section with the sections' names; 0: none

  std::size_t size() const { return is_64 ? 64 : 52; }
  std::size_t segment_entry_size() const { return is_64 ? 56 : 32; }
  std::size_t section_entry_size() const { return is_64 ? 64 : 40; }
  std::size_t word_size() const { return is_64 ? 8 : 4; }
  // Offsets of the header's fields that an edit changes.
  std::size_t section_offset_field() const { return is_64 ? 40 : 32; }
  std::size_t segment_count_field() const { return is_64 ? 56 : 44; }
  std::size_t section_count_field() const { return is_64 ? 60 : 48; }
};

bool HasMagic(ByteView file);

// Header and program headers; `file` may be a prefix of the file as long as both are in it. Ranges of segments are not checked.
Result<Header> ParseHeader(ByteView file);
Result<std::vector<Segment>> ParseSegments(ByteView file, const Header& header);

// Section headers with names; ranges of sections that have bytes are checked against the file. Empty when the file has none.
// Replaces the header's section numbers by those of section header 0 where they did not fit.
Result<std::vector<Section>> ParseSections(ByteView file, Header& header);

void EncodeSegment(const Header& header, const Segment& segment, std::uint8_t* out);
void EncodeSection(const Header& header, const Section& section, std::uint8_t* out);

// Stores an address- or offset-sized value.
void EncodeWord(const Header& header, std::uint64_t value, std::uint8_t* out);

// All of a PT_LOAD's file bytes are in the file: mapping one that is cut off ends in SIGBUS at first touch.
Status CheckSegmentsInFile(const std::vector<Segment>& segments, std::uint64_t file_size);

}  // namespace pannier::elf

#endif  // PANNIER_SRC_ELF_FILE_H_
