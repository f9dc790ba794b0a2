// PE hosts: the reader on damaged headers, the planner where room is short, round trips through embedder and readers.
#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "embedder/embed.h"
#include "embedder/formats/plan_pe.h"
#include "embedder/opened_bundle.h"
#include "embedder/restore.h"
#include "pannier/loader.h"
#include "src/pe_file.h"
#include "src/verify.h"
#include "tests/pe_builder.h"

namespace pannier {
namespace {

PeParts Debugged() {
  PeParts parts;
  parts.sections.push_back({"/4", kPeDebugSection, 700, 1024});
  parts.sections.push_back({"/16", kPeDebugSection, 100, 512});
  parts.symbols = {{1, 0}, {4, 0}, {5, 4}, {5, 3}, {0xffff, 0}, {0, 0}};
  return parts;
}

// `artifacts` of 1000 bytes each, and the rest, as the finisher lays them out.
std::vector<PlannedSection> Planned(const PePlacement& placement, std::size_t artifacts) {
  const std::uint64_t align = placement.grouping == Grouping::kAll ? 8 : placement.section_align;
  std::vector<PlannedSection> sections = {{".tvm.anchor", 0, 128, 64}};
  std::uint64_t end = 128;
  auto add = [&](const std::string& name, std::uint64_t alignment) {
    sections.push_back({name, AlignUp(end, alignment), 1000, 8});
    end = sections.back().offset + 1000;
  };
  for (std::size_t i = 0; i < artifacts; ++i) add(".tvm.a" + std::to_string(i), align);
  add(".tvm.index", align);
  add(".tvm.undo", 8);
  add(".tvm.manifest", 8);
  add(".tvm.sig", 8);
  sections.back().size = AlignUp(end, placement.payload_align) - sections.back().offset;
  return sections;
}

// The rules of docs/architecture.md: addresses and raw data one after another, sizes in the header that follow from them.
void CheckLayout(const std::string& file) {
  const PeModel model = ModelOf(file);
  std::uint64_t address = model.sections.front().address;
  std::uint64_t raw_end = model.header.headers_size;
  CHECK(model.header.section_table_end() <= model.header.headers_size);
  CHECK(model.header.headers_size <= address);
  for (const pe::Section& section : model.sections) {
    CHECK(section.address == address);
    address = AlignUp(address + section.memory_size(), model.header.section_alignment);
    if (!section.has_bytes()) continue;
    CHECK(section.raw_offset % model.header.file_alignment == 0);
    CHECK(section.raw_offset >= raw_end);
    raw_end = section.raw_offset + section.raw_size;
    CHECK(raw_end <= file.size());
  }
  CHECK(model.header.image_size == address);
}

std::string PlaceError(const PeParts& parts, bool drop_signature = false) {
  const std::string file = BuildPe(parts);
  const Result<PePlacement> placement = PlacePePayload(ModelOf(file), {2, drop_signature});
  return placement.ok() ? "placed" : placement.status().message();
}

PePlacement MustPlace(const std::string& file, std::size_t artifacts = 2, bool drop_signature = false) {
  Result<PePlacement> placement = PlacePePayload(ModelOf(file), {artifacts, drop_signature});
  INFO(placement.status().message());
  REQUIRE(placement.ok());
  return std::move(*placement);
}

class Files {
 public:
  Files() {
    WriteFile(folder / "graph.json", "{\"nodes\": [1, 2, 3]}");
    WriteFile(folder / "labels", Pattern(5000, 9));
  }
  Result<EmbedSummary> Embed(const std::string& host, bool drop_signature = false, bool force = false) const {
    WriteFile(folder / "lib.dll", host);
    EmbedOptions options;
    options.encode.threads = 1;
    options.drop_signature = drop_signature;
    options.force = force;
    return pannier::Embed(folder / "lib.dll", {{"graph", folder / "graph.json"}, {"labels", folder / "labels"}},
                          folder / "model.dll", options);
  }
  std::string MustEmbed(const std::string& host, bool drop_signature = false) const {
    const Result<EmbedSummary> summary = Embed(host, drop_signature);
    INFO(summary.status().message());
    REQUIRE(summary.ok());
    return ReadFile(folder / "model.dll");
  }
  VerifyReport Verify(const std::string& bundle, bool image = false) const {
    WriteFile(folder / "other.dll", bundle);
    const Result<OpenedBundle> opened = OpenedBundle::Open(folder / "other.dll");
    VerifyReport damage;
    damage.differences.push_back(opened.status().message());
    if (!opened.ok()) return damage;
    Result<VerifyReport> report =
        image ? VerifyImage(opened->file, opened->reader, 1) : VerifyFile(opened->file, opened->reader, 1);
    if (report.ok()) return std::move(*report);
    damage.differences = {report.status().message()};
    return damage;
  }

