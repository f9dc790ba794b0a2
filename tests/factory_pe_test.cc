// --as-factory for PE: the exported symbol in hosts of all kinds, export directories that are damaged, what is refused.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/exported_symbol.h"
#include "src/module_blob.h"
#include "src/pe_exports.h"
#include "src/text.h"
#include "tests/factory_fixture.h"
#include "tests/pe_builder.h"

namespace pannier {
namespace {

constexpr std::uint32_t kDataAddress = 0x1000;  // in the PE builder's first section

PeParts WithExports(std::vector<PeExportParts> exports) {
  PeParts parts;
  parts.sections.back() = {".rdata", 0x40000040, 2048, 2048};
  parts.exports = std::move(exports);
  return parts;
}

const std::vector<PeExportParts> kExports = {
    {"Zeta", 0x1010},  {"", 0}, {"__tvm_dev_mblo", 0x1020}, {"", 0x1030}, {"__tvm_dev_mblob_", 0, "kernel32.Beep"},
    {"answer", 0x2004}};

TEST_CASE("PE: a host without exports gets a directory of one") {
  const FactoryFiles files;
  for (const bool is_64 : {true, false}) {
    PeParts parts;
    parts.is_64 = is_64;
    const std::string bundle = files.RoundTrip(BuildPe(parts));
    CheckBlob(bundle);
    const PeModel model = ModelOf(bundle);
    const auto exports = *ReadPeExports(model);
    REQUIRE(exports);
    CHECK(exports->addresses.size() == 1);
    CHECK(exports->names.size() == 1);
    CHECK(*exports->directory.Read<std::uint32_t>(kPeExportBase) == 1);
    const auto library = PeBytesFrom(model, *exports->directory.Read<std::uint32_t>(kPeExportLibrary));
    CHECK(library->text().substr(0, 12) == std::string_view("library.dll\0", 12));
    // It must not look like a forwarder.
    CHECK(!exports->forwarders[0]);
  }
}

TEST_CASE("PE: ordinals, forwarders and the directory's place stay; names are in order") {
  const FactoryFiles files;
  const std::string host = BuildPe(WithExports(kExports));
  const std::string bundle = files.RoundTrip(host);
  CheckBlob(bundle);
  const PeModel before = ModelOf(host);
  const PeModel after = ModelOf(bundle);
  for (const std::uint64_t half : {0U, 4U}) {
    CHECK(*View(host).Read<std::uint32_t>(before.header.directory_field(0) + half) ==
          *View(bundle).Read<std::uint32_t>(after.header.directory_field(0) + half));
  }
  const PeExports old = **ReadPeExports(before);
  const PeExports now = **ReadPeExports(after);
  REQUIRE(now.addresses.size() == 7);
  CHECK(std::equal(old.addresses.begin(), old.addresses.end(), now.addresses.begin()));
  CHECK(std::equal(old.forwarders.begin(), old.forwarders.end(), now.forwarders.begin()));
  CHECK(!now.forwarders[6]);
  CHECK(now.forwarders[4] == "kernel32.Beep");
  std::vector<std::pair<std::string, unsigned>> names;
  for (const PeExportName& name : now.names) names.emplace_back(name.text, name.index);
  CHECK(names == std::vector<std::pair<std::string, unsigned>>{
                     {"Zeta", 0}, {"__tvm_dev_mblo", 2}, {"__tvm_dev_mblob", 6}, {"__tvm_dev_mblob_", 4}, {"answer", 5}});
  files.CheckCovered(bundle, now.addresses_offset, 4 * 7 + 4 * 5 + 2 * 5 + kBlobSymbol.size());
  CHECK(files.RoundTrip(host, 40).size() > bundle.size());
  CheckBlob(ReadFile(files.folder / "model"));
}

TEST_CASE("PE: the symbol leads to its section, however few section headers there are") {
  const FactoryFiles files;
  for (const std::uint32_t room : {32U, 40U, 120U, 160U, 200U, 240U, 400U}) {
    for (const int others : {0, 1, 2, 9}) {
      CAPTURE(room, others);
      PeParts parts = WithExports(kExports);
      parts.room = room;
      const std::string bundle = files.RoundTrip(BuildPe(parts), others);
      CheckBlob(bundle);
      const PeModel model = ModelOf(bundle);
      CHECK(model.header.section_table_end() <= model.header.headers_size);
    }
  }
}

TEST_CASE("PE: a host's own blob is replaced, its modules kept") {
  const FactoryFiles files;
  const std::string own = DeviceBlob();
  std::vector<PeExportParts> exports = kExports;
  exports.insert(exports.begin() + 3, {"__tvm_dev_mblob", kDataAddress});
  PeParts parts = WithExports(exports);
  parts.sections.front().virtual_size = 512;
  std::string host = BuildPe(parts);
  host.replace(ModelOf(host).sections.front().raw_offset, own.size(), own);
  const std::string bundle = files.RoundTrip(host);
  CheckBlob(bundle, 1);
  const PeExports now = **ReadPeExports(ModelOf(bundle));
  const PeExports old = **ReadPeExports(ModelOf(host));
  CHECK(now.addresses_offset == old.addresses_offset);
  for (std::size_t i = 0; i < old.addresses.size(); ++i) CHECK((now.addresses[i] == old.addresses[i]) == (i != 3));

  exports.push_back({"__tvm_dev_mblob_too", kDataAddress});
  CheckBlob(files.RoundTrip([&] {
    parts.exports = exports;
    std::string other = BuildPe(parts);
    return other.replace(ModelOf(other).sections.front().raw_offset, own.size(), own);
  }()),
            1);
}

TEST_CASE("PE: what cannot be exported is refused") {
  const FactoryFiles files;
  CHECK(files.Error(BuildPe(WithExports({{"__tvm_dev_mblob", 0, "other.__tvm_dev_mblob"}}))) ==
        "symbol __tvm_dev_mblob: found a forwarder to other.__tvm_dev_mblob, expected bytes of the file");
  CHECK(files.Error(BuildPe(WithExports({{"__tvm_dev_mblob", 0x2000}}))) ==
        "symbol __tvm_dev_mblob: found address 0x2000 without bytes, expected bytes of the file");
  CHECK(files.Error(BuildPe(WithExports({{"__tvm_dev_mblob", 0x1000}}))).substr(0, 45) ==
        "symbol __tvm_dev_mblob: module blob: size: fo");
  std::string none = BuildPe({});
  PeWriter(none).Word(ModelOf(none).header.directory_field(0) - 4, 0);
  CHECK(files.Error(none) == "no symbol can be added: found no data directories, expected one for exports");

  PeParts parts = WithExports({});
  parts.sections.push_back({".edata", 0x40000040, 0x42000, 0x42000});
  parts.exports = {{"a", 0x1000}};
  std::string full = BuildPe(parts);
  const std::uint64_t at = ModelOf(full).sections.back().raw_offset + kPeExportsAt;
  PeWriter(full).Word(at + kPeExportCount, 65536);
  PeWriter(full).Word(at + kPeExportAddresses, ModelOf(full).sections.back().address + 0x1000);
  std::fill_n(full.begin() + static_cast<std::ptrdiff_t>(at - kPeExportsAt + 0x1000), 4 * 65536, '\0');
  CHECK(files.Error(full) == "no symbol can be added: found 65536 exports, expected fewer; ordinals have 16 bits");

  // Two names of one address: the other's would be led elsewhere, too.
  std::string alias = BuildPe(WithExports({{"__tvm_dev_mblob", kDataAddress}, {"alias", 0x1010}}));
  const PeExports exports = **ReadPeExports(ModelOf(alias));
  const std::uint32_t indices = *exports.directory.Read<std::uint32_t>(kPeExportIndices);
  PeWriter(alias).Half(*PeFileOffset(ModelOf(alias).sections, indices, 4) + 2, 0);
  const std::string own = DeviceBlob();
  alias.replace(ModelOf(alias).sections.front().raw_offset, own.size(), own);
  PeWriter(alias).Word(ModelOf(alias).header.section_table_offset() + 8, 512);
  CHECK(files.Error(alias) == "no symbol can be added: __tvm_dev_mblob and alias are one, which would both lead elsewhere");
}

TEST_CASE("PE: damaged export directories") {
  const std::string good = BuildPe(WithExports(kExports));
  const std::uint64_t at = ModelOf(good).sections.back().raw_offset + kPeExportsAt;
  struct Damage {
    std::uint64_t field;
    std::uint32_t value;
    std::string message;
  };
  const std::uint64_t directory = ModelOf(good).header.directory_field(0);
  const std::vector<Damage> damages = {
      {directory, UINT32_MAX, "export directory: found 40 bytes at address 0xffffffff, expected them in a section's raw data"},
      {directory, 0x2000, "export directory: found 40 bytes at address 0x2000, expected them in a section's raw data"},
      {at + kPeExportCount, UINT32_MAX, "export addresses: found 4294967295, expected at most 65536"},
      {at + kPeExportCount, 1000, "export addresses: found 4000 bytes at address 0x4068, expected them in a section's raw data"},
      {at + kPeExportCount, 5, "exports: answer: found entry 5, expected one of 5"},
      {at + kPeExportNameCount, UINT32_MAX,
       "export names: found 17179869180 bytes at address 0x4080, expected them in a section's raw data"},
      {at + kPeExportNames, 0, "export names: found 16 bytes at address 0x0, expected them in a section's raw data"},
      {at + kPeExportIndices, 0x47ff, "export ordinals: found 8 bytes at address 0x47ff, expected them in a section's raw data"},
      {at + 64, UINT32_MAX, "exports: a symbol's name: found address 0xffffffff, expected one of a text in a section's raw data"},
      {at + 40, 0x47ff, ""},
  };
  for (const Damage& damage : damages) {
    std::string bad = good;
    PeWriter(bad).Word(damage.field, damage.value);
    const Result<std::optional<ByteView>> found = FindExported(View(bad), kBlobSymbol);
    CHECK(found.status().message() == damage.message);
    CHECK((found.ok() || found.status().code() == ErrorCode::kMalformed));
  }
  // Names that are one long text, over and over.
  PeParts parts = WithExports(std::vector<PeExportParts>(200, {"", 0x1000}));
  parts.sections.back().raw_size = parts.sections.back().virtual_size = 0x10000;
  std::string endless = BuildPe(parts);
  const std::uint64_t begin = ModelOf(endless).sections.back().raw_offset;
  std::fill_n(endless.begin() + static_cast<std::ptrdiff_t>(begin + 0x4000), 0x8000, 'a');
  for (std::uint64_t i = 0; i < 200; ++i) PeWriter(endless).Word(begin + 0x2000 + 4 * i, 0x4000 + 0x4000);
  PeWriter(endless).Word(begin + kPeExportsAt + kPeExportNameCount, 200);
  PeWriter(endless).Word(begin + kPeExportsAt + kPeExportNames, 0x4000 + 0x2000);
  PeWriter(endless).Word(begin + kPeExportsAt + kPeExportIndices, 0x4000 + 0x3000);
  std::fill_n(endless.begin() + static_cast<std::ptrdiff_t>(begin + 0x3000), 400, '\0');
  CHECK(FindExported(View(endless), kBlobSymbol).status().message() ==
        StrCat("exports: found texts of more than ", 2 * endless.size(), " bytes in all"));
  // Any byte of the directory and its tables, changed in any way, is an error or none, and no more.
  for (std::uint64_t i = at; i < at + 100; ++i) {
    for (const char value : {'\0', '\1', '\x7f', '\x80', '\xff'}) {
      std::string bad = good;
      bad[i] = value;
      (void)FindExported(View(bad), kBlobSymbol);
    }
  }
}

}  // namespace
}  // namespace pannier
