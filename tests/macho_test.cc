// Mach-O: the reader against damaged files, plans for hosts of all kinds, signatures, fat files, and images mapped as dyld maps
// them.
#include <sys/mman.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "embedder/embed.h"
#include "embedder/fat_bundle.h"
#include "embedder/formats/macho_model.h"
#include "embedder/opened_bundle.h"
#include "embedder/restore.h"
#include "pannier/loader.h"
#include "src/code_signature.h"
#include "src/macho_file.h"
#include "src/payload.h"
#include "src/verify.h"
#include "tests/embed_fixture.h"
#include "tests/macho_builder.h"

namespace pannier {
namespace {

struct Library {
  macho::Header header;
  std::vector<macho::Command> commands;
  std::vector<macho::Segment> segments;

  explicit Library(ByteView file) {
    header = *macho::ParseHeader(file);
    commands = *macho::ParseCommands(file, header);
    segments = *macho::ParseSegments(header, commands);
  }
  const macho::Command* Find(std::uint32_t type) const {
    for (const macho::Command& command : commands) {
      if (command.type == type) return &command;
    }
    return nullptr;
  }
};

std::uint32_t Word(ByteView bytes, std::uint64_t at) { return *bytes.Read<std::uint32_t>(at); }

Result<EmbedSummary> TryEmbed(const Folder& folder, const Bytes& host, const EmbedOptions& options = {},
                              std::vector<NamedPath> artifacts = {}) {
  WriteFile(folder / "small.json", "{\"nodes\": [1, 2, 3]}");
  WriteFile(folder / "lib.dylib", Text(host));
  if (artifacts.empty()) artifacts = {{"graph", folder / "small.json"}};
  return Embed(folder / "lib.dylib", artifacts, folder / "model.dylib", options);
}

// Embeds, verifies file and image, restores; answers with the bundle's bytes.
std::string RoundTrip(const Folder& folder, const Bytes& host, const EmbedOptions& options = {}) {
  const Result<EmbedSummary> summary = TryEmbed(folder, host, options);
  INFO(summary.status().message());
  REQUIRE(summary.ok());
  std::string bundle = CheckSound(folder / "model.dylib", Text(host), folder);
  CHECK(OpenBundle(folder / "model.dylib").graph_json() == "{\"nodes\": [1, 2, 3]}");
  return bundle;
}

// What dyld asks of a library's layout.
void CheckLayout(const std::string& file) {
  const Library library(View(file));
  std::uint64_t end = 0;
  std::uint64_t memory_end = 0;
  for (const macho::Segment& segment : library.segments) {
    CAPTURE(std::string(segment.name));
    CHECK(segment.offset >= end);
    CHECK(segment.address >= memory_end);
    CHECK(segment.offset % 4096 == 0);
    CHECK(segment.file_size <= segment.memory_size);
    end = segment.offset + segment.file_size;
    memory_end = segment.address + segment.memory_size;
  }
  CHECK(library.segments.back().name == "__LINKEDIT");
  CHECK(end == file.size());
  const macho::Segment& ours = library.segments[library.segments.size() - 2];
  CHECK(ours.name == "__TVM");
  CHECK(ours.protection == 1);
  CHECK(ours.max_protection == 1);
}

// All that is reachable from the fixups' header, by content.
void CheckFixups(const Bytes& host, const std::string& bundle) {
  auto blob = [](ByteView file) {
    const Library library(file);
    const macho::Command* command = library.Find(macho::kChainedFixups);
    REQUIRE(command != nullptr);
    return *file.Slice(Word(command->bytes, 8), Word(command->bytes, 12));
  };
  const ByteView old = blob(View(host));
  const ByteView now = blob(View(bundle));
  const std::uint32_t segments = Word(old, 32);
  CHECK(Word(now, 32) == segments + 1);
  CHECK(Word(now, 32) == Library(View(bundle)).segments.size());
  const std::uint32_t old_starts = Word(old, 40);  // of segment 1
  const std::uint32_t starts = Word(now, 40);
  CHECK(starts >= 4 + (segments + 1) * 4);
  CHECK(*old.Slice(32 + old_starts, 24) == *now.Slice(32 + starts, 24));
  for (std::uint32_t i = 0; i <= segments; ++i) CHECK((Word(now, 36 + 4 * i) != 0) == (i == 1));
  for (const std::uint64_t field : {8U, 12U}) {  // imports, symbols
    const std::uint64_t size = field == 8 ? 4 : 9;
    CHECK(*old.Slice(Word(old, field), size) == *now.Slice(Word(now, field), size));
  }
}

TEST_CASE("segments that map the file over and over are refused") {
  Bytes file = BuildMachO({});
  const Result<MachOModel> host = ReadMachOHost(View(file));
  REQUIRE(host.ok());
  for (macho::Segment segment : host->segments) {
    if (segment.name == macho::kLinkEdit) break;
    segment.address = segment.offset = 0;
    segment.file_size = segment.memory_size = host->link_edit_segment().offset;
    EncodeSegment(host->header, segment, file.data() + host->commands[segment.command].offset);
  }
  const Status status = ReadMachOHost(View(file)).status();
  CHECK(status.code() == ErrorCode::kMalformed);
  CHECK(status.message().substr(0, 16) == "segments: found ");
}

TEST_CASE("Mach-O of every CPU and word size: layout, fixups with and without spare bytes") {
  const Folder folder;
  struct Cpu {
    bool is_64;
    std::uint32_t type;
    std::uint32_t subtype;
  };
  const Cpu cpus[] = {{true, macho::kCpuX64, 3},   {true, macho::kCpuArm64, 0}, {true, macho::kCpuArm64, 0x80000002},
                      {false, macho::kCpuI386, 3}, {false, macho::kCpuArm, 9},  {false, macho::kCpuArm64Ilp32, 1}};
  for (const Cpu& cpu : cpus) {
    for (const std::size_t data : {1U, 2U}) {
      for (const bool spare : {true, false}) {
        CAPTURE(macho::ArchName(cpu.type, cpu.subtype), data, spare);
        MachOSpec spec;
        spec.is_64 = cpu.is_64;
        spec.cpu_type = cpu.type;
        spec.cpu_subtype = cpu.subtype;
        spec.data_segments = data;
        spec.spare = spare;
        spec.chained = true;
        const Bytes host = BuildMachO(spec);
        const std::string bundle = RoundTrip(folder, host);
        CheckLayout(bundle);
        CheckFixups(host, bundle);
        const Library library{View(bundle)};
        const bool is_arm64 = cpu.type == macho::kCpuArm64 || cpu.type == macho::kCpuArm64Ilp32;
        CHECK((library.Find(macho::kCodeSignature) != nullptr) == is_arm64);
        // The symbol table and its strings, by content.
        const macho::Command& symbols = *library.Find(macho::kSymbolTable);
        CHECK(bundle.substr(Word(symbols.bytes, 16), 9) == std::string("\0_answer\0", 9));
        CHECK(Word(symbols.bytes, 8) + (cpu.is_64 ? 16 : 12) == Word(symbols.bytes, 16));
      }
    }
  }
}

TEST_CASE("bundles (MH_BUNDLE) are hosts, too") {
  const Folder folder;
  MachOSpec spec;
  spec.file_type = macho::kTypeBundle;
  CheckLayout(RoundTrip(folder, BuildMachO(spec)));
}

TEST_CASE("header room: fewer section headers, then commands that nobody needs, then no section") {
  const Folder folder;
  for (const char* name : {"a", "b", "c"}) WriteFile(folder / name, name);
  const std::vector<NamedPath> artifacts = {{"graph", folder / "a"}, {"params", folder / "b"}, {"labels", folder / "c"}};
  struct Step {
    std::uint64_t slack;
    std::vector<std::string> sections;
    std::vector<std::string> notes;
  };
  const std::string source = "left out for the room: LC_SOURCE_VERSION";
  const std::string starts = "left out for the room: an empty LC_FUNCTION_STARTS";
  const std::string tools = "left out for the room: the tools' versions in LC_BUILD_VERSION";
  const std::string unsignable =
      "no room is left for a code signature's load command; to sign it, link it again with -Wl,-headerpad,0x400";
  const Step steps[] = {
      {88 + 80 * 8, {"__anchor", "__graph", "__params", "__labels", "__index", "__undo", "__manifest", "__sig"}, {}},
      {88 + 80 * 7, {"__anchor", "__graph", "__params", "__labels", "__meta"}, {}},
      {88 + 80 * 5, {"__anchor", "__graph", "__params", "__labels", "__meta"}, {}},
      {88 + 80 * 4, {"__anchor", "__graph", "__extra", "__meta"}, {}},
      {88 + 80 * 3, {"__anchor", "__extra", "__meta"}, {}},
      {88 + 80 * 3 - 1, {"__tvm"}, {}},
      {88 + 80, {"__tvm"}, {}},
      {88 + 80 - 16, {"__tvm"}, {source}},
      {88 + 80 - 32, {"__tvm"}, {source, starts}},
      {88 + 80 - 40, {"__tvm"}, {source, starts, tools}},
      {72 + 80 - 32, {"__tvm"}, {source, starts, unsignable}},
      {72 + 80 - 40, {"__tvm"}, {source, starts, tools, unsignable}},
  };
  for (const Step& step : steps) {
    CAPTURE(step.slack);
    MachOSpec spec;
    spec.slack = step.slack;
    const Bytes host = BuildMachO(spec);
    const Result<EmbedSummary> summary = TryEmbed(folder, host, {}, artifacts);
    INFO(summary.status().message());
    REQUIRE(summary.ok());
    CHECK(summary->notes == step.notes);
    const std::string bundle = ReadFile(folder / "model.dylib");
    const Library library{View(bundle)};
    std::vector<std::string> sections;
    for (const macho::Section& section : library.segments[library.segments.size() - 2].sections)
      sections.emplace_back(section.name);
    CHECK(sections == step.sections);
    REQUIRE(Restore(folder / "model.dylib", folder / "restored.dylib").ok());
    CHECK(ReadFile(folder / "restored.dylib") == Text(host));
    CHECK(OpenBundle(folder / "model.dylib").artifact("labels").bytes().size() == 1);
  }
  MachOSpec spec;
  spec.slack = 72 + 80 - 48;
  const Result<EmbedSummary> refused = TryEmbed(folder, BuildMachO(spec), {}, artifacts);
  CHECK(refused.status().message() ==
        folder / "lib.dylib" +
            ": found 144 bytes of room behind the load commands, expected 152; link it again with "
            "-Wl,-headerpad,0x400, or embed with --sectionless (a segment without section headers, which llvm-strip "
            "destroys)");
  EmbedOptions options;
  options.sectionless = true;
  const Result<EmbedSummary> sectionless = TryEmbed(folder, BuildMachO(spec), options, artifacts);
  REQUIRE(sectionless.ok());
  CHECK(sectionless->notes ==
        std::vector<std::string>{"the segment has no section: llvm-strip and llvm-install-name-tool destroy it"});
  CHECK(OpenBundle(folder / "model.dylib").artifact("labels").bytes().size() == 1);
  RoundTrip(folder, BuildMachO(spec), options);
  spec.slack = 31;
  CHECK(TryEmbed(folder, BuildMachO(spec), options, artifacts).status().message() ==
        folder / "lib.dylib" +
            ": found 71 bytes of room behind the load commands, expected 152; link it again with "
            "-Wl,-headerpad,0x400");
}

TEST_CASE("Mach-O files that are refused, each with its reason") {
  const Folder folder;
  const auto refused = [&](const MachOSpec& spec) {
    const Result<EmbedSummary> summary = TryEmbed(folder, BuildMachO(spec));
    return summary.ok() ? std::string("not refused") : summary.status().message().substr((folder / "lib.dylib: ").size());
  };
  const auto of_type = [&](std::uint32_t type) {
    MachOSpec spec;
    spec.file_type = type;
    return refused(spec);
  };
  CHECK(of_type(1) == "found a relocatable object, expected a shared library; link it with -dynamiclib first");
  CHECK(of_type(2) == "found an executable, expected a shared library; link the model as one (-dynamiclib) and load it");
  CHECK(of_type(9) == "found a library's stub, expected the library itself");
  CHECK(of_type(10) == "found a file of debug symbols (dSYM), expected a shared library");
  CHECK(of_type(13) == "mach-o type: found 13, expected 6 (library) or 8 (bundle)");
  const auto with = [&](const Bytes& command) {
    MachOSpec spec;
    spec.extra = {command};
    return refused(spec);
  };
  CHECK(with(Command(macho::kEncryption64, {0x1000, 0x1000, 1, 0})) ==
        "found an encrypted library (its store's copy protection), expected a plain one");
  CHECK(with(Command(macho::kEncryption64, {0x1000, 0x1000, 0, 0})) == "not refused");
  CHECK(with(Command(0x3a, {1, 2})) ==
        "load command 0x3a: found one that this version does not know, and that may lead to data that has to move; please report "
        "the linker that wrote it");
  CHECK(with(Command(macho::kDataInCode, {0xc000, 0x10000})) ==
        "load command 0x29: found 65536 bytes at 0xc000, expected a range that ends by 0xc020");
  MachOSpec spec;
  spec.overlay = "more";
  CHECK(refused(spec) ==
        "found 4 bytes behind the end of __LINKEDIT (at 0xc020), expected none; code signatures do not allow them");
  spec = {};
  spec.has_link_edit = false;
  CHECK(refused(spec) == "found no segment __LINKEDIT, expected a linked library");
  spec = {};
  spec.flags |= macho::kFlagInSharedCache;
  CHECK(refused(spec) == "found a library taken out of the system's shared cache, expected one as the linker wrote it");
}

// A signature over a library that has room for it.
Bytes Signed(MachOSpec spec, const SignatureFacts& facts, const Folder& folder, const Bytes& cms = {}) {
  spec.signature.assign(8192, 0);
  Bytes file = BuildMachO(spec);
  const std::size_t code = file.size() - spec.signature.size();
  WriteFile(folder / "unsigned", Text(file));
  const Result<MappedFile> mapped = MappedFile::Open(folder / "unsigned");
  Bytes signature = MakeCodeSignature(facts, *mapped, code, 1);
  if (!cms.empty()) {  // a further blob, behind all others
    const std::uint32_t count = LoadInteger<std::uint32_t>(signature.data() + 8, ByteOrder::kBig);
    for (std::uint32_t i = 0; i < count; ++i) {
      std::uint8_t* const offset = signature.data() + 16 + 8 * i;
      StoreInteger(offset, LoadInteger<std::uint32_t>(offset, ByteOrder::kBig) + 8, ByteOrder::kBig);
    }
    std::uint8_t entry[8];
    StoreInteger(entry, std::uint32_t{0x10000}, ByteOrder::kBig);
    StoreInteger(entry + 4, static_cast<std::uint32_t>(signature.size() + 8), ByteOrder::kBig);
    signature.insert(signature.begin() + 12 + 8 * count, entry, entry + 8);
    Append(signature, cms);
    StoreInteger(signature.data() + 4, static_cast<std::uint32_t>(signature.size()), ByteOrder::kBig);
    StoreInteger(signature.data() + 8, count + 1, ByteOrder::kBig);
  }
  REQUIRE(signature.size() <= spec.signature.size());
  std::copy(signature.begin(), signature.end(), file.begin() + static_cast<std::ptrdiff_t>(code));
  return file;
}

SignatureFacts SomeFacts() {
  SignatureFacts facts = NewSignatureFacts("org.example.answer", 0, kBuilderPage);
  facts.flags = kSignatureAdhoc;
  const std::string text = "<plist>entitlements</plist>";
  Bytes blob(8);
  blob.insert(blob.end(), text.begin(), text.end());
  StoreInteger(blob.data(), std::uint32_t{0xfade7171}, ByteOrder::kBig);
  StoreInteger(blob.data() + 4, static_cast<std::uint32_t>(blob.size()), ByteOrder::kBig);
  facts.blobs.push_back({5, blob});
  facts.special_slots.assign(5 * 32, 0);
  const Sha256Digest digest = Sha256Of(View(blob));
  std::copy(digest.bytes.begin(), digest.bytes.end(), facts.special_slots.begin() + 4 * 32);
  facts.special_slots[0] = 7;  // of an Info.plist
  return facts;
}

OldSignature SignatureOf(const std::string& file) {
  const Library library(View(file));
  const macho::Command& command = *library.Find(macho::kCodeSignature);
  const Result<OldSignature> signature = ParseCodeSignature(*View(file).Slice(Word(command.bytes, 8), Word(command.bytes, 12)));
  REQUIRE(signature.ok());
  CHECK(Word(command.bytes, 8) + Word(command.bytes, 12) == file.size());
  return *signature;
}

TEST_CASE("an ad-hoc signature is made again: identifier, flags, entitlements and page size stay") {
  const Folder folder;
  MachOSpec spec;
  spec.cpu_type = macho::kCpuArm64;
  spec.cpu_subtype = 0;
  for (const std::uint8_t page_shift : {std::uint8_t{12}, std::uint8_t{14}}) {
    for (const std::uint32_t flags : {kSignatureAdhoc, kSignatureAdhoc | kSignatureLinker}) {
      SignatureFacts facts = SomeFacts();
      facts.page_shift = page_shift;
      facts.flags = flags;
      const std::string bundle = RoundTrip(folder, Signed(spec, facts, folder));
      CheckLayout(bundle);
      const OldSignature now = SignatureOf(bundle);
      CHECK(now.why_not_adhoc.empty());
      CHECK(EncodeSignatureFacts(now.facts) == EncodeSignatureFacts(facts));
    }
  }
}

TEST_CASE("a certificate's signature is dropped only when told to; then entitlements stay") {
  const Folder folder;
  MachOSpec spec;
  spec.cpu_type = macho::kCpuArm64;
  spec.cpu_subtype = 0;
  SignatureFacts facts = SomeFacts();
  facts.flags = 0x10000;
  facts.runtime = 0xb0000;
  const Bytes host = Signed(spec, facts, folder, {0xfa, 0xde, 0x0b, 0x01, 0, 0, 0, 12, 1, 2, 3, 4});
  CHECK(TryEmbed(folder, host).status().message() ==
        folder / "lib.dylib" +
            ": code signature: it is made with a certificate, so it cannot be made again for changed bytes; embed "
            "with --drop-signature to sign ad hoc instead (and sign the bundle yourself), or embed before signing");
  EmbedOptions options;
  options.drop_signature = true;
  const std::string bundle = RoundTrip(folder, host, options);
  const OldSignature now = SignatureOf(bundle);
  CHECK(now.why_not_adhoc.empty());
  CHECK(now.facts.identifier == "org.example.answer");
  CHECK(now.facts.flags == kSignatureAdhoc);
  REQUIRE(now.facts.blobs.size() == 1);
  CHECK(now.facts.blobs[0].bytes == facts.blobs[0].bytes);
  CHECK(now.facts.special_slots == facts.special_slots);
}

TEST_CASE("damaged signatures are errors") {
  const Folder folder;
  const SignatureFacts facts = SomeFacts();
  WriteFile(folder / "code", std::string(10000, 'x'));
  const Result<MappedFile> code = MappedFile::Open(folder / "code");
  const Bytes good = MakeCodeSignature(facts, *code, 10000, 1);
  CHECK(good.size() == CodeSignatureSize(facts, 10000));
  REQUIRE(ParseCodeSignature(View(good)).ok());
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const int value : {0x00, 0x7f, 0xff}) {
      Bytes bad = good;
      bad[at] = static_cast<std::uint8_t>(value);
      static_cast<void>(ParseCodeSignature(View(bad)));  // must not read out of bounds
    }
  }
  for (std::size_t size = 0; size < 200; ++size) CHECK_FALSE(ParseCodeSignature(ByteView(good.data(), size)).ok());
  const Bytes stored = EncodeSignatureFacts(facts);
  for (std::size_t size = 0; size < stored.size(); ++size) CHECK_FALSE(DecodeSignatureFacts(ByteView(stored.data(), size)).ok());
}

