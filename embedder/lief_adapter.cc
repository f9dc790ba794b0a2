// LIEF's ELF parser, 0.12 to 1.0: dynamic entries, symbols and relocations become facts of a HostModel.
//
// Header, program and section headers come from our own reader: the planner writes them back, so it needs them as they are in the
// file, and it must not reach LIEF with a file whose tables contradict each other. Dynamic entries and symbols are the file's, too,
// as edits are made from them; LIEF has to agree with what it sees of them.
#include "embedder/lief_adapter.h"

#include <LIEF/ELF.hpp>
#include <LIEF/logging.hpp>
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "embedder/lief_support.h"
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

// A number as wide as the file's addresses.
std::optional<std::uint64_t> ReadWord(const HostModel& model, std::uint64_t offset) {
  if (model.header.is_64) return model.bytes.Read<std::uint64_t>(offset, model.header.order);
  return model.bytes.Read<std::uint32_t>(offset, model.header.order);
}

// Entries up to the one that ends them. LIEF stops after 1000.
template <typename Binary>
Status TakeDynamicEntries(Binary& binary, HostModel& model) {
  const elf::Segment* segment = FindSegment(model, elf::kSegmentDynamic);
  if (segment == nullptr) return {};
  const std::uint64_t word = model.header.word_size();
  const auto entries = binary.dynamic_entries();
  auto theirs = entries.begin();
  const auto end = entries.end();
  for (std::uint64_t at = 0; at + 2 * word <= segment->filesz; at += 2 * word) {
    const std::uint64_t offset = segment->offset + at;
    // CheckSegmentsInFile has seen that the file holds all of them.
    const DynamicEntry entry = {*ReadWord(model, offset), *ReadWord(model, offset + word), offset};
    if (theirs != end) {
      // A tag of a processor may be numbered otherwise in LIEF.
      PANNIER_CHECK_OK(CheckAgreement("dynamic section: entry's value", offset, entry.value, theirs->value()));
      ++theirs;
    }
    model.dynamic.push_back(entry);
    if (entry.tag == 0) break;
  }
  return {};
}

// The symbols of a section, if there is one. LIEF may see but the first of many, or none: it does not count beyond 65,535 sections,
// nor dynamic symbols that no relocation names, when there are 3000 of them.
template <typename Symbols>
Status TakeSymbols(const Symbols& symbols, const elf::Section* table, HostModel& model) {
  if (table == nullptr) return {};
  const bool is_64 = model.header.is_64;
  const std::uint64_t entry_size = is_64 ? 24 : 16;
  auto theirs = symbols.begin();
  const auto end = symbols.end();
  for (std::uint64_t at = 0; at + entry_size <= table->size; at += entry_size) {
    const std::uint64_t offset = table->offset + at;
    const auto address = ReadWord(model, offset + model.header.word_size());  // behind the name, which is padded in ELF64
    const auto type = model.bytes.Read<std::uint8_t>(offset + (is_64 ? 4 : 12));
    const auto section = model.bytes.Read<std::uint16_t>(offset + (is_64 ? 6 : 14), model.header.order);
    if (!address || !type || !section) return Malformed(StrCat("symbol at ", Hex(offset), ": found the end of the file"));
    const HostSymbol symbol = {*address, *section, (*type & 15) == kSectionSymbol, offset};
    if (theirs != end) {
      PANNIER_CHECK_OK(CheckAgreement("symbol's value", offset, symbol.address, theirs->value()));
      PANNIER_CHECK_OK(CheckAgreement("symbol's section", offset, symbol.section, theirs->shndx()));
      PANNIER_CHECK_OK(CheckAgreement("symbol's type", offset, *type & 15, LiefNumber(theirs->type())));
      ++theirs;
    }
    if (symbol.section != 0 && symbol.section < kFirstReserved && (*type & 15) != kThreadLocal) model.symbols.push_back(symbol);
  }
  return {};
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

Result<HostModel> ModelElfHost(ByteView bytes) {
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

  LIEF::logging::disable();
  const std::unique_ptr<LIEF::ELF::Binary> binary = ParsedByLief([&] { return LIEF::ELF::Parser::parse(CopyForLief(bytes)); });
  if (binary == nullptr) return Malformed("elf: LIEF cannot parse it");
  PANNIER_CHECK_OK(TakeDynamicEntries(*binary, model));
  PANNIER_CHECK_OK(TakeSymbols(binary->dynamic_symbols(), FindSection(model, elf::kSectionDynamicSymbols), model));
  PANNIER_CHECK_OK(TakeStaticSymbols(*binary, FindSection(model, elf::kSectionSymbols), model));
  TakeRelocationReach(*binary, model);
  return model;
}

}  // namespace pannier
