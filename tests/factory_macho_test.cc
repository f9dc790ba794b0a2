// --as-factory for Mach-O: the exported symbol in hosts of all kinds, export tries that are damaged, what is refused.
#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "src/macho_trie.h"
#include "tests/factory_fixture.h"
#include "tests/macho_builder.h"

namespace pannier {
namespace {

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
  const FactoryFiles files;
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
  const FactoryFiles files;
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
  const FactoryFiles files;
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
  const FactoryFiles files;
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
  const FactoryFiles files;
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
