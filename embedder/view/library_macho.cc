// What a thin Mach-O library says of itself. Sources: Apple's mach-o/loader.h and mach-o/nlist.h (cctools).
#include <algorithm>
#include <utility>

#include "embedder/view/library_facts.h"
#include "src/macho_file.h"
#include "src/macho_trie.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::uint32_t kUuid = 0x1b;
constexpr std::uint32_t kRequired = 0x80000000;  // LC_REQ_DYLD
constexpr std::uint32_t kLoadLibrary = 0xc;
constexpr std::uint32_t kLoadWeakLibrary = 0x18;
constexpr std::uint32_t kReexportLibrary = 0x1f;
constexpr std::uint32_t kLazyLoadLibrary = 0x20;
constexpr std::uint32_t kLoadUpwardLibrary = 0x23;
constexpr std::uint32_t kSomeInstructions = 0x400;
constexpr std::uint32_t kPureInstructions = 0x80000000;
constexpr std::uint8_t kDebugSymbol = 0xe0;  // N_STAB
constexpr std::uint8_t kSymbolType = 0x0e;   // N_TYPE
constexpr std::uint8_t kInSection = 0x0e;    // N_SECT
constexpr std::uint8_t kExternal = 1;
constexpr std::uint8_t kPrivateExternal = 0x10;
constexpr std::uint16_t kThumb = 8;  // N_ARM_THUMB_DEF

bool LoadsLibrary(std::uint32_t type) {
  const std::uint32_t number = type & ~kRequired;
  return number == kLoadLibrary || number == kLoadWeakLibrary || number == kReexportLibrary || number == kLazyLoadLibrary ||
         number == kLoadUpwardLibrary;
}

std::string Version(std::uint32_t packed) { return StrCat(packed >> 16, ".", (packed >> 8) & 0xff, ".", packed & 0xff); }

std::string ToolName(std::uint32_t tool) {
  if (tool == 1) return "clang";
  if (tool == 2) return "swift";
  if (tool == 3) return "ld";
  return tool == 4 ? "lld" : StrCat("tool ", tool);
}

// LC_BUILD_VERSION: command, size, platform, least system, SDK, count; then tools with their versions.
void ReadTools(ByteView command, LibraryFacts& facts) {
  const std::uint32_t count = std::min(command.Read<std::uint32_t>(20).value_or(0), 16U);
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto tool = command.Read<std::uint32_t>(24 + 8 * i);
    const auto version = command.Read<std::uint32_t>(28 + 8 * i);
    if (!tool || !version) return;
    const std::string text = ToolName(*tool) + " " + Version(*version);
    if (*tool == 3 || *tool == 4) {
      facts.linker = text;
    } else {
      facts.compilers.push_back(text);
    }
  }
}

void ReadCommands(const std::vector<macho::Command>& commands, LibraryFacts& facts) {
  for (const macho::Command& command : commands) {
    const auto text = [&] { return std::string(TextAt(command.bytes, command.bytes.Read<std::uint32_t>(8).value_or(0))); };
    if (command.type == macho::kIdDylib) facts.name = text();
    if (LoadsLibrary(command.type)) facts.needed.push_back(text());
    if (command.type == macho::kBuildVersion) ReadTools(command.bytes, facts);
    if (command.type != kUuid) continue;
    if (const auto uuid = command.bytes.Slice(8, 16)) facts.build_id = HexBytes(uuid->data(), uuid->size());
  }
}

bool IsInCode(const LibraryFacts& facts, std::uint64_t address) {
  return std::any_of(facts.sections.begin(), facts.sections.end(), [address](const LibrarySection& section) {
    return section.is_code && address >= section.address && address - section.address < section.size;
  });
}

void AddFunction(ByteView library, const std::vector<macho::Segment>& segments, std::string_view symbol, std::uint64_t address,
                 bool is_exported, LibraryFacts& facts) {
  if (symbol.empty() || !IsInCode(facts, address)) return;
  LibraryFunction function;
  function.name = symbol.substr(symbol.front() == '_' ? 1 : 0);  // as C has it
  function.address = address;
  function.bytes = macho::BytesFrom(library, segments, address).value_or(ByteView());
  function.is_exported = is_exported;
  facts.functions.push_back(std::move(function));
}

