// --as-factory for PE and Mach-O: the exported symbol in hosts of all kinds, tables of exports that are damaged, what is refused.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "embedder/embed.h"
#include "embedder/opened_bundle.h"
#include "embedder/restore.h"
#include "src/exported_symbol.h"
#include "src/macho_trie.h"
#include "src/module_blob.h"
#include "src/pe_exports.h"
#include "src/text.h"
#include "src/verify.h"
#include "tests/file_fixture.h"
#include "tests/macho_builder.h"
#include "tests/params_builder.h"
#include "tests/pe_builder.h"

namespace pannier {
namespace {

constexpr std::uint32_t kDataAddress = 0x1000;  // in the PE builder's first section

ByteView View(const Bytes& bytes) { return {bytes.data(), bytes.size()}; }
ByteView View(const std::string& bytes) { return {bytes.data(), bytes.size()}; }
std::string Text(const Bytes& bytes) { return {bytes.begin(), bytes.end()}; }

class Files {
 public:
  Files() {
    WriteFile(folder / "graph.json", "{\"nodes\": [1, 2, 3]}");
    WriteFile(folder / "params.bin", BuildParams({{Pattern(64, 1)}, {Pattern(400, 2)}}));
    for (int i = 0; i < 40; ++i) WriteFile(folder / Label(i), Pattern(100, static_cast<std::uint32_t>(i)));
  }

  Result<EmbedSummary> Embed(const std::string& host, int others = 0) const {
    WriteFile(folder / "host", host);
    EmbedOptions options;
    options.encode.threads = 1;
    options.encode.codec = CodecChoice::kStore;
    options.factory_key = kFactoryKey;
    std::vector<NamedPath> artifacts = {{"graph", folder / "graph.json"}, {"params", folder / "params.bin"}};
    for (int i = 0; i < others; ++i) artifacts.push_back({Label(i), folder / Label(i)});
    return pannier::Embed(folder / "host", artifacts, folder / "model", options);
  }

  // Embeds, verifies file and image, restores; answers with the bundle's bytes.
  std::string RoundTrip(const std::string& host, int others = 0) const {
    const Result<EmbedSummary> summary = Embed(host, others);
    INFO(summary.status().message());
    REQUIRE(summary.ok());
    {
      const Result<OpenedBundle> bundle = OpenedBundle::Open(folder / "model");
      REQUIRE(bundle.ok());
      for (auto* const verify : {&VerifyFile, &VerifyImage}) {
        const Result<VerifyReport> report = (*verify)(bundle->file, bundle->reader, 1);
        REQUIRE(report.ok());
        CAPTURE(report->differences);
        CHECK(report->passed());
      }
    }
    const Status restored = Restore(folder / "model", folder / "restored");
    INFO(restored.message());
    REQUIRE(restored.ok());
    CHECK(ReadFile(folder / "restored") == host);
    return ReadFile(folder / "model");
  }

  // Every byte of the range counts when the file is verified.
  void CheckCovered(const std::string& bundle, std::uint64_t offset, std::uint64_t size) const {
    for (std::uint64_t i = offset; i < offset + size; ++i) {
      std::string bad = bundle;
      bad[i] = static_cast<char>(bad[i] ^ 1);
      WriteFile(folder / "bad", bad);
      const Result<OpenedBundle> opened = OpenedBundle::Open(folder / "bad");
      REQUIRE(opened.ok());
      const Result<VerifyReport> report = VerifyFile(opened->file, opened->reader, 1);
      CAPTURE(i);
      CHECK((!report.ok() || !report->passed()));
    }
  }

  std::string Error(const std::string& host) const {
    const Result<EmbedSummary> summary = Embed(host);
    if (summary.ok()) return "embedded";
    const std::string& message = summary.status().message();
    return message.substr(message.find(": ") + 2);  // behind the host's name
  }

  TemporaryDirectory folder;

