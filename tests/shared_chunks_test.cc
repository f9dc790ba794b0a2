// What tensors have in common: equal ones and equal chunks are kept once, small ones share a chunk, whatever the codec.
#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "embedder/content/equal_ranges.h"
#include "pannier/loader.h"
#include "tests/embed_fixture.h"
#include "tests/params_builder.h"

namespace pannier {
namespace {

constexpr std::size_t kChunk = kChunkSize;

constexpr CodecChoice kAllCodecs[] = {CodecChoice::kStore, CodecChoice::kZstd, CodecChoice::kPlanes, CodecChoice::kAuto};

// Floats of few exponents: their planes gain.
std::string Weights(std::size_t size, std::uint32_t seed) {
  std::string bytes = Noise(size, seed);
  for (std::size_t i = 3; i < size; i += 4) bytes[i] = static_cast<char>(0x3d + (bytes[i] & 1));
  return bytes;
}

// Embeds, reads everything back, and answers with the bytes that params take.
std::size_t StoredBytes(const std::vector<TensorParts>& tensors, CodecChoice codec) {
  const Folder folder;
  const std::string file = BuildParams(tensors);
  WriteFile(folder / "p.params", file);
  MustEmbed(HostOf("linux-x86_64"), {{"params", folder / "p.params"}}, folder / "model.so", codec);
  CHECK(MustVerify(folder / "model.so").differences.empty());
  for (const Bundle& bundle : {OpenBundle(folder / "model.so"), LoadBundle(folder / "model.so")}) {
    bundle.CheckDigests();
    for (const auto& [name, threads] : {std::pair<const char*, unsigned>("lazily", 1), {"by several threads", 3}}) {
      LoadOptions options;
      options.check = threads == 1 ? Check::kLazy : Check::kFull;
      options.threads = threads;
      const Bundle other = OpenBundle(folder / "model.so", options);
      CAPTURE(name);
      other.DecodeAll();
      const auto bytes = other.artifact("params").bytes();
      CHECK(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()) == file);
    }
    // From the last one on, since what comes first may be decoded already.
    for (std::size_t i = tensors.size(); i-- > 0;) {
      const TensorView tensor = bundle.params()[i];
      CHECK(std::string_view(static_cast<const char*>(tensor.data()), tensor.nbytes()) == tensors[i].data);
      CHECK(reinterpret_cast<std::uintptr_t>(tensor.data()) % 64 == 0);
      if (codec == CodecChoice::kStore) CHECK(tensor.is_zero_copy());
    }
  }
  return OpenBundle(folder / "model.so").artifact("params").stored_bytes();
}

TEST_CASE("equal tensors are kept once") {
  const std::string a = Weights(3 * kChunk + 1000, 1);
  const std::string b = Weights(a.size(), 2);
  const std::string noise = Noise(kChunk + 100, 3);
  const std::vector<TensorParts> once = {{a}, {b}, {noise}, {std::string(40, 'x')}};
  std::vector<TensorParts> many = once;
  for (const std::string& data : {b, noise, std::string(), a, std::string(40, 'x'), std::string(), b}) many.push_back({data});
  many.push_back({a, {0, 8, 1}});  // the same bytes as another type
  for (const CodecChoice codec : kAllCodecs) {
    CAPTURE(static_cast<int>(codec));
    CHECK(StoredBytes(many, codec) == StoredBytes(once, codec));
  }
}

TEST_CASE("tensors that differ in one byte stay apart, wherever it is") {
  const std::string tensor = Noise(20000, 1);
  std::vector<TensorParts> tensors = {{tensor}};
  for (const std::size_t at : {0U, 9000U, 10000U, 19999U}) {
    std::string other = tensor;
    other[at] = static_cast<char>(other[at] ^ 1);
    tensors.push_back({other});
  }
  for (const CodecChoice codec : kAllCodecs) CHECK(StoredBytes(tensors, codec) >= 5 * tensor.size());
}

TEST_CASE("equal runs of compressed tensors are kept once") {
  const std::string a = Weights(2 * kChunk, 1);
  const std::string b = Weights(5 * kChunk, 2);
  const std::string c = Weights(kChunk + 12, 3);
  const std::vector<TensorParts> apart = {{a}, {b}, {c}};
  std::vector<TensorParts> joined = apart;
  joined.push_back({a + b + c});
  joined.push_back({b + a.substr(kChunk)});
  for (const CodecChoice codec : {CodecChoice::kPlanes, CodecChoice::kAuto}) {
    // What is not equal: `c` begins a chunk in either, and ends one.
    CHECK(StoredBytes(joined, codec) == StoredBytes(apart, codec));
  }
}

TEST_CASE("zeroes and constants cost next to nothing") {
  const std::string zeroes(16 << 20, '\0');
  std::string ones;
  for (std::size_t i = 0; i < (4 << 20); ++i) ones.append("\x00\x00\x80\x3f", 4);
  const std::string few = [&] {
    std::string sparse = zeroes;
    for (std::size_t i = 0; i < sparse.size(); i += 500009) sparse[i] = 'x';
    return sparse;
  }();
  for (const CodecChoice codec : {CodecChoice::kZstd, CodecChoice::kPlanes, CodecChoice::kAuto}) {
    CAPTURE(static_cast<int>(codec));
    CHECK(StoredBytes({{zeroes}}, codec) < 500);
    CHECK(StoredBytes({{ones}}, codec) < 500);
    CHECK(StoredBytes({{few}}, codec) < 20000);
  }
}

TEST_CASE("small tensors of one type are compressed together") {
  std::vector<TensorParts> tensors;
  std::size_t total = 0;
  for (std::uint32_t i = 0; i < 300; ++i) {
    tensors.push_back({Weights(4 * (i * 37 % 200), i)});  // some of them empty
    if (i % 3 == 1) tensors.back().dtype = {2, 16, 1};
    if (i % 50 == 7) tensors.back() = {Noise(1000, i), {1, 8, 1}};
    if (i % 50 == 8) tensors.back() = tensors[i / 2];
    if (i % 50 == 9) tensors.back() = {Weights(16385, i), {1, 8, 1}};
    total += tensors.back().data.size();
  }
  for (const CodecChoice codec : kAllCodecs) {
    CAPTURE(static_cast<int>(codec));
    CHECK(StoredBytes(tensors, codec) < total + 64 * tensors.size());
  }
  std::vector<TensorParts> floats;
  for (std::uint32_t i = 0; i < 1000; ++i) floats.push_back({Weights(200, i)});
  CHECK(StoredBytes(floats, CodecChoice::kAuto) < 200000 * 80 / 100);
}

TEST_CASE("equal ranges are found whatever the number of threads") {
  std::string source;
  std::vector<SourceRange> ranges;
  std::vector<std::size_t> expected;
  const auto add = [&](const std::string& bytes, std::size_t first) {
    ranges.push_back({source.size(), bytes.size()});
    expected.push_back(first);
    source += bytes;
  };
  const std::string large = Noise(3 << 20, 1);
  std::string twin = large;
  twin[5] = static_cast<char>(twin[5] ^ 1);
  add(large, 0);
  add("", 1);
  add("a", 2);
  add(twin, 3);
  add("a", 2);
  add("", 5);
  add(large, 0);
  add("b", 7);
  add(twin, 3);
  add(large, 0);
  const MemorySource memory(View(source));
  for (const unsigned threads : {1U, 5U}) {
    const Result<std::vector<std::size_t>> found = FindEqualRanges(memory, ranges, threads);
    REQUIRE(found.ok());
    CHECK(*found == expected);
  }
  ranges.push_back({source.size() - 1, 1});
  ranges.push_back({source.size(), 1});
  CHECK_FALSE(FindEqualRanges(memory, ranges, 1).ok());
}

}  // namespace
}  // namespace pannier
