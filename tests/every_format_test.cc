// What holds for bundles of every format: round trips, determinism, restore, and damage that is found wherever it is.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "embedder/embed.h"
#include "embedder/fat_bundle.h"
#include "embedder/opened_bundle.h"
#include "embedder/restore.h"
#include "pannier/loader.h"
#include "src/verify.h"
#include "tests/embed_fixture.h"
#include "tests/macho_builder.h"
#include "tests/pe_builder.h"

namespace pannier {
namespace {

const std::vector<std::string> kPlatforms = {"linux-x86_64", "linux-i686",  "linux-aarch64", "linux-armv7",   "linux-riscv64",
                                             "macos-x86_64", "macos-arm64", "windows-i686",  "windows-x86_64"};
const std::vector<std::string> kOneOfEachFormat = {"linux-x86_64", "macos-arm64", "windows-x86_64"};

TEST_CASE("a library of every platform embeds, verifies, reads back and restores") {
  const Folder folder;
  for (const std::string& platform : kPlatforms) {
    for (const CodecChoice codec : {CodecChoice::kStore, CodecChoice::kZstd, CodecChoice::kPlanes, CodecChoice::kAuto}) {
      CAPTURE(platform, static_cast<int>(codec));
      const EmbedSummary summary = MustEmbed(HostOf(platform), Artifacts(), folder / "model", codec);
      CHECK(summary.is_mapped);
      CHECK(summary.host_bytes_changed < 500);
      CHECK(MustVerify(folder / "model").passed());
      const Bundle bundle = OpenBundle(folder / "model");
      CHECK(bundle.graph_json() == ReadFile((kData / "graph.json").string()));
      const auto params = bundle.artifact("params").bytes();
      CHECK(std::string(reinterpret_cast<const char*>(params.data()), params.size()) == ReadFile((kData / "params.bin").string()));
      CHECK(bundle.params().size() == 6);
      bundle.CheckDigests();
      REQUIRE(Restore(folder / "model", folder / "lib").ok());
      CHECK(ReadFile(folder / "lib") == ReadFile(HostOf(platform)));
    }
  }
}

TEST_CASE("only the bytes that the plan names change in the host") {
  const Folder folder;
  for (const std::string& platform : kPlatforms) {
    CAPTURE(platform);
    const EditPlan plan = MustEmbed(HostOf(platform), Artifacts(), folder / "model").plan;
    const std::string host = ReadFile(HostOf(platform));
    const std::string bundle = ReadFile(folder / "model");
    std::vector<bool> planned(host.size());
    for (const Edit& edit : plan.edits) {
      for (std::size_t i = 0; i < edit.bytes.size(); ++i) planned[edit.offset + i] = true;
    }
    // What is made from the rest, such as a checksum, is part of the plan, too.
    std::vector<bool> derived(bundle.size());
    for (const Derived& one : plan.derived) {
      for (std::size_t i = 0; i < one.size; ++i) derived[one.offset + i] = true;
    }
    std::size_t unchanged = 0;
    for (const Piece& piece : plan.pieces) {
      for (std::size_t i = 0; i < piece.size; ++i) {
        if (planned[piece.host_offset + i] || derived[piece.bundle_offset + i]) continue;
        REQUIRE(host[piece.host_offset + i] == bundle[piece.bundle_offset + i]);
        ++unchanged;
      }
    }
    CHECK(unchanged > host.size() - 5000);
  }
}

TEST_CASE("the same input gives the same bytes, whatever the number of threads") {
  const Folder folder;
  for (const std::string& platform : kOneOfEachFormat) {
    for (const CodecChoice codec : {CodecChoice::kStore, CodecChoice::kZstd, CodecChoice::kPlanes, CodecChoice::kAuto}) {
      CAPTURE(platform, static_cast<int>(codec));
      MustEmbed(HostOf(platform), Artifacts(), folder / "one", codec, 1);
      MustEmbed(HostOf(platform), Artifacts(), folder / "many", codec, 7);
      CHECK(ReadFile(folder / "one") == ReadFile(folder / "many"));
    }
  }
}

TEST_CASE("embedding into a bundle needs --force, and then gives what a fresh embed gives") {
  const Folder folder;
  for (const std::string& platform : kPlatforms) {
    CAPTURE(platform);
    MustEmbed(HostOf(platform), Artifacts(), folder / "fresh", CodecChoice::kZstd);
    MustEmbed(HostOf(platform), {{"labels", (kData / "graph.json").string()}}, folder / "model");
    const std::string before = ReadFile(folder / "model");
    const Result<EmbedSummary> refused = Embed(folder / "model", Artifacts(), folder / "model", {});
    CHECK(refused.status().code() == ErrorCode::kAlreadyBundle);
    CHECK(ReadFile(folder / "model") == before);
    MustEmbed(folder / "model", Artifacts(), folder / "model", CodecChoice::kZstd, 0, true);
    CHECK(ReadFile(folder / "model") == ReadFile(folder / "fresh"));
  }
}

TEST_CASE("a dry run plans and writes nothing") {
  for (const std::string& platform : kPlatforms) {
    CAPTURE(platform);
    const Folder folder;
    fs::copy_file(HostOf(platform), folder / "lib");
    EmbedOptions options;
    options.dry_run = true;
    const Result<EmbedSummary> summary = Embed(folder / "lib", Artifacts(), folder / "model", options);
    REQUIRE(summary.ok());
    CHECK(summary->bundle_size > summary->host_size);
    CHECK(folder.List().size() == 1);
    MustEmbed(HostOf(platform), Artifacts(), folder / "real", CodecChoice::kAuto);
    CHECK(fs::file_size(folder / "real") == summary->bundle_size);
  }
}

struct SmallHost {
  std::string name;
  std::string bytes;
};

// Of every format, fat and thin, with and without room in the headers, with what may lie behind a payload.
std::vector<SmallHost> SmallHosts() {
  MachOSpec x86;
  x86.data_segments = 1;
  x86.chained = true;
  MachOSpec arm = x86;
  arm.cpu_type = macho::kCpuArm64;
  arm.cpu_subtype = 0;
  PeParts pe;
  pe.sections = {{".text", 0x60000020, 100, 512}, {"/4", kPeDebugSection, 100, 512}};
  pe.symbols = {{2, 0}};
  pe.overlay = "end";
  pe.headers_size = 512;
  pe.room = 88;
  PeParts cramped_pe = pe;
  cramped_pe.room = 16;
  const auto text = [](const Bytes& bytes) { return std::string(bytes.begin(), bytes.end()); };
  return {{"ELF", ReadFile(HostOf("linux-i686"))},
          {"Mach-O", text(BuildMachO(arm))},
          {"Mach-O, unsigned", text(BuildMachO(x86))},
          {"Mach-O, fat", text(BuildFat({BuildMachO(x86), BuildMachO(arm)}, false, 14))},
          {"PE", BuildPe(pe)},
          {"PE, headers grown", BuildPe(cramped_pe)}};
}

struct Range {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

// A bundle of any format, or a fat file of bundles.
class AnyBundle {
 public:
  static Result<AnyBundle> Open(const std::string& path) {
    AnyBundle any;
    PANNIER_TRY(const FileSource file, FileSource::Open(path));
    PANNIER_TRY(const MappedFile mapped, MappedFile::Map(file.fd(), 0, file.size()));
    if (macho::HasFatMagic(mapped.bytes())) {
      PANNIER_TRY(FatBundle fat, FatBundle::Open(file.fd(), file.size()));
      any.fat_ = std::make_unique<FatBundle>(std::move(fat));
    } else {
      PANNIER_TRY(OpenedBundle thin, OpenedBundle::Open(path));
      any.thin_ = std::make_unique<OpenedBundle>(std::move(thin));
    }
    return any;
  }

