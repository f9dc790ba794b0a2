// SHA-256's compression function in one implementation per kind of CPU; only sha256*.cc, tests and benchmarks need this.
#ifndef PANNIER_SRC_SHA256_KERNELS_H_
#define PANNIER_SRC_SHA256_KERNELS_H_

#include <cstddef>
#include <cstdint>

#include "src/sha256.h"

namespace pannier {

struct Sha256Kernel {
  const char* name;

  // Feeds `blocks` blocks of kSha256BlockSize bytes, at any alignment, into `state` (FIPS 180-4's H0 to H7).
  void (*compress)(std::uint32_t* state, const std::uint8_t* data, std::size_t blocks);

  // The same for two messages at a time, `blocks` blocks of each; null where that is no faster than one after the other.
  void (*compress_two)(std::uint32_t* state_a, const std::uint8_t* data_a, std::uint32_t* state_b, const std::uint8_t* data_b,
                       std::size_t blocks);
};

// Runs everywhere.
const Sha256Kernel& PortableSha256Kernel();

// Null unless this CPU has the instructions.
const Sha256Kernel* X86Sha256Kernel();
const Sha256Kernel* Arm64Sha256Kernel();

// The fastest that runs here; asks the CPU once.
const Sha256Kernel& BestSha256Kernel();

void Sha256ManyWith(const Sha256Kernel& kernel, const ByteView* messages, std::size_t count, Sha256Digest* digests);

// FIPS 180-4, 4.2.2: the first 32 bits of the fractional parts of the cube roots of the first 64 primes. Aligned for vector loads.
alignas(16) inline constexpr std::uint32_t kSha256Constants[64] = {
    0x428a2f98U, 0x71374491U, 0xb5c0fbcfU, 0xe9b5dba5U, 0x3956c25bU, 0x59f111f1U, 0x923f82a4U, 0xab1c5ed5U,
    0xd807aa98U, 0x12835b01U, 0x243185beU, 0x550c7dc3U, 0x72be5d74U, 0x80deb1feU, 0x9bdc06a7U, 0xc19bf174U,
    0xe49b69c1U, 0xefbe4786U, 0x0fc19dc6U, 0x240ca1ccU, 0x2de92c6fU, 0x4a7484aaU, 0x5cb0a9dcU, 0x76f988daU,
    0x983e5152U, 0xa831c66dU, 0xb00327c8U, 0xbf597fc7U, 0xc6e00bf3U, 0xd5a79147U, 0x06ca6351U, 0x14292967U,
    0x27b70a85U, 0x2e1b2138U, 0x4d2c6dfcU, 0x53380d13U, 0x650a7354U, 0x766a0abbU, 0x81c2c92eU, 0x92722c85U,
    0xa2bfe8a1U, 0xa81a664bU, 0xc24b8b70U, 0xc76c51a3U, 0xd192e819U, 0xd6990624U, 0xf40e3585U, 0x106aa070U,
    0x19a4c116U, 0x1e376c08U, 0x2748774cU, 0x34b0bcb5U, 0x391c0cb3U, 0x4ed8aa4aU, 0x5b9cca4fU, 0x682e6ff3U,
    0x748f82eeU, 0x78a5636fU, 0x84c87814U, 0x8cc70208U, 0x90befffaU, 0xa4506cebU, 0xbef9a3f7U, 0xc67178f2U,
};

}  // namespace pannier

#endif  // PANNIER_SRC_SHA256_KERNELS_H_
