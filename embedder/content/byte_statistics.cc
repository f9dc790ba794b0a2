// Samples counted and compared.
#include "embedder/content/byte_statistics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace pannier {
namespace {

constexpr std::size_t kCounted = 2048;
constexpr std::size_t kNoted = 4096;
constexpr std::size_t kLooked = 1024;
constexpr std::size_t kRun = 16;

struct Counts {
  std::array<std::uint32_t, 256> of{};
  std::uint64_t total = 0;
};

// Of about so many bytes, evenly spread.
Counts CountSome(ByteView bytes, std::size_t wanted) {
  const std::size_t step = std::max<std::size_t>(1, bytes.size() / wanted);
  Counts counts;
  for (std::size_t at = 0; at < bytes.size(); at += step, ++counts.total) ++counts.of[bytes.data()[at]];
  return counts;
}

// The same on every machine: what is found decides how tensors are stored.
std::uint64_t HashOfRun(const std::uint8_t* bytes) {
  const auto first = LoadInteger<std::uint64_t>(bytes, ByteOrder::kLittle);
  const auto second = LoadInteger<std::uint64_t>(bytes + 8, ByteOrder::kLittle);
  const std::uint64_t mixed = first * 0x9E3779B97F4A7C15U + second * 0xC2B2AE3D27D4EB4FU;
  return mixed ^ mixed >> 29U;
}

}  // namespace

bool IsUneven(ByteView bytes) {
  const Counts counts = CountSome(bytes, kCounted);
  if (counts.total < kCounted / 2) return true;  // too few to tell
  // Pairs of equal bytes: of even ones one in 256, give or take one percent of that (the square root of 8,000 such pairs). Counts
  // that stray by a share e on average give 1 + e^2 in 256, and a code saves e^2 / 2 nats, of 5.5: about 0.5 % at the bound taken
  // here.
  std::uint64_t pairs = 0;
  for (const std::uint64_t count : counts.of) pairs += count * (count - 1);
  return static_cast<double>(pairs) * 256 > 1.06 * static_cast<double>(counts.total * (counts.total - 1));
}

double SavedByCode(ByteView bytes) {
  const Counts counts = CountSome(bytes, 2 * kCounted);
  if (counts.total == 0) return 0;
  double bits = 0;
  const auto total = static_cast<double>(counts.total);
  for (const std::uint32_t count : counts.of) {
    if (count != 0) bits += count * std::log2(total / count);
  }
  // A sample of few bytes misses rare ones: half a nat, 0.72 bits, for each value but one, as Miller and Madow have it.
  bits += 0.72 * 255;
  return std::max(0.0, 1 - bits / (8 * total));
}

double RepeatedShare(ByteView bytes) {
  if (bytes.size() < 2 * kRun) return 0;
  // Runs at a few places are noted, and looked for at all places but in some stretches only, so that any distance is found.
  const std::size_t noted_step = std::max<std::size_t>(1, bytes.size() / kNoted);
  std::vector<std::uint32_t> table(2 * kNoted, 0);  // a run's place plus one
  const auto slot = [&](const std::uint8_t* run) -> std::uint32_t& { return table[HashOfRun(run) % table.size()]; };
  constexpr std::size_t kStretches = 16;
  const std::size_t stretch_step = bytes.size() / kStretches;
  const std::size_t stretch = std::min(stretch_step, kLooked / kStretches);
  std::size_t looked = 0;
  std::size_t found = 0;
  std::size_t noted = 0;
  for (std::size_t s = 0; s < kStretches; ++s) {
    const std::size_t begin = s * stretch_step;
    for (std::size_t at = begin; at < begin + stretch && at + kRun <= bytes.size(); ++at, ++looked) {
      for (; noted + kRun <= at; noted += noted_step) slot(bytes.data() + noted) = static_cast<std::uint32_t>(noted + 1);
      const std::uint32_t place = slot(bytes.data() + at);
      if (place != 0 && std::memcmp(bytes.data() + place - 1, bytes.data() + at, kRun) == 0) ++found;
    }
  }
  // Of places, one in noted_step can be found again.
  return looked == 0 ? 0 : std::min(1.0, static_cast<double>(found * noted_step) / static_cast<double>(looked));
}

}  // namespace pannier
