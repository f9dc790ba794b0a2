// SHA-256's compression function with x86's SHA instructions (SHA-NI), for one message or two interleaved.
//
// sha256rnds2 does two rounds and needs the result of the one before. On Zen 3 that takes 4 cycles, while an independent one could
// start every cycle (both measured). One message leaves the unit idle most of the time; a second one beside it costs next to
// nothing.
#include "src/sha256_kernels.h"

// The target attribute makes the instructions available here without build flags, so the rest of the library runs on any x86.
#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))

#include <cpuid.h>
#include <immintrin.h>

#include <utility>

#define PANNIER_SHA_NI __attribute__((target("sha,sse4.1")))
#define PANNIER_SHA_NI_INLINE __attribute__((target("sha,sse4.1"), always_inline)) inline

namespace pannier {
namespace {

// The state as sha256rnds2 wants it (letters from the highest word down), and the last 16 words of the message schedule.
struct Lane {
  __m128i abef;
  __m128i cdgh;
  __m128i words[4];
};

PANNIER_SHA_NI_INLINE __m128i Load(const void* bytes) { return _mm_loadu_si128(static_cast<const __m128i*>(bytes)); }

PANNIER_SHA_NI_INLINE void LoadState(Lane& lane, const std::uint32_t* state) {
  const __m128i cdab = _mm_shuffle_epi32(Load(state), 0xB1);
  const __m128i efgh = _mm_shuffle_epi32(Load(state + 4), 0x1B);
  lane.abef = _mm_alignr_epi8(cdab, efgh, 8);
  lane.cdgh = _mm_blend_epi16(efgh, cdab, 0xF0);
}

PANNIER_SHA_NI_INLINE void StoreState(const Lane& lane, std::uint32_t* state) {
  const __m128i feba = _mm_shuffle_epi32(lane.abef, 0x1B);
  const __m128i dchg = _mm_shuffle_epi32(lane.cdgh, 0xB1);
  _mm_storeu_si128(static_cast<__m128i*>(static_cast<void*>(state)), _mm_blend_epi16(feba, dchg, 0xF0));
  _mm_storeu_si128(static_cast<__m128i*>(static_cast<void*>(state + 4)), _mm_alignr_epi8(dchg, feba, 8));
}

PANNIER_SHA_NI_INLINE void LoadBlock(Lane& lane, const std::uint8_t* data) {
  const __m128i swap = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
  lane.words[0] = _mm_shuffle_epi8(Load(data), swap);
  lane.words[1] = _mm_shuffle_epi8(Load(data + 16), swap);
  lane.words[2] = _mm_shuffle_epi8(Load(data + 32), swap);
  lane.words[3] = _mm_shuffle_epi8(Load(data + 48), swap);
}

// Rounds 4 * kStep to 4 * kStep + 3, which use words[kStep % 4].
template <std::size_t kStep>
PANNIER_SHA_NI_INLINE void FourRounds(Lane& lane) {
  const __m128i sum = _mm_add_epi32(lane.words[kStep % 4], Load(kSha256Constants + 4 * kStep));
  lane.cdgh = _mm_sha256rnds2_epu32(lane.cdgh, lane.abef, sum);
  lane.abef = _mm_sha256rnds2_epu32(lane.abef, lane.cdgh, _mm_shuffle_epi32(sum, 0x0E));
}

// Replaces those words by the ones 16 places on, as long as a later round uses them.
template <std::size_t kStep>
PANNIER_SHA_NI_INLINE void NextWords(Lane& lane) {
  if constexpr (kStep < 12) {
    __m128i& words = lane.words[kStep % 4];
    const __m128i before12 = lane.words[(kStep + 1) % 4];
    const __m128i before8 = lane.words[(kStep + 2) % 4];
    const __m128i before4 = lane.words[(kStep + 3) % 4];
    const __m128i before7 = _mm_alignr_epi8(before4, before8, 4);
    words = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(words, before12), before7), before4);
  }
}

template <std::size_t kStep, typename... Lanes>
PANNIER_SHA_NI_INLINE void Step(Lanes&... lanes) {
  (FourRounds<kStep>(lanes), ...);
  (NextWords<kStep>(lanes), ...);
}

// All 64 rounds, written out: gcc 12 keeps both lanes in registers then, but not in a loop (1.9 against 1.5
// times one lane's speed).
template <std::size_t... kSteps, typename... Lanes>
PANNIER_SHA_NI_INLINE void AllSteps(std::index_sequence<kSteps...>, Lanes&... lanes) {
  (Step<kSteps>(lanes...), ...);
}

PANNIER_SHA_NI void Compress(std::uint32_t* state, const std::uint8_t* data, std::size_t blocks) {
  Lane lane;
  LoadState(lane, state);
  for (; blocks != 0; --blocks, data += kSha256BlockSize) {
    const __m128i abef = lane.abef, cdgh = lane.cdgh;
    LoadBlock(lane, data);
    AllSteps(std::make_index_sequence<16>(), lane);
    lane.abef = _mm_add_epi32(lane.abef, abef);
    lane.cdgh = _mm_add_epi32(lane.cdgh, cdgh);
  }
  StoreState(lane, state);
}

PANNIER_SHA_NI void CompressTwo(std::uint32_t* state_a, const std::uint8_t* data_a, std::uint32_t* state_b,
                                const std::uint8_t* data_b, std::size_t blocks) {
  Lane a, b;
  LoadState(a, state_a);
  LoadState(b, state_b);
  for (; blocks != 0; --blocks, data_a += kSha256BlockSize, data_b += kSha256BlockSize) {
    const __m128i abef_a = a.abef, cdgh_a = a.cdgh, abef_b = b.abef, cdgh_b = b.cdgh;
    LoadBlock(a, data_a);
    LoadBlock(b, data_b);
    AllSteps(std::make_index_sequence<16>(), a, b);
    a.abef = _mm_add_epi32(a.abef, abef_a);
    a.cdgh = _mm_add_epi32(a.cdgh, cdgh_a);
    b.abef = _mm_add_epi32(b.abef, abef_b);
    b.cdgh = _mm_add_epi32(b.cdgh, cdgh_b);
  }
  StoreState(a, state_a);
  StoreState(b, state_b);
}

// gcc 12's __builtin_cpu_supports does not know "sha".
bool CpuHasSha() {
  unsigned eax, ebx, ecx, edx;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0) return false;
  constexpr unsigned kSsse3 = 1U << 9;
  constexpr unsigned kSse41 = 1U << 19;
  if ((ecx & kSsse3) == 0 || (ecx & kSse41) == 0) return false;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  constexpr unsigned kSha = 1U << 29;
  return (ebx & kSha) != 0;
}

}  // namespace

const Sha256Kernel* X86Sha256Kernel() {
  static constexpr Sha256Kernel kKernel = {"x86 SHA-NI", Compress, CompressTwo};
  return CpuHasSha() ? &kKernel : nullptr;
}

}  // namespace pannier

#else

namespace pannier {

const Sha256Kernel* X86Sha256Kernel() { return nullptr; }

}  // namespace pannier

#endif
