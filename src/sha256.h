// SHA-256 (FIPS 180-4), with the CPU's SHA instructions where it has them.
#ifndef PANNIER_SRC_SHA256_H_
#define PANNIER_SRC_SHA256_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "src/bytes.h"

namespace pannier {

struct Sha256Kernel;

inline constexpr std::size_t kSha256BlockSize = 64;

struct Sha256Digest {
  std::array<std::uint8_t, 32> bytes{};

  // 64 lowercase digits.
  std::string Hex() const;

  friend bool operator==(const Sha256Digest& a, const Sha256Digest& b) { return a.bytes == b.bytes; }
  friend bool operator!=(const Sha256Digest& a, const Sha256Digest& b) { return a.bytes != b.bytes; }
};

// Digests one message that arrives in pieces of any size.
class Sha256 {
 public:
  Sha256();
  explicit Sha256(const Sha256Kernel& kernel);  // for tests and benchmarks: see sha256_kernels.h

  void Update(ByteView bytes);

  // The same, and the digest of `bytes` as a message of its own, for nearly nothing where Sha256HasTwoLanes().
  Sha256Digest UpdateAndDigest(ByteView bytes);

  // The digest of all bytes since construction or the last Finish(); the next Update() begins a new message.
  Sha256Digest Finish();

 private:
  const Sha256Kernel* kernel_;
  std::uint64_t size_ = 0;  // of the message so far; size_ % kSha256BlockSize bytes of it wait in pending_
  std::array<std::uint32_t, 8> state_;
  std::array<std::uint8_t, kSha256BlockSize> pending_;
};

Sha256Digest Sha256Of(ByteView message);

// Digests `count` independent messages into digests[0..count). One message is a chain of dependent instructions; where the CPU
// has room for a second chain beside it, two messages run interleaved, which is much faster than one after the other.
void Sha256Many(const ByteView* messages, std::size_t count, Sha256Digest* digests);

// Is this a CPU where two messages run interleaved?
bool Sha256HasTwoLanes();

}  // namespace pannier

#endif  // PANNIER_SRC_SHA256_H_
