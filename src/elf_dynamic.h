// The dynamic section of an ELF file and the tables that it leads to: symbols, and the hash tables that know how many there are.
// Source: System V gABI, chapter 5 (Dynamic Linking); for .gnu.hash binutils' elflink.c.
#ifndef PANNIER_SRC_ELF_DYNAMIC_H_
#define PANNIER_SRC_ELF_DYNAMIC_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "src/bytes.h"
#include "src/elf_file.h"
#include "src/result.h"

namespace pannier::elf {

inline constexpr std::uint64_t kTagHash = 4;
inline constexpr std::uint64_t kTagStrings = 5;
inline constexpr std::uint64_t kTagSymbols = 6;
inline constexpr std::uint64_t kTagStringsSize = 10;
inline constexpr std::uint64_t kTagGnuHash = 0x6ffffef5;
inline constexpr std::uint64_t kTagVersions = 0x6ffffff0;

inline constexpr std::uint16_t kUndefinedSection = 0;
inline constexpr std::uint16_t kAbsoluteSection = 0xfff1;

struct DynamicEntry {
  std::uint64_t tag = 0;
  std::uint64_t value = 0;
  std::uint64_t file_offset = 0;  // of the entry
};

// Borrows the file's bytes.
struct DynamicFile {
  ByteView bytes;
  Header header;
  std::vector<Segment> segments;
  std::vector<DynamicEntry> dynamic;  // with the one that ends them; empty where there is no dynamic section

  // The only entry with this tag; null where there is none, or more than one.
  const DynamicEntry* Find(std::uint64_t tag) const;
  // Of what is mapped at an address.
  std::optional<std::uint64_t> FileOffset(std::uint64_t address) const;
};

Result<std::vector<DynamicEntry>> ParseDynamic(ByteView file, const Header& header, const std::vector<Segment>& segments);

struct HashTable {
  std::uint64_t size = 0;
  std::uint64_t symbols = 0;  // in the symbol table beside it; 0 when the hash table does not tell
};

// .hash or .gnu.hash, by tag, at an offset of the file; of the latter the chains are followed to their last symbol.
std::optional<HashTable> ReadHashTable(const DynamicFile& file, std::uint64_t tag, std::uint64_t offset);
// The size of a word of .hash: 8 on s390x alone (and on Alpha, which nobody has).
std::size_t HashWordSize(const Header& header);

// As far as a hash table tells; 0 where none does.
std::uint64_t CountDynamicSymbols(const DynamicFile& file);

struct Symbol {
  std::uint32_t name = 0;  // an offset in the strings
  std::uint8_t info = 0;
  std::uint8_t other = 0;
  std::uint16_t section = 0;
  std::uint64_t value = 0;
  std::uint64_t size = 0;
};

constexpr std::size_t SymbolSize(const Header& header) { return header.is_64 ? 24 : 16; }
constexpr std::size_t SymbolSectionField(const Header& header) { return header.is_64 ? 6 : 14; }
std::optional<Symbol> ParseSymbol(ByteView file, const Header& header, std::uint64_t offset);
void EncodeSymbol(const Header& header, const Symbol& symbol, std::uint8_t* out);

// The numbers of all dynamic symbols of this name.
std::vector<std::uint64_t> FindDynamicSymbols(const DynamicFile& file, std::string_view name);

}  // namespace pannier::elf

#endif  // PANNIER_SRC_ELF_DYNAMIC_H_
