// Chunks encoded with zstd, whole or plane by plane.
#include "embedder/content/chunk_encoder.h"

#define ZSTD_STATIC_LINKING_ONLY  // ZSTD_c_literalCompressionMode
#include <zstd.h>

#include <algorithm>
#include <cstring>

#include "embedder/content/byte_statistics.h"
#include "src/text.h"

namespace pannier {
namespace {

// From here on every form is tried for every chunk; below, the one that suits the samples is taken.
constexpr int kExhaustiveLevel = 10;
// Planes with matches are few and small, so a better search than the usual costs little: it makes up for the bytes between that the
// other planes took away.
constexpr int kLevelOfMatches = 6;

Result<std::size_t> Checked(std::size_t size) {
  if (ZSTD_isError(size) != 0U) return {ErrorCode::kInvalidArgument, StrCat("zstd: ", ZSTD_getErrorName(size))};
  return size;
}

// A frame that holds entropy-coded bytes without any matches: the search for some costs time, and finds short ones that spoil
// the statistics of exponents. That is zstd's most negative level, at which it leaves literals alone unless told otherwise.
bool SetEntropyOnly(ZSTD_CCtx* context) {
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, ZSTD_minCLevel());
  constexpr auto kLiteralCompressionMode = ZSTD_c_experimentalParam5;
  constexpr int kHuffman = 1;  // ZSTD_ps_enable, before 1.5 ZSTD_lcm_huffman
  return ZSTD_isError(ZSTD_CCtx_setParameter(context, kLiteralCompressionMode, kHuffman)) == 0U;
}

// A Huffman code takes at least a bit for each byte. Of a plane that comes near to it nearly all bytes are the same, and matches
// are what is left to gain; an entirely constant one takes some bytes.
bool IsNearlyConstant(std::size_t encoded, std::size_t count) { return encoded > 64 && encoded < count / 7; }

// The nearest to it that zstd's stable interface has.
void SetNearlyEntropyOnly(ZSTD_CCtx* context) {
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, 1);
  ZSTD_CCtx_setParameter(context, ZSTD_c_minMatch, 7);
  ZSTD_CCtx_setParameter(context, ZSTD_c_hashLog, 6);
}

}  // namespace

void ChunkEncoder::Context::operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }

ChunkEncoder::ChunkEncoder(int level) : level_(level) {}
ChunkEncoder::~ChunkEncoder() = default;
ChunkEncoder::ChunkEncoder(ChunkEncoder&&) noexcept = default;

std::size_t EncodedBound(std::size_t size) { return std::max(ZSTD_compressBound(size), PlanesBound(size)); }

Result<std::size_t> ChunkEncoder::Zstd(ByteView input, std::uint8_t* out, int level) {
  if (zstd_ == nullptr) {
    zstd_.reset(ZSTD_createCCtx());
    if (zstd_ == nullptr) return {ErrorCode::kNoMemory, "zstd: cannot allocate a context"};
  }
  return Checked(ZSTD_compressCCtx(zstd_.get(), out, ZSTD_compressBound(input.size()), input.data(), input.size(), level));
}

Result<std::size_t> ChunkEncoder::Entropy(ByteView input, std::uint8_t* out) {
  if (entropy_ == nullptr) {
    entropy_.reset(ZSTD_createCCtx());
    if (entropy_ == nullptr) return {ErrorCode::kNoMemory, "zstd: cannot allocate a context"};
    if (!SetEntropyOnly(entropy_.get())) SetNearlyEntropyOnly(entropy_.get());
  }
  return Checked(ZSTD_compress2(entropy_.get(), out, ZSTD_compressBound(input.size()), input.data(), input.size()));
}

std::uint8_t* ChunkEncoder::Trial(std::size_t input_size) {
  const std::size_t bound = ZSTD_compressBound(input_size);
  if (trial_.size() < bound) trial_.resize(bound);
  return trial_.data();
}

Result<std::size_t> ChunkEncoder::ZstdSize(ByteView input) { return Zstd(input, Trial(input.size()), level_); }

