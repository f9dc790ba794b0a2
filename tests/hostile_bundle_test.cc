// Golden bundles made hostile: what the damage table of one bundle cannot reach (sections found by name, undo record),
// contradictions that need several fields, and any bit of them.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "embedder/opened_bundle.h"
#include "embedder/restore.h"
#include "src/elf_file.h"
#include "src/verify.h"
#include "tests/bundle_image.h"
#include "tests/golden.h"

namespace pannier {
namespace {

// Offsets of fields of ELF64 headers.
constexpr std::size_t kSectionCountField = 60;
constexpr std::size_t kNameSectionField = 62;
constexpr std::size_t kSectionType = 4;

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
    const Result<Payload> payload = FindPayload(View(bytes_));
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
  const auto found = [](std::string_view bytes) { return FindPayload(View(bytes)).status().message(); };
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
         const Sha256Digest digest = Sha256Of(View(host));
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
