// What an ELF library says of itself. Sources: System V gABI; for the build id, binutils' NT_GNU_BUILD_ID note.
#include <algorithm>
#include <utility>

#include "embedder/view/library_facts.h"
#include "src/elf_dynamic.h"
#include "src/elf_file.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::uint64_t kTagNeeded = 1;
constexpr std::uint64_t kTagName = 14;
constexpr std::uint32_t kBuildIdNote = 3;
constexpr std::uint8_t kFunctionSymbol = 2;
constexpr std::uint8_t kIndirectFunction = 10;  // STT_GNU_IFUNC
constexpr std::uint8_t kLocalBinding = 0;
constexpr std::uint64_t kExecutableSection = 4;  // SHF_EXECINSTR
constexpr std::uint16_t kMachineArm = 40;

std::string MachineName(const elf::Header& header) {
  static constexpr std::pair<std::uint16_t, std::string_view> kNames[] = {
      {2, "sparc"},   {3, "i386"},    {4, "m68k"},       {8, "mips"},          {15, "hppa"},     {18, "sparc32plus"},
      {20, "ppc"},    {21, "ppc64"},  {22, "s390"},      {kMachineArm, "arm"}, {42, "sh"},       {43, "sparcv9"},
      {50, "ia64"},   {62, "x86-64"}, {94, "xtensa"},    {164, "hexagon"},     {183, "aarch64"}, {195, "arcv2"},
      {243, "riscv"}, {252, "csky"},  {258, "loongarch"}};
  const auto* const found =
      std::find_if(std::begin(kNames), std::end(kNames), [&](const auto& name) { return name.first == header.machine; });
  if (found == std::end(kNames)) return StrCat("machine ", header.machine);
  if (header.machine == 22 && header.is_64) return "s390x";
  if (header.machine == 243) return header.is_64 ? "riscv64" : "riscv32";
  if (header.machine == 21 && header.order == ByteOrder::kLittle) return "ppc64le";
  return std::string(found->second);
}

// Of one segment or section of notes.
std::string BuildIdIn(ByteView notes, const elf::Header& header, std::uint64_t align) {
  const std::uint64_t step = align == 8 ? 8 : 4;
  std::uint64_t at = 0;
  while (notes.Contains(at, 12)) {
    const std::uint64_t name_size = *notes.Read<std::uint32_t>(at, header.order);
    const std::uint64_t size = *notes.Read<std::uint32_t>(at + 4, header.order);
    const std::uint32_t type = *notes.Read<std::uint32_t>(at + 8, header.order);
    const std::uint64_t begin = AlignUp(at + 12 + name_size, step);
    const auto name = notes.Slice(at + 12, name_size);
    const auto value = notes.Slice(begin, size);
    if (!name || !value) break;
    if (type == kBuildIdNote && name->text() == std::string_view("GNU\0", 4)) return HexBytes(value->data(), value->size());
    at = AlignUp(begin + size, step);
  }
  return {};
}

void ReadBuildId(const elf::DynamicFile& file, LibraryFacts& facts) {
  for (const elf::Segment& segment : file.segments) {
    const auto notes = file.bytes.Slice(segment.offset, segment.filesz);
    if (segment.type != elf::kSegmentNote || !notes || !facts.build_id.empty()) continue;
    facts.build_id = BuildIdIn(*notes, file.header, segment.align);
  }
}

// .comment: who compiled; lld and mold put themselves there, too. GNU gold has a note of its own; GNU ld leaves no trace.
void ReadComments(const elf::DynamicFile& file, const std::vector<elf::Section>& sections, LibraryFacts& facts) {
  for (const elf::Section& section : sections) {
    const auto bytes = section.has_bytes() ? file.bytes.Slice(section.offset, section.size) : std::nullopt;
    if (!bytes) continue;
    if (section.name == ".note.gnu.gold-version") facts.linker = TextAt(*bytes, 16);  // behind header and name
    if (section.name != ".comment") continue;
    for (std::size_t at = 0; at < bytes->size() && facts.compilers.size() < 16;) {
      const std::string_view text = TextAt(*bytes, at);
      at += text.size() + 1;
      if (text.empty()) continue;
      if (text.starts_with("Linker: ")) {
        facts.linker = text.substr(8);
      } else if (text.starts_with("mold ")) {
        facts.linker = text;
      } else {
        facts.compilers.emplace_back(text);
      }
    }
  }
}