Result<std::size_t> ChunkEncoder::EntropySize(ByteView input) { return Entropy(input, Trial(input.size())); }

bool ChunkEncoder::tries_all() const { return level_ >= kExhaustiveLevel; }

Result<ChunkEncoder::Stored> ChunkEncoder::Encode(const ChunkPlan& plan, ByteView original, std::uint8_t* out) {
  if (plan.codec == Codec::kStore) {
    std::memcpy(out, original.data(), original.size());
    return Stored{Codec::kStore, original.size()};
  }
  if (plan.codec == Codec::kZstd) {
    PANNIER_TRY(const std::size_t size, EncodeFrame(plan, original, out));
    return Stored{Codec::kZstd, size};
  }
  PANNIER_TRY(const std::size_t size, EncodePlanes(plan, original, out));
  if (plan.try_both) {
    PANNIER_TRY(const std::size_t other, ZstdSize(original));
    if (other < size) {
      std::memcpy(out, trial_.data(), other);
      return Stored{Codec::kZstd, other};
    }
  }
  return Stored{Codec::kPlanes, size};
}

// Of bytes, one plane is all there is; so it needs no header.
Result<std::size_t> ChunkEncoder::EncodeFrame(const ChunkPlan& plan, ByteView original, std::uint8_t* out) {
  if (!plan.try_both) return Zstd(original, out, level_);
  PANNIER_TRY(const std::size_t size, Entropy(original, out));
  if (!plan.matches[0] && !tries_all() && !IsNearlyConstant(size, original.size())) return size;
  PANNIER_TRY(const std::size_t other, ZstdSize(original));
  if (other >= size) return size;
  std::memcpy(out, trial_.data(), other);
  return other;
}

Result<std::size_t> ChunkEncoder::EncodePlanes(const ChunkPlan& plan, ByteView original, std::uint8_t* out) {
  const std::size_t count = original.size() / plan.width;
  if (planes_.size() < original.size()) planes_.resize(original.size());
  SplitPlanes(original.data(), count, plan.width, plan.rotate, planes_.data());
  out[0] = static_cast<std::uint8_t>(plan.width);
  out[1] = plan.rotate ? 1 : 0;
  out[2] = out[3] = 0;
  std::size_t at = PlanesHeaderSize(plan.width);
  for (std::size_t i = 0; i < plan.width; ++i) {
    const ByteView plane(planes_.data() + i * count, count);
    PANNIER_TRY(const std::size_t size, EncodePlane(plane, plan.matches[i], out + at));
    const std::uint32_t flag = size < count ? kPlaneIsFrame : 0;
    StoreInteger<std::uint32_t>(out + 4 + 4 * i, static_cast<std::uint32_t>(size) | flag, ByteOrder::kLittle);
    at += size;
  }
  const std::size_t rest = original.size() - count * plan.width;
  if (rest != 0) std::memcpy(out + at, original.end() - rest, rest);
  return at + rest;
}

// As a frame if that gains, else as it is.
Result<std::size_t> ChunkEncoder::EncodePlane(ByteView plane, bool search_matches, std::uint8_t* out) {
  std::size_t best = plane.size();
  const auto keep_if_better = [&](std::size_t size) {
    if (!Gains(size, plane.size()) || size >= best) return;
    best = size;
    std::memcpy(out, trial_.data(), size);
  };
  bool is_nearly_constant = false;
  if (tries_all() || IsUneven(plane)) {
    PANNIER_TRY(const std::size_t size, EntropySize(plane));
    keep_if_better(size);
    is_nearly_constant = IsNearlyConstant(size, plane.size());
  }
  if (tries_all() || search_matches || is_nearly_constant) {
    PANNIER_TRY(const std::size_t size,
                Zstd(plane, Trial(plane.size()), search_matches ? std::max(level_, kLevelOfMatches) : level_));
    keep_if_better(size);
  }
  if (best == plane.size() && best != 0) std::memcpy(out, plane.data(), best);
  return best;
}

}  // namespace pannier
