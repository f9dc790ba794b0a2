// What a PE library says of itself. Source: Microsoft's "PE Format": import and export tables, .pdata, COFF symbols, CodeView.
#include <algorithm>
#include <map>
#include <utility>

#include "embedder/view/library_facts.h"
#include "src/pe_exports.h"
#include "src/pe_file.h"
#include "src/pe_model.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::size_t kImportDirectory = 1;
constexpr std::size_t kExceptionDirectory = 3;
constexpr std::uint32_t kCodeSection = 0x20000020;  // executable, or holds code
constexpr std::uint16_t kMachineX64 = 0x8664;
constexpr std::uint16_t kMachineArm64 = 0xaa64;
constexpr std::uint32_t kCodeViewType = 2;
constexpr std::uint16_t kFunctionType = 0x20;  // of a COFF symbol
constexpr std::uint8_t kExternalSymbol = 2;
constexpr std::uint8_t kStaticSymbol = 3;

std::string MachineName(std::uint16_t machine) {
  if (machine == kMachineX64) return "x86-64";
  if (machine == 0x14c) return "i386";
  if (machine == kMachineArm64) return "aarch64";
  return machine == 0x1c4 ? "arm" : StrCat("machine ", Hex(machine));
}

// From an address on; what lies behind the section's bytes is not there.
ByteView BytesFrom(const PeModel& model, std::uint64_t address) { return PeBytesFrom(model, address).value_or(ByteView()); }

std::string TextFrom(const PeModel& model, std::uint64_t address) { return std::string(TextAt(BytesFrom(model, address), 0)); }

// "RSDS", a GUID and an age, as symbol servers name a build: first three of the GUID's parts are little-endian.
void ReadBuildId(const PeModel& model, LibraryFacts& facts) {
  const pe::DataDirectory& directory = model.header.directories[pe::kDebugDirectory];
  const ByteView entries = BytesFrom(model, directory.address);
  for (std::uint32_t i = 0; i < std::min(directory.size / kPeDebugEntrySize, kMaxPeDebugEntries); ++i) {
    const auto entry = entries.Slice(std::uint64_t{i} * kPeDebugEntrySize, kPeDebugEntrySize);
    if (!entry || *entry->Read<std::uint32_t>(12) != kCodeViewType) continue;
    const auto view = model.bytes.Slice(*entry->Read<std::uint32_t>(24), 24);
    if (!view || view->text().substr(0, 4) != "RSDS") continue;
    const std::uint8_t* const id = view->data() + 4;
    const std::uint8_t guid[16] = {id[3], id[2], id[1],  id[0],  id[5],  id[4],  id[7],  id[6],
                                   id[8], id[9], id[10], id[11], id[12], id[13], id[14], id[15]};
    facts.build_id = HexBytes(guid, sizeof guid) + Hex(*view->Read<std::uint32_t>(20)).substr(2);
    return;
  }
}

// Five words each: lookup table, time, forwarder chain, name, address table. A table of zeroes ends them.
void ReadImports(const PeModel& model, LibraryFacts& facts) {
  const ByteView entries = BytesFrom(model, model.header.directories[kImportDirectory].address);
  if (model.header.directories[kImportDirectory].address == 0) return;
  for (std::uint64_t at = 0; facts.needed.size() < 4096 && entries.Contains(at, 20); at += 20) {
    const std::uint32_t name = *entries.Read<std::uint32_t>(at + 12);
    if (name == 0) return;
    facts.needed.push_back(TextFrom(model, name));
  }
}

// .pdata of x64: begin, end and unwind data of each function.
std::map<std::uint32_t, std::uint32_t> ReadFunctionSizes(const PeModel& model) {
  std::map<std::uint32_t, std::uint32_t> sizes;
  const pe::DataDirectory& directory = model.header.directories[kExceptionDirectory];
  if (model.header.machine != kMachineX64 || directory.address == 0) return sizes;
  const ByteView entries = BytesFrom(model, directory.address);
  for (std::uint64_t at = 0; at + 12 <= std::min<std::uint64_t>(directory.size, entries.size()); at += 12) {
    const std::uint32_t begin = *entries.Read<std::uint32_t>(at);
    const std::uint32_t end = *entries.Read<std::uint32_t>(at + 4);
    if (end > begin) sizes.emplace(begin, end - begin);
  }
  return sizes;
}

class FunctionReader {
 public:
  FunctionReader(const PeModel& model, LibraryFacts& facts) : model_(model), facts_(facts), sizes_(ReadFunctionSizes(model)) {}

