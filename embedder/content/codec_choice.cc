// Samples encoded, and the sizes compared.
#include "embedder/content/codec_choice.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "embedder/content/byte_statistics.h"

namespace pannier {
namespace {

// dtype codes of DLPack.
constexpr std::uint8_t kFloat = 2;
constexpr std::uint8_t kBfloat = 4;
constexpr std::uint8_t kComplex = 5;

// Below this share of repeated bytes a search for matches costs more than it finds.
constexpr double kWorthASearch = 0.02;
// Content for which guessing takes longer than trying.
constexpr std::size_t kSmall = 4096;
// So much saved by codes for single bytes, as guessed, is beyond doubt.
constexpr double kClearlyGains = 0.05;
// Of bytes that are numbers of their own short matches count, too, which only a trial tells.
constexpr std::size_t kTrial = 32 << 10;

// The bytes of one number: lanes and complex numbers lie side by side, numbers of odd sizes are taken byte by byte.
std::size_t ElementWidth(DataType dtype) {
  const unsigned bits = dtype.code == kComplex ? dtype.bits / 2U : dtype.bits;
  const bool is_regular = bits == 16 || bits == 32 || bits == 64;
  return is_regular ? bits / 8 : 1;
}

bool HasExponent(DataType dtype) { return dtype.code == kFloat || dtype.code == kBfloat || dtype.code == kComplex; }

bool IsWorthASearch(ByteView bytes, const ChunkEncoder& encoder) {
  return encoder.tries_all() || bytes.size() <= kSmall || RepeatedShare(bytes) >= kWorthASearch;
}

std::uint64_t TotalSize(const std::vector<ByteView>& samples) {
  std::uint64_t total = 0;
  for (const ByteView sample : samples) total += sample.size();
  return total;
}

// In which planes there are matches that make them smaller than entropy coding alone does. Answers what share of the samples the
// planes' codes save, as guessed.
Result<double> FindMatches(const std::vector<ByteView>& samples, ChunkPlan& plan, ChunkEncoder& encoder) {
  std::array<std::uint64_t, kMaxElementWidth> without{};
  std::array<std::uint64_t, kMaxElementWidth> with{};
  std::vector<std::uint8_t> planes;
  double saved = 0;
  for (const ByteView sample : samples) {
    const std::size_t count = sample.size() / plan.width;
    planes.resize(count * plan.width);
    SplitPlanes(sample.data(), count, plan.width, plan.rotate, planes.data());
    for (std::size_t i = 0; i < plan.width; ++i) {
      ByteView plane(planes.data() + i * count, count);
      saved += SavedByCode(plane) * static_cast<double>(count);
      if (!IsWorthASearch(plane, encoder)) {
        if (plan.width != 1) continue;
        plane = ByteView(plane.data(), std::min(count, kTrial));
      }
      PANNIER_TRY(const std::size_t by_entropy, encoder.EntropySize(plane));
      PANNIER_TRY(const std::size_t by_zstd, encoder.ZstdSize(plane));
      without[i] += std::min(by_entropy, plane.size());
      with[i] += std::min(by_zstd, plane.size());
    }
  }
  // Less than this is not worth to code a plane twice.
  for (std::size_t i = 0; i < plan.width; ++i) plan.matches[i] = with[i] + without[i] / 256 < without[i];
  return saved / static_cast<double>(std::max<std::uint64_t>(TotalSize(samples), 1));
}

// Do values occur again but for their signs, as those of waves do? Turned floats have the sign in their lowest byte, where it would
// hide that.
bool RepeatsButForSigns(ByteView sample, std::size_t width) {
  constexpr std::size_t kSampled = 64 << 10;
  std::vector<std::uint8_t> lowest;
  for (std::size_t at = 0; at + width <= std::min(sample.size(), kSampled); at += width) lowest.push_back(sample.data()[at]);
  return RepeatedShare(View(lowest)) >= kWorthASearch;
}

// What the samples take under the plan.
Result<std::uint64_t> SizeUnder(const ChunkPlan& plan, const std::vector<ByteView>& samples, ChunkEncoder& encoder) {
  std::uint64_t total = 0;
  std::vector<std::uint8_t> out;
  for (const ByteView sample : samples) {
    out.resize(EncodedBound(sample.size()));
    PANNIER_TRY(const ChunkEncoder::Stored stored, encoder.Encode(plan, sample, out.data()));
    total += std::min(stored.size, sample.size());
  }
  return total;
}

ChunkPlan PlanOf(Codec codec) {
  ChunkPlan plan;
  plan.codec = codec;
  return plan;
}

}  // namespace

Result<ChunkPlan> ChooseCodec(CodecChoice choice, DataType dtype, const std::vector<ByteView>& samples, ChunkEncoder& encoder) {
  if (choice == CodecChoice::kStore) return PlanOf(Codec::kStore);
  if (choice == CodecChoice::kZstd) return PlanOf(Codec::kZstd);
  if (samples.empty()) return PlanOf(Codec::kStore);

  ChunkPlan best;
  best.width = ElementWidth(dtype);
  best.codec = best.width == 1 ? Codec::kZstd : Codec::kPlanes;
  best.rotate = best.width > 1 && HasExponent(dtype);
  best.try_both = best.width == 1 || (choice == CodecChoice::kAuto && encoder.tries_all());
  PANNIER_TRY(const double saved, FindMatches(samples, best, encoder));
  const bool may_repeat =
      std::any_of(samples.begin(), samples.end(), [&](ByteView sample) { return IsWorthASearch(sample, encoder); });
  const bool repeats_but_for_signs = best.rotate && RepeatsButForSigns(samples.front(), best.width);
  if (!may_repeat && !repeats_but_for_signs && saved > kClearlyGains) return best;

  PANNIER_TRY(std::uint64_t best_size, SizeUnder(best, samples, encoder));
  if (repeats_but_for_signs) {
    ChunkPlan straight = best;
    straight.rotate = false;
    PANNIER_CHECK_OK(FindMatches(samples, straight, encoder).TakeStatus());
    PANNIER_TRY(const std::uint64_t size, SizeUnder(straight, samples, encoder));
    if (size < best_size) {
      best = straight;
      best_size = size;
    }
  }
  if (choice == CodecChoice::kAuto && !best.try_both && may_repeat) {
    PANNIER_TRY(const std::uint64_t size, SizeUnder(PlanOf(Codec::kZstd), samples, encoder));
    if (size < best_size) {
      best = PlanOf(Codec::kZstd);
      best_size = size;
    }
  }
  return Gains(best_size, TotalSize(samples)) ? best : PlanOf(Codec::kStore);
}

Result<ChunkPlan> ChooseBlobCodec(CodecChoice choice, const std::vector<ByteView>& samples, ChunkEncoder& encoder) {
  if (choice == CodecChoice::kZstd) return PlanOf(Codec::kZstd);
  if (samples.empty()) return PlanOf(Codec::kStore);
  if (choice != CodecChoice::kAuto) return PlanOf(Codec::kStore);
  PANNIER_TRY(const std::uint64_t size, SizeUnder(PlanOf(Codec::kZstd), samples, encoder));
  return PlanOf(Gains(size, TotalSize(samples)) ? Codec::kZstd : Codec::kStore);
}

}  // namespace pannier