  TemporaryDirectory folder;
};

std::string Text(const VerifyReport& report) {
  std::string text;
  for (const std::string& line : report.differences) text += line + "\n";
  return text;
}

TEST_CASE("damaged PE headers are answered with their errors") {
  struct HeaderDamage {
    std::function<void(PeWriter&, const pe::Header&)> change;
    ErrorCode code;
    std::string message;
  };
  const std::string good = BuildPe({});
  const pe::Header header = *pe::ParseHeader(View(good));
  const std::uint64_t table = header.section_table_offset();
  const std::vector<HeaderDamage> damages = {
      {[](PeWriter& w, const pe::Header&) { w.Half(0, 0x5858); }, ErrorCode::kUnsupported,
       "found a file of unknown format, expected a shared library"},
      {[](PeWriter& w, const pe::Header&) { w.Word(60, UINT32_MAX); }, ErrorCode::kMalformed,
       "dos header: pe header: found offset 0xffffffff, expected room for one in 2560 bytes"},
      {[](PeWriter& w, const pe::Header&) { w.Word(60, 2560 - 23); }, ErrorCode::kMalformed,
       "dos header: pe header: found offset 0x9e9, expected room for one in 2560 bytes"},
      {[](PeWriter& w, const pe::Header& h) { w.Word(h.signature_offset, 0); }, ErrorCode::kUnsupported,
       "found an MZ file without a PE header (for DOS or 16-bit Windows?), expected a PE library"},
      {[](PeWriter& w, const pe::Header& h) { w.Half(h.signature_offset + 20, 0xffff); }, ErrorCode::kMalformed,
       "optional header: found 65535 bytes at 0x108, expected a range within 2560 bytes"},
      {[](PeWriter& w, const pe::Header& h) { w.Half(h.signature_offset + 20, 1); }, ErrorCode::kMalformed,
       "optional header: found 1 bytes, expected an image's"},
      {[](PeWriter& w, const pe::Header& h) { w.Half(h.signature_offset + 20, 111); }, ErrorCode::kMalformed,
       "optional header: found 111 bytes, expected at least 112"},
      {[](PeWriter& w, const pe::Header& h) { w.Half(h.signature_offset + 20, 239); }, ErrorCode::kMalformed,
       "optional header: found 239 bytes, expected 240 for 16 data directories"},
      {[](PeWriter& w, const pe::Header& h) { w.Half(h.optional_offset(), 0x107); }, ErrorCode::kUnsupported,
       "optional header: magic: found 0x107, expected 0x10b (PE32) or 0x20b (PE32+)"},
      {[](PeWriter& w, const pe::Header& h) { w.Half(h.section_count_field(), 0xffff); }, ErrorCode::kMalformed,
       "section headers: found 65535 at 0x1f8, expected a range within 2560 bytes"},
      {[table](PeWriter& w, const pe::Header&) { w.Word(table + 16, UINT32_MAX); }, ErrorCode::kMalformed,
       "section header 0: found 4294967295 bytes at 0x400, expected a range within the file's 2560 bytes; the file is cut off or "
       "damaged"},
      {[table](PeWriter& w, const pe::Header&) { w.Word(table + 20, UINT32_MAX); }, ErrorCode::kMalformed,
       "section header 0: found 512 bytes at 0xffffffff, expected a range within the file's 2560 bytes; the file is cut off or "
       "damaged"},
      {[](PeWriter&, const pe::Header&) {}, ErrorCode::kNotABundle,
       "not a bundle: it carries no pannier payload (never embedded, or removed by a tool such as llvm-strip or eu-strip)"},
  };
  for (const HeaderDamage& damage : damages) {
    std::string bad = good;
    PeWriter write(bad);
    damage.change(write, header);
    const Result<Payload> payload = FindPayload(View(bad));
    CHECK(payload.status().message() == damage.message);
    CHECK(payload.status().code() == damage.code);
  }
  for (std::size_t size = 2; size < good.size(); ++size) {
    const std::string cut(good, 0, size);
    CHECK(FindPayload(View(cut)).status().code() == ErrorCode::kMalformed);
  }
}

TEST_CASE("a section's name: eight characters, or in the string table") {
  const std::string file = BuildPe(Debugged());
  PeModel model = ModelOf(file);
  auto name = [&](const std::string& text) {
    pe::Section section;
    std::copy(text.begin(), text.end(), section.name.begin());
    return std::string(pe::SectionName(model.bytes, model.header, section));
  };
  CHECK(name("12345678") == "12345678");
  CHECK(name("/4") == ".debug_info");
  CHECK(name("/16") == ".debug_line");
  for (const std::string odd : {"/", "/x", "/4x", "/28", "/9999999"}) CHECK(name(odd) == odd);
  model.header.symbol_offset = static_cast<std::uint32_t>(file.size() - 4);
  CHECK(name("/4") == "/4");
  model.header.symbol_count = UINT32_MAX;
  CHECK(name("/4") == "/4");
  model.header.symbol_offset = 0;
  CHECK(name("/4") == "/4");
}

TEST_CASE("what is no ordinary PE image is refused, with the reason") {
  auto with = [](const std::function<void(PeParts&)>& change) {
    PeParts parts;
    change(parts);
    return PlaceError(parts);
  };
  CHECK(with([](PeParts&) {}) == "placed");
  CHECK(with([](PeParts& p) { p.characteristics = 0x2020; }) ==
        "found a file that its linker did not finish (no IMAGE_FILE_EXECUTABLE_IMAGE), expected a DLL");
  CHECK(with([](PeParts& p) { p.sections.clear(); }) == "found no sections, expected a DLL with some");
  CHECK(with([](PeParts& p) { p.section_alignment = p.file_alignment = 512; }) ==
        "section alignment: found 512, expected at least 4096; such files are mapped as they are, without room for more sections");
  CHECK(with([](PeParts& p) { p.section_alignment = 4 << 20; }) == "section alignment: found 4194304, expected at most 2097152");
  CHECK(
      with([](PeParts& p) { p.file_alignment = 256; }) ==
      "alignments: found 4096 of sections and 256 in the file, expected powers of two, and from 512 to the sections' in the file");
  CHECK(
      with([](PeParts& p) { p.file_alignment = 8192; }) ==
      "alignments: found 4096 of sections and 8192 in the file, expected powers of two, and from 512 to the sections' in the file");

  auto after = [](const std::function<void(PeWriter&, const pe::Header&)>& change) {
    std::string file = BuildPe({});
    PeWriter write(file);
    change(write, *pe::ParseHeader(View(file)));
    const Result<PePlacement> placement = PlacePePayload(ModelOf(file), {2, false});
    return placement.ok() ? "placed" : placement.status().message();
  };
  CHECK(after([](PeWriter& w, const pe::Header& h) { w.Word(h.headers_size_field(), 600); }) ==
        "size of headers: found 600, expected from 624 to 4096");
  CHECK(after([](PeWriter& w, const pe::Header& h) { w.Word(h.headers_size_field(), 2048); }) ==
        "section 0: raw data: found at 0x400, expected at 0x800 or behind: headers and sections in the order of their addresses");
  CHECK(after([](PeWriter& w, const pe::Header& h) { w.Word(h.image_size_field(), 0x6000); }) ==
        "size of image: found 0x6000, expected 0x5000");
  CHECK(after([](PeWriter& w, const pe::Header& h) { w.Word(h.section_table_offset() + 40 + 12, 0x3000); }) ==
        "section 1: address: found 0x3000, expected 0x2000");
  CHECK(after([](PeWriter& w, const pe::Header& h) { w.Word(h.directory_field(pe::kDebugDirectory) + 4, 28 * 257); }) ==
        "debug directory: found 7196 bytes, expected at most 7168");
  CHECK(after([](PeWriter& w, const pe::Header& h) { w.Word(h.section_table_end(), 1); }) ==
        "no room for a section header: found data behind the section headers, expected zeroes; link it again");
  CHECK(after([](PeWriter& w, const pe::Header& h) {
          w.Word(h.section_table_end(), 1);
          w.Word(h.directory_field(pe::kBoundImportDirectory), h.section_table_end());
        }) ==
        "no room for a section header: found bound imports behind the section headers, expected zeroes; link it again and do "
        "not bind it");
}

TEST_CASE("fewer section headers where the room is short, then one, then headers grow") {
  PeParts parts;
  const auto headers = [&](std::uint32_t room, std::size_t artifacts) {
    parts.room = room;
    const std::string file = BuildPe(parts);
    const PePlacement placement = MustPlace(file, artifacts);
    return GroupSections(Planned(placement, std::min(artifacts, placement.own_sections + 1)), placement.grouping).size();
  };
  CHECK(headers(160, 2) == 4);
  CHECK(headers(152, 2) == 1);
  CHECK(headers(160, 3) == 1);  // graph and params both, or none
  CHECK(headers(200, 3) == 5);
  CHECK(headers(200, 9) == 5);
  CHECK(headers(120, 1) == 3);
  CHECK(headers(40, 1) == 1);
  parts.room = 32;
  const std::string crowded = BuildPe(parts);
  const PePlacement grown = MustPlace(crowded);
  CHECK(grown.headers_growth == 512);
  CHECK(grown.new_headers_size == 1536);
  CHECK(grown.grouping == Grouping::kTail);
  CHECK(grown.anchor_offset == 2560 + 512);
  CHECK(grown.notes.front() == "the headers grow by 512 bytes: there was no room for another section header");
  parts.headers_size = 4096;
  parts.file_alignment = 4096;
  for (PeSectionParts& section : parts.sections) section.raw_size *= 8;
  CHECK(PlaceError(parts) ==
        "no room for a section header: headers could grow to 0x1000, expected 0x2000; link it with fewer sections or with a larger "
        "/ALIGN");
  parts = PeParts();
  parts.headers_size = 8192;
  parts.sections.assign(96, {".s", 0x40000040, 10, 0});
  parts.room = 100;
  CHECK(PlaceError(parts) == "found 96 sections, expected fewer than 96");
  parts.sections.pop_back();
  const std::string many = BuildPe(parts);
  CHECK(MustPlace(many).grouping == Grouping::kAll);
}

TEST_CASE("the payload goes before debug sections at the end, whose addresses, raw data and symbols rise") {
  const std::string file = BuildPe(Debugged());
  const PeModel model = ModelOf(file);
  const PePlacement placement = MustPlace(file);
  CHECK(placement.first_section == 3);
  CHECK(placement.anchor_address == model.sections[3].address);
  CHECK(placement.anchor_offset == model.sections[3].raw_offset);
  const std::vector<PlannedSection> sections = Planned(placement, 2);
  const Result<EditPlan> plan = PlanPe(model, placement, sections);
  REQUIRE(plan.ok());
  const std::uint64_t payload = sections.back().offset + sections.back().size;
  REQUIRE(plan->pieces.size() == 2);
  CHECK(plan->pieces[1].bundle_offset == placement.anchor_offset + payload);
  CHECK(plan->file_size == file.size() + payload);
  CHECK(plan->image.segments.size() == 3 + 4);

  const std::string bundle = Files().MustEmbed(file);
  CheckLayout(bundle);
  const PeModel after = ModelOf(bundle);
  const std::uint64_t symbols = after.header.symbol_offset;
  auto number = [&](std::uint64_t record) { return *after.bytes.Read<std::uint16_t>(symbols + record * pe::kSymbolSize + 12); };
  // Symbols of sections 1, 4, 5 (with 4), 5 (with 3), none, none.
  const std::vector<unsigned> expected = {1, 4 + 4, 5 + 4, 4 + 4, 5 + 4, 3, 0xffff, 0};
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK(number(i) == expected[i]);
  CHECK(pe::SectionName(after.bytes, after.header, after.sections[7]) == ".debug_info");

  // A data directory that leads into one keeps it, and what is before, in its place.
  std::string referred = file;
  PeWriter(referred).Word(model.header.directory_field(pe::kDebugDirectory), model.sections[4].address);
  PeWriter(referred).Word(model.header.directory_field(pe::kDebugDirectory) + 4, 28);
  CHECK(FirstTrailingDebugSection(ModelOf(referred)) == 5);
  // So does a name that nothing resolves.
  std::string nameless = file;
  PeWriter(nameless).Word(model.header.symbol_offset_field(), 0);
  CHECK(FirstTrailingDebugSection(ModelOf(nameless)) == 5);
}

TEST_CASE("a payload that no PE image holds is refused") {
  const std::string file = BuildPe({});
  const PePlacement placement = MustPlace(file);
  std::vector<PlannedSection> sections = Planned(placement, 2);
  sections.back().size = 0x77000000;
  const Result<EditPlan> plan = PlanPe(ModelOf(file), placement, sections);
  CHECK(plan.status().code() == ErrorCode::kLimit);
  CHECK(plan.status().message() ==
        "a PE image holds 1996488704 bytes, its file 4 GiB: found 1996525568 with 1996505088 bytes of payload; embed less, or "
        "compress it (--codec zstd)");
}

TEST_CASE("PE hosts of many kinds embed, verify, read back and restore") {
  const Files files;
  for (int kind = 0; kind < 64; ++kind) {
    PeParts parts = (kind & 1) != 0 ? Debugged() : PeParts();
    parts.is_64 = (kind & 2) != 0;
    parts.machine = (kind & 2) == 0 ? 0x14c : (kind & 1) != 0 ? 0x8664 : 0xaa64;
    if ((kind & 4) != 0) parts.room = 16;
    if ((kind & 8) != 0) parts.checksum = 0;
    if ((kind & 16) != 0) parts.overlay = "what somebody looks for at the end";
    parts.has_debug_directory = (kind & 32) != 0;
    if ((kind & 24) == 24) parts.certificate_size = 264;
    CAPTURE(kind);
    const std::string host = BuildPe(parts);
    const std::string bundle = files.MustEmbed(host, true);
    CheckLayout(bundle);
    CHECK(Text(files.Verify(bundle)).empty());
    CHECK(Text(files.Verify(bundle, true)).empty());
    CHECK((ModelOf(bundle).header.checksum == 0) == (parts.checksum == 0));
    const Bundle opened = OpenBundle(files.folder / "model.dll");
    opened.CheckDigests();
    CHECK(opened.graph_json() == ReadFile(files.folder / "graph.json"));
    if (parts.certificate_size == 0) CHECK(bundle.substr(bundle.size() - parts.overlay.size()) == parts.overlay);
    if (parts.has_debug_directory) {
      const PeModel model = ModelOf(bundle);
      const std::uint32_t pointer = *model.bytes.Read<std::uint32_t>(PeDebugPointerFields(model).front());
      CHECK(bundle.substr(pointer, 24) == Pattern(24, 3));
    }
    REQUIRE(Restore(files.folder / "model.dll", files.folder / "back.dll").ok());
    CHECK(ReadFile(files.folder / "back.dll") == host);
    // Embedding again gives the same.
    EmbedOptions options;
    options.force = true;
    options.drop_signature = true;
    REQUIRE(Embed(files.folder / "model.dll", {{"graph", files.folder / "graph.json"}, {"labels", files.folder / "labels"}},
                  files.folder / "again.dll", options)
                .ok());
    CHECK(ReadFile(files.folder / "again.dll") == bundle);
  }
}

TEST_CASE("as the OS maps it, a PE bundle's payload is found and read the same") {
  const Files files;
  for (const bool is_64 : {false, true}) {
    PeParts parts = Debugged();
    parts.is_64 = is_64;
    const std::string file = files.MustEmbed(BuildPe(parts));
    const PeModel model = ModelOf(file);
    std::vector<std::uint64_t> image(model.header.image_size / 8);  // aligned, as the payload's tables demand
    auto* const base = reinterpret_cast<std::uint8_t*>(image.data());
    std::memcpy(base, file.data(), model.header.headers_size);
    for (const pe::Section& section : model.sections) {
      if (section.has_bytes()) std::memcpy(base + section.address, file.data() + section.raw_offset, section.mapped_size());
    }
    const Result<Payload> payload = FindMappedPe(ByteView(base, model.header.image_size));
    REQUIRE(payload.ok());
    CHECK(payload->segment.size() >= FindPayload(View(file))->segment.size());
    const Result<BundleReader> reader = BundleReader::Open(*payload);
    INFO(reader.status().message());
    REQUIRE(reader.ok());
    CHECK(reader->artifact_count() == 2);
  }
}

TEST_CASE("the image of a PE bundle: what counts, and what tools may change") {
  const Files files;
  PeParts parts = Debugged();
  parts.has_debug_directory = true;
  const std::string good = files.MustEmbed(BuildPe(parts));
  const PeModel model = ModelOf(good);
  const pe::Header& header = model.header;
  auto changed = [&](const std::function<void(PeWriter&)>& change) {
    std::string other = good;
    PeWriter write(other);
    change(write);
    REQUIRE(other != good);
    CHECK_FALSE(files.Verify(other).passed());
    return Text(files.Verify(other, true));
  };
  const std::uint64_t table = header.section_table_offset();
  CHECK(changed([&](PeWriter& w) { w.Word(header.checksum_field(), 7); }).empty());
  CHECK(changed([&](PeWriter& w) { w.Word(header.signature_offset + 8, 0x77777777); }).empty());  // the time
  CHECK(changed([&](PeWriter& w) { w.Half(header.signature_offset + 22, header.characteristics | 0x20c); }).empty());
  CHECK(changed([&](PeWriter& w) { w.Word(PeDebugPointerFields(model).front(), 7); }).empty());
  CHECK(changed([&](PeWriter& w) { w.Word(table + 2 * 40 + 36, 0xc0000040); }).empty());  // GNU strip's .rsrc
  CHECK(changed([&](PeWriter& w) { w.Word(model.sections[0].raw_offset + 104, 0xcccccccc); }) ==
        "image, between sections: 412 bytes at 0x464: sha-256: found " +
            Sha256Of(View(std::string(4, '\0') + "\xcc\xcc\xcc\xcc" + std::string(404, '\0'))).Hex() + ", expected " +
            Sha256Of(View(std::string(412, '\0'))).Hex() + "\n");
  CHECK(changed([&](PeWriter& w) {
          for (std::uint64_t at = 100; at < 512; at += 4) w.Word(model.sections[0].raw_offset + at, 0xcccccccc);
        }).empty());
  CHECK(changed([&](PeWriter& w) { w.Word(model.sections[0].raw_offset, 7); }).find("image: 100 bytes at 0x400") == 0);
  CHECK(changed([&](PeWriter& w) { w.Word(header.optional_offset() + 16, 4100); }) ==
        "file header: type, machine, flags or entry: found others than when it was embedded\n");
  CHECK(changed([&](PeWriter& w) { w.Word(header.directory_field(1), 0x1010); }) ==
        "headers: found others than when it was embedded\n");
  CHECK(
      changed([&](PeWriter& w) { w.Word(table + 36, 0xe0000020); }) ==
      "segment 0: found type 0x1 flags 0xe0000020 address 0x1000 sizes 100/100, expected type 0x1 flags 0x60000020 address 0x1000 "
      "sizes 100/100\n");
}

TEST_CASE("an Authenticode signature: refused, dropped on demand; a later one is named") {
  const Files files;
  PeParts parts;
  parts.certificate_size = 264;
  const std::string host = BuildPe(parts);
  const std::string refusal =
      "found an Authenticode signature, which any change voids; embed with --drop-signature to leave it out, then sign the bundle";
  CHECK(PlaceError(parts) == refusal);
  CHECK(files.Embed(host).status().message() == files.folder / "lib.dll" + ": " + refusal);
  CHECK(MustPlace(host, 2, true).notes.front() == "its Authenticode signature (264 bytes) is left out: sign the bundle again");
  const std::string bundle = files.MustEmbed(host, true);
  CHECK(ModelOf(bundle).header.directories[pe::kCertificateDirectory].address == 0);

  std::string behind = host + "not a certificate";
  CHECK(PlacePePayload(ModelOf(behind), {2, true}).status().message() ==
        "certificate table: found 264 bytes at 0xa00, expected the file's end, 0xb19");

  std::string since = bundle + std::string(16, 'c');
  PeWriter(since).Word(ModelOf(since).header.directory_field(pe::kCertificateDirectory), bundle.size());
  PeWriter(since).Word(ModelOf(since).header.directory_field(pe::kCertificateDirectory) + 4, 16);
  const std::string words = "certificate table: found 16 bytes at 0x7a00, expected none: it was signed since";
  CHECK(files.Verify(since).differences.front() == words);
  const VerifyReport image = files.Verify(since, true);
  CHECK(Text(image).empty());
  CHECK(image.notes.front() == words);
  CHECK(OpenBundle(files.folder / "other.dll").artifact_count() == 2);
  const Status restored = Restore(files.folder / "other.dll", files.folder / "back.dll");
  CHECK(restored.code() == ErrorCode::kHostChanged);
  CHECK(restored.message() == files.folder / "other.dll" + ": cannot be restored: it was changed since it was made (" + words +
                                  "); strip, patchelf and signers rewrite files for good");
}

}  // namespace
}  // namespace pannier
