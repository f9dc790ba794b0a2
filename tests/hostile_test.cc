// Golden bundles made hostile: what the damage table of one bundle cannot reach (sections found by name, undo record, hand-made
// tables), and contradictions that need several fields.
#include <zstd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "embedder/embed.h"
#include "embedder/fat_layout.h"
#include "embedder/host_model.h"
#include "embedder/manifest_builder.h"
#include "embedder/opened_bundle.h"
#include "embedder/plan_elf.h"
#include "embedder/restore.h"
#include "src/chunked_content.h"
#include "src/elf_file.h"
#include "src/verify.h"
#include "tests/bundle_image.h"
#include "tests/file_fixture.h"
#include "tests/fuzz/bundle_sealer.h"

namespace pannier {
namespace {

std::string Golden(const std::string& name) {
  std::string bytes = ReadFile(PANNIER_TEST_DATA "/../golden/" + name);
  REQUIRE_FALSE(bytes.empty());
  return bytes;
}

// Offsets of fields of ELF64 headers.
constexpr std::size_t kSectionCountField = 60;
constexpr std::size_t kNameSectionField = 62;
constexpr std::size_t kSectionType = 4;
constexpr std::size_t kSectionOffset = 24;
constexpr std::size_t kSectionSize = 32;

// A program header of an ELF64 file whose table follows the ELF header.
std::size_t ProgramHeader(std::size_t index) { return 64 + 56 * index; }

std::uint8_t* SectionHeader(const Image& image, std::size_t index) {
  return image.bytes() + LoadInteger<std::uint64_t>(image.bytes() + 40, ByteOrder::kLittle) + index * 64;
}

std::vector<elf::Section> Sections(const Image& image) {
  Result<elf::Header> header = elf::ParseHeader(image.view());
  REQUIRE(header.ok());
  Result<std::vector<elf::Section>> sections = elf::ParseSections(image.view(), *header);
  REQUIRE(sections.ok());
  return *sections;
}

std::uint8_t* SectionHeader(const Image& image, std::string_view name) {
  const std::vector<elf::Section> sections = Sections(image);
  const auto found =
      std::find_if(sections.begin(), sections.end(), [&](const elf::Section& section) { return section.name == name; });
  REQUIRE(found != sections.end());
  return SectionHeader(image, static_cast<std::size_t>(found - sections.begin()));
}

std::uint8_t* NameTable(const Image& image) {
  return image.bytes() + LoadInteger<std::uint64_t>(SectionHeader(image, ".shstrtab") + kSectionOffset, ByteOrder::kLittle);
}

TEST_CASE("damage to a bundle whose sections are found by name") {
  const std::vector<Damage> damages = {
      {"section header size", [](const Image& i) { Put16(i.bytes() + 58, 40); }, Seal::kNothing, ErrorCode::kMalformed,
       "elf header: section header size: found 40, expected 64"},
      {"section header count too large for any file",
       [](const Image& i) {
         Put64(SectionHeader(i, 0) + kSectionSize, std::uint64_t{1} << 32);
         Put16(i.bytes() + kSectionCountField, 0);
       },
       Seal::kNothing, ErrorCode::kMalformed, "section headers: found a count of 4294967296, expected at most 32 bits"},
      {"section header count too large for this file",
       [](const Image& i) {
         Put64(SectionHeader(i, 0) + kSectionSize, UINT32_MAX);
         Put16(i.bytes() + kSectionCountField, 0);
       },
       Seal::kNothing, ErrorCode::kMalformed, "section headers: found 274877906880 bytes at "},
      {"section 0 behind the end of the file",
       [](const Image& i) {
         Put64(i.bytes() + 40, i.view().size() - 63);
         Put16(i.bytes() + kSectionCountField, 0);
       },
       Seal::kNothing, ErrorCode::kMalformed, "section headers: found offset "},
      {"name section's number", [](const Image& i) { Put16(i.bytes() + kNameSectionField, 0xfffe); }, Seal::kNothing,
       ErrorCode::kMalformed, "section names: found section 65534, expected less than 19"},
      {"name section's number, extended",
       [](const Image& i) {
         Put32(SectionHeader(i, 0) + 40, 77);
         Put16(i.bytes() + kNameSectionField, 0xffff);
       },
       Seal::kNothing, ErrorCode::kMalformed, "section names: found section 77, expected less than 19"},
      {"names without bytes", [](const Image& i) { Put32(SectionHeader(i, ".shstrtab") + kSectionType, elf::kSectionNoBits); },
       Seal::kNothing, ErrorCode::kMalformed, "section names: found section type 8, expected bytes in the file"},
      {"a name's offset", [](const Image& i) { Put32(SectionHeader(i, 3), UINT32_MAX); }, Seal::kNothing, ErrorCode::kMalformed,
       "section 3: name: found offset 4294967295, expected less than "},
      {"a name without end",
       [](const Image& i) {
         std::uint8_t* names = SectionHeader(i, ".shstrtab");
         Put64(names + kSectionSize, LoadInteger<std::uint64_t>(names + kSectionSize, ByteOrder::kLittle) - 1);
       },
       Seal::kNothing, ErrorCode::kMalformed, "section 18: name: found no terminating zero in the name table"},
      {"a section's range", [](const Image& i) { Put64(SectionHeader(i, ".tvm.graph") + kSectionOffset, UINT64_MAX); },
       Seal::kNothing, ErrorCode::kMalformed, "section 11: found 53 bytes at 0xffffffffffffffff, expected a range within "},
      {"anchor's section too small", [](const Image& i) { Put64(SectionHeader(i, ".tvm.anchor") + kSectionSize, 127); },
       Seal::kNothing, ErrorCode::kMalformed, "section .tvm.anchor: magic number not found"},
      {"anchor's section renamed",
       [](const Image& i) {
         NameTable(i)[LoadInteger<std::uint32_t>(SectionHeader(i, ".tvm.anchor"), ByteOrder::kLittle) + 5] = 'x';
       },
       Seal::kNothing, ErrorCode::kNotABundle,
       "not a bundle: it carries no pannier payload (never embedded, or removed by a tool such as llvm-strip or eu-strip)"},
      {"graph's section of another size", [](const Image& i) { Put64(SectionHeader(i, ".tvm.graph") + kSectionSize, 52); },
       Seal::kNothing, ErrorCode::kMalformed, "section .tvm.graph: found none of 53 bytes in the file"},
      {"manifest's section misaligned",
       [](const Image& i) {
         std::uint8_t* header = SectionHeader(i, ".tvm.manifest");
         Put64(header + kSectionOffset, LoadInteger<std::uint64_t>(header + kSectionOffset, ByteOrder::kLittle) + 4);
       },
       Seal::kNothing, ErrorCode::kMalformed, "manifest: found no aligned section of "},
      {"index's section misaligned",
       [](const Image& i) {
         std::uint8_t* header = SectionHeader(i, ".tvm.index");
         Put64(header + kSectionOffset, LoadInteger<std::uint64_t>(header + kSectionOffset, ByteOrder::kLittle) + 1);
       },
       Seal::kNothing, ErrorCode::kMalformed, "artifact \"graph\": chunk table: found 48 bytes at 0x0, expected an aligned range"},
      {"signature room of another size", [](const Image& i) { Put64(SectionHeader(i, ".tvm.sig") + kSectionSize, 8191); },
       Seal::kNothing, ErrorCode::kMalformed, "signature room: found no section of 8192 bytes"},
  };
  CheckDamages(Golden("v1-file-only.so"), damages);
}

TEST_CASE("damage to what the manifest says") {
  using M = format::Manifest;
  using A = format::Artifact;
  const std::vector<Damage> damages = {
      {"manifest offset not a multiple of 8",
       [](const Image& i) { Put64(i.anchor + 24, LoadInteger<std::uint64_t>(i.anchor + 24, ByteOrder::kLittle) + 4); },
       Seal::kNothing, ErrorCode::kMalformed, "anchor: manifest: found "},
      {"manifest within the anchor", [](const Image& i) { Put64(i.anchor + 24, 120); }, Seal::kNothing, ErrorCode::kMalformed,
       "anchor: manifest: found "},
      {"signature room smaller, and further behind",
       [](const Image& i) {
         Put64(i.anchor + 40, LoadInteger<std::uint64_t>(i.anchor + 40, ByteOrder::kLittle) + 8);
         Put64(i.anchor + 48, kSignatureRoom - 8);
       },
       Seal::kNothing, ErrorCode::kMalformed, "anchor: signature room: found 8184 bytes at "},
      {"signature room that does not end with the payload", [](const Image& i) { Put64(i.anchor + 48, kSignatureRoom - 8); },
       Seal::kNothing, ErrorCode::kMalformed, "anchor: signature room: found 8184 bytes at "},
      {"no program header leads to the payload, no section either",
       [](const Image& i) {
         for (std::size_t n = 0; n < i.bytes()[56]; ++n) Put32(i.bytes() + ProgramHeader(n), elf::kSegmentNull);
         Put64(i.bytes() + 40, 0);
       },
       Seal::kNothing, ErrorCode::kNotABundle, "not a bundle: it carries no pannier payload"},
      {"image format", [](const Image& i) { *Image::Field(i.manifest, M::VT_FORMAT) = 2; }, Seal::kManifest,
       ErrorCode::kUnsupported, "manifest: format: found 2, expected 1 (elf)"},
      {"undo section's number", [](const Image& i) { Put32(Image::Field(i.manifest, M::VT_UNDO_SECTION), 5); }, Seal::kManifest,
       ErrorCode::kMalformed, "manifest: found section number 5, expected less than 5"},
      {"sections out of order",
       [](const Image& i) {
         const auto& sections = *i.manifest->sections();
         Put64(Image::Field(sections.Get(2), format::Section::VT_OFFSET), sections.Get(1)->offset());
       },
       Seal::kManifest, ErrorCode::kMalformed, "section .tvm.labels: found "},
      {"manifest's root",
       [](const Image& i) { Put32(i.anchor + LoadInteger<std::uint64_t>(i.anchor + 24, ByteOrder::kLittle), 0x7ffffff0); },
       Seal::kManifest, ErrorCode::kMalformed, "manifest: not a sound FlatBuffer with identifier PNRM"},
      {"a name twice",
       [](const Image& i) { std::memcpy(Image::Mutable(i.manifest->artifacts()->Get(2)->name()->data()), "params", 6); },
       Seal::kManifest, ErrorCode::kMalformed, "manifest: artifact \"params\" found twice"},
      {"params said to be a blob", [](const Image& i) { *Image::Field(i.params, A::VT_KIND) = 0; }, Seal::kManifest,
       ErrorCode::kMalformed, "artifact 1 \"params\": chunk table missing"},
      {"host's chunk size", [](const Image& i) { Put32(Image::Field(i.manifest->host(), format::Host::VT_CHUNK_SIZE), 2048); },
       Seal::kManifest, ErrorCode::kMalformed, "host: chunk size: found 2048, expected a power of two from 4096 to 16777216"},
      {"span table's size", [](const Image& i) { Put64(Image::Mutable(i.manifest->image()->spans()) + 8, 55); }, Seal::kManifest,
       ErrorCode::kMalformed, "image spans: found 55 bytes, expected records of 56"},
      {"segments misaligned",
       [](const Image& i) {
         // The vector's length becomes its first element's first half, and that (a PT_LOAD's type, 1) the length.
         std::uint8_t* offset = Image::Field(i.manifest->image(), format::Image::VT_SEGMENTS);
         Put32(offset, LoadInteger<std::uint32_t>(offset, ByteOrder::kLittle) + 4);
       },
       Seal::kManifest, ErrorCode::kMalformed, "image: segments: found them misaligned"},
      {"params' size", [](const Image& i) { Put64(Image::Field(i.params, A::VT_SIZE), std::uint64_t{1} << 46); }, Seal::kManifest,
       ErrorCode::kMalformed, "tensor table: params: found 70368744177664 bytes, expected 300436"},
      {"tensor table astray", [](const Image& i) { Put64(Image::Mutable(i.params->tensors()) + 8, UINT64_MAX); }, Seal::kManifest,
       ErrorCode::kMalformed, "tensor table: found 18446744073709551615 bytes at "},
      {"tensor table's root",
       [](const Image& i) {
         Put32(i.index + i.params->tensors()->offset(), 0x7ffffff0);
         i.SealRange(i.params->tensors());
       },
       Seal::kManifest, ErrorCode::kMalformed, "tensor table: not a sound FlatBuffer"},
      {"shape misaligned",
       [](const Image& i) {
         // Shape (3, 4) read four bytes further on: three elements, of which the buffer holds enough.
         std::uint8_t* offset = Image::Field(i.tensors->tensors()->Get(0), format::Tensor::VT_SHAPE);
         Put32(offset, LoadInteger<std::uint32_t>(offset, ByteOrder::kLittle) + 4);
         i.SealRange(i.params->tensors());
       },
       Seal::kManifest, ErrorCode::kMalformed, "tensor 0 \"weight\": shape: found it misaligned, expected a multiple of 8"},
      {"too few chunks", [](const Image& i) { Put64(Image::Field(i.params, A::VT_CHUNK_COUNT), 1); }, Seal::kManifest,
       ErrorCode::kMalformed, "tensor 1 \"bias\": chunks: found 2 in all, expected at most 1"},
      {"name order of another length",
       [](const Image& i) {
         Put32(Image::Mutable(i.tensors->by_name()), 4);
         i.SealRange(i.params->tensors());
       },
       Seal::kManifest, ErrorCode::kMalformed, "tensor table: name order: found 4 entries, expected 5"},
      {"tensor table larger than any FlatBuffer",
       [](const Image& i) { Put64(Image::Mutable(i.params->tensors()) + 8, std::uint64_t{1} << 32); }, Seal::kManifest,
       ErrorCode::kMalformed, "tensor table: found 4294967296 bytes at "},
  };
  CheckDamages(Golden("v1-elf64-little.so"), damages);
}

// A golden bundle with a copy of its payload behind all else: whoever takes the copy finds a good bundle, too.
class TwoPayloads {
 public:
  explicit TwoPayloads(const std::string& name) {
    const std::string good = Golden(name);
    const Image image(good);
    first_ = static_cast<std::uint64_t>(image.anchor - image.bytes());
    const auto size = LoadInteger<std::uint64_t>(image.anchor + 16, ByteOrder::kLittle);
    second_ = AlignUp(good.size(), 4096) + first_ % 4096;
    bytes_.resize(static_cast<std::size_t>(second_ + size));
    std::copy(good.begin(), good.end(), bytes_.begin());
    std::copy_n(good.begin() + static_cast<std::ptrdiff_t>(first_), size, bytes_.begin() + static_cast<std::ptrdiff_t>(second_));
  }

