// Planes: what they are, that every width and size comes back, that what gains is found; damage is named.
#include "src/planes.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "embedder/content/byte_statistics.h"
#include "embedder/content/chunk_encoder.h"
#include "embedder/content/codec_choice.h"
#include "src/chunked_content.h"
#include "tests/params_builder.h"

namespace pannier {
namespace {

using Bytes = std::vector<std::uint8_t>;

// Numbers as weights are: near zero, of random mantissa and sign.
Bytes Weights(std::size_t size, std::size_t width) {
  Bytes bytes(size);
  std::uint64_t state = 0x9e3779b97f4a7c15;
  for (std::size_t i = 0; i + width <= size; i += width) {
    double sum = -6;
    for (int k = 0; k < 12; ++k) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      sum += static_cast<double>(state >> 11U) / static_cast<double>(std::uint64_t{1} << 53U);
    }
    const double weight = 0.02 * sum;
    const auto single = static_cast<float>(weight);
    std::uint32_t word = 0;
    std::memcpy(&word, &single, sizeof(word));
    std::uint64_t long_word = 0;
    std::memcpy(&long_word, &weight, sizeof(long_word));
    if (width == 8) StoreInteger<std::uint64_t>(&bytes[i], long_word, ByteOrder::kLittle);
    if (width == 4) StoreInteger<std::uint32_t>(&bytes[i], word, ByteOrder::kLittle);
    if (width == 2) StoreInteger<std::uint16_t>(&bytes[i], static_cast<std::uint16_t>(word >> 16U), ByteOrder::kLittle);
    if (width == 1) bytes[i] = static_cast<std::uint8_t>(std::lround(weight * 600) + 128);
  }
  return bytes;
}

Bytes NoiseOf(std::size_t size) {
  const std::string noise = Noise(size, 1);
  return {noise.begin(), noise.end()};
}

DataType TypeOf(std::size_t width) {
  constexpr std::uint8_t kUnsigned = 1;
  constexpr std::uint8_t kFloat = 2;
  constexpr std::uint8_t kBfloat = 4;
  const std::uint8_t code = width == 1 ? kUnsigned : width == 2 ? kBfloat : kFloat;
  return {code, static_cast<std::uint8_t>(8 * width), 1};
}

Bytes Encode(const ChunkPlan& plan, const Bytes& original, int level = 3) {
  Bytes out(EncodedBound(original.size()));
  const Result<ChunkEncoder::Stored> stored = ChunkEncoder(level).Encode(plan, View(original), out.data());
  REQUIRE(stored.ok());
  out.resize(stored->size);
  return out;
}

Result<ChunkPlan> Choose(CodecChoice choice, DataType dtype, const Bytes& sample, int level = 3) {
  ChunkEncoder encoder(level);
  return ChooseCodec(choice, dtype, {View(sample)}, encoder);
}

Status Decode(const Bytes& stored, Bytes& out) {
  ChunkDecoder decoder;
  // Exactly sized copies, so that sanitizers see what reads or writes beyond.
  const Bytes exact(stored.begin(), stored.end());
  return decoder.Decode(Codec::kPlanes, View(exact), out.data(), out.size());
}

TEST_CASE("planes of every width, method and odd size come back") {
  for (const std::size_t width : {1U, 2U, 4U, 8U}) {
    for (const std::size_t size : {0U, 1U, 7U, 8U, 4096U, 65531U, 262144U}) {
      const Bytes original = Weights(size, width);
      for (const bool rotate : {false, true}) {
        for (const bool matches : {false, true}) {
          ChunkPlan plan{Codec::kPlanes, width, rotate, {}, false};
          plan.matches.fill(matches);
          const Bytes stored = Encode(plan, original);
          CAPTURE(width, size, rotate, matches);
          CHECK(stored.size() <= PlanesBound(size));
          Bytes back(size);
          CHECK(Decode(stored, back).message() == "");
          CHECK(back == original);
        }
      }
    }
  }
}

TEST_CASE("planes are what their definition says, at any count and address") {
  const Bytes source = Weights(5000, 1);
  for (const std::size_t width : {1U, 2U, 4U, 8U}) {
    for (const bool rotate : {false, true}) {
      for (std::size_t count = 0; count < 100; ++count) {
        const std::uint8_t* const elements = source.data() + count % 7;
        Bytes planes(count * width);
        SplitPlanes(elements, count, width, rotate, planes.data());
        Bytes expected(count * width);
        for (std::size_t i = 0; i < count; ++i) {
          std::uint64_t value = 0;
          for (std::size_t k = 0; k < width; ++k) value |= std::uint64_t{elements[i * width + k]} << (8 * k);
          if (rotate) value = value << 1U | value >> (8 * width - 1);
          for (std::size_t k = 0; k < width; ++k) expected[k * count + i] = static_cast<std::uint8_t>(value >> (8 * k));
        }
        CAPTURE(width, rotate, count);
        CHECK(planes == expected);

        Bytes stored(PlanesHeaderSize(width));
        stored[0] = static_cast<std::uint8_t>(width);
        stored[1] = rotate ? 1 : 0;
        for (std::size_t k = 0; k < width; ++k)
          StoreInteger<std::uint32_t>(&stored[4 + 4 * k], static_cast<std::uint32_t>(count), ByteOrder::kLittle);
        stored.insert(stored.end(), planes.begin(), planes.end());
        Bytes back(count * width);
        CHECK(Decode(stored, back).message() == "");
        CHECK(std::equal(back.begin(), back.end(), elements));
      }
    }
  }
}

TEST_CASE("bytes looked at: uneven ones, repeated ones") {
  const Bytes noise = NoiseOf(100000);
  CHECK_FALSE(IsUneven(View(noise)));
  CHECK(RepeatedShare(View(noise)) == 0);
  Bytes sparse = noise;
  for (std::size_t i = 0; i < sparse.size(); i += 20) sparse[i] = 0;
  CHECK(IsUneven(View(sparse)));
  CHECK(RepeatedShare(View(sparse)) == 0);
  for (const std::size_t distance : {16U, 1000U, 40000U}) {
    Bytes repeated = noise;
    for (std::size_t i = distance; i < repeated.size(); ++i) repeated[i] = repeated[i - distance];
    CAPTURE(distance);
    CHECK(RepeatedShare(View(repeated)) > 0.4);
  }
  for (const std::size_t size : {0U, 1U, 15U, 16U, 31U, 32U, 33U}) {
    const Bytes few(size);
    CHECK(IsUneven(View(few)));
    CHECK(RepeatedShare(View(few)) <= 1);
  }
}

TEST_CASE("planes are chosen where they gain, and for numbers of that width") {
  struct Kind {
    std::size_t width;
    double share;  // of its size that is left, at most
  };
  for (const Kind kind : {Kind{1, 0.92}, Kind{2, 0.72}, Kind{4, 0.86}, Kind{8, 0.93}}) {
    CAPTURE(kind.width);
    const Bytes original = Weights(262144, kind.width);
    for (const CodecChoice choice : {CodecChoice::kAuto, CodecChoice::kPlanes}) {
      const Result<ChunkPlan> plan = Choose(choice, TypeOf(kind.width), original);
      REQUIRE(plan.ok());
      CHECK(plan->codec == (kind.width == 1 ? Codec::kZstd : Codec::kPlanes));
      CHECK(plan->width == kind.width);
      CHECK(plan->rotate == (kind.width > 1));
      CHECK(static_cast<double>(Encode(*plan, original).size()) < kind.share * 262144);
      // A level at which all is tried finds no less.
      CHECK(Encode(*plan, original, 12).size() <= Encode(*plan, original).size());
    }
  }
}

TEST_CASE("noise is stored, repetition goes to zstd, zeroes cost next to nothing") {
  const Bytes noise = NoiseOf(262144);
  const auto choose = [](const Bytes& bytes, CodecChoice choice) {
    const Result<ChunkPlan> plan = Choose(choice, TypeOf(4), bytes);
    REQUIRE(plan.ok());
    return *plan;
  };
  CHECK(choose(noise, CodecChoice::kAuto).codec == Codec::kStore);
  CHECK(choose(noise, CodecChoice::kPlanes).codec == Codec::kStore);
  CHECK(choose(noise, CodecChoice::kZstd).codec == Codec::kZstd);
  CHECK(choose(noise, CodecChoice::kStore).codec == Codec::kStore);

  Bytes repeated = noise;
  for (std::size_t i = 1000; i < repeated.size(); ++i) repeated[i] = repeated[i - 1000];
  CHECK(choose(repeated, CodecChoice::kAuto).codec == Codec::kZstd);

  const Bytes zeroes(262144);
  for (const CodecChoice choice : {CodecChoice::kAuto, CodecChoice::kPlanes})
    CHECK(Encode(choose(zeroes, choice), zeroes).size() < 200);
}

TEST_CASE("floats that repeat but for their signs are not turned") {
  Bytes waves = Weights(262144, 4);
  for (std::size_t i = 4000; i < waves.size(); ++i) waves[i] = waves[i - 4000];
  const Bytes signs = Weights(262144, 1);
  for (std::size_t i = 3; i < waves.size(); i += 4) waves[i] = static_cast<std::uint8_t>((waves[i] & 0x7f) | (signs[i] & 1) << 7);
  const Result<ChunkPlan> plan = Choose(CodecChoice::kAuto, TypeOf(4), waves);
  REQUIRE(plan.ok());
  CHECK(plan->codec == Codec::kPlanes);
  CHECK_FALSE(plan->rotate);
  CHECK(Encode(*plan, waves).size() < waves.size() / 4);
}

TEST_CASE("numbers of unusual types are taken byte by byte") {
  const Bytes bytes(4096);
  for (const DataType dtype : {DataType{1, 1, 1}, DataType{0, 4, 1}, DataType{2, 24, 1}, DataType{7, 8, 4}, DataType{3, 128, 1}}) {
    const Result<ChunkPlan> plan = Choose(CodecChoice::kPlanes, dtype, bytes);
    REQUIRE(plan.ok());
    CHECK(plan->width == 1);
    CHECK_FALSE(plan->rotate);
  }
  // Lanes lie side by side, and so do a complex number's halves.
  CHECK(Choose(CodecChoice::kPlanes, {2, 32, 4}, bytes)->width == 4);
  CHECK(Choose(CodecChoice::kPlanes, {5, 64, 1}, bytes)->width == 4);
}

TEST_CASE("damage to stored planes") {
  const Bytes original = Weights(4099, 4);
  const ChunkPlan plan{Codec::kPlanes, 4, true, {}, false};
  const Bytes good = Encode(plan, original);
  struct PlanesDamage {
    std::string name;
    void (*change)(Bytes& bytes);
    std::string message;
  };
  const std::vector<PlanesDamage> damages = {
      {"no header", [](Bytes& b) { b.resize(3); }, "planes: found 3 bytes, expected a header"},
      {"half a header", [](Bytes& b) { b.resize(19); }, "planes: found 19 bytes, expected at least 20"},
      {"width 0", [](Bytes& b) { b[0] = 0; },
       "planes: found elements of 0 bytes turned by 1 bits, expected 1, 2, 4 or 8 by 0 or 1"},
      {"width 3", [](Bytes& b) { b[0] = 3; }, "planes: found elements of 3 bytes turned by 1 bits"},
      {"width 16", [](Bytes& b) { b[0] = 16; }, "planes: found elements of 16 bytes turned by 1 bits"},
      {"rotation 2", [](Bytes& b) { b[1] = 2; }, "planes: found elements of 4 bytes turned by 2 bits"},
      {"reserved byte", [](Bytes& b) { b[3] = 1; }, "planes: found elements of 4 bytes turned by 1 bits"},
      {"another width", [](Bytes& b) { b[0] = 2; }, "planes: plane 0: found 1024 bytes, expected 2049"},
      {"a plane beyond the end", [](Bytes& b) { b[7] = 0x7f; },
       "planes: plane 0: found 2130707456 bytes at 20, expected a range within"},
      {"a raw plane of another size", [](Bytes& b) { b[4] = 255, b[5] = 3; }, "planes: plane 0: found 1023 bytes, expected 1024"},
      {"a frame that is none", [](Bytes& b) { b[7] ^= 0x80; }, "planes: plane 0: found 18446744073709551614 bytes, expected 1024"},
      {"cut off", [](Bytes& b) { b.pop_back(); }, "planes: found 2 bytes behind the planes, expected 3"},
      {"longer", [](Bytes& b) { b.push_back(0); }, "planes: found 4 bytes behind the planes, expected 3"},
      {"a frame's content", [](Bytes& b) { b[b.size() - 40] ^= 0xff, b[b.size() - 60] ^= 0xff; }, ""},
  };
  for (const PlanesDamage& damage : damages) {
    Bytes bad = good;
    damage.change(bad);
    Bytes out(original.size());
    const Status status = Decode(bad, out);
    CAPTURE(damage.name, status.message());
    if (damage.message.empty()) {  // zstd may or may not see it, but what comes out is not the original
      CHECK((!status.ok() || out != original));
    } else {
      CHECK(status.message().substr(0, damage.message.size()) == damage.message);
    }
  }
}

}  // namespace
}  // namespace pannier
