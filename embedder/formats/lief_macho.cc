// LIEF's Mach-O parser, 0.12 to 1.0, as a second reader: both must see the same library.
#include "embedder/formats/lief_macho.h"

#include <LIEF/MachO.hpp>
#include <LIEF/logging.hpp>
#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "embedder/formats/lief_support.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::uint32_t kLibraryCommands[] = {0xc, macho::kIdDylib, 0x80000018, 0x8000001f, 0x20, 0x80000023};

std::vector<std::string> LibraryNames(const MachOModel& host) {
  std::vector<std::string> names;
  for (const macho::Command& command : host.commands) {
    if (std::find(std::begin(kLibraryCommands), std::end(kLibraryCommands), command.type) == std::end(kLibraryCommands)) continue;
    const std::size_t at = command.bytes.Read<std::uint32_t>(8).value_or(0);
    const std::string_view text = command.bytes.text().substr(std::min(at, command.bytes.size()));
    names.emplace_back(text.substr(0, text.find('\0')));
  }
  return names;
}

Status Differ(const std::string& what, const std::string& ours, const std::string& theirs) {
  return Malformed(StrCat(what, ": found ", Printable(ours), ", LIEF reads ", Printable(theirs)));
}

template <typename Binary>
Status CompareSegments(Binary& binary, const MachOModel& host) {
  std::size_t i = 0;
  for (const auto& segment : binary.segments()) {
    if (i == host.segments.size()) return Differ("segments", std::to_string(i), "more");
    const macho::Segment& mine = host.segments[i++];
    auto text = [](std::string_view name, std::uint64_t address, std::uint64_t memory_size, std::uint64_t offset,
                   std::uint64_t size, std::size_t sections) {
      return StrCat(name, " at ", Hex(address), " (", memory_size, " bytes), offset ", Hex(offset), " (", size, " bytes), ",
                    sections, " sections");
    };
    const std::string ours = text(mine.name, mine.address, mine.memory_size, mine.offset, mine.file_size, mine.sections.size());
    const std::string theirs = text(segment.name(), segment.virtual_address(), segment.virtual_size(), segment.file_offset(),
                                    segment.file_size(), segment.sections().size());
    if (ours != theirs) return Differ(StrCat("segment ", i - 1), ours, theirs);
    std::size_t s = 0;
    for (const auto& section : segment.sections()) {
      const macho::Section& own = mine.sections[s++];
      if (section.name() != own.name || section.address() != own.address || section.size() != own.size ||
          section.offset() != own.offset)
        return Differ(StrCat("section ", Printable(own.name)), Hex(own.address), Hex(section.address()));
    }
  }
  if (i != host.segments.size()) return Differ("segments", std::to_string(host.segments.size()), std::to_string(i));
  return {};
}

template <typename Binary>
Status CompareLibraries(Binary& binary, const MachOModel& host) {
  const std::vector<std::string> ours = LibraryNames(host);
  std::vector<std::string> theirs;
  for (const auto& library : binary.libraries()) theirs.push_back(library.name());
  for (std::size_t i = 0; i < std::max(ours.size(), theirs.size()); ++i) {
    if (i >= ours.size() || i >= theirs.size() || ours[i] != theirs[i])
      return Differ("libraries", i < ours.size() ? ours[i] : "none", i < theirs.size() ? theirs[i] : "none");
  }
  return {};
}

template <typename Binary>
Status CompareSymbols(Binary& binary, const MachOModel& host) {
  for (const macho::Command& command : host.commands) {
    if (command.type != macho::kSymbolTable) continue;
    const std::uint64_t ours = *command.bytes.Read<std::uint32_t>(12);
    const std::uint64_t theirs = binary.has_symbol_command() ? binary.symbol_command()->numberof_symbols() : 0;
    if (ours != theirs) return Differ("symbols", std::to_string(ours), std::to_string(theirs));
  }
  return {};
}

// Until 0.12 with a name for the bytes.
template <typename Parser>
auto Parse(std::vector<std::uint8_t> bytes) {
  const auto config = LIEF::MachO::ParserConfig::quick();
  if constexpr (requires { Parser::parse(bytes, config); }) {
    return Parser::parse(std::move(bytes), config);
  } else {
    return Parser::parse(std::move(bytes), std::string(), config);
  }
}

}  // namespace

Status CompareWithLief(const MachOModel& host) {
  LIEF::logging::disable();
  // ReadMachOHost has seen that the file holds them.
  const ByteView commands = *host.bytes.Slice(0, host.header.commands_end());
  const auto file = ParsedByLief([&] { return Parse<LIEF::MachO::Parser>(CopyForLief(commands)); });
  // LIEF gives up on files that are newer than it is; what our reader takes is checked in full by it.
  if (file == nullptr) return {};
  for (auto& binary : *file) {
    PANNIER_CHECK_OK(CompareSegments(binary, host));
    PANNIER_CHECK_OK(CompareLibraries(binary, host));
    return CompareSymbols(binary, host);
  }
  return {};
}

}  // namespace pannier