// LC_SYMTAB: command, size, offset of symbols, their number, offset of strings, their size.
void ReadSymbols(ByteView library, const macho::Header& header, const macho::Command& command,
                 const std::vector<macho::Segment>& segments, LibraryFacts& facts) {
  const auto field = [&](std::size_t at) { return command.bytes.Read<std::uint32_t>(at).value_or(0); };
  const ByteView strings = library.Slice(field(16), field(20)).value_or(ByteView());
  const std::uint64_t entry_size = header.is_64 ? 16 : 12;
  for (std::uint64_t i = 0; i < std::min<std::uint64_t>(field(12), kMostFunctions); ++i) {
    const auto entry = library.Slice(field(8) + i * entry_size, entry_size);
    if (!entry) return;
    const unsigned type = *entry->Read<std::uint8_t>(4);
    if ((type & kDebugSymbol) != 0 || (type & kSymbolType) != kInSection) continue;
    std::uint64_t address = header.is_64 ? *entry->Read<std::uint64_t>(8) : *entry->Read<std::uint32_t>(8);
    if ((*entry->Read<std::uint16_t>(6) & kThumb) != 0) address &= ~std::uint64_t{1};
    AddFunction(library, segments, TextAt(strings, *entry->Read<std::uint32_t>(0)), address,
                (type & (kExternal | kPrivateExternal)) == kExternal, facts);
  }
}

// Names are on the way from the root; no way is longer than the trie's bytes, but all of them together may be: a budget.
void ReadTrie(ByteView library, const std::vector<macho::Segment>& segments, const macho::Trie& trie, LibraryFacts& facts) {
  const std::uint64_t base = segments.empty() ? 0 : segments.front().address;
  std::uint64_t budget = std::uint64_t{64} << 20;
  std::vector<std::pair<std::size_t, std::string>> ways = {{0, ""}};
  while (!ways.empty()) {
    const auto [node, name] = std::move(ways.back());
    ways.pop_back();
    if (!trie[node].terminal.empty()) {
      const auto exported = macho::ParseExport(trie[node].terminal);
      const auto address = exported.ok() && exported->is_plain() ? CheckedAdd(base, exported->address) : std::nullopt;
      if (address) AddFunction(library, segments, name, *address, true, facts);
    }
    for (const macho::TrieEdge& edge : trie[node].edges) {
      const std::size_t size = name.size() + edge.label.size();
      if (size > budget) return;
      budget -= size;
      ways.emplace_back(edge.child, name + std::string(edge.label));
    }
  }
}

void ReadExports(ByteView library, const macho::Header& header, const std::vector<macho::Command>& commands,
                 const std::vector<macho::Segment>& segments, LibraryFacts& facts) {
  const auto place = macho::FindTrie(header, commands);
  if (!place.ok() || !*place) return;
  const auto bytes = library.Slice((*place)->blob.offset, (*place)->blob.size);
  if (!bytes || bytes->empty()) return;
  const auto trie = macho::ParseTrie(*bytes);
  if (trie.ok() && !trie->empty()) ReadTrie(library, segments, *trie, facts);
}

}  // namespace

Result<LibraryFacts> ReadMachOFacts(ByteView library) {
  PANNIER_TRY(const macho::Header header, macho::ParseHeader(library));
  PANNIER_TRY(const std::vector<macho::Command> commands, macho::ParseCommands(library, header));
  PANNIER_TRY(const std::vector<macho::Segment> segments, macho::ParseSegments(header, commands));
  LibraryFacts facts;
  facts.format = FileFormat::kMachO;
  facts.bits = header.is_64 ? 64 : 32;
  facts.machine = macho::ArchName(header.cpu_type, header.cpu_subtype);
  for (const macho::Segment& segment : segments) {
    for (const macho::Section& section : segment.sections) {
      const bool has_bytes = section.has_bytes() && section.size != 0;
      if (has_bytes && !library.Contains(section.offset, section.size)) continue;
      facts.sections.push_back({StrCat(section.segment_name, ",", section.name), section.address, has_bytes ? section.offset : 0,
                                has_bytes ? section.size : 0, section.size,
                                (section.flags & (kSomeInstructions | kPureInstructions)) != 0});
    }
  }
  ReadCommands(commands, facts);
  for (const macho::Command& command : commands) {
    if (command.type == macho::kSymbolTable) ReadSymbols(library, header, command, segments, facts);
  }
  ReadExports(library, header, commands, segments, facts);
  SortFunctions(facts);
  return facts;
}

}  // namespace pannier
