// Hosts whose tables contradict one another, or say what no linker writes.
#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "embedder/embed.h"
#include "embedder/formats/host_model.h"
#include "embedder/formats/place_elf.h"
#include "embedder/restore.h"
#include "src/elf_file.h"
#include "tests/bundle_image.h"
#include "tests/golden.h"

namespace pannier {
namespace {

// A golden bundle's host, to be damaged.
std::string GoldenHost(const std::string& name) {
  const TemporaryDirectory folder;
  REQUIRE(Restore(PANNIER_TEST_DATA "/../golden/" + name, folder / "host").ok());
  return ReadFile(folder / "host");
}

// What embedding into the damaged host answers; nothing may be left behind.
Status EmbedInto(const std::string& host) {
  const TemporaryDirectory folder;
  WriteFile(folder / "host", host);
  WriteFile(folder / "graph", "{}");
  const Result<EmbedSummary> summary = Embed(folder / "host", {{"graph", folder / "graph"}}, folder / "bundle", {});
  CHECK(folder.List() == (summary.ok() ? Names{"bundle", "graph", "host"} : Names{"graph", "host"}));
  return summary.status();
}

TEST_CASE("hosts whose tables contradict one another") {
  struct HostDamage {
    std::string name;
    void (*change)(std::uint8_t* host);
    std::string message;  // what it contains
  };
  constexpr std::size_t kDynamic = 4;  // program headers of v1-elf64-little's host
  constexpr std::size_t kNote = 5;
  constexpr std::size_t kLast = 8;
  constexpr std::size_t kSymbols = 10;  // a section
  const std::vector<HostDamage> damages = {
      {"nothing", [](std::uint8_t*) {}, ""},
      {"PT_DYNAMIC that leads out of the file", [](std::uint8_t* host) { Put64(host + ProgramHeader(kDynamic) + 8, 0x100000); },
       "dynamic section: found 176 bytes at 0x100000, expected a range within the file's "},
      {"the file mapped over and over",
       [](std::uint8_t* host) {
         for (std::size_t i = kNote; i <= kLast; ++i) {
           Put32(host + ProgramHeader(i), elf::kSegmentLoad);
           Put64(host + ProgramHeader(i) + 8, 0);
           Put64(host + ProgramHeader(i) + 32, 0x3000);
         }
       },
       "program headers: found 50104 bytes mapped of a file of 13464, expected at most twice as many"},
      // The note has to slide, and its program header with it; read as a symbol that one stands for the note's section.
      {"a symbol table over the program headers",
       [](std::uint8_t* host) {
         Put32(host + ProgramHeader(kNote) + 4, 0x00010003);
         std::uint8_t* const symbols = host + LoadInteger<std::uint64_t>(host + 40, ByteOrder::kLittle) + kSymbols * 64;
         Put64(symbols + kSectionOffset, ProgramHeader(kNote));
         Put64(symbols + kSectionSize, 24);
       },
       "bytes of a table at "},
  };
  for (const HostDamage& damage : damages) {
    CAPTURE(damage.name);
    std::string host = GoldenHost("v1-elf64-little.so");
    damage.change(reinterpret_cast<std::uint8_t*>(host.data()));
    const Status status = EmbedInto(host);
    CAPTURE(status.message());
    CHECK(status.code() == (damage.message.empty() ? ErrorCode::kOk : ErrorCode::kMalformed));
    CHECK(status.message().find(damage.message) != std::string::npos);
  }
}

TEST_CASE("a dynamic section of more entries than any library has") {
  std::string host = GoldenHost("v1-elf64-little.so");
  const std::size_t table = AlignUp(host.size(), 16);
  for (const std::size_t count : {std::size_t{9999}, std::size_t{10000}}) {
    host.resize(table + count * 16);
    auto* const bytes = reinterpret_cast<std::uint8_t*>(host.data());
    for (std::size_t at = table; at < host.size(); at += 16) Put64(bytes + at, 1);  // DT_NEEDED
    constexpr std::size_t kDynamic = 4;
    Put64(bytes + ProgramHeader(kDynamic) + 8, table);
    Put64(bytes + ProgramHeader(kDynamic) + 32, count * 16);
    const Status status = ReadElfHost(ByteView(bytes, host.size())).status();
    CHECK(status.message() == (count == 9999 ? "" : "dynamic section: found 10000 entries, expected fewer"));
  }
}

TEST_CASE("a section of absurd alignment stays where it is, since the bundle would be as large") {
  std::string host = GoldenHost("v1-elf64-little.so");
  auto* const bytes = reinterpret_cast<std::uint8_t*>(host.data());
  constexpr std::size_t kGnuHash = 2;  // a section
  constexpr std::size_t kAlign = 48;
  std::uint8_t* const header = bytes + LoadInteger<std::uint64_t>(bytes + 40, ByteOrder::kLittle) + kGnuHash * 64;
  const auto place = [&](std::uint64_t align) {
    Put64(header + kAlign, align);
    return *PlaceElfPayload(*ReadElfHost(ByteView(bytes, host.size())));
  };
  CHECK(place(4096).is_mapped);
  CHECK(place(8192).why_not_mapped == ".gnu.hash follows the program headers and cannot be moved");
}

TEST_CASE("a table stays if its tag comes twice") {
  std::string host = GoldenHost("v1-elf64-little.so");
  auto* const bytes = reinterpret_cast<std::uint8_t*>(host.data());
  const Result<HostModel> model = ReadElfHost(ByteView(bytes, host.size()));
  REQUIRE(model.ok());
  REQUIRE(PlaceElfPayload(*model)->is_mapped);
  constexpr std::uint64_t kGnuHash = 0x6ffffef5;
  for (const DynamicEntry& entry : model->dynamic) {
    if (entry.tag != 0) continue;
    Put64(bytes + entry.file_offset, kGnuHash);  // spare entries follow
    break;
  }
  const Result<ElfPlacement> placement = PlaceElfPayload(*ReadElfHost(ByteView(bytes, host.size())));
  REQUIRE(placement.ok());
  CHECK(placement->why_not_mapped == ".gnu.hash follows the program headers and cannot be moved");
}

}  // namespace
}  // namespace pannier