TEST_CASE("fat files, 32- and 64-bit: every slice or one, restored byte for byte") {
  const Folder folder;
  MachOSpec x86;
  MachOSpec arm;
  arm.cpu_type = macho::kCpuArm64;
  arm.cpu_subtype = 0;
  arm.chained = true;
  arm.data_segments = 3;
  MachOSpec old;
  old.is_64 = false;
  old.cpu_type = macho::kCpuI386;
  for (const bool is_64 : {false, true}) {
    for (const std::string arch : {"", "x86_64", "arm64", "i386"}) {
      CAPTURE(is_64, arch);
      const Bytes host = BuildFat({BuildMachO(x86), BuildMachO(old), BuildMachO(arm)}, is_64, 12);
      EmbedOptions options;
      options.arch = arch;
      const Result<EmbedSummary> summary = TryEmbed(folder, host, options);
      INFO(summary.status().message());
      REQUIRE(summary.ok());
      CHECK(summary->slices.size() == (arch.empty() ? 3 : 1));
      const std::string bundle = ReadFile(folder / "model.dylib");
      CHECK(bundle.size() == summary->bundle_size);
      const Result<macho::FatFile> fat = macho::ParseFat(View(bundle), bundle.size());
      REQUIRE(fat.ok());
      for (const macho::Slice& slice : fat->slices) CHECK(slice.offset % 16384 == 0);
      CHECK(OpenBundle(folder / "model.dylib").graph_json() == "{\"nodes\": [1, 2, 3]}");
      const Result<OpenedBundle> slice = OpenedBundle::Open(folder / "model.dylib", arch);
      REQUIRE(slice.ok());
      REQUIRE(Restore(folder / "model.dylib", folder / "restored.dylib").ok());
      CHECK(ReadFile(folder / "restored.dylib") == Text(host));
      if (!arch.empty()) continue;
      // One slice back, then the others.
      REQUIRE(Restore(folder / "model.dylib", folder / "part.dylib", "arm64").ok());
      CHECK(OpenedBundle::Open(folder / "part.dylib", "arm64").status().code() == ErrorCode::kNotABundle);
      REQUIRE(Restore(folder / "part.dylib", folder / "restored.dylib").ok());
      CHECK(ReadFile(folder / "restored.dylib") == Text(host));
      // Embedding anew gives the same.
      options.force = true;
      REQUIRE(Embed(folder / "model.dylib", {{"graph", folder / "small.json"}}, folder / "again.dylib", options).ok());
      CHECK(ReadFile(folder / "again.dylib") == bundle);
    }
  }
  Bytes gap = BuildFat({BuildMachO(x86), BuildMachO(arm)}, false, 14);
  gap[100] = 1;
  CHECK(TryEmbed(folder, gap).status().message() ==
        folder / "lib.dylib" + ": fat file: found data that belongs to no slice, between 0x30 and 0x4000, expected zeroes");
  EmbedOptions options;
  options.arch = "ppc";
  CHECK(TryEmbed(folder, BuildFat({BuildMachO(x86)}, false, 14), options).status().message() ==
        folder / "lib.dylib" + ": found no slice ppc");
  options.arch = "x86-64";
  CHECK(TryEmbed(folder, BuildFat({BuildMachO(x86)}, false, 14), options).status().message() ==
        folder / "lib.dylib" + ": found no slice x86-64 (did you mean x86_64?)");
}

