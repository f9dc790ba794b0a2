// ChunkEncoder: one chunk at a time into its stored form; which form suits a piece of content is found by trying samples.
#ifndef PANNIER_EMBEDDER_CHUNK_ENCODER_H_
#define PANNIER_EMBEDDER_CHUNK_ENCODER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "pannier/tensor.h"
#include "src/bytes.h"
#include "src/format.h"
#include "src/planes.h"
#include "src/result.h"

struct ZSTD_CCtx_s;
using ZSTD_CCtx = ZSTD_CCtx_s;  // NOLINT(readability-identifier-naming): as in zstd.h

namespace pannier {

enum class CodecChoice { kAuto, kStore, kZstd, kPlanes };

// How the chunks of one piece of content are stored.
struct ChunkPlan {
  enum class Plane : std::uint8_t { kRaw, kEntropy, kZstd };

  Codec codec = Codec::kStore;
  std::size_t width = 1;  // planes: bytes of an element
  bool rotate = false;    // planes
  std::array<Plane, kMaxElementWidth> planes{};
};

// For one thread.
class ChunkEncoder {
 public:
  explicit ChunkEncoder(int level);
  ~ChunkEncoder();
  ChunkEncoder(ChunkEncoder&&) noexcept;
  ChunkEncoder& operator=(ChunkEncoder&&) = delete;

  // Into `out`, which has room for EncodedBound(original.size()) bytes. A plane that does not gain in this chunk stays raw.
  // Answers with the stored size.
  Result<std::size_t> Encode(const ChunkPlan& plan, ByteView original, std::uint8_t* out);

  // The plan under which the samples are smallest, among those that `choice` allows; kStore where none gains.
  Result<ChunkPlan> Choose(CodecChoice choice, DataType dtype, const std::vector<ByteView>& samples);

  // The same for a blob, which is stored whole or as a zstd stream.
  Result<bool> GainsByZstd(const std::vector<ByteView>& samples);

 private:
  struct Context {
    void operator()(ZSTD_CCtx* context) const;
  };

  Result<std::size_t> Zstd(ByteView input, std::uint8_t* out);
  Result<std::size_t> Entropy(ByteView input, std::uint8_t* out);
  Result<std::size_t> EncodePlanes(const ChunkPlan& plan, ByteView original, std::uint8_t* out);
  Status ChoosePlanes(const std::vector<ByteView>& samples, ChunkPlan& plan, std::uint64_t& size);

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

#endif  // PANNIER_EMBEDDER_CHUNK_ENCODER_H_
