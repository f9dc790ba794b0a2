// LIEF's ELF parser, 0.12 to 1.0: dynamic entries, symbols and relocations become facts of a HostModel.
//
// Header, program and section headers come from our own reader: the planner writes them back, so it needs them as they are in the
// file, and it must not reach LIEF with a file whose tables contradict each other.
#include "embedder/lief_adapter.h"

#include <LIEF/ELF.hpp>
#include <LIEF/logging.hpp>
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "embedder/lief_support.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::uint64_t kSectionSymbol = 3;  // STT_SECTION
constexpr std::uint64_t kThreadLocal = 6;    // STT_TLS: its value is no address
constexpr std::uint32_t kFirstReserved = elf::kReservedSectionNumbers;

// How LIEF is to count the dynamic symbols, in its own numbers. Left to itself it counts those that relocations name, and believes
// no other count that is larger by 3000 or more: then it loses the rest.
enum class CountBy { kGuess = 0, kSection = 1 };

// LIEF::ELF::Parser::parse takes the way to count alone in 0.12, and as a part of a configuration since.
template <typename Config>
std::unique_ptr<LIEF::ELF::Binary> Parse(std::unique_ptr<LIEF::ELF::Binary> (*parse)(const std::string&, Config),
                                         const std::string& path, CountBy count_by) {
  std::remove_cvref_t<Config> config{};
  if constexpr (requires { config.count_mtd; }) {
    config.count_mtd = static_cast<decltype(config.count_mtd)>(count_by);
  } else {
    config = static_cast<Config>(count_by);
  }
  return parse(path, config);
}

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

// A number as wide as the file's addresses.
std::optional<std::uint64_t> ReadWord(const HostModel& model, std::uint64_t offset) {
  if (model.header.is_64) return model.bytes.Read<std::uint64_t>(offset, model.header.order);
  return model.bytes.Read<std::uint32_t>(offset, model.header.order);
}

template <typename Binary>
Status TakeDynamicEntries(Binary& binary, HostModel& model) {
  const elf::Segment* segment = FindSegment(model, elf::kSegmentDynamic);
  if (segment == nullptr) return {};
  const std::uint64_t word = model.header.word_size();
  std::uint64_t offset = segment->offset;
  for (const auto& entry : binary.dynamic_entries()) {
    // A tag of a processor may be numbered otherwise in LIEF; only the file's own number counts.
    const auto tag = ReadWord(model, offset);
    const auto value = ReadWord(model, offset + word);
    if (!tag || !value) return Malformed(StrCat("dynamic section: entry at ", Hex(offset), ": found the end of the file"));
    PANNIER_CHECK_OK(CheckAgreement("dynamic section: entry's value", offset, *value, entry.value()));
    model.dynamic.push_back({*tag, *value, offset});
    offset += 2 * word;
  }
  // The end that a loader sees is LIEF's, too: it stops after 1000 entries.
  const bool ended = !model.dynamic.empty() && model.dynamic.back().tag == 0;
  if (!ended && offset - segment->offset < segment->filesz)
    return Malformed(StrCat("dynamic section: found more than LIEF's ", model.dynamic.size(), " entries"));
  return {};
}

// Value and section number of the symbol that the file has at `offset`.
Status CheckSymbol(const HostModel& model, std::uint64_t offset, const HostSymbol& symbol) {
  const auto value = ReadWord(model, offset + model.header.word_size());  // behind the name, which is padded in ELF64
  const auto section = model.bytes.Read<std::uint16_t>(offset + (model.header.is_64 ? 6 : 14), model.header.order);
  if (!value || !section) return Malformed(StrCat("symbol at ", Hex(offset), ": found the end of the file"));
  PANNIER_CHECK_OK(CheckAgreement("symbol's value", offset, *value, symbol.address));
  return CheckAgreement("symbol's section", offset, *section, symbol.section);
}

// `table` is the symbols' section, if the file has section headers.
template <typename Symbols>
Status TakeSymbols(const Symbols& symbols, const elf::Section* table, HostModel& model) {
  const std::uint64_t entry_size = model.header.is_64 ? 24 : 16;
  std::uint64_t count = 0;
  for (const auto& symbol : symbols) {
    HostSymbol fact;
    fact.address = symbol.value();
    fact.section = symbol.shndx();
    const std::uint64_t type = LiefNumber(symbol.type());
    fact.is_section_symbol = type == kSectionSymbol;
    if (table != nullptr) {
      fact.file_offset = table->offset + count * entry_size;
      PANNIER_CHECK_OK(CheckSymbol(model, fact.file_offset, fact));
    }
    ++count;
    if (fact.section != 0 && fact.section < kFirstReserved && type != kThreadLocal) model.symbols.push_back(fact);
  }
  if (table == nullptr) return {};
  return CheckAgreement(StrCat("section ", Printable(table->name), ": number of symbols"), table->size / entry_size, count);
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
Status TakeStaticSymbols(Binary& binary, const elf::Section* table, HostModel& model) {
  if constexpr (requires { binary.symtab_symbols(); }) {
    return TakeSymbols(binary.symtab_symbols(), table, model);
  } else {
    return TakeSymbols(binary.static_symbols(), table, model);
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
  // Then the numbers of sections are elsewhere than in the header, where LIEF does not look.
  if (model.sections.size() >= elf::kReservedSectionNumbers) {
    return Status(ErrorCode::kUnsupported, StrCat("sections: found ", model.sections.size(), ", expected fewer than ",
                                                  elf::kReservedSectionNumbers, "; strip it, or merge sections when linking"));
  }

  const elf::Section* dynamic_symbols = FindSection(model, elf::kSectionDynamicSymbols);
  LIEF::logging::disable();
  const std::unique_ptr<LIEF::ELF::Binary> binary =
      Parse(&LIEF::ELF::Parser::parse, path, dynamic_symbols != nullptr ? CountBy::kSection : CountBy::kGuess);
  if (binary == nullptr) return Malformed("elf: LIEF cannot parse it");
  PANNIER_CHECK_OK(TakeDynamicEntries(*binary, model));
  PANNIER_CHECK_OK(TakeSymbols(binary->dynamic_symbols(), dynamic_symbols, model));
  PANNIER_CHECK_OK(TakeStaticSymbols(*binary, FindSection(model, elf::kSectionSymbols), model));
  TakeRelocationReach(*binary, model);
  return model;
}

}  // namespace pannier