TEST_CASE("a library of 4 GiB and more is refused before anything is written") {
  const Folder folder;
  WriteFile(folder / "blob", "");
  std::filesystem::resize_file(folder / "blob", std::uint64_t{5} << 30);
  EmbedOptions options;
  options.encode.codec = CodecChoice::kStore;
  const Result<EmbedSummary> summary = TryEmbed(folder, BuildMachO({}), options, {{"blob", folder / "blob"}});
  CHECK(summary.status().code() == ErrorCode::kLimit);
  CHECK(summary.status().message() ==
        "found 5368709120 bytes to embed, expected at most 4294918112 (the library's format holds no more); embed less, or "
        "compress it "
        "with --codec zstd");
}

TEST_CASE("the image digest sees changed code, load commands and fixups") {
  const Folder folder;
  MachOSpec spec;
  spec.chained = true;
  RoundTrip(folder, BuildMachO(spec));
  const std::string good = ReadFile(folder / "model.dylib");
  const Library library{View(good)};
  const auto verify = [&](std::size_t at, std::uint8_t change) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ change);
    WriteFile(folder / "bad.dylib", bad);
    const Result<OpenedBundle> bundle = OpenedBundle::Open(folder / "bad.dylib");
    REQUIRE(bundle.ok());
    const Result<VerifyReport> report = VerifyImage(bundle->file, bundle->reader, 1);
    return report.ok() && report->passed();
  };
  CHECK_FALSE(verify(kBuilderPage - 1, 1));                                                       // code
  CHECK_FALSE(verify(kBuilderPage + 5, 1));                                                       // data
  CHECK_FALSE(verify(library.Find(macho::kIdDylib)->offset + 30, 1));                             // the library's name
  CHECK_FALSE(verify(Word(library.Find(macho::kChainedFixups)->bytes, 8) + std::size_t{52}, 1));  // fixups
  CHECK(verify(Word(library.Find(macho::kSymbolTable)->bytes, 16) + std::size_t{2}, 1));  // a symbol's name: strip's to take
}