 private:
  static std::string Label(int i) { return "l" + std::to_string(i); }
};

// The blob that the bundle exports; `devices`: of how many modules, all of the library's.
void CheckBlob(const std::string& bundle, std::uint64_t devices = 0) {
  const Result<std::optional<ByteView>> found = FindExported(View(bundle), kBlobSymbol);
  INFO(found.status().message());
  REQUIRE(found.ok());
  REQUIRE(*found);
  const Result<ModuleBlob> blob = ParseModuleBlob(**found);
  INFO(blob.status().message());
  REQUIRE(blob.ok());
  CHECK(blob->root_key == kFactoryKey);
  CHECK(blob->entries == 3 + devices);
  REQUIRE(blob->tree);
  std::vector<std::uint64_t> rows(3 + devices, 1 + devices);
  rows[0] = 0;
  rows[1] = 1;
  CHECK(blob->tree->row_pointers == rows);
  std::vector<std::uint64_t> children;
  for (std::uint64_t i = 0; i <= devices; ++i) children.push_back(1 + i);
  CHECK(blob->tree->children == children);
}

// As TVM links it into a library with one device module.
std::string DeviceBlob() {
  std::string content;
  const auto word = [&](std::uint64_t value) { PeWriter(content).Put(content.size(), value); };
  const auto string = [&](const std::string& text) {
    word(text.size());
    content += text;
  };
  word(3);
  string("_lib");
  string("opencl");
  string("__kernel");
  string("_import_tree");
  for (const unsigned value : {3U, 0U, 1U, 1U, 1U, 1U}) word(value);
  std::string blob;
  PeWriter(blob).Put(0, std::uint64_t{content.size()});
  return blob + content;
}

PeModel ModelOf(const std::string& file) {
  PeModel model;
  model.bytes = View(file);
  model.header = *pe::ParseHeader(model.bytes);
  model.sections = *pe::ParseSections(model.bytes, model.header);
  return model;
}

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
  const Files files;
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
  const Files files;
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
  const Files files;
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
  const Files files;
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
  const Files files;
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

const std::vector<ExportSpec> kTrie = {{"_answer", {0, 0x80, 0x20}},
                                       {"__tvm", {4, 0x80, 0x40}},
                                       {"___tvm_dev_mblob_", {0, 1}},
                                       {"___tvm_dev_mblo", {0, 2}},
                                       {"_re", {8, 1, '_', 'x', 0}}};

macho::Trie TrieOf(const std::string& file) {
  const macho::Header header = *macho::ParseHeader(View(file));
  const std::vector<macho::Command> commands = *macho::ParseCommands(View(file), header);
  const auto place = *macho::FindTrie(header, commands);
  REQUIRE(place);
  Result<macho::Trie> trie = macho::ParseTrie(*View(file).Slice(place->blob.offset, place->blob.size));
  INFO(trie.status().message());
  REQUIRE(trie.ok());
  return std::move(*trie);
}

TEST_CASE("Mach-O: a trie of any kind gets the symbol, with fixups and without") {
  const Files files;
  const std::vector<ExportSpec> longest = {{"___tvm_dev_mblob_" + std::string(300, 'x'), {0, 1}}};
  for (const std::uint32_t command : {macho::kDyldInfoOnly, macho::kExportsTrie}) {
    for (const bool is_64 : {true, false}) {
      for (const bool chained : {true, false}) {
        for (const std::vector<ExportSpec>& exports : {kTrie, longest, {}}) {
          for (const std::size_t segments : {1U, 2U}) {
            CAPTURE(command, is_64, chained, exports.size(), segments);
            MachOSpec spec;
            spec.is_64 = is_64;
            spec.cpu_type = is_64 ? macho::kCpuArm64 : macho::kCpuI386;
            spec.chained = chained;
            spec.data_segments = segments;
            spec.trie_command = command;
            if (!exports.empty() || segments == 2) spec.trie = BuildTrie(exports);
            const std::string bundle = files.RoundTrip(Text(BuildMachO(spec)), 3);
            CheckBlob(bundle);
            const macho::Trie trie = TrieOf(bundle);
            for (const ExportSpec& one : exports) CHECK(macho::FindInTrie(trie, one.name) == View(one.terminal));
            CHECK(macho::FindInTrie(trie, "___tvm_dev_mblob_y").empty());
            CHECK(macho::FindInTrie(trie, "___tvm_dev_m").empty());
            // What lay behind the trie is where the load commands say.
            const macho::Header header = *macho::ParseHeader(View(bundle));
            const Result<std::vector<macho::Command>> commands = macho::ParseCommands(View(bundle), header);
            for (const macho::Command& one : *commands) {
              if (one.type != macho::kSymbolTable) continue;
              CHECK(bundle.substr(*one.bytes.Read<std::uint32_t>(16), 9) == std::string("\0_answer\0", 9));
              CHECK(*one.bytes.Read<std::uint32_t>(8) % 8 == 0);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("Mach-O: the symbol leads to its section, however few section headers there are") {
  const Files files;
  for (std::uint64_t slack = 72 + 80 + 16; slack < 1000; slack += 80) {
    for (const int others : {0, 1, 2, 40}) {
      CAPTURE(slack, others);
      MachOSpec spec;
      spec.slack = slack;
      spec.trie_command = macho::kExportsTrie;
      spec.trie = BuildTrie(kTrie);
      const std::string bundle = files.RoundTrip(Text(BuildMachO(spec)), others);
      CheckBlob(bundle);
      const macho::Header header = *macho::ParseHeader(View(bundle));
      const auto segments = *macho::ParseSegments(header, *macho::ParseCommands(View(bundle), header));
      CHECK(header.commands_end() <= segments.front().sections.front().offset);
    }
  }
}

TEST_CASE("Mach-O: a host's own blob is replaced, in the trie and in the symbol table") {
  const Files files;
  for (const bool is_64 : {true, false}) {
    MachOSpec spec;
    spec.is_64 = is_64;
    spec.cpu_type = is_64 ? macho::kCpuX64 : macho::kCpuI386;
    spec.trie_command = macho::kDyldInfoOnly;
    spec.symbol = "___tvm_dev_mblob";
    spec.symbol_address = kBuilderPage;
    std::vector<ExportSpec> exports = kTrie;
    exports.insert(exports.begin(), {"___tvm_dev_mblob", {0, 0x80, 0x80, 1}});
    spec.trie = BuildTrie(exports);
    std::string host = Text(BuildMachO(spec));
    const std::string own = DeviceBlob();
    host.replace(kBuilderPage, own.size(), own);
    const std::string bundle = files.RoundTrip(host);
    CheckBlob(bundle, 1);

    const macho::Header header = *macho::ParseHeader(View(bundle));
    const std::vector<macho::Command> commands = *macho::ParseCommands(View(bundle), header);
    const macho::Export exported = *macho::ParseExport(macho::FindInTrie(TrieOf(bundle), spec.symbol));
    for (const macho::Command& command : commands) {
      if (command.type != macho::kSymbolTable) continue;
      const std::uint32_t entry = *command.bytes.Read<std::uint32_t>(8);
      CHECK(*View(bundle).Read<std::uint32_t>(entry + 8) == exported.address);
      // __text, __data, __data, __anchor, __factory.
      CHECK(*View(bundle).Read<std::uint8_t>(entry + 5) == 5);
    }
  }
}

TEST_CASE("Mach-O: what cannot be exported is refused") {
  const Files files;
  const auto with = [&](const std::function<void(MachOSpec&)>& change) {
    MachOSpec spec;
    spec.trie_command = macho::kExportsTrie;
    spec.trie = BuildTrie(kTrie);
    change(spec);
    return files.Error(Text(BuildMachO(spec)));
  };
  const std::string symbol = "___tvm_dev_mblob";
  CHECK(with([](MachOSpec&) {}) == "embedded");
  CHECK(with([](MachOSpec& s) { s.trie_command = 0; }) ==
        "no symbol can be added: found no export trie (LC_DYLD_INFO_ONLY or LC_DYLD_EXPORTS_TRIE), expected one; link it for macOS "
        "10.6 or later");
  CHECK(with([&](MachOSpec& s) {
          s.trie = BuildTrie({{symbol, {8, 1, '_', 'x', 0}}});
        }) == "symbol __tvm_dev_mblob: found an export of kind 0x8, expected bytes of the file");
  CHECK(with([&](MachOSpec& s) {
          s.trie = BuildTrie({{symbol, {2, 1}}});
        }) == "symbol __tvm_dev_mblob: found an export of kind 0x2, expected bytes of the file");
  CHECK(with([&](MachOSpec& s) {
          s.trie = BuildTrie({{symbol, {0, 0x80, 0x80, 0x80, 0x10}}});
        }) == "symbol __tvm_dev_mblob: found address 0x2000000 without bytes, expected bytes of the file");
  CHECK(with([&](MachOSpec& s) {
          s.trie = BuildTrie({{symbol, {0}}});
        }) == "export trie: found a symbol of 1 bytes, expected flags and address");
  CHECK(with([](MachOSpec& s) {
          s.extra = {Command(macho::kDyldInfoOnly, {0, 0, 0, 0, 0, 0, 0, 0, 3 * 0x4000, 16})};
        }) == "export trie: found two, expected one");
  CHECK(with([](MachOSpec& s) {
          s.trie_command = 0;
          s.extra = {Command(macho::kExportsTrie, {0x4000, 2})};
        }).substr(0, 27) == "export trie: node at 0x0: f");
  CHECK(with([](MachOSpec& s) {
          s.trie_command = 0;
          s.extra = {Command(macho::kExportsTrie, {0, 0})};
        }) == "no symbol can be added: export trie: found 0 bytes at 0x0, expected them in __LINKEDIT, from 0xc000 to 0xc080");
  CHECK(with([](MachOSpec& s) {
          s.extra = {Command(macho::kFunctionStarts, {3 * 0x4000 + 8, 8})};
        }) == "export trie: found another table that overlaps it, 8 bytes at 0xc008");
}

TEST_CASE("Mach-O: damaged tries") {
  const auto error = [](const Bytes& bytes) { return macho::ParseTrie(View(bytes)).status().message(); };
  CHECK(error({}).empty());
  CHECK(error({0, 0}).empty());
  CHECK(error({0, 1, 'a', 0, 5, 0, 0}).empty());
  CHECK(error({0}) == "export trie: node at 0x0: found the trie's end, expected all of it within 1 bytes");
  CHECK(error({5, 0}) == "export trie: node at 0x0: found the trie's end, expected all of it within 2 bytes");
  CHECK(error({0, 1, 'a'}) == "export trie: node at 0x0: found the trie's end, expected all of it within 3 bytes");
  CHECK(error({0, 1, 'a', 0}) == "export trie: node at 0x0: found the trie's end, expected all of it within 4 bytes");
  CHECK(error({0, 1, 0, 5, 0, 0}) == "export trie: node at 0x0: found an edge without a label");
  CHECK(error({0, 1, 'a', 0, 0}) == "export trie: node at 0x0: found it reached twice, expected it once within 5 bytes");
  CHECK(error({0, 2, 'a', 0, 8, 'b', 0, 8, 0, 0}) ==
        "export trie: node at 0x8: found it reached twice, expected it once within 10 bytes");
  CHECK(error({0, 1, 'a', 0, 5, 0, 1, 'b', 0, 0}) ==
        "export trie: node at 0x0: found it reached twice, expected it once within 10 bytes");
  CHECK(error({0, 1, 'a', 0, 9}) == "export trie: node at 0x9: found it outside of the trie, expected it once within 5 bytes");
  CHECK(error({0, 1, 'a', 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2}) ==
        "export trie: node at 0x0: found the trie's end, expected all of it within 14 bytes");
  CHECK(error({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0}) ==
        "export trie: node at 0x0: found the trie's end, expected all of it within 11 bytes");
  // Cut off anywhere, or with any byte changed: an error or none, and no more.
  const Bytes good = BuildTrie(kTrie);
  for (std::size_t size = 1; size < good.size(); ++size) CHECK_FALSE(macho::ParseTrie(ByteView(good.data(), size)).ok());
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const unsigned value : {0U, 1U, 0x7fU, 0x80U, 0xffU}) {
      Bytes bad = good;
      bad[i] = static_cast<std::uint8_t>(value);
      const Result<macho::Trie> trie = macho::ParseTrie(View(bad));
      if (trie.ok()) (void)macho::FindInTrie(*trie, "___tvm_dev_mblob");
    }
  }
}

TEST_CASE("Mach-O: a trie as deep as it has nodes") {
  const Files files;
  Bytes deep;
  constexpr std::size_t kNodes = 20'000;
  for (std::size_t i = 0; i + 1 < kNodes; ++i) {
    const std::size_t next = (i + 1) * 7;
    const auto part = [&](unsigned shift) { return static_cast<std::uint8_t>(next >> shift & 0x7f); };
    for (const unsigned byte : {0U, 1U, 0x5fU, 0U, part(0) | 0x80U, part(7) | 0x80U, part(14) + 0U})
      deep.push_back(static_cast<std::uint8_t>(byte));
  }
  Append(deep, Bytes{0, 0});
  MachOSpec spec;
  spec.trie_command = macho::kExportsTrie;
  spec.trie = deep;
  const std::string bundle = files.RoundTrip(Text(BuildMachO(spec)));
  CheckBlob(bundle);
  CHECK(TrieOf(bundle).size() == kNodes + 1);

  // All of a trie counts, also its padding and the old one behind it.
  spec.trie = BuildTrie(kTrie);
  const std::string small = files.RoundTrip(Text(BuildMachO(spec)));
  const macho::Header header = *macho::ParseHeader(View(small));
  const auto place = *macho::FindTrie(header, *macho::ParseCommands(View(small), header));
  CHECK(place->blob.size % 16 == spec.trie.size() % 16);
  files.CheckCovered(small, place->blob.offset, place->blob.size);
}

}  // namespace
}  // namespace pannier