  std::uint8_t* at(std::uint64_t offset) { return reinterpret_cast<std::uint8_t*>(bytes_.data()) + offset; }
  std::uint64_t first() const { return first_; }
  std::uint64_t second() const { return second_; }

  // Which payload is taken: 1 or 2.
  int Taken() {
    const Result<Payload> payload = FindPayload(ByteView(bytes_.data(), bytes_.size()));
    INFO(payload.status().message());
    REQUIRE(payload.ok());
    REQUIRE((payload->anchor_file_offset == first_ || payload->anchor_file_offset == second_));
    CHECK(BundleReader::Open(*payload).status().message() == "");
    return payload->anchor_file_offset == first_ ? 1 : 2;
  }

 private:
  std::string bytes_;
  std::uint64_t first_ = 0;
  std::uint64_t second_ = 0;
};

TEST_CASE("of two segments that begin with an anchor, the first in the table counts") {
  for (const bool decoy_first : {false, true}) {
    TwoPayloads file("v1-elf64-little.so");
    // The payload's program header, and the one before it, which becomes another of the kind.
    std::size_t ours = 1;
    while (LoadInteger<std::uint64_t>(file.at(ProgramHeader(ours) + 8), ByteOrder::kLittle) != file.first()) ++ours;
    std::uint8_t* decoy = file.at(ProgramHeader(ours - 1));
    std::uint8_t* real = file.at(ProgramHeader(ours));
    std::memcpy(decoy, real, 56);
    Put64((decoy_first ? decoy : real) + 8, file.second());
    CAPTURE(decoy_first);
    CHECK(file.Taken() == (decoy_first ? 2 : 1));
  }
}

TEST_CASE("a mapped anchor counts before any section .tvm.anchor") {
  TwoPayloads file("v1-elf64-little.so");
  const Image image(Golden("v1-elf64-little.so"));
  Put64(file.at(static_cast<std::uint64_t>(SectionHeader(image, ".tvm.anchor") - image.bytes())) + kSectionOffset, file.second());
  CHECK(file.Taken() == 1);
}

TEST_CASE("of two sections .tvm.anchor, the first counts") {
  for (const bool decoy_first : {false, true}) {
    TwoPayloads file("v1-file-only.so");
    const Image image(Golden("v1-file-only.so"));
    const std::vector<elf::Section> sections = Sections(image);
    std::size_t ours = 0;
    while (sections[ours].name != ".tvm.anchor") ++ours;
    // The host's first section becomes another of the kind.
    const auto header = [&](std::size_t i) { return file.at(static_cast<std::uint64_t>(SectionHeader(image, i) - image.bytes())); };
    std::memcpy(header(1), header(ours), 64);
    Put64(header(decoy_first ? 1 : ours) + kSectionOffset, file.second());
    CAPTURE(decoy_first);
    CHECK(file.Taken() == (decoy_first ? 2 : 1));
  }
}

TEST_CASE("the manifest says how its payload is to be found") {
  const auto open = [](const Image& image) { UseAll(image, Check::kFull); };
  const Image lost(Golden("v1-elf64-little.so"));  // all its program headers, but not its sections
  for (std::size_t i = 0; i < lost.bytes()[56]; ++i) Put32(lost.bytes() + ProgramHeader(i), elf::kSegmentNull);
  CHECK_THROWS_WITH(open(lost), "manifest: placement: found 1, expected 2 (in the file only), as the payload was found");
  const Image image(Golden("v1-file-only.so"));
  *Image::Field(image.manifest, format::Manifest::VT_PLACEMENT) = 1;
  image.SealManifest();
  CHECK_THROWS_WITH(open(image), "manifest: placement: found 1, expected 2 (in the file only), as the payload was found");
}

// `labels`, the third artifact of a golden bundle, with all digests in the file that tell of it made right again.
void SealLabels(const Image& image, const format::Artifact& labels) {
  image.SealRange(labels.chunks());
  for (const format::Part* part : *image.manifest->parts()) {
    if (ToText(part->name()) != kIndexSection) continue;
    const Sha256Digest digest = Sha256Of(ByteView(image.anchor + part->offset(), part->size()));
    std::memcpy(Image::Mutable(part->sha256()), digest.bytes.data(), digest.bytes.size());
  }
  image.SealManifest();
}

// What this version does not know is skipped: all else is read, and its bytes are checked.
TEST_CASE("an artifact of a later kind, and a chunk of a later codec") {
  struct Later {
    void (*change)(const Image& image, const format::Artifact& labels);
    std::string message;
  };
  const std::vector<Later> laters = {
      {[](const Image&, const format::Artifact& labels) { *Image::Field(&labels, format::Artifact::VT_KIND) = 7; },
       "artifact \"labels\": kind: found 7, expected 0 (blob) or 1 (params); a newer pannier reads it"},
      {[](const Image& image, const format::Artifact& labels) { image.index[labels.chunks()->offset() + 12] = 9; },
       "artifact \"labels\": chunk 0: codec: found 9, expected 0 (store), 1 (zstd) or 2 (planes)"},
  };
  const TemporaryDirectory folder;
  const std::string path = folder / "later.so";
  for (const Later& later : laters) {
    CAPTURE(later.message);
    const Image image(Golden("v1-elf64-little.so"));
    const format::Artifact& labels = *image.manifest->artifacts()->Get(2);
    later.change(image, labels);
    SealLabels(image, labels);
    WriteFile(path, std::string(image.view().text()));
    const auto verify = [&path] {
      const Result<OpenedBundle> opened = OpenedBundle::Open(path);
      REQUIRE(opened.ok());
      const Result<VerifyReport> report = VerifyFile(opened->file, opened->reader, 1);
      REQUIRE(report.ok());
      return report->differences.empty() ? "" : report->differences.front();
    };
    CHECK(verify() == "");
    CHECK(OpenBundle(path).artifact("labels").size() == labels.size());
    CHECK_NOTHROW(UseAll(image, Check::kFull));
    try {
      (void)OpenBundle(path).artifact("labels").bytes();
      FAIL_CHECK("no error");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::kUnsupported);
      CHECK(std::string(error.what()) == path + ": " + later.message);
    }

    // Its stored bytes have a digest, whatever they mean.
    image.anchor[image.manifest->sections()->Get(labels.section())->offset() + labels.offset()] ^= 1;
    WriteFile(path, std::string(image.view().text()));
    CHECK(verify().substr(0, 19) == "artifact \"labels\": ");
    CHECK_THROWS_AS(UseAll(image, Check::kFull), Error);
    CHECK_NOTHROW(UseAll(image, Check::kLazy));
  }
}

TEST_CASE("the anchor, taken alone") {
  std::vector<std::uint8_t> bytes(Anchor::kSize);
  CHECK(ParseAnchor(ByteView(bytes.data(), 127)).status().message() == "anchor: found 127 bytes, expected 128");
  CHECK(ParseAnchor(ByteView(bytes.data(), 128)).status().message() == "anchor: magic number not found");
}

TEST_CASE("files of other formats") {
  const auto found = [](std::string_view bytes) { return FindPayload(ByteView(bytes.data(), bytes.size())).status().message(); };
  CHECK(found("") == "found a file of unknown format, expected a shared library");
  CHECK(found("!<arch>\nlib.o/") == "found a static archive, expected a shared library");
  CHECK(found("MZ\x90") == "dos header: found 3 bytes, expected 64");
  CHECK(found("\xcf\xfa\xed\xfe") == "mach header: found 4 bytes, expected 32");
  CHECK(found("\xfe\xed\xfa\xcf") == "found a big-endian Mach-O file (PowerPC), expected a little-endian one");
  CHECK(found("\x7f"
              "ELF") == "elf header: found 4 bytes, expected at least 16");
  CHECK(found(std::string_view("\x7f"
                               "ELF\2\1\1\0\0\0\0\0\0\0\0\0\3\0",
                               18)) == "elf header: found 18 bytes, expected 64");
}

// A payload of a manifest and one section of 8 bytes.
std::vector<std::uint64_t> PayloadOf(ManifestFacts facts) {
  facts.sections.insert(facts.sections.begin(), {".tvm.x", 128, 8, 8});
  facts.is_mapped = true;
  facts.payload_size = 1;
  const std::size_t size = BuildManifest(facts).size();
  Anchor anchor;
  anchor.manifest_offset = 136;
  anchor.manifest_size = size;
  anchor.signature_offset = AlignUp(136 + size, 8);
  anchor.signature_size = 8;
  anchor.payload_size = facts.payload_size = anchor.signature_offset + 8;
  const std::vector<std::uint8_t> manifest = BuildManifest(facts);
  anchor.manifest_sha256 = Sha256Of(ByteView(manifest.data(), manifest.size()));
  std::vector<std::uint64_t> payload(static_cast<std::size_t>(anchor.payload_size / 8));
  auto* bytes = reinterpret_cast<std::uint8_t*>(payload.data());
  const auto anchor_bytes = EncodeAnchor(anchor);
  std::copy(anchor_bytes.begin(), anchor_bytes.end(), bytes);
  std::copy(manifest.begin(), manifest.end(), bytes + 136);
  return payload;
}

Payload MappedPayload(ByteView bytes) {
  Payload payload;
  payload.anchor = payload.segment = bytes;
  return payload;
}

// As many artifacts and sections as told.
Status OpenManifest(std::uint32_t artifacts, std::uint32_t sections) {
  ManifestFacts facts;
  for (std::uint32_t i = 1; i < sections; ++i) facts.sections.push_back({".tvm.y", 136, 0, 8});
  for (std::uint32_t i = 0; i < artifacts; ++i) {
    ArtifactFacts artifact;
    artifact.name = std::to_string(i);
    facts.artifacts.push_back(artifact);
  }
  const std::vector<std::uint64_t> payload = PayloadOf(facts);
  return BundleReader::Open(MappedPayload(ByteView(payload.data(), payload.size() * 8))).TakeStatus();
}

TEST_CASE("a manifest of more than it may hold") {
  CHECK(OpenManifest(kMaxArtifacts, 1).message() == "");
  CHECK(OpenManifest(kMaxArtifacts + 1, 1).message() == "manifest: found 4097 artifacts, expected at most 4096");
  CHECK(OpenManifest(1, kMaxSections).message() == "");
  CHECK(OpenManifest(1, kMaxSections + 1).message() == "manifest: found 4105 sections, expected at most 4104");
}

TEST_CASE("each derived range may need a pass over the file, so there are few") {
  const TemporaryDirectory folder;
  for (const std::size_t count : {std::size_t{16}, std::size_t{17}}) {
    ManifestFacts facts;
    facts.derived.resize(count);
    const std::vector<std::uint64_t> payload = PayloadOf(facts);
    WriteFile(folder / "payload", std::string(ByteView(payload.data(), payload.size() * 8).text()));
    const Result<MappedFile> file = MappedFile::Open(folder / "payload");
    REQUIRE(file.ok());
    const Result<BundleReader> reader = BundleReader::Open(MappedPayload(file->bytes()));
    REQUIRE(reader.ok());
    const std::string message = VerifyFile(*file, *reader, 1).status().message();
    CHECK((message == "manifest: found 17 derived ranges, expected at most 16") == (count == 17));
  }
}

TEST_CASE("digests of the same bytes over and over are not made") {
  const TemporaryDirectory folder;
  WriteFile(folder / "graph", "{}");
  const std::string host = std::filesystem::directory_iterator(PANNIER_TEST_DATA "/mlp/linux-x86_64")->path().string();
  REQUIRE(Embed(host, {{"graph", folder / "graph"}}, folder / "bundle", {}).ok());
  std::string bytes = ReadFile(folder / "bundle");
  auto* const data = reinterpret_cast<std::uint8_t*>(bytes.data());
  const Result<Payload> payload = FindPayload(ByteView(data, bytes.size()));
  REQUIRE(payload.ok());
  const Result<BundleReader> reader = BundleReader::Open(*payload);
  REQUIRE(reader.ok());
  // Each span becomes the largest.
  const format::IndexRange& range = *reader->manifest().image()->spans();
  const ByteView table = *reader->index().Slice(range.offset(), range.size());
  const std::size_t count = table.size() / SpanRecord::kSize;
  std::size_t largest = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (ParseSpanRecord(table, i)->size > ParseSpanRecord(table, largest)->size) largest = i;
  }
  const std::vector<std::uint8_t> record(table.begin() + static_cast<std::ptrdiff_t>(largest * SpanRecord::kSize),
                                         table.begin() + static_cast<std::ptrdiff_t>((largest + 1) * SpanRecord::kSize));
  for (std::size_t i = 0; i < count; ++i)
    std::copy(record.begin(), record.end(), Image::Mutable(table.data() + i * SpanRecord::kSize));
  SealBundle(data, bytes.size());
  WriteFile(folder / "bundle", bytes);
  const Result<OpenedBundle> bundle = OpenedBundle::Open(folder / "bundle");
  REQUIRE(bundle.ok());
  const std::string message = VerifyImage(bundle->file, bundle->reader, 1).status().message();
  CHECK(message.substr(0, 25) == "layout: found digests of ");
  CHECK(VerifyFile(bundle->file, bundle->reader, 1)->passed());
}

