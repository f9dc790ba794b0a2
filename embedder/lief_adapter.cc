// LIEF's ELF parser, 0.12 to 1.0: dynamic entries, symbols and relocations become facts of a HostModel.
//
// Header, program and section headers come from our own reader: the planner writes them back, so it needs them as they are in the
// file, and it must not reach LIEF with a file whose tables contradict each other.
#include "embedder/lief_adapter.h"

#include <LIEF/ELF.hpp>
#include <LIEF/logging.hpp>
#include <algorithm>
#include <memory>
#include <utility>

#include "src/text.h"

namespace pannier {
namespace {

constexpr std::uint64_t kSectionSymbol = 3;  // STT_SECTION
constexpr std::uint64_t kThreadLocal = 6;    // STT_TLS: its value is no address
constexpr std::uint32_t kFirstReserved = elf::kReservedSectionNumbers;

const elf::Segment* FindSegment(const HostModel& model, std::uint32_t type) {
  for (const elf::Segment& segment : model.segments) {
    if (segment.type == type) return &segment;
  }
  return nullptr;
}

const elf::Section* FindSection(const HostModel& model, std::uint32_t type) {
  for (const elf::Section& section : model.sections) {
    if (section.type == type) return &section;
  }
  return nullptr;
}

template <typename Binary>
Status TakeDynamicEntries(Binary& binary, HostModel& model) {
  const elf::Segment* segment = FindSegment(model, elf::kSegmentDynamic);
  if (segment == nullptr) return {};
  const std::uint64_t entry_size = 2 * model.header.word_size();
  std::uint64_t offset = segment->offset;
  for (const auto& entry : binary.dynamic_entries()) {
    // A tag of a processor may be numbered otherwise in LIEF; only the file's own number counts.
    const auto raw = model.bytes.Slice(offset, entry_size);
    if (!raw) return Malformed(StrCat("dynamic section: entry at ", Hex(offset), ": found the end of the file"));
    DynamicEntry fact;
    fact.tag =
        model.header.is_64 ? *raw->Read<std::uint64_t>(0, model.header.order) : *raw->Read<std::uint32_t>(0, model.header.order);
    fact.value =
        model.header.is_64 ? *raw->Read<std::uint64_t>(8, model.header.order) : *raw->Read<std::uint32_t>(4, model.header.order);
    fact.file_offset = offset;
    if (fact.value != entry.value()) {
      return Malformed(StrCat("dynamic section: entry at ", Hex(offset), ": found value ", Hex(fact.value), ", expected LIEF's ",
                              Hex(entry.value())));
    }
    model.dynamic.push_back(fact);
    offset += entry_size;
  }
  return {};
}

template <typename Symbols>
std::uint64_t TakeSymbols(const Symbols& symbols, const elf::Section* table, HostModel& model) {
  const std::uint64_t entry_size = model.header.is_64 ? 24 : 16;
  std::uint64_t index = 0;
  for (const auto& symbol : symbols) {
    HostSymbol fact;
    fact.address = symbol.value();
    fact.section = symbol.shndx();
    const auto type = static_cast<std::uint64_t>(symbol.type());
    fact.is_section_symbol = type == kSectionSymbol;
    fact.file_offset = table != nullptr ? table->offset + index * entry_size : 0;
    ++index;
    if (fact.section != 0 && fact.section < kFirstReserved && type != kThreadLocal) model.symbols.push_back(fact);
  }
  return index;
}

template <typename Binary>
void TakeRelocationReach(Binary& binary, HostModel& model) {
  for (const auto& relocation : binary.relocations()) {
    if (!relocation.has_symbol()) continue;
    const auto reach = CheckedAdd(relocation.address(), relocation.symbol()->size());
    if (reach) model.relocation_reach = std::max(model.relocation_reach, *reach);
  }
}

// The names of .symtab's symbols: static_symbols until 0.14, symtab_symbols since.
template <typename Binary>
void TakeStaticSymbols(Binary& binary, const elf::Section* table, HostModel& model) {
  if constexpr (requires { binary.symtab_symbols(); }) {
    TakeSymbols(binary.symtab_symbols(), table, model);
  } else {
    TakeSymbols(binary.static_symbols(), table, model);
  }
}

}  // namespace

Result<HostModel> ModelElfHost(const std::string& path, ByteView bytes) {
  HostModel model;
  model.bytes = bytes;
  PANNIER_TRY(model.header, elf::ParseHeader(bytes));
  PANNIER_TRY(model.segments, elf::ParseSegments(bytes, model.header));
  PANNIER_TRY(model.sections, elf::ParseSections(bytes, model.header));
  PANNIER_CHECK_OK(elf::CheckSegmentsInFile(model.segments, bytes.size()));

  LIEF::logging::disable();
  const std::unique_ptr<LIEF::ELF::Binary> binary = LIEF::ELF::Parser::parse(path);
  if (binary == nullptr) return Malformed("elf: LIEF cannot parse it");
  PANNIER_CHECK_OK(TakeDynamicEntries(*binary, model));
  model.dynamic_symbol_count = TakeSymbols(binary->dynamic_symbols(), FindSection(model, elf::kSectionDynamicSymbols), model);
  TakeStaticSymbols(*binary, FindSection(model, elf::kSectionSymbols), model);
  TakeRelocationReach(*binary, model);
  for (const auto& symbol : binary->exported_symbols()) {
    if (symbol.is_function()) model.exported_functions.push_back(symbol.name());
  }
  return model;
}

}  // namespace pannier
