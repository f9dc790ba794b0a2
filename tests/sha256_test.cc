// SHA-256: NIST's vectors, messages in pieces, many messages at a time, and each kernel against the portable one.
#include "src/sha256.h"

#include <algorithm>
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "src/sha256_kernels.h"

namespace pannier {
namespace {

std::vector<const Sha256Kernel*> AvailableKernels() {
  std::vector<const Sha256Kernel*> kernels = {&PortableSha256Kernel()};
  for (const Sha256Kernel* kernel : {X86Sha256Kernel(), Arm64Sha256Kernel()}) {
    if (kernel != nullptr) kernels.push_back(kernel);
  }
  return kernels;
}

std::vector<std::uint8_t> PatternedBytes(std::size_t size, std::uint32_t seed) {
  std::vector<std::uint8_t> bytes(size);
  for (std::uint8_t& byte : bytes) {
    seed = seed * 1664525U + 1013904223U;
    byte = static_cast<std::uint8_t>(seed >> 24);
  }
  return bytes;
}

ByteView ViewOf(const std::vector<std::uint8_t>& bytes) { return {bytes.data(), bytes.size()}; }

Sha256Digest DigestWith(const Sha256Kernel& kernel, ByteView message) {
  Sha256 sha256(kernel);
  sha256.Update(message);
  return sha256.Finish();
}

// Is `flag` a word of /proc/cpuinfo? False where there is no such file.
bool CpuInfoHas(std::string_view flag) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string word; file >> word;) {
    if (word == flag) return true;
  }
  return false;
}

// From NIST's "Examples with Intermediate Values" and the vectors that come with FIPS 180.
struct Vector {
  std::string message;
  std::string_view digest;
};

const std::vector<Vector>& NistVectors() {
  static const std::vector<Vector> vectors = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
       "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
      {std::string(1000000, 'a'), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
  };
  return vectors;
}

}  // namespace

TEST_CASE("SHA-256 of NIST's vectors", "[sha256]") {
  for (const Vector& vector : NistVectors()) {
    CAPTURE(vector.message.size());
    const ByteView message(vector.message.data(), vector.message.size());
    CHECK(Sha256Of(message).Hex() == vector.digest);
    for (const Sha256Kernel* kernel : AvailableKernels()) {
      CAPTURE(kernel->name);
      CHECK(DigestWith(*kernel, message).Hex() == vector.digest);
    }
  }
}

TEST_CASE("SHA-256 of a message in pieces", "[sha256]") {
  // The message starts at an odd address, so that a kernel that wants alignment is found out.
  const std::vector<std::uint8_t> bytes = PatternedBytes(301, 1);
  for (const Sha256Kernel* kernel : AvailableKernels()) {
    CAPTURE(kernel->name);
    Sha256 sha256(*kernel);
    for (std::size_t size = 0; size <= 300; ++size) {
      const ByteView message(bytes.data() + 1, size);
      const Sha256Digest expected = DigestWith(PortableSha256Kernel(), message);
      for (const std::size_t piece : std::initializer_list<std::size_t>{1, 3, 7, 63, 64, 65, 129}) {
        for (std::size_t at = 0; at < size; at += piece) sha256.Update({message.data() + at, std::min(piece, size - at)});
        const Sha256Digest digest = sha256.Finish();  // and begins anew
        if (digest != expected) {
          CAPTURE(size, piece);
          REQUIRE(digest.Hex() == expected.Hex());
        }
      }
    }
  }
}

TEST_CASE("SHA-256 of a message in pieces, and of each piece alone", "[sha256]") {
  // All sizes at all places of a block.
  const std::vector<std::uint8_t> bytes = PatternedBytes(700, 4);
  for (const Sha256Kernel* kernel : AvailableKernels()) {
    CAPTURE(kernel->name);
    Sha256 sha256(*kernel);
    for (std::size_t before = 0; before <= 64; ++before) {
      for (std::size_t size = 0; size <= 200; ++size) {
        const ByteView piece(bytes.data() + before, size);
        sha256.Update({bytes.data(), before});
        const Sha256Digest alone = sha256.UpdateAndDigest(piece);
        sha256.Update({piece.end(), 70});
        const Sha256Digest whole = sha256.Finish();
        if (alone != DigestWith(PortableSha256Kernel(), piece) ||
            whole != DigestWith(PortableSha256Kernel(), {bytes.data(), before + size + 70})) {
          FAIL("wrong digest: " << size << " bytes behind " << before);
        }
      }
    }
  }
  SUCCEED();
}

