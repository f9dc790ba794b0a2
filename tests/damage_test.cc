// The damage table: a good bundle, one field changed (digests made right again, so that the check behind them is reached), and the
// exact error.
#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "embedder/embed.h"
#include "tests/bundle_image.h"

namespace pannier {
namespace {

namespace fs = std::filesystem;

std::string MakeGoodBundle() {
  std::string pattern = (fs::temp_directory_path() / "pannier-damage-XXXXXX").string();
  REQUIRE(mkdtemp(pattern.data()) != nullptr);
  const fs::path folder = pattern;
  const fs::path data = fs::path(PANNIER_TEST_DATA) / "mlp";
  EmbedOptions options;
  options.encode.codec = CodecChoice::kZstd;
  const Result<EmbedSummary> summary =
      Embed((data / "linux-x86_64" / "lib.so").string(),
            {{"graph", (data / "graph.json").string()}, {"params", (data / "params.bin").string()}}, (folder / "model.so").string(),
            options);
  INFO(summary.status().message());
  REQUIRE(summary.ok());
  std::ifstream file(folder / "model.so", std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  fs::remove_all(folder);
  return bytes;
}

const std::vector<Damage>& Damages() {
  using M = format::Manifest;
  using A = format::Artifact;
  using T = format::Tensor;
  static const std::vector<Damage> damages = {
      {"elf magic", [](const Image& i) { i.bytes()[0] = 'x'; }, Seal::kNothing, ErrorCode::kUnsupported,
       "found a file of unknown format, expected a shared library"},
      {"elf class", [](const Image& i) { i.bytes()[4] = 3; }, Seal::kNothing, ErrorCode::kMalformed,
       "elf header: class: found 3, expected 1 (32-bit) or 2 (64-bit)"},
      {"elf byte order", [](const Image& i) { i.bytes()[5] = 0; }, Seal::kNothing, ErrorCode::kMalformed,
       "elf header: byte order: found 0, expected 1 (little) or 2 (big)"},
      {"elf version", [](const Image& i) { Put32(i.bytes() + 20, 7); }, Seal::kNothing, ErrorCode::kMalformed,
       "elf header: version: found 7, expected 1"},
      {"program header size", [](const Image& i) { Put16(i.bytes() + 54, 32); }, Seal::kNothing, ErrorCode::kMalformed,
       "elf header: program header size: found 32, expected 56"},
      {"program header count", [](const Image& i) { Put16(i.bytes() + 56, 0xffff); }, Seal::kNothing, ErrorCode::kUnsupported,
       "elf header: found 65535 or more program headers, expected fewer"},
      {"program header offset", [](const Image& i) { Put64(i.bytes() + 32, UINT64_MAX - 8); }, Seal::kNothing,
       ErrorCode::kMalformed, "program headers: found 560 bytes at 0xfffffffffffffff7, expected a range within "},
      {"segment size", [](const Image& i) { Put64(i.bytes() + 64 + 32, UINT64_MAX); }, Seal::kNothing, ErrorCode::kMalformed,
       "program header 0: found 18446744073709551615 bytes at 0x0, expected a range within the file's "},
      {"no anchor, section headers gone astray",
       [](const Image& i) {
         i.anchor[0] = 0;
         Put64(i.bytes() + 40, UINT64_MAX);
       },
       Seal::kNothing, ErrorCode::kMalformed, "section headers: found "},
      {"anchor magic", [](const Image& i) { i.anchor[0] = 0; }, Seal::kNothing, ErrorCode::kMalformed,
       "section .tvm.anchor: magic number not found"},
      {"newer major version", [](const Image& i) { Put16(i.anchor + 12, 2); }, Seal::kNothing, ErrorCode::kUnsupported,
       "format version: found 2.0, expected 1.x; a pannier of version 2 reads it"},
      {"anchor reserved word", [](const Image& i) { i.anchor[56] = 1; }, Seal::kNothing, ErrorCode::kMalformed,
       "anchor: reserved bytes: found non-zero, expected zero"},
      {"anchor reserved tail", [](const Image& i) { i.anchor[127] = 1; }, Seal::kNothing, ErrorCode::kMalformed,
       "anchor: reserved bytes: found non-zero, expected zero"},
      {"payload size below anchor", [](const Image& i) { Put64(i.anchor + 16, 127); }, Seal::kNothing, ErrorCode::kMalformed,
       "anchor: payload size: found 127, expected at least 128"},
      {"payload larger than its segment",
       [](const Image& i) {
         Put64(i.anchor + 16, UINT64_MAX);
         Put64(i.anchor + 48, UINT64_MAX - LoadInteger<std::uint64_t>(i.anchor + 40, ByteOrder::kLittle));
       },
       Seal::kNothing, ErrorCode::kMalformed, "payload: found a segment of "},
      {"manifest too large", [](const Image& i) { Put64(i.anchor + 32, kMaxManifestSize + 1); }, Seal::kNothing,
       ErrorCode::kMalformed, "anchor: manifest size: found 16777217, expected at most 16777216"},
      {"manifest offset astray", [](const Image& i) { Put64(i.anchor + 24, UINT64_MAX - 7); }, Seal::kNothing,
       ErrorCode::kMalformed, "anchor: manifest: found "},
      {"signature room astray", [](const Image& i) { Put64(i.anchor + 40, 8); }, Seal::kNothing, ErrorCode::kMalformed,
       "anchor: signature room: found 8192 bytes at 0x8"},
      {"manifest byte", [](const Image& i) { Put64(Image::Field(i.manifest, M::VT_FILE_SIZE), 1); }, Seal::kNothing,
       ErrorCode::kDigestMismatch, "manifest: sha-256: found "},
      {"manifest identifier",
       [](const Image& i) {
         Image::Mutable(
             flatbuffers::GetBufferIdentifier(i.anchor + LoadInteger<std::uint64_t>(i.anchor + 24, ByteOrder::kLittle)))[0] = 'X';
       },
       Seal::kManifest, ErrorCode::kMalformed, "manifest: not a sound FlatBuffer with identifier PNRM"},
      {"manifest version", [](const Image& i) { Put16(Image::Field(i.manifest, M::VT_VERSION_MINOR), 9); }, Seal::kManifest,
       ErrorCode::kMalformed, "manifest: version: found 1.9, expected the anchor's 1.0"},
      {"manifest payload size", [](const Image& i) { Put64(Image::Field(i.manifest, M::VT_PAYLOAD_SIZE), 5); }, Seal::kManifest,
       ErrorCode::kMalformed, "manifest: payload size: found 5, expected the anchor's "},
      {"manifest placement", [](const Image& i) { *Image::Field(i.manifest, M::VT_PLACEMENT) = 2; }, Seal::kManifest,
       ErrorCode::kMalformed, "manifest: placement: found 2, expected 1 (mapped), as the payload was found"},
      {"section before the anchor's end",
       [](const Image& i) { Put64(Image::Field(i.manifest->sections()->Get(0), format::Section::VT_OFFSET), 0); }, Seal::kManifest,
       ErrorCode::kMalformed, "section .tvm.graph: found "},
      {"section too large",
       [](const Image& i) { Put64(Image::Field(i.manifest->sections()->Get(1), format::Section::VT_SIZE), UINT64_MAX); },
       Seal::kManifest, ErrorCode::kMalformed, "section .tvm.params: found 18446744073709551615 bytes at "},
      {"index section number", [](const Image& i) { Put32(Image::Field(i.manifest, M::VT_INDEX_SECTION), 99); }, Seal::kManifest,
       ErrorCode::kMalformed, "manifest: found section number 99, expected less than 4"},
      {"artifact's section number", [](const Image& i) { Put32(Image::Field(i.graph, A::VT_SECTION), 4); }, Seal::kManifest,
       ErrorCode::kMalformed, "artifact 0 \"graph\": section: found 4, expected less than 4"},
      {"artifact's range", [](const Image& i) { Put64(Image::Field(i.graph, A::VT_OFFSET), UINT64_MAX); }, Seal::kManifest,
       ErrorCode::kMalformed, "artifact 0 \"graph\": found "},
      {"artifact's name", [](const Image& i) { Image::Mutable(i.graph->name()->data())[0] = '/'; }, Seal::kManifest,
       ErrorCode::kMalformed, "artifact 0 \"/raph\": name: expected 1 to 255 bytes of UTF-8 without control characters or slash"},
      {"artifact's kind", [](const Image& i) { *Image::Field(i.graph, A::VT_KIND) = 7; }, Seal::kManifest, ErrorCode::kUnsupported,
       "artifact \"graph\": kind: found 7, expected 0 (blob) or 1 (params); a newer pannier reads it"},
      {"chunk table of an artifact of another kind",
       [](const Image& i) {
         *Image::Field(i.graph, A::VT_KIND) = 7;
         Put64(Image::Mutable(i.graph->chunks()) + 8, 47);
       },
       Seal::kManifest, ErrorCode::kMalformed, "artifact 0 \"graph\": chunk table: found 47 bytes, expected records of 48"},
      {"artifact of another kind without chunks", [](const Image& i) { *Image::Field(i.params, A::VT_KIND) = 2; }, Seal::kManifest,
       ErrorCode::kMalformed, "artifact 1 \"params\": chunk table missing"},
      {"artifact's kind without its table", [](const Image& i) { *Image::Field(i.graph, A::VT_KIND) = 1; }, Seal::kManifest,
       ErrorCode::kMalformed, "artifact 0 \"graph\": tensor table missing"},
      {"artifact's chunk size", [](const Image& i) { Put32(Image::Field(i.graph, A::VT_CHUNK_SIZE), 3000); }, Seal::kManifest,
       ErrorCode::kMalformed, "artifact 0 \"graph\": chunk size: found 3000, expected a power of two from 4096 to 16777216"},
      {"artifact's size", [](const Image& i) { Put64(Image::Field(i.graph, A::VT_SIZE), UINT64_MAX); }, Seal::kManifest,
       ErrorCode::kMalformed, "artifact 0 \"graph\": chunk table: found 48 bytes, expected 70368744177664 records of 48"},
      {"host size", [](const Image& i) { Put64(Image::Field(i.manifest->host(), format::Host::VT_SIZE), UINT64_MAX); },
       Seal::kManifest, ErrorCode::kMalformed, "host: chunk table: found 32 bytes, expected 17592186044416 records of 32"},
      {"index range astray", [](const Image& i) { Put64(Image::Mutable(i.graph->chunks()), UINT64_MAX - 47); }, Seal::kManifest,
       ErrorCode::kMalformed,
       "artifact \"graph\": chunk table: found 48 bytes at 0xffffffffffffffd0, expected an aligned range within the index's "},
      {"chunk table byte", [](const Image& i) { i.graph_chunks[0] = 1; }, Seal::kNothing, ErrorCode::kDigestMismatch,
       "artifact \"graph\": chunk table: sha-256: found "},
      {"chunk's codec", [](const Image& i) { i.graph_chunks[12] = 9; }, Seal::kAll, ErrorCode::kUnsupported,
       "artifact \"graph\": chunk 0: codec: found 9, expected 0 (store), 1 (zstd) or 2 (planes)"},
      {"chunk's reserved byte", [](const Image& i) { i.graph_chunks[15] = 9; }, Seal::kAll, ErrorCode::kMalformed,
       "artifact \"graph\": chunk 0: reserved bytes: found non-zero, expected zero"},
      {"chunk's offset", [](const Image& i) { Put64(i.graph_chunks, UINT64_MAX); }, Seal::kAll, ErrorCode::kMalformed,
       "artifact \"graph\": chunk 0: found "},
      {"chunk said to be stored", [](const Image& i) { i.graph_chunks[12] = 0; }, Seal::kAll, ErrorCode::kMalformed,
       "artifact \"graph\": chunk 0: stored size: found "},
      {"content size of a chunk's frame", [](const Image& i) { i.graph_bytes[5] ^= 1; }, Seal::kAll, ErrorCode::kMalformed,
       "artifact \"graph\": chunk 0: zstd frame: found "},
      {"chunk's frame cut off", [](const Image& i) { Put32(i.graph_chunks + 8, 20); }, Seal::kAll, ErrorCode::kMalformed,
       "artifact \"graph\": chunk 0: zstd: "},
      {"tensor table byte", [](const Image& i) { Put64(Image::Field(i.tensors->tensors()->Get(0), T::VT_SIZE), 5); },
       Seal::kNothing, ErrorCode::kDigestMismatch, "tensor table: sha-256: found "},
      {"tensor's size", [](const Image& i) { Put64(Image::Field(i.tensors->tensors()->Get(0), T::VT_SIZE), 400000); }, Seal::kAll,
       ErrorCode::kMalformed, "tensor 0 \"p0\": size: found 400000, expected 401408"},
      {"tensor's shape", [](const Image& i) { Put64(Image::Mutable(i.tensors->tensors()->Get(0)->shape()->data()), UINT64_MAX); },
       Seal::kAll, ErrorCode::kMalformed, "tensor 0 \"p0\": size: found 401408, expected a valid shape and type"},
      {"too many dimensions",
       [](const Image& i) {
         Put32(Image::Mutable(i.tensors->tensors()->Get(5)->shape()), 65);
         i.SealRange(i.params->tensors());
       },
       Seal::kManifest, ErrorCode::kMalformed, "tensor 5 \"p5\": found 65 dimensions, expected at most 64"},
      {"tensor's type",
       [](const Image& i) {
         *Image::Field(i.tensors->tensors()->Get(0), T::VT_DTYPE) = 2;
         Image::Field(i.tensors->tensors()->Get(0), T::VT_DTYPE)[1] = 16;
       },
       Seal::kAll, ErrorCode::kMalformed, "tensor 0 \"p0\": size: found 401408, expected 200704"},
      {"tensor's first chunk", [](const Image& i) { Put64(Image::Field(i.tensors->tensors()->Get(1), T::VT_FIRST_CHUNK), 1); },
       Seal::kAll, ErrorCode::kMalformed, "tensor 1 \"p1\": first chunk: found 1, expected 2"},
      {"tensor's name", [](const Image& i) { Image::Mutable(i.tensors->tensors()->Get(1)->name()->data())[0] = '\n'; }, Seal::kAll,
       ErrorCode::kMalformed, "tensor 1 \"\\x0a1\": name: found control characters or invalid UTF-8"},
      {"name order", [](const Image& i) { Put32(Image::Mutable(i.tensors->by_name()->data()), 5); }, Seal::kAll,
       ErrorCode::kMalformed, "tensor table: name order: entry 1 is not greater than the one before"},
      {"name order out of range", [](const Image& i) { Put32(Image::Mutable(i.tensors->by_name()->data()), 6); }, Seal::kAll,
       ErrorCode::kMalformed, "tensor table: name order: found tensor 6, expected less than 6"},
      {"tensor chunk size",
       [](const Image& i) {
         Put32(Image::Field(i.tensors, format::TensorTable::VT_CHUNK_SIZE), 1);
         i.SealRange(i.params->tensors());
       },
       Seal::kManifest, ErrorCode::kMalformed, "tensor table: chunk size: found 1, expected a power of two from 4096 to 16777216"},
      {"chunk count", [](const Image& i) { Put64(Image::Field(i.params, A::VT_CHUNK_COUNT), 8); }, Seal::kManifest,
       ErrorCode::kMalformed, "tensor table: chunks: found 7 in all, expected 8"},
      {"chunk count astray", [](const Image& i) { Put64(Image::Field(i.params, A::VT_CHUNK_COUNT), UINT64_MAX / 2); },
       Seal::kManifest, ErrorCode::kMalformed, "chunk table: found 9223372036854775807 records at "},
      {"tensor's chunk record", [](const Image& i) { i.chunks[0] = 1; }, Seal::kNothing, ErrorCode::kDigestMismatch,
       "tensor \"p0\": chunk table: sha-256: found "},
      {"tensor's data", [](const Image& i) { i.params_bytes[100] ^= 0x40; }, Seal::kNothing, ErrorCode::kDigestMismatch,
       "tensor \"p0\": chunk 0 (stored at 0x0): sha-256: found "},
  };
  return damages;
}

TEST_CASE("each damage is answered with its error") {
  const std::string good = MakeGoodBundle();
  CheckDamages(good, Damages());
}

}  // namespace
}  // namespace pannier
