// SHA-256 (FIPS 180-4): the portable compression function, padding, and the choice of kernel.
#include "src/sha256.h"

#include <algorithm>
#include <cstring>

#include "src/sha256_kernels.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::size_t kLengthField = 8;  // ends the padding: the message's length in bits, big-endian

// FIPS 180-4, 5.3.3: the first 32 bits of the fractional parts of the square roots of the first 8 primes.
constexpr std::array<std::uint32_t, 8> kInitialState = {0x6a09e667U, 0xbb67ae85U, 0x3c6ef372U, 0xa54ff53aU,
                                                        0x510e527fU, 0x9b05688cU, 0x1f83d9abU, 0x5be0cd19U};

std::uint32_t RotateRight(std::uint32_t x, unsigned count) { return (x >> count) | (x << (32 - count)); }

// Not LoadInteger, since gcc 12 makes a loop over the bytes of that, but one instruction of this.
std::uint32_t LoadBigEndian(const std::uint8_t* bytes) {
  return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 | std::uint32_t{bytes[2]} << 8 | std::uint32_t{bytes[3]};
}

// One round of FIPS 180-4, 6.2.2 step 3. Instead of moving all eight variables along, the caller rotates the arguments.
// What is known last is added last: the rounds are one chain of dependent additions.
inline void Round(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t& d, std::uint32_t e, std::uint32_t f,
                  std::uint32_t g, std::uint32_t& h, std::uint32_t word_and_constant) {
  const std::uint32_t choose = g ^ (e & (f ^ g));
  const std::uint32_t majority = (a & b) | (c & (a | b));
  h += word_and_constant;
  h += choose;
  h += RotateRight(e, 6) ^ RotateRight(e, 11) ^ RotateRight(e, 25);
  d += h;
  h += majority;
  h += RotateRight(a, 2) ^ RotateRight(a, 13) ^ RotateRight(a, 22);
}

void CompressPortable(std::uint32_t* state, const std::uint8_t* data, std::size_t blocks) {
  std::uint32_t words[64];
  for (; blocks != 0; --blocks, data += kSha256BlockSize) {
    for (std::size_t t = 0; t < 16; ++t) words[t] = LoadBigEndian(data + 4 * t);
    for (std::size_t t = 16; t < 64; ++t) {
      const std::uint32_t before2 = words[t - 2];
      const std::uint32_t before15 = words[t - 15];
      const std::uint32_t sigma0 = RotateRight(before15, 7) ^ RotateRight(before15, 18) ^ (before15 >> 3);
      const std::uint32_t sigma1 = RotateRight(before2, 17) ^ RotateRight(before2, 19) ^ (before2 >> 10);
      words[t] = words[t - 16] + sigma0 + words[t - 7] + sigma1;
    }
    std::uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
    for (std::size_t t = 0; t < 64; t += 8) {
      const auto sum = [&](std::size_t i) { return kSha256Constants[t + i] + words[t + i]; };
      Round(a, b, c, d, e, f, g, h, sum(0));
      Round(h, a, b, c, d, e, f, g, sum(1));
      Round(g, h, a, b, c, d, e, f, sum(2));
      Round(f, g, h, a, b, c, d, e, sum(3));
      Round(e, f, g, h, a, b, c, d, sum(4));
      Round(d, e, f, g, h, a, b, c, sum(5));
      Round(c, d, e, f, g, h, a, b, sum(6));
      Round(b, c, d, e, f, g, h, a, sum(7));
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
  }
}

// Writes the end of a message of `size` bytes, its last size % 64 bytes at `rest`, padded as FIPS 180-4, 5.1.1 says. Returns the
// number of blocks, 1 or 2. `rest` may be where `out` begins.
std::size_t Pad(const std::uint8_t* rest, std::uint64_t size, std::uint8_t* out) {
  const std::size_t used = static_cast<std::size_t>(size % kSha256BlockSize);
  const std::size_t blocks = used + 1 + kLengthField <= kSha256BlockSize ? 1 : 2;
  const std::size_t length_at = blocks * kSha256BlockSize - kLengthField;
  if (used != 0) std::memmove(out, rest, used);
  out[used] = 0x80;
  std::memset(out + used + 1, 0, length_at - used - 1);
  StoreInteger<std::uint64_t>(out + length_at, size * 8, ByteOrder::kBig);
  return blocks;
}

Sha256Digest DigestOfState(const std::uint32_t* state) {
  Sha256Digest digest;
  for (std::size_t i = 0; i < 8; ++i) StoreInteger<std::uint32_t>(&digest.bytes[4 * i], state[i], ByteOrder::kBig);
  return digest;
}

// One message on its way through compress_two: first the blocks where they lie, then the padded end.
class Lane {
 public:
  // Takes up messages[next], if there is one.
  bool Start(const ByteView* messages, std::size_t count, std::size_t& next) {
    if (next == count) return false;
    index_ = next++;
    const ByteView message = messages[index_];
    state = kInitialState;
    data = message.data();
    blocks = message.size() / kSha256BlockSize;
    end_blocks_ = Pad(message.data() + blocks * kSha256BlockSize, message.size(), end_.data());
    if (blocks == 0) TurnToEnd();
    return true;
  }

  // Tells that `done` blocks were compressed. True: the message is finished and its digest stored.
  bool Advance(std::size_t done, Sha256Digest* digests) {
    data += done * kSha256BlockSize;
    blocks -= done;
    if (blocks != 0) return false;
    if (end_blocks_ != 0) {
      TurnToEnd();
      return false;
    }
    digests[index_] = DigestOfState(state.data());
    return true;
  }

  std::array<std::uint32_t, 8> state;
  const std::uint8_t* data = nullptr;
  std::size_t blocks = 0;

 private:
  void TurnToEnd() {
    data = end_.data();
    blocks = end_blocks_;
    end_blocks_ = 0;
  }

  std::size_t index_ = 0;
  std::size_t end_blocks_ = 0;
  std::array<std::uint8_t, 2 * kSha256BlockSize> end_;
};

}  // namespace