  void ReadExported() {
    const auto exports = ReadPeExports(model_);
    if (!exports.ok() || !*exports) return;
    facts_.name = TextFrom(model_, (*exports)->directory.Read<std::uint32_t>(kPeExportLibrary).value_or(0));
    for (const PeExportName& name : (*exports)->names) {
      if (name.index >= (*exports)->addresses.size() || (*exports)->forwarders[name.index]) continue;
      Add(std::string(name.text), (*exports)->addresses[name.index], true);
    }
  }

  // 18 bytes each: name or offset of one, value, section, type, class, and how many further entries belong to it.
  void ReadCoffSymbols() {
    const pe::Header& header = model_.header;
    const std::uint64_t table_size = std::uint64_t{header.symbol_count} * pe::kSymbolSize;
    const auto table = model_.bytes.Slice(header.symbol_offset, table_size);
    if (header.symbol_offset == 0 || !table) return;
    const std::uint64_t strings_at = header.symbol_offset + table_size;
    const ByteView strings = *model_.bytes.Slice(strings_at, model_.bytes.size() - strings_at);
    for (std::uint64_t i = 0; i < std::min<std::uint64_t>(header.symbol_count, kMostFunctions); ++i) {
      const ByteView entry = *table->Slice(i * pe::kSymbolSize, pe::kSymbolSize);
      const std::uint8_t storage = *entry.Read<std::uint8_t>(16);
      const std::uint32_t section = *entry.Read<std::uint16_t>(12);
      i += *entry.Read<std::uint8_t>(17);
      if (*entry.Read<std::uint16_t>(14) != kFunctionType || section == 0 || section > model_.sections.size()) continue;
      if (storage != kExternalSymbol && storage != kStaticSymbol) continue;
      const bool is_long = *entry.Read<std::uint32_t>(0) == 0;
      const std::string_view short_name = entry.text().substr(0, 8);
      std::string_view name =
          is_long ? TextAt(strings, *entry.Read<std::uint32_t>(4)) : short_name.substr(0, short_name.find('\0'));
      if (header.machine == 0x14c && name.starts_with('_')) name.remove_prefix(1);  // as C has it
      Add(std::string(name), std::uint64_t{model_.sections[section - 1].address} + *entry.Read<std::uint32_t>(8), false);
    }
  }

 private:
  void Add(std::string name, std::uint64_t address, bool is_exported) {
    const auto section = std::find_if(facts_.sections.begin(), facts_.sections.end(), [address](const LibrarySection& other) {
      return other.is_code && address >= other.address && address - other.address < other.size;
    });
    if (name.empty() || section == facts_.sections.end()) return;
    LibraryFunction function;
    function.name = std::move(name);
    function.address = address;
    function.bytes = BytesFrom(model_, address);
    const auto size = sizes_.find(static_cast<std::uint32_t>(address));
    if (size != sizes_.end()) {
      function.size = size->second;
      function.bytes = ByteView(function.bytes.data(), std::min<std::size_t>(function.bytes.size(), size->second));
    }
    function.is_exported = is_exported;
    facts_.functions.push_back(std::move(function));
  }

  const PeModel& model_;
  LibraryFacts& facts_;
  const std::map<std::uint32_t, std::uint32_t> sizes_;
};

}  // namespace

Result<LibraryFacts> ReadPeFacts(ByteView library) {
  PANNIER_TRY(const PeModel model, ReadPeModel(library));
  LibraryFacts facts;
  facts.format = FileFormat::kPe;
  facts.bits = model.header.is_64 ? 64 : 32;
  facts.machine = MachineName(model.header.machine);
  const std::uint64_t linker = model.header.optional_offset() + 2;
  facts.linker =
      StrCat("linker ", library.Read<std::uint8_t>(linker).value_or(0), ".", library.Read<std::uint8_t>(linker + 1).value_or(0));
  for (const pe::Section& section : model.sections) {
    facts.sections.push_back({std::string(pe::SectionName(library, model.header, section)), section.address,
                              section.has_bytes() ? section.raw_offset : 0, section.has_bytes() ? section.raw_size : 0,
                              section.memory_size(), (section.characteristics & kCodeSection) != 0});
  }
  ReadBuildId(model, facts);
  ReadImports(model, facts);
  FunctionReader functions(model, facts);
  functions.ReadExported();
  functions.ReadCoffSymbols();
  SortFunctions(facts);
  return facts;
}

}  // namespace pannier
