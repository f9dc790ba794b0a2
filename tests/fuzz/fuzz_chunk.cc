// Fuzz target: a stored chunk of any codec, alone or of a group, decoded.
//
// Input: u8 codec, u8 (odd: of a group), u32 the content's size, u32 its place in the group, then the chunk as it is stored.
#include <vector>

#include "src/chunked_content.h"
#include "tests/fuzz/fuzz_support.h"

namespace pannier {

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::uint32_t kLargest = 1 << 20;
  FuzzInput input(data, size);
  const auto codec = static_cast<Codec>(input.Take<std::uint8_t>());
  const bool is_grouped = input.Take<std::uint8_t>() % 2 == 1;
  const std::uint32_t content_size = input.Take<std::uint32_t>() % kLargest;
  const std::uint32_t place = input.Take<std::uint32_t>() % kLargest;
  if (content_size == 0) return 0;
  // Of its exact size, so that sanitizers see what reads beyond it.
  const std::vector<std::uint8_t> stored(input.rest().begin(), input.rest().end());
  const ByteView stored_view(stored.data(), stored.size());
  std::vector<std::uint8_t> table(ChunkRecord::kSize);
  StoreChunkRecord(table, 0, {0, static_cast<std::uint32_t>(stored.size()), codec, Sha256Of(stored_view)});
  const GroupPlace group = is_grouped ? GroupPlace{place, place + content_size} : GroupPlace{};
  const ChunkedContent content(stored_view, View(table), content_size, kLargest, group);
  const Status decodable = content.CheckDecodable();
  std::vector<std::uint8_t> out(content_size, 0xaa);
  const Status decoded = content.Decode(out.data(), 1, true);
  Require(content.CheckDigests(1).ok() == content.Record(0).ok(), "a digest that is right is found right");
  const Result<std::optional<ByteView>> whole = content.StoredWhole();
  if (whole.ok() && whole->has_value()) Require(decoded.ok() && **whole == View(out), "stored bytes are what they decode to");
  if (decoded.ok() && codec == Codec::kPlanes) Require(decodable, "what decodes was seen to be decodable");
  (void)content.StoredBytes();
  return 0;
}

}  // namespace pannier
