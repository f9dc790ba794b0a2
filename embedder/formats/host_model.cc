// An ELF host's facts read from its bytes: headers, dynamic entries and symbols, as edits are made from them.
#include "embedder/formats/host_model.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "src/text.h"

namespace pannier {
namespace {

// gABI, symbol binding and type
constexpr std::uint8_t kLocal = 0;          // STB_LOCAL
constexpr std::uint8_t kNoType = 0;         // STT_NOTYPE
constexpr std::uint8_t kSectionSymbol = 3;  // STT_SECTION
constexpr std::uint8_t kThreadLocal = 6;    // STT_TLS: its value is no address

// e_machine
constexpr std::uint16_t kMachineArm = 40;
constexpr std::uint16_t kMachineAArch64 = 183;
constexpr std::uint16_t kMachineRiscV = 243;

// Notes by which an operating system knows its own; its start files define them, and labels in them (Android's NDK six) that
// nothing refers to. Labels in other notes may be used: Crashpad's code refers to its own note.
constexpr std::array<std::string_view, 3> kIdentityNotes = {".note.android.ident", ".note.ohos.ident", ".note.ABI-tag"};

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

const elf::Section* FindTable(const HostModel& model, std::uint32_t table_type) {
  const auto table = std::find_if(model.sections.begin(), model.sections.end(),
                                  [&](const elf::Section& section) { return section.type == table_type; });
  return table != model.sections.end() ? &*table : nullptr;
}

// Up to the first three characters.
std::string_view BeginningOfName(const HostModel& model, const elf::Section& table, const elf::Symbol& symbol) {
  if (table.link >= model.sections.size()) return {};
  const elf::Section& names = model.sections[table.link];
  if (!names.has_bytes() || symbol.name >= names.size) return {};
  const auto bytes = model.bytes.Slice(names.offset + symbol.name, std::min<std::uint64_t>(names.size - symbol.name, 3));
  if (!bytes) return {};
  const std::string_view text(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  return text.substr(0, text.find('\0'));
}

// "Mapping symbols" of ELF for the Arm Architecture, of ELF for the Arm 64-bit Architecture, and of RISC-V's ELF psABI: they tell
// disassemblers where code ($a, $t, $x) and data ($d) begin.
bool IsMappingSymbol(const HostModel& model, const elf::Section& table, const elf::Symbol& symbol) {
  if ((symbol.info & 15) != kNoType || symbol.size != 0) return false;
  const std::string_view name = BeginningOfName(model, table, symbol);
  if (name.size() < 2 || name[0] != '$') return false;
  const bool is_whole = name.size() == 2 || name[2] == '.';
  switch (model.header.machine) {
    case kMachineArm:
      return is_whole && (name[1] == 'a' || name[1] == 't' || name[1] == 'd');
    case kMachineAArch64:
      return is_whole && (name[1] == 'x' || name[1] == 'd');
    case kMachineRiscV:
      return (is_whole && name[1] == 'd') || name[1] == 'x';  // $xrv64i2p1_m2p0...
    default:
      return false;
  }
}

bool FollowsSection(const HostModel& model, const elf::Section& table, const elf::Symbol& symbol) {
  if ((symbol.info & 15) == kSectionSymbol) return true;
  if (symbol.info >> 4 != kLocal || symbol.section >= model.sections.size()) return false;
  const elf::Section& section = model.sections[symbol.section];
  if (symbol.value < section.address || symbol.value - section.address > section.size) return false;
  const bool is_identity_note = section.type == elf::kSectionNote &&
                                std::find(kIdentityNotes.begin(), kIdentityNotes.end(), section.name) != kIdentityNotes.end();
  return is_identity_note || IsMappingSymbol(model, table, symbol);
}

Status ReadSymbols(HostModel& model, std::uint32_t table_type) {
  const elf::Section* const table = FindTable(model, table_type);
  return ForEachSymbol(model, table_type, [&](const elf::Symbol& symbol, std::uint64_t file_offset) -> Status {
    if (symbol.section != 0 && symbol.section < elf::kReservedSectionNumbers && (symbol.info & 15) != kThreadLocal)
      model.symbols.push_back({symbol.value, symbol.section, FollowsSection(model, *table, symbol), file_offset});
    return {};
  });
}

}  // namespace

Status ForEachSymbol(const HostModel& model, std::uint32_t table_type, const SymbolFunction& function) {
  const elf::Section* const table = FindTable(model, table_type);
  if (table == nullptr) return {};
  const std::uint64_t entry_size = elf::SymbolSize(model.header);
  for (std::uint64_t at = 0; at + entry_size <= table->size; at += entry_size) {
    const std::uint64_t offset = table->offset + at;
    const auto symbol = elf::ParseSymbol(model.bytes, model.header, offset);
    if (!symbol) return Malformed(StrCat("symbol at ", Hex(offset), ": found the end of the file"));
    PANNIER_CHECK_OK(function(*symbol, offset));
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