  bool Verifies() const {
    const Result<VerifyReport> report = fat_ ? VerifyFat(*fat_, 1) : VerifyFile(thin_->file, thin_->reader, 1);
    return report.ok() && report->passed();
  }

  std::vector<Range> SignatureRooms() const {
    return OfEach([](const OpenedBundle& bundle) -> Range {
      const ByteView room = bundle.reader.signature_room();
      const auto begin = static_cast<std::uint64_t>(room.data() - bundle.file.bytes().data());
      return {begin, begin + room.size()};
    });
  }

  // From the anchor to the signature room's end.
  std::vector<Range> Payloads() const {
    return OfEach([](const OpenedBundle& bundle) -> Range {
      const std::uint64_t begin = bundle.reader.payload().anchor_file_offset;
      return {begin, begin + bundle.reader.anchor().payload_size};
    });
  }

 private:
  template <typename Function>
  std::vector<Range> OfEach(const Function& range_in) const {
    if (thin_) return {range_in(*thin_)};
    std::vector<Range> ranges;
    for (std::size_t i = 0; i < fat_->bundles.size(); ++i) {
      const Range range = range_in(*fat_->bundles[i]);
      const std::uint64_t base = fat_->fat.slices[i].offset;
      ranges.push_back({base + range.begin, base + range.end});
    }
    return ranges;
  }

