// An ELF host's facts read from its bytes: headers, dynamic entries and symbols, as edits are made from them.
#include "embedder/host_model.h"

#include <algorithm>
#include <optional>

#include "src/text.h"

namespace pannier {
namespace {

constexpr std::uint8_t kSectionSymbol = 3;  // STT_SECTION
constexpr std::uint8_t kThreadLocal = 6;    // STT_TLS: its value is no address
constexpr std::size_t kMaxDynamicEntries = 10'000;

// A number as wide as the file's addresses.
std::optional<std::uint64_t> ReadWord(const HostModel& model, std::uint64_t offset) {
  if (model.header.is_64) return model.bytes.Read<std::uint64_t>(offset, model.header.order);
  return model.bytes.Read<std::uint32_t>(offset, model.header.order);
}

// Entries up to the one that ends them.
Status ReadDynamicEntries(HostModel& model) {
  const auto segment = std::find_if(model.segments.begin(), model.segments.end(),
                                    [](const elf::Segment& other) { return other.type == elf::kSegmentDynamic; });
  if (segment == model.segments.end()) return {};
  if (!model.bytes.Contains(segment->offset, segment->filesz)) {
    return Malformed(StrCat("dynamic section: found ", segment->filesz, " bytes at ", Hex(segment->offset),
                            ", expected a range within the file's ", model.bytes.size(), " bytes"));
  }
  const std::uint64_t word = model.header.word_size();
  for (std::uint64_t at = 0; at + 2 * word <= segment->filesz; at += 2 * word) {
    const std::uint64_t offset = segment->offset + at;
    model.dynamic.push_back({*ReadWord(model, offset), *ReadWord(model, offset + word), offset});
    if (model.dynamic.back().tag == 0) break;
    if (model.dynamic.size() == kMaxDynamicEntries)
      return {ErrorCode::kUnsupported, StrCat("dynamic section: found ", kMaxDynamicEntries, " entries, expected fewer")};
  }
  return {};
}

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
  const bool is_64 = model.header.is_64;
  const std::uint64_t entry_size = is_64 ? 24 : 16;
  for (std::uint64_t at = 0; at + entry_size <= table->size; at += entry_size) {
    const std::uint64_t offset = table->offset + at;
    const auto address = ReadWord(model, offset + model.header.word_size());  // behind the name, which is padded in ELF64
    const auto info = model.bytes.Read<std::uint8_t>(offset + (is_64 ? 4 : 12));
    const auto section = model.bytes.Read<std::uint16_t>(offset + (is_64 ? 6 : 14), model.header.order);
    if (!address || !info || !section) return Malformed(StrCat("symbol at ", Hex(offset), ": found the end of the file"));
    const auto type = static_cast<std::uint8_t>(*info & 15);
    PANNIER_CHECK_OK(function({*address, *section, type == kSectionSymbol, offset}, type));
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
    return Status(ErrorCode::kUnsupported, StrCat("sections: found ", model.sections.size(), ", expected fewer than ",
                                                  elf::kReservedSectionNumbers, "; strip it, or merge sections when linking"));
  }
  PANNIER_CHECK_OK(ReadDynamicEntries(model));
  PANNIER_CHECK_OK(ReadSymbols(model, elf::kSectionDynamicSymbols));
  PANNIER_CHECK_OK(ReadSymbols(model, elf::kSectionSymbols));
  return model;
}

}  // namespace pannier
