// Chunks encoded with zstd, whole or plane by plane.
#include "embedder/chunk_encoder.h"

#define ZSTD_STATIC_LINKING_ONLY  // ZSTD_c_literalCompressionMode
#include <zstd.h>

#include <algorithm>
#include <cstring>

#include "src/text.h"

namespace pannier {
namespace {

// From here on every form is tried for every chunk; below, the one that suits the samples is taken.
constexpr int kExhaustiveLevel = 10;

// dtype codes of DLPack.
constexpr std::uint8_t kFloat = 2;
constexpr std::uint8_t kBfloat = 4;
constexpr std::uint8_t kComplex = 5;

// The bytes of one number: lanes and complex numbers lie side by side, numbers of odd sizes are taken byte by byte.
std::size_t ElementWidth(DataType dtype) {
  const unsigned bits = dtype.code == kComplex ? dtype.bits / 2U : dtype.bits;
  const bool is_regular = bits == 16 || bits == 32 || bits == 64;
  return is_regular ? bits / 8 : 1;
}

bool HasExponent(DataType dtype) { return dtype.code == kFloat || dtype.code == kBfloat || dtype.code == kComplex; }

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

Result<std::size_t> ChunkEncoder::Zstd(ByteView input, std::uint8_t* out) {
  if (zstd_ == nullptr) {
    zstd_.reset(ZSTD_createCCtx());
    if (zstd_ == nullptr) return {ErrorCode::kNoMemory, "zstd: cannot allocate a context"};
  }
  return Checked(ZSTD_compressCCtx(zstd_.get(), out, ZSTD_compressBound(input.size()), input.data(), input.size(), level_));
}

Result<std::size_t> ChunkEncoder::Entropy(ByteView input, std::uint8_t* out) {
  if (entropy_ == nullptr) {
    entropy_.reset(ZSTD_createCCtx());
    if (entropy_ == nullptr) return {ErrorCode::kNoMemory, "zstd: cannot allocate a context"};
    if (!SetEntropyOnly(entropy_.get())) SetNearlyEntropyOnly(entropy_.get());
  }
  return Checked(ZSTD_compress2(entropy_.get(), out, ZSTD_compressBound(input.size()), input.data(), input.size()));
}

Result<std::size_t> ChunkEncoder::Encode(const ChunkPlan& plan, ByteView original, std::uint8_t* out) {
  if (plan.codec == Codec::kZstd) return Zstd(original, out);
  if (plan.codec == Codec::kPlanes) return EncodePlanes(plan, original, out);
  std::memcpy(out, original.data(), original.size());
  return original.size();
}

Result<std::size_t> ChunkEncoder::EncodePlanes(const ChunkPlan& plan, ByteView original, std::uint8_t* out) {
  const std::size_t count = original.size() / plan.width;
  planes_.resize(count * plan.width);
  trial_.resize(ZSTD_compressBound(count));
  SplitPlanes(original.data(), count, plan.width, plan.rotate, planes_.data());
  out[0] = static_cast<std::uint8_t>(plan.width);
  out[1] = plan.rotate ? 1 : 0;
  out[2] = out[3] = 0;
  std::size_t at = PlanesHeaderSize(plan.width);
  const bool tries_all = level_ >= kExhaustiveLevel;
  for (std::size_t i = 0; i < plan.width; ++i) {
    const ByteView plane(planes_.data() + i * count, count);
    std::size_t best = count;
    std::uint32_t flag = 0;
    auto keep_if_better = [&](std::size_t size) {
      if (!Gains(size, count) || size >= best) return;
      best = size;
      flag = kPlaneIsFrame;
      std::memcpy(out + at, trial_.data(), size);
    };
    bool tries_zstd = tries_all || plan.planes[i] == ChunkPlan::Plane::kZstd;
    if (tries_all || plan.planes[i] == ChunkPlan::Plane::kEntropy) {
      PANNIER_TRY(const std::size_t size, Entropy(plane, trial_.data()));
      keep_if_better(size);
      tries_zstd = tries_zstd || IsNearlyConstant(size, count);
    }
    if (tries_zstd) {
      PANNIER_TRY(const std::size_t size, Zstd(plane, trial_.data()));
      keep_if_better(size);
    }
    if (flag == 0 && count != 0) std::memcpy(out + at, plane.data(), count);
    StoreInteger<std::uint32_t>(out + 4 + 4 * i, static_cast<std::uint32_t>(best) | flag, ByteOrder::kLittle);
    at += best;
  }
  const std::size_t rest = original.size() - count * plan.width;
  if (rest != 0) std::memcpy(out + at, original.end() - rest, rest);
  return at + rest;
}

Status ChunkEncoder::ChoosePlanes(const std::vector<ByteView>& samples, ChunkPlan& plan, std::uint64_t& size) {
  std::array<std::uint64_t, kMaxElementWidth> raw{};
  std::array<std::uint64_t, kMaxElementWidth> entropy{};
  std::array<std::uint64_t, kMaxElementWidth> zstd{};
  for (const ByteView sample : samples) {
    const std::size_t count = sample.size() / plan.width;
    planes_.resize(count * plan.width);
    trial_.resize(ZSTD_compressBound(count));
    SplitPlanes(sample.data(), count, plan.width, plan.rotate, planes_.data());
    for (std::size_t i = 0; i < plan.width; ++i) {
      const ByteView plane(planes_.data() + i * count, count);
      raw[i] += count;
      PANNIER_TRY(const std::size_t by_entropy, Entropy(plane, trial_.data()));
      entropy[i] += by_entropy;
      PANNIER_TRY(const std::size_t by_zstd, Zstd(plane, trial_.data()));
      zstd[i] += by_zstd;
    }
    size += PlanesHeaderSize(plan.width) + sample.size() - count * plan.width;
  }
  for (std::size_t i = 0; i < plan.width; ++i) {
    const std::uint64_t best = std::min(entropy[i], zstd[i]);
    plan.planes[i] = !Gains(best, raw[i])    ? ChunkPlan::Plane::kRaw
                     : entropy[i] <= zstd[i] ? ChunkPlan::Plane::kEntropy
                                             : ChunkPlan::Plane::kZstd;
    size += plan.planes[i] == ChunkPlan::Plane::kRaw ? raw[i] : best;
  }
  return {};
}

Result<ChunkPlan> ChunkEncoder::Choose(CodecChoice choice, DataType dtype, const std::vector<ByteView>& samples) {
  ChunkPlan best;
  if (choice == CodecChoice::kZstd) best.codec = Codec::kZstd;
  if (choice == CodecChoice::kStore || choice == CodecChoice::kZstd) return best;
  std::uint64_t original = 0;
  for (const ByteView sample : samples) original += sample.size();

  ChunkPlan planes;
  planes.codec = Codec::kPlanes;
  planes.width = ElementWidth(dtype);
  planes.rotate = planes.width > 1 && HasExponent(dtype);
  std::uint64_t planes_size = 0;
  PANNIER_CHECK_OK(ChoosePlanes(samples, planes, planes_size));
  std::uint64_t best_size = original - original / 64;  // Gains
  if (planes_size < best_size) {
    best = planes;
    best_size = planes_size;
  }
  if (choice == CodecChoice::kPlanes) return best;

  std::uint64_t zstd_size = 0;
  for (const ByteView sample : samples) {
    trial_.resize(ZSTD_compressBound(sample.size()));
    PANNIER_TRY(const std::size_t size, Zstd(sample, trial_.data()));
    zstd_size += size;
  }
  if (zstd_size < best_size) best = {Codec::kZstd, 1, false, {}};
  return best;
}

Result<bool> ChunkEncoder::GainsByZstd(const std::vector<ByteView>& samples) {
  std::uint64_t original = 0;
  std::uint64_t encoded = 0;
  for (const ByteView sample : samples) {
    trial_.resize(ZSTD_compressBound(sample.size()));
    PANNIER_TRY(const std::size_t size, Zstd(sample, trial_.data()));
    original += sample.size();
    encoded += size;
  }
  return Gains(encoded, original);
}

}  // namespace pannier
