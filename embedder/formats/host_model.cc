// An ELF host's facts read from its bytes: headers, dynamic entries and symbols, as edits are made from them.
#include "embedder/formats/host_model.h"

#include <algorithm>

#include "src/text.h"

namespace pannier {
namespace {

constexpr std::uint8_t kSectionSymbol = 3;  // STT_SECTION
constexpr std::uint8_t kThreadLocal = 6;    // STT_TLS: its value is no address

// Every mapped byte is digested, segment by segment.
Status CheckMappedOnce(const HostModel& model) {
  std::uint64_t mapped = 0;
  for (const elf::Segment& segment : model.segments) {
    if (segment.type == elf::kSegmentLoad) mapped += segment.filesz;  // of ranges within the file, of fewer than 2^16: no overflow
  }
  if (mapped / 2 <= model.bytes.size()) return {};
  return Malformed(StrCat("program headers: found ", mapped, " bytes mapped of a file of ", model.bytes.size(),
                          ", expected at most twice as many"));
}

Status ReadSymbols(HostModel& model, std::uint32_t table_type) {
  return ForEachSymbol(model, table_type, [&model](const HostSymbol& symbol, std::uint8_t type) -> Status {
    if (symbol.section != 0 && symbol.section < elf::kReservedSectionNumbers && type != kThreadLocal)
      model.symbols.push_back(symbol);
    return {};
  });
}

}  // namespace

Status ForEachSymbol(const HostModel& model, std::uint32_t table_type, const SymbolFunction& function) {
  const auto table = std::find_if(model.sections.begin(), model.sections.end(),
                                  [&](const elf::Section& section) { return section.type == table_type; });
  if (table == model.sections.end()) return {};
  const std::uint64_t entry_size = elf::SymbolSize(model.header);
  for (std::uint64_t at = 0; at + entry_size <= table->size; at += entry_size) {
    const std::uint64_t offset = table->offset + at;
    const auto symbol = elf::ParseSymbol(model.bytes, model.header, offset);
    if (!symbol) return Malformed(StrCat("symbol at ", Hex(offset), ": found the end of the file"));
    const auto type = static_cast<std::uint8_t>(symbol->info & 15);
    PANNIER_CHECK_OK(function({symbol->value, symbol->section, type == kSectionSymbol, offset}, type));
  }
  return {};
}

Result<HostModel> ReadElfHost(ByteView bytes) {
  HostModel model;
  model.bytes = bytes;
  PANNIER_TRY(model.header, elf::ParseHeader(bytes));
  PANNIER_TRY(model.segments, elf::ParseSegments(bytes, model.header));
  PANNIER_TRY(model.sections, elf::ParseSections(bytes, model.header));
  PANNIER_CHECK_OK(elf::CheckSegmentsInFile(model.segments, bytes.size()));
  PANNIER_CHECK_OK(CheckMappedOnce(model));
  // Then the numbers of sections are elsewhere than in the header, where LIEF does not look.
  if (model.sections.size() >= elf::kReservedSectionNumbers) {
    return Unsupported(StrCat("sections: found ", model.sections.size(), ", expected fewer than ", elf::kReservedSectionNumbers,
                              "; strip it, or merge sections when linking"));
  }
  PANNIER_TRY(model.dynamic, elf::ParseDynamic(bytes, model.header, model.segments));
  PANNIER_CHECK_OK(ReadSymbols(model, elf::kSectionDynamicSymbols));
  PANNIER_CHECK_OK(ReadSymbols(model, elf::kSectionSymbols));
  return model;
}

}  // namespace pannier