TEST_CASE("frames that decode to another size than their chunk's") {
  const std::string text = Pattern(40, 7);
  std::vector<std::uint8_t> frame(ZSTD_compressBound(text.size()));
  frame.resize(ZSTD_compress(frame.data(), frame.size(), text.data(), text.size(), 3));
  const ByteView stored(frame.data(), frame.size());
  const auto decode = [&](std::uint64_t size, std::uint32_t stored_size) {
    std::vector<std::uint8_t> table;
    table.resize(ChunkRecord::kSize);
    StoreChunkRecord(table, 0, {0, stored_size, Codec::kZstd, Sha256Of(ByteView(frame.data(), stored_size))});
    std::vector<std::uint8_t> out(static_cast<std::size_t>(size));
    return ChunkedContent(stored, ByteView(table.data(), table.size()), size, kMinChunkSize).Decode(out.data(), 1, true);
  };
  const auto size = static_cast<std::uint32_t>(frame.size());
  CHECK(decode(40, size).message() == "");
  CHECK(decode(41, size).message() == "chunk 0: zstd: found 40 bytes, expected 41");
  CHECK(decode(39, size).message() == "chunk 0: zstd: Destination buffer is too small");
  CHECK(decode(40, size - 1).message() == "chunk 0: zstd: Src size is incorrect");
  CHECK(decode(40, 0).message() == "chunk 0: zstd: found 0 bytes, expected 40");
}

