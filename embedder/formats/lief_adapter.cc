// LIEF's ELF parser, 0.12 to 1.0: dynamic entries and symbols compared with a HostModel's, and how far relocations reach.
//
// The model comes from our own reader: the planner writes its facts back, so it needs them as they are in the file, and it must not
// reach LIEF with a file whose tables contradict each other.
#include "embedder/formats/lief_adapter.h"

#include <LIEF/ELF.hpp>
#include <LIEF/logging.hpp>
#include <algorithm>
#include <memory>

#include "embedder/formats/lief_support.h"

namespace pannier {
namespace {

// LIEF stops after 1000.
template <typename Binary>
Status CompareDynamicEntries(Binary& binary, const HostModel& model) {
  const auto entries = binary.dynamic_entries();
  auto theirs = entries.begin();
  const auto end = entries.end();
  for (const DynamicEntry& entry : model.dynamic) {
    if (theirs == end) break;
    // A tag of a processor may be numbered otherwise in LIEF.
    PANNIER_CHECK_OK(CheckAgreement("dynamic section: entry's value", entry.file_offset, entry.value, theirs->value()));
    ++theirs;
  }
  return {};
}

// LIEF may see but the first of many, or none: it does not count beyond 65,535 sections, nor dynamic symbols that no relocation
// names, when there are 3000 of them.
template <typename Symbols>
Status CompareSymbols(const Symbols& symbols, std::uint32_t table_type, const HostModel& model) {
  auto theirs = symbols.begin();
  const auto end = symbols.end();
  return ForEachSymbol(model, table_type, [&](const elf::Symbol& symbol, std::uint64_t file_offset) -> Status {
    if (theirs == end) return {};
    PANNIER_CHECK_OK(CheckAgreement("symbol's value", file_offset, symbol.value, theirs->value()));
    PANNIER_CHECK_OK(CheckAgreement("symbol's section", file_offset, symbol.section, theirs->shndx()));
    PANNIER_CHECK_OK(CheckAgreement("symbol's type", file_offset, symbol.info & 15, LiefNumber(theirs->type())));
    ++theirs;
    return {};
  });
}

template <typename Binary>
void TakeRelocationReach(Binary& binary, HostModel& model) {
  for (const auto& relocation : binary.relocations()) {
    // Without a symbol, newer versions may name the first, which is none.
    if (!relocation.has_symbol() || relocation.symbol()->size() == 0) continue;
    const auto reach = CheckedAdd(relocation.address(), relocation.symbol()->size());
    if (reach) model.relocation_reach = std::max(model.relocation_reach, *reach);
  }
}

// The symbols of .symtab: static_symbols until 0.14, symtab_symbols since.
template <typename Binary>
Status CompareStaticSymbols(Binary& binary, const HostModel& model) {
  if constexpr (requires { binary.symtab_symbols(); }) {
    return CompareSymbols(binary.symtab_symbols(), elf::kSectionSymbols, model);
  } else {
    return CompareSymbols(binary.static_symbols(), elf::kSectionSymbols, model);
  }
}

}  // namespace

Status CompareWithLief(HostModel& model) {
  LIEF::logging::disable();
  const std::unique_ptr<LIEF::ELF::Binary> binary =
      ParsedByLief([&] { return LIEF::ELF::Parser::parse(CopyForLief(model.bytes)); });
  if (binary == nullptr) return Malformed("elf: LIEF cannot parse it");
  PANNIER_CHECK_OK(CompareDynamicEntries(*binary, model));
  PANNIER_CHECK_OK(CompareSymbols(binary->dynamic_symbols(), elf::kSectionDynamicSymbols, model));
  PANNIER_CHECK_OK(CompareStaticSymbols(*binary, model));
  TakeRelocationReach(*binary, model);
  return {};
}

}  // namespace pannier
