// Fuzz target: a tensor table, its chunk table and the stored bytes; all digests are made right, so that what they cover is read.
//
// Input: u16 size of the tensor table, u16 number of chunk records, u32 added to the size of the .params file, then the three.
#include <cstring>
#include <vector>

#include "src/bundle_reader.h"
#include "src/tvm_params.h"
#include "tests/fuzz/bundle_sealer.h"
#include "tests/fuzz/fuzz_support.h"

namespace pannier {
namespace {

// FlatBuffers want 8 bytes' alignment.
struct AlignedBytes {
  explicit AlignedBytes(ByteView bytes) : words(bytes.size() / 8 + 1), size(bytes.size()) {
    if (!bytes.empty()) std::memcpy(words.data(), bytes.data(), bytes.size());
  }
  std::uint8_t* data() { return reinterpret_cast<std::uint8_t*>(words.data()); }
  std::vector<std::uint64_t> words;
  std::size_t size;
};

std::uint64_t SizeOfParams(const format::TensorTable& table) {
  std::uint64_t size = kParamsStartSize + kParamsMiddleSize;
  for (const format::Tensor* tensor : *table.tensors())
    size += ParamsNameSize(tensor->name()->size()) + TensorHeaderSize(tensor->shape()->size()) + tensor->size();
  return size;
}

void UseTensors(const TensorReader& tensors) {
  constexpr std::uint64_t kLargest = 4 << 20;
  for (std::uint32_t i = 0; i < tensors.size(); ++i) {
    const auto found = tensors.Find(ToText(tensors[i].name()));
    Require(found && *found == i, "every tensor is found by its name");
    const Result<ChunkedContent> content = tensors.Content(i);
    if (!content.ok()) continue;
    (void)content->StoredWhole();
    (void)content->StoredBytes();
    (void)content->CheckDigests(1);
    if (!content->CheckDecodable().ok() || content->size() > kLargest) continue;
    std::vector<std::uint8_t> out(static_cast<std::size_t>(content->size()));
    (void)content->Decode(out.data(), 1, true);
  }
  (void)tensors.Find("no such tensor");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzInput input(data, size);
  const std::size_t table_size = input.Take<std::uint16_t>();
  const std::size_t chunk_count = input.Take<std::uint16_t>();
  const std::uint32_t more = input.Take<std::uint32_t>();
  const std::size_t padded_size = AlignUp(table_size, 8);
  // The index section: tensor table, chunk table.
  AlignedBytes index(input.TakeBytes(padded_size + chunk_count * ChunkRecord::kSize));
  const std::vector<std::uint8_t> stored(input.rest().begin(), input.rest().end());
  const ByteView index_view(index.data(), index.size);
  const ByteView stored_view(stored.data(), stored.size());
  const auto table_bytes = index_view.Slice(0, table_size);
  if (!table_bytes) return 0;
  std::uint64_t params_size = 0;
  if (const format::TensorTable* table = VerifiedTensorTable(*table_bytes)) {
    params_size = SizeOfParams(*table) + more;
    const auto chunk_table = index_view.Slice(padded_size, chunk_count * ChunkRecord::kSize);
    if (chunk_table) SealTensors(*table, *chunk_table, stored_view);
  }
  flatbuffers::FlatBufferBuilder builder;
  const auto name = builder.CreateString("params");
  const format::Sha256 none{};
  const Sha256Digest table_digest = Sha256Of(*table_bytes);
  format::Sha256 table_sha256;
  std::memcpy(&table_sha256, table_digest.bytes.data(), table_digest.bytes.size());
  const format::IndexRange tensors(0, table_size, table_sha256);
  builder.Finish(format::CreateArtifact(builder, name, format::ArtifactKind::TvmParams, 0, 0, stored.size(), params_size, &none, 0,
                                        nullptr, &tensors, padded_size, chunk_count));
  const auto* artifact = flatbuffers::GetRoot<format::Artifact>(builder.GetBufferPointer());
  const Result<TensorReader> reader = TensorReader::Open(*artifact, stored_view, index_view, Digests::kChecked);
  if (reader.ok()) UseTensors(*reader);
  return 0;
}

}  // namespace pannier