TEST_CASE("before memory is made, records and frames must account for it") {
  const std::string text = Pattern(40, 7);
  std::vector<std::uint8_t> stored(text.begin(), text.end());
  // Behind the text: a frame that says its size, and one that does not.
  const auto append_frame = [&](bool with_size) {
    const std::unique_ptr<ZSTD_CCtx, std::size_t (*)(ZSTD_CCtx*)> context(ZSTD_createCCtx(), &ZSTD_freeCCtx);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_contentSizeFlag, with_size ? 1 : 0);
    const std::size_t begin = stored.size();
    stored.resize(begin + ZSTD_compressBound(text.size()));
    const std::size_t size = ZSTD_compress2(context.get(), &stored[begin], stored.size() - begin, text.data(), text.size());
    stored.resize(begin + size);
    return ChunkRecord{begin, static_cast<std::uint32_t>(size), Codec::kZstd, {}};
  };
  const ChunkRecord frame = append_frame(true);
  const ChunkRecord sizeless = append_frame(false);
  const ChunkRecord plain = {0, 40, Codec::kStore, {}};
  ChunkRecord later = plain;
  later.codec = static_cast<Codec>(9);
  const auto check = [&](std::uint64_t size, const std::vector<ChunkRecord>& records) {
    std::vector<std::uint8_t> table;
    table.resize(records.size() * ChunkRecord::kSize);
    for (std::size_t i = 0; i < records.size(); ++i) StoreChunkRecord(table, i, records[i]);
    return ChunkedContent(ByteView(stored.data(), stored.size()), ByteView(table.data(), table.size()), size, kMinChunkSize)
        .CheckDecodable()
        .message();
  };
  CHECK(check(0, {}) == "");
  CHECK(check(40, {plain}) == "");
  CHECK(check(40, {frame}) == "");
  CHECK(check(39, {frame}) == "chunk 0: zstd frame: found 40, expected 39");
  CHECK(check(kMinChunkSize + 40, {frame, frame}) == "chunk 0: zstd frame: found 40, expected 4096");
  CHECK(check(40, {sizeless}) == "chunk 0: zstd frame: found no content size, expected 40");
  CHECK(check(40, {later}) == "chunk 0: codec: found 9, expected 0 (store), 1 (zstd) or 2 (planes)");
  CHECK(check(kMinChunkSize + 40, {plain, plain}) == "chunk 0: stored size: found 40, expected what holds 4096 bytes");
}

