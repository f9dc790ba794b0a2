// A bundle read before it is written: the host's pieces, edited where the plan says so, and what the plan adds.
#include "embedder/bundle_bytes.h"

#include <algorithm>
#include <cstring>

#include "src/parallel.h"
#include "src/sha256.h"
#include "src/text.h"

namespace pannier {
namespace {

// A part of the bundle that is being read, and where it goes.
struct Window {
  std::uint64_t offset = 0;
  std::uint8_t* out = nullptr;
  std::uint64_t size = 0;

  // Puts in those of `bytes`, which stand at `at`, that are within the window.
  void Put(std::uint64_t at, ByteView bytes) const {
    const std::uint64_t begin = std::max(at, offset);
    const std::uint64_t end = std::min(at + bytes.size(), offset + size);
    if (begin < end) std::memcpy(out + (begin - offset), bytes.data() + (begin - at), static_cast<std::size_t>(end - begin));
  }
};

}  // namespace

Status BundleBytes::ReadAt(std::uint64_t offset, void* out, std::size_t size) const {
  if (!FitsWithin(offset, size, this->size()))
    return Malformed(StrCat("read of ", size, " bytes at ", Hex(offset), ": found ", this->size(), " bytes in all"));
  if (size == 0) return {};
  std::memset(out, 0, size);
  const Window window = {offset, static_cast<std::uint8_t*>(out), size};
  for (const Piece& piece : plan_.pieces) {
    if (piece.bundle_offset >= offset + size || piece.bundle_offset + piece.size <= offset) continue;
    window.Put(piece.bundle_offset, *host_.Slice(piece.host_offset, piece.size));
    const std::uint64_t first = piece.host_offset + (std::max(offset, piece.bundle_offset) - piece.bundle_offset);
    auto edit = std::partition_point(plan_.edits.begin(), plan_.edits.end(),
                                     [first](const Edit& other) { return other.offset + other.bytes.size() <= first; });
    for (; edit != plan_.edits.end() && edit->offset < piece.host_offset + piece.size; ++edit) {
      const std::uint64_t at = piece.bundle_offset + (edit->offset - piece.host_offset);
      if (at >= offset + size) break;
      window.Put(at, View(edit->bytes));
    }
  }
  for (const AddedBytes& added : plan_.added) window.Put(added.offset, View(added.bytes));
  for (const Derived& derived : plan_.derived) {
    const std::uint64_t begin = std::max(derived.offset, offset);
    const std::uint64_t end = std::min(derived.offset + derived.size, offset + size);
    if (begin < end) std::memset(window.out + (begin - offset), 0, static_cast<std::size_t>(end - begin));
  }
  return {};
}

Result<std::vector<std::uint8_t>> HostChunkDigests(const ByteSource& bundle, const std::vector<Piece>& pieces,
                                                   std::uint32_t chunk_size, unsigned threads) {
  constexpr std::size_t kDigest = sizeof(Sha256Digest::bytes);
  struct Chunk {
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
  };
  std::vector<Chunk> chunks;
  for (const Piece& piece : pieces) {
    for (std::uint64_t at = 0; at < piece.size; at += chunk_size)
      chunks.push_back({piece.bundle_offset + at, std::min<std::uint64_t>(chunk_size, piece.size - at)});
  }
  std::vector<std::uint8_t> digests(chunks.size() * kDigest);
  PANNIER_CHECK_OK(ParallelFor(chunks.size(), threads, [&](std::uint64_t i) -> Status {
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(chunks[i].size));
    PANNIER_CHECK_OK(bundle.ReadAt(chunks[i].offset, bytes.data(), bytes.size()));
    const Sha256Digest digest = Sha256Of(View(bytes));
    std::memcpy(digests.data() + i * kDigest, digest.bytes.data(), kDigest);
    return {};
  }));
  return digests;
}

}  // namespace pannier