  std::unique_ptr<OpenedBundle> thin_;
  std::unique_ptr<FatBundle> fat_;
};

TEST_CASE("every flipped byte of a bundle is found, but for those of the signature room") {
  const Folder folder;
  WriteFile(folder / "small.json", "{\"nodes\": [1, 2, 3]}");
  for (const auto& [name, host] : SmallHosts()) {
    WriteFile(folder / "lib", host);
    MustEmbed(folder / "lib", {{"graph", folder / "small.json"}}, folder / "model");
    const std::string bytes = ReadFile(folder / "model");
    std::vector<Range> payloads;
    const std::vector<Range> rooms = [&] {
      const Result<AnyBundle> bundle = AnyBundle::Open(folder / "model");
      REQUIRE(bundle.ok());
      REQUIRE(bundle->Verifies());
      payloads = bundle->Payloads();
      return bundle->SignatureRooms();
    }();
    // Each byte of headers and of what is ours; in steps through the host, whose chunks are all checked alike, and its padding.
    const auto step = [&](std::size_t at) -> std::size_t {
      const bool is_ours = std::any_of(payloads.begin(), payloads.end(),
                                       [at](const Range& payload) { return at >= payload.begin && at < payload.end; });
      if (at < 3000 || is_ours) return 1;
      if (bytes.size() < 8192) return bytes[at] == 0 ? 7 : 1;
      return 53;
    };
    std::fstream file(folder / "model", std::ios::binary | std::ios::in | std::ios::out);
    const auto put = [&file](std::size_t at, char byte) {
      file.seekp(static_cast<std::streamoff>(at));
      REQUIRE(file.put(byte).flush().good());
    };
    for (std::size_t at = 0; at < bytes.size(); at += step(at)) {
      const bool is_room =
          std::any_of(rooms.begin(), rooms.end(), [at](const Range& room) { return at >= room.begin && at < room.end; });
      if (is_room) continue;
      put(at, static_cast<char>(bytes[at] ^ 0x20));
      const Result<AnyBundle> bundle = AnyBundle::Open(folder / "model");
      CAPTURE(name, at);
      REQUIRE((!bundle.ok() || !bundle->Verifies()));
      put(at, bytes[at]);
    }
    REQUIRE(AnyBundle::Open(folder / "model")->Verifies());
  }
}

TEST_CASE("a code signature covers the signature room, too") {
  const Folder folder;
  WriteFile(folder / "lib", SmallHosts()[1].bytes);
  MustEmbed(folder / "lib", Artifacts(), folder / "model");
  std::string bytes = ReadFile(folder / "model");
  const Range room = AnyBundle::Open(folder / "model")->SignatureRooms().front();
  bytes[room.begin + 100] = 1;
  WriteFile(folder / "bad", bytes);
  CHECK_FALSE(AnyBundle::Open(folder / "bad")->Verifies());
}

TEST_CASE("a bundle cut off anywhere before the end of its payload is an error") {
  const Folder folder;
  for (const std::string& platform : kOneOfEachFormat) {
    MustEmbed(HostOf(platform), Artifacts(), folder / "model");
    const std::uint64_t end = AnyBundle::Open(folder / "model")->SignatureRooms().front().end;
    const std::string good = ReadFile(folder / "model");
    for (std::size_t size = 0; size < end; size += 997) {
      WriteFile(folder / "bad", good.substr(0, size));
      CAPTURE(platform, size);
      CHECK_THROWS_AS(OpenBundle(folder / "bad").CheckDigests(), Error);
      CHECK_THROWS_AS(LoadBundle(folder / "bad"), Error);
    }
  }
}

// In a process of its own, as a page that is mapped beyond the file's end is a signal when it is touched.
TEST_CASE("a library cut off anywhere is an error at load, or has its whole payload") {
  const Folder folder;
  const std::string golden = PANNIER_TEST_DATA "/../golden/";
  fs::copy_file(golden + "v1-elf64-little.so", folder / "small.so");
  fs::copy_file(golden + "v1-file-only.so", folder / "file-only.so");
  MustEmbed(HostOf("linux-x86_64"), Artifacts(), folder / "large.so");
  for (const auto& [name, step] :
       std::vector<std::pair<std::string, std::uint64_t>>{{"small.so", 1}, {"file-only.so", 1}, {"large.so", 499}}) {
    const std::string path = folder / name;
    const std::uint64_t whole = fs::file_size(path);
    // By value: clang 14's lambdas capture no structured binding by reference.
    const ChildOutcome outcome = InChild([&, step = step]() -> std::string {
      LoadOptions options;
      options.check = Check::kFull;
      std::uint64_t loaded = 0;
      std::uint64_t refused = 0;
      for (std::uint64_t size = whole;; size -= step) {
        fs::resize_file(path, size);
        try {
          const Bundle bundle = LoadBundle(path, options);
          for (const TensorView& tensor : bundle.params()) (void)tensor.data();
          bundle.CheckDigests();
          ++loaded;
        } catch (const Error& error) {
          if (error.code() == ErrorCode::kLoadFailed && size == whole) return "not here";
          ++refused;
        }
        if (size < step) return std::to_string(loaded) + " loaded, " + std::to_string(refused) + " refused";
      }
    });
    if (outcome.text == "not here") SKIP("the golden bundles are another machine's");
    CAPTURE(name, fs::file_size(path), outcome.text);
    CHECK(outcome.signal == 0);
    CHECK(outcome.text.find(" refused") != std::string::npos);
    CHECK_FALSE(outcome.text.starts_with("0 loaded"));
  }
}

}  // namespace
}  // namespace pannier
