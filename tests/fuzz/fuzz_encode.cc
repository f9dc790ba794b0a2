// Fuzz target: any bytes, encoded under any plan, decode to the same.
//
// Input: u8 codec, u8 (low bits: width; 8: turned; 16: whichever is smaller), u8 planes searched, u8 level, then the chunk.
#include <vector>

#include "embedder/content/chunk_encoder.h"
#include "src/chunked_content.h"
#include "tests/fuzz/fuzz_support.h"

namespace pannier {

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzInput input(data, size);
  ChunkPlan plan;
  plan.codec = input.Take<std::uint8_t>() % 2 == 0 ? Codec::kPlanes : Codec::kZstd;
  const unsigned form = input.Take<std::uint8_t>();
  plan.width = std::size_t{1} << (form % 4);
  plan.rotate = plan.codec == Codec::kPlanes && (form & 8) != 0;
  plan.try_both = (form & 16) != 0;
  const unsigned searched = input.Take<std::uint8_t>();
  for (std::size_t i = 0; i < plan.matches.size(); ++i) plan.matches[i] = (searched >> i & 1) != 0;
  const int level = 1 + input.Take<std::uint8_t>() % 12;
  const ByteView original = input.rest();
  if (original.empty()) return 0;
  ChunkEncoder encoder(level);
  std::vector<std::uint8_t> stored(EncodedBound(original.size()));
  const Result<ChunkEncoder::Stored> encoded = encoder.Encode(plan, original, stored.data());
  Require(encoded.status(), "any bytes can be encoded");
  stored.resize(encoded->size);
  std::vector<std::uint8_t> table(ChunkRecord::kSize);
  StoreChunkRecord(table, 0, {0, static_cast<std::uint32_t>(stored.size()), encoded->codec, {}});
  const ChunkedContent content(View(stored), View(table), original.size(), kMaxChunkSize);
  // What is no smaller is stored as it is by whoever asked.
  if (encoded->size > original.size()) return 0;
  Require(content.CheckDecodable(), "what was encoded is decodable");
  std::vector<std::uint8_t> decoded(original.size());
  Require(content.Decode(decoded.data(), 1, false), "what was encoded decodes");
  Require(View(decoded) == original, "what was encoded decodes to the same");
  return 0;
}

}  // namespace pannier