TEST_CASE("restore trusts the manifest, not the undo record") {
  struct UndoDamage {
    std::string name;
    void (*change)(const Image& image, const format::UndoRecord& undo);
    ErrorCode code;
    std::string message;  // what it contains
  };
  using U = format::UndoRecord;
  const std::vector<UndoDamage> damages = {
      {"root", [](const Image&, const U& undo) { Put32(Image::Mutable(&undo) - 4, 0); }, ErrorCode::kOk, ""},
      {"an edit behind the host's end",
       [](const Image&, const U& undo) {
         Put64(Image::Field(undo.edits()->Get(0), format::Edit::VT_OFFSET), undo.host_size() - 1);
       },
       ErrorCode::kMalformed, "undo record: found 8 bytes at 0x577, expected a range from 0x0 to 0x578"},
      {"edits out of order",
       [](const Image&, const U& undo) { Put64(Image::Field(undo.edits()->Get(1), format::Edit::VT_OFFSET), 0); },
       ErrorCode::kMalformed, "undo record: found 2 bytes at 0x0, expected a range from 0x30 to 0x578"},
      {"an old byte", [](const Image&, const U& undo) { Image::Mutable(undo.edits()->Get(0)->old()->data())[0] ^= 1; },
       ErrorCode::kHostChanged, "the host's sha-256 would be "},
      {"an old byte, with the record's digest made right again",
       [](const Image& image, const U& undo) {
         Image::Mutable(undo.edits()->Get(0)->old()->data())[0] ^= 1;
         std::vector<std::uint8_t> host(image.bytes(), image.bytes() + undo.host_size());
         for (const format::Edit* edit : *undo.edits())
           std::copy(edit->old()->begin(), edit->old()->end(), host.begin() + static_cast<std::ptrdiff_t>(edit->offset()));
         const Sha256Digest digest = Sha256Of(ByteView(host.data(), host.size()));
         std::memcpy(Image::Field(&undo, U::VT_HOST_SHA256), digest.bytes.data(), digest.bytes.size());
       },
       ErrorCode::kHostChanged, "the host's sha-256 would be "},
      {"a larger host", [](const Image&, const U& undo) { Put64(Image::Field(&undo, U::VT_HOST_SIZE), 1 << 20); },
       ErrorCode::kMalformed, "undo record: host: found 1048576 bytes, expected 1400"},
      {"a smaller host", [](const Image&, const U& undo) { Put64(Image::Field(&undo, U::VT_HOST_SIZE), 1399); },
       ErrorCode::kMalformed, "undo record: host: found 1399 bytes, expected 1400"},
  };
  const TemporaryDirectory folder;
  const std::string good = Golden("v1-file-only.so");
  for (const UndoDamage& damage : damages) {
    CAPTURE(damage.name);
    const Image image(good);
    const std::uint8_t* record = image.index + (image.manifest->sections()->Get(image.manifest->undo_section())->offset() -
                                                image.manifest->sections()->Get(image.manifest->index_section())->offset());
    const U& undo = *flatbuffers::GetRoot<U>(record);
    if (damage.code == ErrorCode::kOk) {
      Put32(Image::Mutable(record), 0x7ffffff0);
    } else {
      damage.change(image, undo);
    }
    WriteFile(folder / "bad.so", std::string(image.view().text()));
    const Status status = Restore(folder / "bad.so", folder / "out.so");
    CHECK(status.code() == (damage.code == ErrorCode::kOk ? ErrorCode::kMalformed : damage.code));
    const std::string expected = damage.code == ErrorCode::kOk ? "undo record: not a sound FlatBuffer" : damage.message;
    CHECK(status.message().find(expected) != std::string::npos);
    CAPTURE(status.message());
    CHECK(folder.List() == Names{"bad.so"});
  }
  WriteFile(folder / "good.so", good);
  CHECK(Restore(folder / "good.so", folder / "out.so").ok());
}

