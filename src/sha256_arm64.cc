// SHA-256's compression function with the SHA2 instructions of ARMv8's cryptographic extension.
#include "src/sha256_kernels.h"

// Little-endian only: on a big-endian arm64 the order of vector lanes differs, and the portable kernel does.
#if defined(__GNUC__) && defined(__aarch64__) && !defined(__AARCH64EB__)

// Up to clang 15, arm_neon.h declares the SHA2 intrinsics only if the whole file is built for them; the target attribute below is
// enough for the code itself.
#if defined(__clang__) && __clang_major__ < 16 && !defined(__ARM_FEATURE_SHA2)
#define __ARM_FEATURE_SHA2 1
#define PANNIER_SHA2_DECLARED_ONLY
#endif
#include <arm_neon.h>

#if defined(__linux__)
#include <sys/auxv.h>
#endif

#if defined(__clang__)
#define PANNIER_SHA2 __attribute__((target("sha2")))
#define PANNIER_SHA2_INLINE __attribute__((target("sha2"), always_inline)) inline
#else
#define PANNIER_SHA2 __attribute__((target("+crypto")))
#define PANNIER_SHA2_INLINE __attribute__((target("+crypto"), always_inline)) inline
#endif

namespace pannier {
namespace {

struct Lane {
  uint32x4_t abcd;
  uint32x4_t efgh;
  uint32x4_t words[4];  // the last 16 of the message schedule
};

template <int kFirst>
PANNIER_SHA2_INLINE void FourRounds(Lane& lane, const std::uint32_t* constants) {
  const uint32x4_t sum = vaddq_u32(lane.words[kFirst], vld1q_u32(constants + 4 * kFirst));
  const uint32x4_t abcd = lane.abcd;
  lane.abcd = vsha256hq_u32(abcd, lane.efgh, sum);
  lane.efgh = vsha256h2q_u32(lane.efgh, abcd, sum);
}

// Replaces the same vector by the words 16 places on.
template <int kFirst>
PANNIER_SHA2_INLINE void NextWords(Lane& lane) {
  const uint32x4_t partial = vsha256su0q_u32(lane.words[kFirst], lane.words[(kFirst + 1) % 4]);
  lane.words[kFirst] = vsha256su1q_u32(partial, lane.words[(kFirst + 2) % 4], lane.words[(kFirst + 3) % 4]);
}

PANNIER_SHA2 void Compress(std::uint32_t* state, const std::uint8_t* data, std::size_t blocks) {
  Lane lane;
  lane.abcd = vld1q_u32(state);
  lane.efgh = vld1q_u32(state + 4);
  for (; blocks != 0; --blocks, data += kSha256BlockSize) {
    const uint32x4_t abcd = lane.abcd;
    const uint32x4_t efgh = lane.efgh;
    for (int i = 0; i < 4; ++i) lane.words[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(data + 16 * i)));
    const std::uint32_t* constants = kSha256Constants;
    for (; constants != kSha256Constants + 48; constants += 16) {
      FourRounds<0>(lane, constants);
      NextWords<0>(lane);
      FourRounds<1>(lane, constants);
      NextWords<1>(lane);
      FourRounds<2>(lane, constants);
      NextWords<2>(lane);
      FourRounds<3>(lane, constants);
      NextWords<3>(lane);
    }
    FourRounds<0>(lane, constants);
    FourRounds<1>(lane, constants);
    FourRounds<2>(lane, constants);
    FourRounds<3>(lane, constants);
    lane.abcd = vaddq_u32(lane.abcd, abcd);
    lane.efgh = vaddq_u32(lane.efgh, efgh);
  }
  vst1q_u32(state, lane.abcd);
  vst1q_u32(state + 4, lane.efgh);
}

bool CpuHasSha2() {
#if defined(__ARM_FEATURE_SHA2) && !defined(PANNIER_SHA2_DECLARED_ONLY)
  return true;  // the whole build asks for it, as Apple's always does
#elif defined(__linux__)
  constexpr unsigned long kSha2 = 1UL << 6;  // HWCAP_SHA2 of asm/hwcap.h
  return (getauxval(AT_HWCAP) & kSha2) != 0;
#else
  return false;
#endif
}

}  // namespace

const Sha256Kernel* Arm64Sha256Kernel() {
  // Whether two interleaved messages pay has not been measured on such a CPU, so there is no compress_two.
  static constexpr Sha256Kernel kKernel = {"arm64 SHA2", Compress, nullptr};
  return CpuHasSha2() ? &kKernel : nullptr;
}

}  // namespace pannier

#else

namespace pannier {

const Sha256Kernel* Arm64Sha256Kernel() { return nullptr; }

}  // namespace pannier

#endif