// What a tag leads to, as far as the file has it.
ByteView BytesFrom(const elf::DynamicFile& file, std::uint64_t address) {
  const auto offset = file.FileOffset(address);
  return offset && *offset <= file.bytes.size() ? *file.bytes.Slice(*offset, file.bytes.size() - *offset) : ByteView();
}

ByteView DynamicStrings(const elf::DynamicFile& file) {
  const elf::DynamicEntry* const strings = file.Find(elf::kTagStrings);
  const elf::DynamicEntry* const size = file.Find(elf::kTagStringsSize);
  if (strings == nullptr || size == nullptr) return {};
  const ByteView bytes = BytesFrom(file, strings->value);
  return {bytes.data(), static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), size->value))};
}

void AddSymbols(const elf::DynamicFile& file, std::uint64_t offset, std::uint64_t count, ByteView strings, bool are_exported,
                LibraryFacts& facts) {
  for (std::uint64_t i = 0; i < std::min<std::uint64_t>(count, kMostFunctions); ++i) {
    const auto at = CheckedAdd(offset, i * elf::SymbolSize(file.header));
    const auto symbol = at ? elf::ParseSymbol(file.bytes, file.header, *at) : std::nullopt;
    if (!symbol) return;
    const unsigned type = symbol->info & 15U;
    if (symbol->section == elf::kUndefinedSection || (type != kFunctionSymbol && type != kIndirectFunction)) continue;
    const std::string_view name = TextAt(strings, symbol->name);
    if (name.empty()) continue;
    LibraryFunction function;
    function.name = name;
    function.address = file.header.machine == kMachineArm ? symbol->value & ~std::uint64_t{1} : symbol->value;  // Thumb's mark
    function.size = symbol->size;
    function.is_exported = are_exported && symbol->info >> 4 != kLocalBinding;
    const ByteView bytes = BytesFrom(file, function.address);
    function.bytes = ByteView(bytes.data(), symbol->size == 0 ? bytes.size() : std::min<std::size_t>(bytes.size(), symbol->size));
    facts.functions.push_back(std::move(function));
  }
}

void ReadFunctions(const elf::DynamicFile& file, const std::vector<elf::Section>& sections, LibraryFacts& facts) {
  const elf::DynamicEntry* const symbols = file.Find(elf::kTagSymbols);
  const auto offset = symbols != nullptr ? file.FileOffset(symbols->value) : std::nullopt;
  if (offset) AddSymbols(file, *offset, elf::CountDynamicSymbols(file), DynamicStrings(file), true, facts);
  for (const elf::Section& section : sections) {
    if (section.type != elf::kSectionSymbols || section.link >= sections.size()) continue;
    const auto strings = file.bytes.Slice(sections[section.link].offset, sections[section.link].size);
    AddSymbols(file, section.offset, section.size / elf::SymbolSize(file.header), strings.value_or(ByteView()), false, facts);
  }
}

}  // namespace

Result<LibraryFacts> ReadElfFacts(ByteView library) {
  elf::DynamicFile file;
  file.bytes = library;
  PANNIER_TRY(file.header, elf::ParseHeader(library));
  PANNIER_TRY(file.segments, elf::ParseSegments(library, file.header));
  PANNIER_TRY(file.dynamic, elf::ParseDynamic(library, file.header, file.segments));
  PANNIER_TRY(const std::vector<elf::Section> sections, elf::ParseSections(library, file.header));
  LibraryFacts facts;
  facts.format = FileFormat::kElf;
  facts.bits = file.header.is_64 ? 64 : 32;
  facts.order = file.header.order;
  facts.machine = MachineName(file.header);
  for (const elf::Section& section : sections) {
    if (section.type == elf::kSectionNull) continue;
    facts.sections.push_back({std::string(section.name), section.address, section.has_bytes() ? section.offset : 0,
                              section.has_bytes() ? section.size : 0, section.is_allocated() ? section.size : 0,
                              (section.flags & kExecutableSection) != 0});
  }
  const ByteView strings = DynamicStrings(file);
  for (const elf::DynamicEntry& entry : file.dynamic) {
    if (entry.tag == kTagNeeded) facts.needed.emplace_back(TextAt(strings, entry.value));
    if (entry.tag == kTagName) facts.name = TextAt(strings, entry.value);
  }
  ReadBuildId(file, facts);
  ReadComments(file, sections, facts);
  ReadFunctions(file, sections, facts);
  SortFunctions(facts);
  return facts;
}

}  // namespace pannier