// The segments where dyld would put them, at addresses of another machine's page size.
TEST_CASE("the payload is found in an image mapped as dyld maps it") {
  for (const std::string platform : {"macos-arm64", "macos-x86_64"}) {
    CAPTURE(platform);
    const Folder folder;
    const EmbedSummary summary = MustEmbed(HostOf(platform), Artifacts(), folder / "model.dylib");
    const std::string file = ReadFile(folder / "model.dylib");
    const Library library{View(file)};
    const macho::Segment& last = library.segments.back();
    const std::size_t size = AlignUp(last.address + last.memory_size, kBuilderPage);
    void* const memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    auto* const base = static_cast<std::uint8_t*>(memory);
    for (const macho::Segment& segment : library.segments)
      std::memcpy(base + segment.address, file.data() + segment.offset, segment.file_size);
    {
      const Result<Payload> payload = FindMappedMachO(base);
      REQUIRE(payload.ok());
      CHECK(payload->anchor.data() == base + library.segments[library.segments.size() - 2].address);
      const Result<BundleReader> reader = BundleReader::Open(*payload);
      REQUIRE(reader.ok());
      const auto params = reader->FindArtifact("params");
      REQUIRE(params);
      const Result<TensorReader> tensors = reader->Tensors(reader->artifact(*params));
      REQUIRE(tensors.ok());
      const Result<ChunkedContent> content = tensors->Content(0);
      REQUIRE(content.ok());
      const auto whole = content->StoredWhole();
      REQUIRE((whole.ok() && whole->has_value()));
      CHECK(reinterpret_cast<std::uintptr_t>((*whole)->data()) % 64 == 0);
    }
    std::memset(base + library.segments[library.segments.size() - 2].address, 0, 12);
    CHECK(FindMappedMachO(base).status().code() == ErrorCode::kNotABundle);
    munmap(memory, size);
  }
}

