// LibraryFacts: what a library, ELF, Mach-O (thin) or PE, says of itself: machine, build id, linker, sections, functions.
//
// Our own readers alone, for files that may be hostile. What a table does not tell, or tells wrongly, is left out: these are facts
// to look at, nothing is decided by them.
#ifndef PANNIER_EMBEDDER_VIEW_LIBRARY_FACTS_H_
#define PANNIER_EMBEDDER_VIEW_LIBRARY_FACTS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/bytes.h"
#include "src/payload.h"
#include "src/result.h"

namespace pannier {

struct LibrarySection {
  std::string name;  // Mach-O: "__TEXT,__text"
  std::uint64_t address = 0;
  std::uint64_t offset = 0;  // in the file
  std::uint64_t size = 0;    // in the file; 0 of those that are zero-filled
  std::uint64_t memory_size = 0;
  bool is_code = false;
};

struct LibraryFunction {
  std::string name;
  std::uint64_t address = 0;
  std::uint64_t size = 0;  // as the symbol says; where none does, up to the next one; 0: not known
  ByteView bytes;          // borrowed; empty where the file has none
  bool is_exported = false;
};

struct LibraryFacts {
  FileFormat format = FileFormat::kUnknown;
  unsigned bits = 0;
  ByteOrder order = ByteOrder::kLittle;
  std::string machine;                     // "x86-64", "aarch64", ...; a number where there is no name
  std::string build_id;                    // hexadecimal: GNU's build id, LC_UUID, or CodeView's GUID and age; empty: none
  std::string name;                        // DT_SONAME, LC_ID_DYLIB, the export directory's name; empty: none
  std::string linker;                      // empty: it left no trace
  std::vector<std::string> compilers;      // that left a comment
  std::vector<std::string> needed;         // libraries, in the file's order
  std::vector<LibrarySection> sections;    // by offset
  std::vector<LibraryFunction> functions;  // defined ones with a name, by address
  std::uint64_t exported = 0;              // so many of them
};

// kMalformed where the file's headers cannot be read.
Result<LibraryFacts> ReadLibraryFacts(ByteView library);

// One for each format; each in a file of its own.
Result<LibraryFacts> ReadElfFacts(ByteView library);
Result<LibraryFacts> ReadMachOFacts(ByteView library);
Result<LibraryFacts> ReadPeFacts(ByteView library);

// "elf", "macho", "pe".
std::string_view FormatText(FileFormat format);

// Of names and texts in a table of zero-terminated ones; empty where the end is missing.
std::string_view TextAt(ByteView strings, std::uint64_t offset);

// By address; of several functions at one address that have the same name one remains, exported if one of them was. Sizes that are
// not known reach to the next function, or to the end of the code section around them.
void SortFunctions(LibraryFacts& facts);

inline constexpr std::size_t kMostFunctions = 1'000'000;  // of a table; more are left out

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_VIEW_LIBRARY_FACTS_H_