std::string Sha256Digest::Hex() const { return HexBytes(bytes.data(), bytes.size()); }

const Sha256Kernel& PortableSha256Kernel() {
  static constexpr Sha256Kernel kKernel = {"portable", CompressPortable, nullptr};
  return kKernel;
}

const Sha256Kernel& BestSha256Kernel() {
  static const Sha256Kernel* const best = [] {
    if (const Sha256Kernel* kernel = X86Sha256Kernel()) return kernel;
    if (const Sha256Kernel* kernel = Arm64Sha256Kernel()) return kernel;
    return &PortableSha256Kernel();
  }();
  return *best;
}

Sha256::Sha256() : Sha256(BestSha256Kernel()) {}

Sha256::Sha256(const Sha256Kernel& kernel) : kernel_(&kernel), state_(kInitialState) {}

void Sha256::Update(ByteView bytes) {
  if (bytes.empty()) return;  // its data() may be null
  const std::uint8_t* data = bytes.data();
  std::size_t left = bytes.size();
  const std::size_t waiting = static_cast<std::size_t>(size_ % kSha256BlockSize);
  size_ += left;
  if (waiting != 0) {
    const std::size_t taken = std::min(left, kSha256BlockSize - waiting);
    std::memcpy(pending_.data() + waiting, data, taken);
    data += taken;
    left -= taken;
    if (waiting + taken < kSha256BlockSize) return;
    kernel_->compress(state_.data(), pending_.data(), 1);
  }
  kernel_->compress(state_.data(), data, left / kSha256BlockSize);
  std::memcpy(pending_.data(), data + left / kSha256BlockSize * kSha256BlockSize, left % kSha256BlockSize);
}

Sha256Digest Sha256::UpdateAndDigest(ByteView bytes) {
  Sha256 alone(*kernel_);
  // This message's next block begins `head` bytes behind the first block of `bytes` alone.
  const std::size_t head = (kSha256BlockSize - size_ % kSha256BlockSize) % kSha256BlockSize;
  std::size_t done = 0;
  if (kernel_->compress_two != nullptr && bytes.size() >= head + kSha256BlockSize) {
    Update(ByteView(bytes.data(), head));
    const std::size_t blocks = (bytes.size() - head) / kSha256BlockSize;
    kernel_->compress_two(state_.data(), bytes.data() + head, alone.state_.data(), bytes.data(), blocks);
    done = blocks * kSha256BlockSize;
    size_ += done;
    alone.size_ = done;
    Update(ByteView(bytes.data() + head + done, bytes.size() - head - done));
  } else {
    Update(bytes);
  }
  alone.Update(ByteView(bytes.data() + done, bytes.size() - done));
  return alone.Finish();
}

Sha256Digest Sha256::Finish() {
  std::uint8_t end[2 * kSha256BlockSize];
  const std::size_t blocks = Pad(pending_.data(), size_, end);
  kernel_->compress(state_.data(), end, blocks);
  const Sha256Digest digest = DigestOfState(state_.data());
  state_ = kInitialState;
  size_ = 0;
  return digest;
}

Sha256Digest Sha256Of(ByteView message) {
  Sha256 sha256;
  sha256.Update(message);
  return sha256.Finish();
}

bool Sha256HasTwoLanes() { return BestSha256Kernel().compress_two != nullptr; }

void Sha256Many(const ByteView* messages, std::size_t count, Sha256Digest* digests) {
  Sha256ManyWith(BestSha256Kernel(), messages, count, digests);
}

void Sha256ManyWith(const Sha256Kernel& kernel, const ByteView* messages, std::size_t count, Sha256Digest* digests) {
  if (kernel.compress_two == nullptr) {
    Sha256 sha256(kernel);
    for (std::size_t i = 0; i < count; ++i) {
      sha256.Update(messages[i]);
      digests[i] = sha256.Finish();
    }
    return;
  }
  // Two lanes run abreast for as many blocks as both have; the one that runs out takes up the next message. What is left when there
  // is none runs alone.
  Lane a;
  Lane b;
  std::size_t next = 0;
  bool a_runs = a.Start(messages, count, next);
  bool b_runs = b.Start(messages, count, next);
  while (a_runs && b_runs) {
    const std::size_t blocks = std::min(a.blocks, b.blocks);
    kernel.compress_two(a.state.data(), a.data, b.state.data(), b.data, blocks);
    if (a.Advance(blocks, digests)) a_runs = a.Start(messages, count, next);
    if (b.Advance(blocks, digests)) b_runs = b.Start(messages, count, next);
  }
  Lane& last = a_runs ? a : b;
  while (a_runs || b_runs) {
    kernel.compress(last.state.data(), last.data, last.blocks);
    if (last.Advance(last.blocks, digests)) a_runs = b_runs = false;
  }
}

}  // namespace pannier
