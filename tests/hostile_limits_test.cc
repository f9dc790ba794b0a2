// Small files that ask for much: tables of more than they may hold, digests and passes over and over, memory for chunks, endless
// hosts.
#include <zstd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "embedder/content/manifest_builder.h"
#include "embedder/embed.h"
#include "embedder/formats/fat_layout.h"
#include "embedder/opened_bundle.h"
#include "embedder/restore.h"
#include "src/chunked_content.h"
#include "src/verify.h"
#include "tests/bundle_image.h"
#include "tests/fuzz/bundle_sealer.h"
#include "tests/golden.h"

namespace pannier {
namespace {

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
  anchor.manifest_sha256 = Sha256Of(View(manifest));
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
    return ChunkedContent(stored, View(table), size, kMinChunkSize).Decode(out.data(), 1, true);
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
    return ChunkedContent(View(stored), View(table), size, kMinChunkSize).CheckDecodable().message();
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

}  // namespace
}  // namespace pannier
