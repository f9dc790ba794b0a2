// The tables of exports copied with one name more: ordinals stay, names stay sorted. The directory itself stays where it is, and
// leads to them: GNU strip and objcopy have it begin where a section .edata does, and forwarders are told by lying within its
// range.
#include "embedder/formats/pe_export.h"

#include <algorithm>
#include <vector>

#include "embedder/formats/new_symbol.h"
#include "src/pe_exports.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::string_view kNoName = "library.dll";  // of a host that does not say its own; the same whatever its file is called
constexpr std::uint32_t kFirstOrdinal = 1;

void Put(std::vector<std::uint8_t>& bytes, std::size_t offset, std::uint64_t value) {
  StoreInteger(bytes.data() + offset, static_cast<std::uint32_t>(value), ByteOrder::kLittle);
}

Result<PeExport> Redirect(const PeExports& exports, std::string_view name) {
  PeExport exported;
  for (const PeExportName& own : exports.names) {
    if (own.text != name) continue;
    if (exports.forwarders[own.index]) return NoNewSymbol(StrCat(name, " is a forwarder to another library"));
    for (const PeExportName& other : exports.names) {
      if (other.index == own.index && other.text != name)
        return NoNewSymbol(StrCat(name, " and ", Printable(other.text), " are one, which would both lead elsewhere"));
    }
    const std::uint64_t entry = exports.addresses_offset + 4 * std::uint64_t{own.index};
    if (std::find(exported.entries.begin(), exported.entries.end(), entry) == exported.entries.end())
      exported.entries.push_back(entry);
  }
  return exported;
}

Result<PeExport> Add(const PeModel& host, const PeExports* exports, std::string_view name, std::uint64_t address) {
  const std::size_t count = exports != nullptr ? exports->addresses.size() : 0;
  std::vector<PeExportName> names = exports != nullptr ? exports->names : std::vector<PeExportName>();
  if (count == kPeMostExports) return NoNewSymbol(StrCat("found ", count, " exports, expected fewer; ordinals have 16 bits"));
  names.push_back({name, 0, static_cast<std::uint16_t>(count)});
  // Windows looks for names by halving, and compares bytes without sign.
  std::stable_sort(names.begin(), names.end(), [](const PeExportName& a, const PeExportName& b) { return a.text < b.text; });

  PeExport exported;
  std::vector<std::uint8_t>& bytes = exported.tables;
  const std::size_t addresses = exports != nullptr ? 0 : kPeExportDirectorySize;
  const std::size_t pointers = addresses + 4 * (count + 1);
  const std::size_t indices = pointers + 4 * names.size();
  bytes.resize(indices + 2 * names.size());
  const auto put_text = [&](std::size_t offset, std::string_view text) {
    Put(bytes, offset, address + bytes.size());
    bytes.insert(bytes.end(), text.begin(), text.end());
    bytes.push_back(0);
  };
  for (std::size_t i = 0; i < count; ++i) Put(bytes, addresses + 4 * i, exports->addresses[i]);
  exported.added = addresses + 4 * count;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i].address != 0) Put(bytes, pointers + 4 * i, names[i].address);
    if (names[i].address == 0) put_text(pointers + 4 * i, name);
    StoreInteger(bytes.data() + indices + 2 * i, names[i].index, ByteOrder::kLittle);
  }

  std::vector<std::uint8_t> directory(kPeExportDirectorySize);
  Put(directory, kPeExportBase, kFirstOrdinal);
  Put(directory, kPeExportCount, count + 1);
  Put(directory, kPeExportNameCount, names.size());
  Put(directory, kPeExportAddresses, address + addresses);
  Put(directory, kPeExportNames, address + pointers);
  Put(directory, kPeExportIndices, address + indices);
  if (exports != nullptr) {
    const auto offset = static_cast<std::uint64_t>(exports->directory.data() - host.bytes.data());
    exported.directory = Edit{offset + kPeExportCount, {directory.begin() + kPeExportCount, directory.end()}};
  } else {
    std::copy(directory.begin(), directory.end(), bytes.begin());
    put_text(kPeExportLibrary, kNoName);
  }
  if (address + bytes.size() > UINT32_MAX)
    return NoNewSymbol(StrCat("found ", bytes.size(), " bytes of export tables, expected what ends below address 4 GiB"));
  return exported;
}

}  // namespace

Result<PeExport> ExportPeSymbol(const PeModel& host, std::string_view name, std::uint64_t address) {
  PANNIER_TRY(const std::optional<PeExports> exports, ReadPeExports(host));
  if (exports) {
    PANNIER_TRY(PeExport exported, Redirect(*exports, name));
    if (!exported.entries.empty()) return exported;
  }
  if (host.header.directory_count <= pe::kExportDirectory)
    return NoNewSymbol("found no data directories, expected one for exports");
  return Add(host, exports ? &*exports : nullptr, name, address);
}

}  // namespace pannier
