// The export directory copied with one name more: ordinals stay, names stay sorted, and what forwarders lead to comes along, since
// an address within the directory's range is what makes a forwarder.
#include "embedder/pe_export.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "src/pe_exports.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::string_view kNoName = "library.dll";  // of a host that does not say its own; the same whatever its file is called
constexpr std::uint32_t kFirstOrdinal = 1;

Status Refuse(std::string why) { return {ErrorCode::kUnsupported, StrCat("no symbol can be added: ", why)}; }

// A directory, and behind it its tables, then texts; addresses are known from the start.
class Writer {
 public:
  Writer(std::uint64_t address, std::uint64_t before_texts) : address_(address), bytes_(before_texts) {}

  template <typename T>
  void Put(std::size_t offset, T value) {
    StoreInteger(bytes_.data() + offset, value, ByteOrder::kLittle);
  }
  void PutAddress(std::size_t offset, std::size_t of) { Put(offset, static_cast<std::uint32_t>(address_ + of)); }
  // A text behind all others, and its address.
  void PutText(std::size_t offset, std::string_view text) {
    PutAddress(offset, bytes_.size());
    bytes_.insert(bytes_.end(), text.begin(), text.end());
    bytes_.push_back(0);
  }
  void Copy(ByteView bytes) { std::copy(bytes.begin(), bytes.end(), bytes_.begin()); }
  std::vector<std::uint8_t> Take() { return std::move(bytes_); }

 private:
  std::uint64_t address_;
  std::vector<std::uint8_t> bytes_;
};

Result<PeExport> Redirect(const PeExports& exports, std::string_view name) {
  PeExport exported;
  for (const PeExportName& own : exports.names) {
    if (own.text != name) continue;
    if (exports.forwarders[own.index]) return Refuse(StrCat(name, " is a forwarder to another library"));
    for (const PeExportName& other : exports.names) {
      if (other.index == own.index && other.text != name)
        return Refuse(StrCat(name, " and ", Printable(other.text), " are one, which would both lead elsewhere"));
    }
    const std::uint64_t entry = exports.addresses_offset + 4 * std::uint64_t{own.index};
    if (std::find(exported.entries.begin(), exported.entries.end(), entry) == exported.entries.end())
      exported.entries.push_back(entry);
  }
  return exported;
}

Result<PeExport> Add(const PeExports& exports, std::string_view name, std::uint64_t address) {
  const std::size_t count = exports.addresses.size();
  const std::uint32_t base = exports.directory.empty() ? kFirstOrdinal : *exports.directory.Read<std::uint32_t>(kPeExportBase);
  if (count + base > UINT16_MAX)
    return Refuse(StrCat("found ", count, " exports from ordinal ", base, " on, expected a free ordinal below 65536"));
  std::vector<PeExportName> names = exports.names;
  names.push_back({name, static_cast<std::uint16_t>(count)});
  // Windows compares bytes without sign.
  std::stable_sort(names.begin(), names.end(), [](const PeExportName& a, const PeExportName& b) { return a.text < b.text; });

  const std::size_t addresses = kPeExportDirectorySize;
  const std::size_t pointers = addresses + 4 * (count + 1);
  const std::size_t indices = pointers + 4 * names.size();
  Writer writer(address, indices + 2 * names.size());
  writer.Copy(exports.directory);
  writer.Put(kPeExportBase, base);
  writer.Put(kPeExportCount, static_cast<std::uint32_t>(count + 1));
  writer.Put(kPeExportNameCount, static_cast<std::uint32_t>(names.size()));
  writer.PutAddress(kPeExportAddresses, addresses);
  writer.PutAddress(kPeExportNames, pointers);
  writer.PutAddress(kPeExportIndices, indices);
  writer.PutText(kPeExportLibrary, exports.library.empty() ? kNoName : exports.library);
  for (std::size_t i = 0; i < names.size(); ++i) {
    writer.PutText(pointers + 4 * i, names[i].text);
    writer.Put(indices + 2 * i, names[i].index);
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (const auto& forwarder = exports.forwarders[i]) {
      writer.PutText(addresses + 4 * i, *forwarder);
    } else {
      writer.Put(addresses + 4 * i, exports.addresses[i]);
    }
  }
  PeExport exported;
  exported.directory = writer.Take();
  exported.added = addresses + 4 * count;
  if (address + exported.directory.size() > UINT32_MAX)
    return Refuse(StrCat("found ", exported.directory.size(), " bytes of exports, expected what ends below address 4 GiB"));
  return exported;
}

}  // namespace

Result<PeExport> ExportPeSymbol(const PeModel& host, std::string_view name, std::uint64_t address) {
  PANNIER_TRY(const std::optional<PeExports> exports, ReadPeExports(host));
  if (exports) {
    PANNIER_TRY(PeExport exported, Redirect(*exports, name));
    if (!exported.entries.empty()) return exported;
  }
  if (host.header.directory_count <= pe::kExportDirectory) return Refuse("found no data directories, expected one for exports");
  return Add(exports.value_or(PeExports()), name, address);
}

}  // namespace pannier