TEST_CASE("a small bundle does not stand for an endless host") {
  const TemporaryDirectory folder;
  const Image image(Golden("v1-pe32-debug.dll"));
  REQUIRE(image.manifest->host()->pieces() != nullptr);
  const std::uint8_t* record = image.anchor + image.manifest->sections()->Get(image.manifest->undo_section())->offset();
  constexpr std::uint64_t kEndless = std::uint64_t{1} << 42;
  Put64(Image::Field(image.manifest->host(), format::Host::VT_SIZE), kEndless);
  Put64(Image::Field(flatbuffers::GetRoot<format::UndoRecord>(record), format::UndoRecord::VT_HOST_SIZE), kEndless);
  image.SealManifest();
  WriteFile(folder / "bad.dll", std::string(image.view().text()));
  const Status status = Restore(folder / "bad.dll", folder / "out.dll");
  CHECK(status.code() == ErrorCode::kMalformed);
  CHECK(status.message().find("undo record: host: found none of its bytes at ") != std::string::npos);

  macho::FatFile fat;
  fat.slices = {{macho::kCpuX64, 3, std::uint64_t{1} << 30, 100, 30}};
  CHECK(CheckGapSizes(fat, (std::uint64_t{2} << 30) + 100).message() == "");
  CHECK(CheckGapSizes(fat, (std::uint64_t{2} << 30) + 101).message() ==
        "fat file: found 1073741825 bytes that belong to no slice at 0x40000064, expected at most 1073741824");
  fat.slices[0].offset = std::uint64_t{1} << 42;
  CHECK_FALSE(CheckGapSizes(fat, (std::uint64_t{1} << 42) + 100).ok());
}

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

