// An exported symbol of an ELF library, found through the dynamic section alone: section headers may be gone.
#include "src/elf_dynamic.h"
#include "src/exported_symbol.h"

namespace pannier {

Result<std::optional<ByteView>> FindExportedElf(ByteView library, std::string_view name) {
  elf::DynamicFile file;
  file.bytes = library;
  PANNIER_TRY(file.header, elf::ParseHeader(library));
  PANNIER_TRY(file.segments, elf::ParseSegments(library, file.header));
  PANNIER_CHECK_OK(elf::CheckSegmentsInFile(file.segments, library.size()));
  PANNIER_TRY(file.dynamic, elf::ParseDynamic(library, file.header, file.segments));
  for (const std::uint64_t number : elf::FindDynamicSymbols(file, name)) {
    const auto table = file.FileOffset(file.Find(elf::kTagSymbols)->value);
    const elf::Symbol symbol = *elf::ParseSymbol(library, file.header, *table + number * elf::SymbolSize(file.header));
    if (symbol.section == elf::kUndefinedSection) continue;
    if (symbol.section == elf::kAbsoluteSection) return SymbolWithoutBytes(name, "an absolute number");
    for (const elf::Segment& segment : file.segments) {
      if (segment.type != elf::kSegmentLoad || symbol.value < segment.vaddr || symbol.value - segment.vaddr >= segment.filesz)
        continue;
      const std::uint64_t offset = symbol.value - segment.vaddr;
      return std::optional(*library.Slice(segment.offset + offset, segment.filesz - offset));
    }
    return SymbolWithoutBytes(name, "an address without bytes");
  }
  return std::optional<ByteView>();
}

}  // namespace pannier
