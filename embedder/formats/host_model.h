// HostModel: what the planner knows of an ELF host. Facts only; read from the file, or made by a test.
#ifndef PANNIER_EMBEDDER_FORMATS_HOST_MODEL_H_
#define PANNIER_EMBEDDER_FORMATS_HOST_MODEL_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "src/bytes.h"
#include "src/elf_dynamic.h"
#include "src/elf_file.h"
#include "src/result.h"

namespace pannier {

using elf::DynamicEntry;

struct HostSymbol {
  std::uint64_t address = 0;
  std::uint32_t section = 0;
  bool follows_section = false;   // nothing refers to it, so that it may move with its section
  std::uint64_t file_offset = 0;  // of the table's entry
};

struct HostModel : elf::DynamicFile {
  std::vector<elf::Section> sections;  // empty when the file has no section headers
  std::vector<HostSymbol> symbols;     // all defined symbols, of .dynsym and .symtab
  // The furthest address that a relocation's own address plus its symbol's size comes to: see PlaceElfPayload.
  std::uint64_t relocation_reach = 0;
};

// The model borrows the bytes. Without relocation_reach: LIEF knows relocations.
Result<HostModel> ReadElfHost(ByteView bytes);

// All entries of the first table of this type, .dynsym or .symtab, defined or not.
using SymbolFunction = std::function<Status(const elf::Symbol& symbol, std::uint64_t file_offset)>;
Status ForEachSymbol(const HostModel& model, std::uint32_t table_type, const SymbolFunction& function);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_FORMATS_HOST_MODEL_H_