bool Verifies(const std::string& path) {
  const Result<OpenedBundle> bundle = OpenedBundle::Open(path);
  if (!bundle.ok()) return false;
  const Result<VerifyReport> report = VerifyFile(bundle->file, bundle->reader, 1);
  return report.ok() && report->passed();
}

TEST_CASE("every flipped bit of a golden bundle is found, but for those of the signature room") {
  const TemporaryDirectory folder;
  const std::string path = folder / "bad.so";
  for (const std::string name : {"v1-file-only.so", "v1-file-only-elf32-big.so", "v1-elf64-little.so"}) {
    const std::string good = Golden(name);
    const Image image(good);
    const std::uint64_t room = LoadInteger<std::uint64_t>(image.anchor + 40, ByteOrder::kLittle);
    const auto room_begin = static_cast<std::uint64_t>(image.anchor - image.bytes()) + room;
    WriteFile(path, good);
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    const auto put = [&file](std::size_t at, char byte) {
      file.seekp(static_cast<std::streamoff>(at));
      file.put(byte).flush();
      REQUIRE(file.good());
    };
    // In steps through the host, whose chunks are all checked alike; each byte of what is ours.
    const auto payload = static_cast<std::size_t>(image.anchor - image.bytes());
    for (std::size_t at = 0; at < good.size(); at += at + 17 < payload ? 17 : 1) {
      if (at >= room_begin && at < room_begin + kSignatureRoom) continue;
      put(at, static_cast<char>(good[at] ^ (1 << at % 8)));
      CAPTURE(name, at);
      REQUIRE_FALSE(Verifies(path));
      put(at, good[at]);
    }
    REQUIRE(Verifies(path));
  }
}

TEST_CASE("a bundle cut off anywhere, in memory of exactly its size") {
  for (const std::string name : {"v1-file-only.so", "v1-file-only-elf32-big.so", "v1-elf64-little.so", "v1-elf32-little.so"}) {
    const std::string good = Golden(name);
    for (std::size_t size = 0; size < good.size(); size += size < 600 ? 1 : 61) {
      const std::vector<std::uint8_t> cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
      CAPTURE(name, size);
      // Where only section headers are lost, a mapped payload is whole.
      const auto anchor = good.find("\x89PANNIER");
      const std::uint64_t payload =
          LoadInteger<std::uint64_t>(reinterpret_cast<const std::uint8_t*>(good.data()) + anchor + 16, ByteOrder::kLittle);
      const bool mapped = name.find("file-only") == std::string::npos;
      if (mapped && size >= anchor + payload) {
        CHECK_NOTHROW(OpenBundle(cut.data(), cut.size(), {Check::kFull, 1, false}));
      } else {
        CHECK_THROWS_AS(OpenBundle(cut.data(), cut.size(), {Check::kFull, 1, false}), Error);
      }
    }
  }
}

}  // namespace
}  // namespace pannier