TEST_CASE("SHA-256 takes empty pieces and starts anew after Finish", "[sha256]") {
  Sha256 sha256;
  sha256.Update({});
  sha256.Update({"ab", 2});
  sha256.Update({});
  sha256.Update({"c", 1});
  CHECK(sha256.Finish().Hex() == NistVectors()[1].digest);
  CHECK(sha256.Finish().Hex() == NistVectors()[0].digest);
}

TEST_CASE("SHA-256 kernels agree on many blocks from any state", "[sha256]") {
  for (const Sha256Kernel* kernel : AvailableKernels()) {
    CAPTURE(kernel->name);
    for (std::uint32_t blocks = 0; blocks <= 9; ++blocks) {
      CAPTURE(blocks);
      const std::vector<std::uint8_t> data = PatternedBytes(2 * 64 * blocks + 3, blocks + 1);
      const std::uint8_t* const data_a = data.data() + 1;
      const std::uint8_t* const data_b = data.data() + 64 * blocks + 3;
      std::array<std::uint32_t, 8> expected_a;
      for (std::uint32_t i = 0; i < 8; ++i) expected_a[i] = 0x9E3779B9U * (i + 1) + blocks;
      std::array<std::uint32_t, 8> expected_b;
      for (std::uint32_t i = 0; i < 8; ++i) expected_b[i] = 0x85EBCA6BU * (i + 3) ^ blocks;
      std::array<std::uint32_t, 8> a = expected_a;
      std::array<std::uint32_t, 8> b = expected_b;
      PortableSha256Kernel().compress(expected_a.data(), data_a, blocks);
      PortableSha256Kernel().compress(expected_b.data(), data_b, blocks);
      if (kernel->compress_two != nullptr) {
        auto two_a = a;
        auto two_b = b;
        kernel->compress_two(two_a.data(), data_a, two_b.data(), data_b, blocks);
        CHECK(two_a == expected_a);
        CHECK(two_b == expected_b);
      }
      kernel->compress(a.data(), data_a, blocks);
      kernel->compress(b.data(), data_b, blocks);
      CHECK(a == expected_a);
      CHECK(b == expected_b);
    }
  }
}

TEST_CASE("Sha256Many gives each message its own digest", "[sha256]") {
  // Each size meets many others as its neighbour; the long ones make one lane take up several short messages beside it.
  const std::vector<std::size_t> sizes = {0,  1, 55, 56, 57,   63, 64, 65,  119, 120, 121, 127,  128, 129, 5000,
                                          64, 0, 0,  63, 1000, 3,  64, 128, 56,  55,  9,   9999, 1,   2,   0};
  std::vector<std::vector<std::uint8_t>> messages;
  for (std::size_t i = 0; i < sizes.size(); ++i) messages.push_back(PatternedBytes(sizes[i], static_cast<std::uint32_t>(i + 7)));
  std::vector<ByteView> views;
  std::vector<Sha256Digest> expected;
  for (const auto& message : messages) {
    views.push_back(ViewOf(message));
    expected.push_back(DigestWith(PortableSha256Kernel(), views.back()));
  }
  const auto check_all = [&](auto many) {
    for (std::size_t first = 0; first < views.size(); ++first) {
      for (std::size_t count = 0; count <= views.size() - first; ++count) {
        std::vector<Sha256Digest> digests(count);
        many(views.data() + first, count, digests.data());
        if (!std::equal(digests.begin(), digests.end(), expected.begin() + static_cast<std::ptrdiff_t>(first))) {
          FAIL("wrong digest: " << count << " messages from number " << first);
        }
      }
    }
  };
  check_all(Sha256Many);
  for (const Sha256Kernel* kernel : AvailableKernels()) {
    CAPTURE(kernel->name);
    check_all([&](const ByteView* in, std::size_t count, Sha256Digest* out) { Sha256ManyWith(*kernel, in, count, out); });
  }
  SUCCEED();
}

TEST_CASE("SHA-256 uses the CPU's instructions where there are some", "[sha256]") {
  const Sha256Kernel& best = BestSha256Kernel();
  CHECK(&best == AvailableKernels().back());
  if (&best != &PortableSha256Kernel()) return;
    // Linux's opinion is a second one on our own detection. An emulator that hides an instruction may still show the host's file.
#if defined(__x86_64__) || defined(__i386__)
  constexpr std::string_view kFlag = "sha_ni";
#elif defined(__aarch64__)
  constexpr std::string_view kFlag = "sha2";
#else
  constexpr std::string_view kFlag = "";
#endif
  if (!kFlag.empty()) CHECK(!CpuInfoHas(kFlag));
  SKIP("this CPU has no SHA-256 instructions known here: only the portable kernel was tested");
}

}  // namespace pannier
