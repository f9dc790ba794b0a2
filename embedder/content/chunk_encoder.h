// ChunkEncoder: one chunk at a time into its stored form.
#ifndef PANNIER_EMBEDDER_CONTENT_CHUNK_ENCODER_H_
#define PANNIER_EMBEDDER_CONTENT_CHUNK_ENCODER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "src/bytes.h"
#include "src/format.h"
#include "src/planes.h"
#include "src/result.h"

struct ZSTD_CCtx_s;
using ZSTD_CCtx = ZSTD_CCtx_s;  // NOLINT(readability-identifier-naming): as in zstd.h

namespace pannier {

// How the chunks of one piece of content are stored.
struct ChunkPlan {
  Codec codec = Codec::kStore;
  std::size_t width = 1;                            // bytes of an element; of a plane each
  bool rotate = false;                              // planes
  std::array<bool, kMaxElementWidth> matches = {};  // planes, from the lowest up: those in which matches are worth a search
  bool try_both = false;                            // planes, or a zstd frame of the whole chunk, whichever is smaller
};

// For one thread.
class ChunkEncoder {
 public:
  // From level 10 on every form that a plan allows is tried for every chunk.
  explicit ChunkEncoder(int level);
  ~ChunkEncoder();
  ChunkEncoder(ChunkEncoder&&) noexcept;
  ChunkEncoder& operator=(ChunkEncoder&&) = delete;

  struct Stored {
    Codec codec = Codec::kStore;
    std::size_t size = 0;
  };

  // Into `out`, which has room for EncodedBound(original.size()) bytes. A plane that does not gain in this chunk stays raw. The
  // answer may be no smaller than the original.
  Result<Stored> Encode(const ChunkPlan& plan, ByteView original, std::uint8_t* out);

  // What a chunk or plane would take: as zstd has it at the level, and entropy-coded without matches.
  Result<std::size_t> ZstdSize(ByteView input);
  Result<std::size_t> EntropySize(ByteView input);

  bool tries_all() const;

 private:
  struct Context {
    void operator()(ZSTD_CCtx* context) const;
  };

  Result<std::size_t> Zstd(ByteView input, std::uint8_t* out, int level);
  Result<std::size_t> Entropy(ByteView input, std::uint8_t* out);
  Result<std::size_t> EncodeFrame(const ChunkPlan& plan, ByteView original, std::uint8_t* out);
  Result<std::size_t> EncodePlanes(const ChunkPlan& plan, ByteView original, std::uint8_t* out);
  Result<std::size_t> EncodePlane(ByteView plane, bool search_matches, std::uint8_t* out);
  std::uint8_t* Trial(std::size_t input_size);

  int level_;
  std::unique_ptr<ZSTD_CCtx, Context> zstd_;     // made when first used
  std::unique_ptr<ZSTD_CCtx, Context> entropy_;  // made when first used
  std::vector<std::uint8_t> planes_;
  std::vector<std::uint8_t> trial_;
};

std::size_t EncodedBound(std::size_t size);

// Encoding gains when it saves at least this share: less is not worth losing the view straight into the file.
inline bool Gains(std::uint64_t encoded, std::uint64_t original) { return encoded + original / 64 < original; }

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_CONTENT_CHUNK_ENCODER_H_