TEST_CASE("damaged Mach-O files are errors with the exact reason") {
  const Folder folder;
  MachOSpec spec;
  const Bytes thin = [&] {
    const std::string bytes = RoundTrip(folder, BuildMachO(spec));
    return Bytes(bytes.begin(), bytes.end());
  }();
  struct Damage {
    std::size_t at;
    std::uint64_t value;
    std::size_t size;
    std::string message;
  };
  const std::vector<Damage> damages = {
      {0, 0xcffaedfe, 4, "found a big-endian Mach-O file (PowerPC), expected a little-endian one"},
      {16, 0xffffffff, 4, "load commands: found 4294967295 in "},
      {16, 1, 4, "load commands: found 152 bytes, expected "},
      {20, 0xffffffff, 4, "load commands: found 4294967295 bytes, expected at most "},
      {20, 160, 4, "load command 1 (0x19): size: found 152, expected a multiple of 4 from 8 to 8"},
      {36, 4, 4, "load command 0 (0x19): size: found 4, expected a multiple of 4 from 8 to "},
      {36, 154, 4, "load command 0 (0x19): size: found 154, expected a multiple of 4 from 8 to "},
      {32, 1, 4, "load command 0: found a segment of the other word size, expected 64 bits"},
      {32 + 64, 2, 4, "segment __TEXT: found 2 sections in 152 bytes, expected 232 bytes"},
      {32 + 64, 0xffffffff, 4, "segment __TEXT: found 4294967295 sections in 152 bytes, expected 343597383672 bytes"},
      {32 + 48, UINT64_MAX, 8, "segment __TEXT: found 18446744073709551615 bytes at 0x0, expected a range within the file's "},
      {32 + 40, UINT64_MAX, 8, "segment __TEXT: found 16384 bytes at 0xffffffffffffffff, expected a range within the file's "},
  };
  for (const Damage& damage : damages) {
    Bytes bad = thin;
    for (std::size_t i = 0; i < damage.size; ++i) bad[damage.at + i] = static_cast<std::uint8_t>(damage.value >> (8 * i));
    const std::string message = FindPayload(View(bad)).status().message();
    CHECK(message.substr(0, damage.message.size()) == damage.message);
  }
  const Bytes fat = BuildFat({thin, thin}, false, 14);
  const std::vector<Damage> fat_damages = {
      {7, 43, 1, "found a file of unknown format, expected a shared library"},
      {7, 3, 1, "fat header: slice cpu 0x0 subtype 0x0: found offset 0x0, expected at least 0x44"},
      {16, 0xff, 1, "fat header: slice x86_64: found "},
      {27, 31, 1, "fat header: slice x86_64: alignment: found 2^31, expected at most 2^30"},
      {37, 0, 1, "fat header: slice x86_64: found offset 0x8000, expected at least "},
  };
  for (const Damage& damage : fat_damages) {
    Bytes bad = fat;
    bad[damage.at] = static_cast<std::uint8_t>(damage.value);
    const std::string message = FindPayload(View(bad)).status().message();
    CHECK(message.substr(0, damage.message.size()) == damage.message);
  }
  for (std::size_t size = 0; size < 2000; ++size) CHECK_FALSE(FindPayload(ByteView(fat.data(), size)).ok());
  for (std::size_t size = 0; size < thin.size(); size += 501) CHECK_FALSE(FindPayload(ByteView(thin.data(), size)).ok());
  CHECK(FindPayload(View(thin), "arm64").status().message() == "found a Mach-O file of one architecture, expected a fat file");
  CHECK(FindPayload(View(fat), "arm64").status().message() == "no slice arm64; it has x86_64, x86_64");
}

}  // namespace
}  // namespace pannier
