// TVM's .params files: a real one, made ones with one thing wrong, and that fields and data give the file back.
#include "src/tvm_params.h"

#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "src/byte_source.h"
#include "src/bytes.h"
#include "src/text.h"

namespace pannier {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr DataType kFloat32 = {2, 32, 1};
constexpr std::uint64_t kFileMagic = 0xF7E58D4F05049CB7;
constexpr std::uint64_t kTensorMagic = 0xDD5E40F096B4A13F;

// A second writer of the format, from relay's description alone, so that the one under test is not its own judge.
struct Tensor {
  std::string name;
  DataType dtype = kFloat32;
  std::vector<std::int64_t> shape;
  std::uint64_t data_size = 0;
  std::uint64_t reserved = 0;
  std::int32_t device_type = 1;
  std::int32_t device_id = 0;
};

void Put(Bytes& out, std::uint64_t value, int size) {
  for (int i = 0; i < size; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

Bytes MakeParams(const std::vector<Tensor>& tensors, std::uint64_t reserved = 0) {
  Bytes out;
  Put(out, kFileMagic, 8);
  Put(out, reserved, 8);
  Put(out, tensors.size(), 8);
  for (const Tensor& tensor : tensors) {
    Put(out, tensor.name.size(), 8);
    out.insert(out.end(), tensor.name.begin(), tensor.name.end());
  }
  Put(out, tensors.size(), 8);
  std::uint8_t pattern = 1;
  for (const Tensor& tensor : tensors) {
    Put(out, kTensorMagic, 8);
    Put(out, tensor.reserved, 8);
    Put(out, static_cast<std::uint32_t>(tensor.device_type), 4);
    Put(out, static_cast<std::uint32_t>(tensor.device_id), 4);
    Put(out, tensor.shape.size(), 4);
    Put(out, tensor.dtype.code, 1);
    Put(out, tensor.dtype.bits, 1);
    Put(out, tensor.dtype.lanes, 2);
    for (std::int64_t dimension : tensor.shape) Put(out, static_cast<std::uint64_t>(dimension), 8);
    Put(out, tensor.data_size, 8);
    for (std::uint64_t i = 0; i < tensor.data_size; ++i) out.push_back(pattern = static_cast<std::uint8_t>(pattern * 5 + 3));
  }
  return out;
}

Result<ParamsFile> Parse(const Bytes& bytes) { return ParseParams(MemorySource(ByteView(bytes.data(), bytes.size()))); }

// The message of the error, or "" if there is none.
std::string ErrorOf(const Bytes& bytes) {
  auto file = Parse(bytes);
  if (!file.ok()) CHECK(file.status().code() == ErrorCode::kMalformed);
  return file.status().message();
}

std::string ErrorOf(const std::vector<Tensor>& tensors) { return ErrorOf(MakeParams(tensors)); }

// From the parsed fields, and of the bytes only each tensor's data.
Bytes Rejoin(const ParamsFile& file, const Bytes& bytes) {
  Bytes out;
  AppendParamsStart(out, file.reserved, file.tensors.size());
  for (const ParamsTensor& tensor : file.tensors) AppendParamsName(out, tensor.name);
  AppendParamsMiddle(out, file.tensors.size());
  for (const ParamsTensor& tensor : file.tensors) {
    AppendTensorHeader(out, tensor.header());
    const auto data = ByteView(bytes.data(), bytes.size()).Slice(tensor.data_offset, tensor.data_size);
    REQUIRE(data);
    CHECK(out.size() == tensor.data_offset);
    out.insert(out.end(), data->begin(), data->end());
  }
  return out;
}

ParamsFile ParseAndRejoin(const Bytes& bytes) {
  auto file = Parse(bytes);
  INFO(file.status().message());
  REQUIRE(file.ok());
  CHECK(file->file_size == bytes.size());
  CHECK(Rejoin(*file, bytes) == bytes);
  return std::move(*file);
}

// Counts what is read; from a given call on, reads fail.
class WatchedSource : public ByteSource {
 public:
  explicit WatchedSource(const ByteSource& source, std::uint64_t good_calls = std::numeric_limits<std::uint64_t>::max())
      : source_(source), good_calls_(good_calls) {}
  std::uint64_t size() const override { return source_.size(); }
  Status ReadAt(std::uint64_t offset, void* out, std::size_t size) const override {
    if (calls++ >= good_calls_) return {ErrorCode::kIo, "read: the disk is on fire"};
    bytes_read += size;
    return source_.ReadAt(offset, out, size);
  }

  mutable std::uint64_t calls = 0;
  mutable std::uint64_t bytes_read = 0;

 private:
  const ByteSource& source_;
  std::uint64_t good_calls_;
};

// A file that starts with `head`, goes on with `gap` bytes and ends with `tail`: larger than any memory.
class GapSource : public ByteSource {
 public:
  GapSource(Bytes head, std::uint64_t gap, Bytes tail) : head_(std::move(head)), tail_(std::move(tail)), gap_(gap) {}
  std::uint64_t size() const override { return head_.size() + gap_ + tail_.size(); }
  Status ReadAt(std::uint64_t offset, void* out, std::size_t size) const override {
    if (!FitsWithin(offset, size, this->size())) return {ErrorCode::kMalformed, "read beyond the end"};
    for (std::size_t i = 0; i < size; ++i) static_cast<std::uint8_t*>(out)[i] = At(offset + i);
    return {};
  }

 private:
  std::uint8_t At(std::uint64_t offset) const {
    if (offset < head_.size()) return head_[static_cast<std::size_t>(offset)];
    if (offset < head_.size() + gap_) return 0xA5;
    return tail_[static_cast<std::size_t>(offset - head_.size() - gap_)];
  }

  Bytes head_, tail_;
  std::uint64_t gap_;
};

const std::vector<Tensor> kTwoTensors = {{"weight", kFloat32, {3, 2}, 24, 0x1122334455667788, 1, 0}, {"b", {0, 8, 1}, {5}, 5}};

TEST_CASE("params: the MLP's, as TVM 0.9 wrote it", "[params]") {
  std::ifstream in(PANNIER_TEST_DATA "/mlp/params.bin", std::ios::binary);
  const Bytes bytes{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  REQUIRE(bytes.size() == 437996);
  const ParamsFile file = ParseAndRejoin(bytes);
  CHECK(file.reserved == 0);

  struct Expected {
    std::string name;
    std::vector<std::int64_t> shape;
    std::uint64_t offset, size;
  };
  const std::vector<Expected> expected = {{"p0", {16, 784, 8}, 156, 401408}, {"p1", {1, 128}, 401620, 512},
                                          {"p4", {2, 64, 5}, 402196, 2560},  {"p2", {8, 128, 8}, 404820, 32768},
                                          {"p3", {1, 64}, 437644, 256},      {"p5", {1, 10}, 437956, 40}};
  REQUIRE(file.tensors.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const ParamsTensor& tensor = file.tensors[i];
    CHECK(tensor.name == expected[i].name);
    CHECK(tensor.shape == expected[i].shape);
    CHECK(tensor.data_offset == expected[i].offset);
    CHECK(tensor.data_size == expected[i].size);
    CHECK(tensor.dtype == kFloat32);
    CHECK(DataTypeName(tensor.dtype) == "float32");
    CHECK(tensor.device.device_type == 1);
    CHECK(tensor.device.device_id == 0);
    CHECK(tensor.reserved == 0);
  }
}

TEST_CASE("params: fields and data give the file back", "[params]") {
  SECTION("no tensors") {
    const Bytes bytes = MakeParams({}, 0xF00DF00DF00DF00D);
    const ParamsFile file = ParseAndRejoin(bytes);
    CHECK(bytes.size() == kParamsStartSize + kParamsMiddleSize);
    CHECK(file.tensors.empty());
    CHECK(file.reserved == 0xF00DF00DF00DF00D);
  }
  SECTION("every field differs from its usual value") {
    const ParamsFile file = ParseAndRejoin(MakeParams({{"t", {4, 16, 1}, {2, 3}, 12, 0x0102030405060708, 2, -7}}));
    const ParamsTensor& tensor = file.tensors.at(0);
    CHECK(tensor.dtype == DataType{4, 16, 1});
    CHECK(tensor.reserved == 0x0102030405060708);
    CHECK(tensor.device.device_type == 2);
    CHECK(tensor.device.device_id == -7);
    CHECK(tensor.data_offset == kParamsStartSize + ParamsNameSize(1) + kParamsMiddleSize + TensorHeaderSize(2));
  }
  SECTION("scalars, empty tensors, lanes, odd types, 64 dimensions") {
    const ParamsFile file = ParseAndRejoin(MakeParams({{"scalar", kFloat32, {}, 4},
                                                       {"empty", kFloat32, {3, 0, 7}, 0},
                                                       {"first dimension 0", {0, 64, 1}, {0, 9}, 0},
                                                       {"four lanes", {2, 16, 4}, {3}, 24},
                                                       {"bool", {1, 1, 1}, {9}, 9},
                                                       {"int4", {0, 4, 1}, {9}, 9},
                                                       {"three bits in five lanes", {1, 3, 5}, {2}, 4},
                                                       {"unknown code", {200, 24, 1}, {2}, 6},
                                                       {"deep", {0, 8, 1}, std::vector<std::int64_t>(64, 1), 1}}));
    CHECK(file.tensors.at(0).shape.empty());
    CHECK(file.tensors.at(1).data_size == 0);
    CHECK(file.tensors.at(8).shape.size() == 64);
  }
  SECTION("names: empty, foreign, as long as may be") {
    const std::string longest(kMaxParamsNameSize, 'n');
    const ParamsFile file =
        ParseAndRejoin(MakeParams({{"", kFloat32, {}, 4}, {"gewürz/重み:0", kFloat32, {}, 4}, {longest, kFloat32, {}, 4}}));
    CHECK(file.tensors.at(0).name.empty());
    CHECK(file.tensors.at(1).name == "gewürz/重み:0");
    CHECK(file.tensors.at(2).name == longest);
  }
  SECTION("names and headers that straddle read windows") {
    std::vector<Tensor> tensors;
    for (std::int64_t i = 0; i < 3000; ++i) {
      const auto size = static_cast<std::uint64_t>(i * 37 % 301);
      tensors.push_back(
          {StrCat("tensor_", i, std::string(static_cast<std::size_t>(i % 90), 'x')), {0, 8, 1}, {i * 37 % 301, 1}, size});
    }
    const Bytes bytes = MakeParams(tensors);
    const ParamsFile file = ParseAndRejoin(bytes);
    CHECK(file.tensors.at(2999).name == tensors.at(2999).name);
    CHECK(file.tensors.at(2999).data_size == tensors.at(2999).data_size);

    const MemorySource memory(ByteView(bytes.data(), bytes.size()));
    const WatchedSource watched(memory);
    REQUIRE(ParseParams(watched).ok());
    CHECK(watched.calls < 80);  // 850,000 bytes, 6,000 names and headers
  }
}

TEST_CASE("params: large data is passed over", "[params]") {
  constexpr std::int64_t kLarge = std::int64_t{1} << 40;
  Bytes head = MakeParams({{"large", {0, 8, 1}, {kLarge}, 0}, {"after", {0, 8, 1}, {3}, 3}});
  const std::size_t second = head.size() - 3 - TensorHeaderSize(1);
  Bytes tail(head.begin() + static_cast<std::ptrdiff_t>(second), head.end());
  head.resize(second);
  StoreInteger(head.data() + second - 8, static_cast<std::uint64_t>(kLarge), ByteOrder::kLittle);

  const GapSource gap(head, static_cast<std::uint64_t>(kLarge), tail);
  const WatchedSource watched(gap);
  auto file = ParseParams(watched);
  INFO(file.status().message());
  REQUIRE(file.ok());
  CHECK(file->tensors.at(0).data_size == static_cast<std::uint64_t>(kLarge));
  CHECK(file->tensors.at(1).data_offset == gap.size() - 3);
  CHECK(watched.calls == 2);
  CHECK(watched.bytes_read <= 64 * 1024 + tail.size());
}

TEST_CASE("params: of many large tensors little is read", "[params]") {
  std::vector<Tensor> tensors;
  for (int i = 0; i < 100; ++i) tensors.push_back({StrCat("t", i), {0, 8, 1}, {100'000}, 100'000});
  const Bytes bytes = MakeParams(tensors);
  const MemorySource memory(ByteView(bytes.data(), bytes.size()));
  const WatchedSource watched(memory);
  REQUIRE(ParseParams(watched).ok());
  CHECK(watched.bytes_read <= 64 * 1024 + 100 * 4096);
}

TEST_CASE("params: damage is named", "[params]") {
  using Edit = std::function<void(Bytes&)>;
  auto put = [](std::size_t offset, std::uint64_t value, int size) -> Edit {
    return [=](Bytes& bytes) {
      for (int i = 0; i < size; ++i) bytes.at(offset + static_cast<std::size_t>(i)) = static_cast<std::uint8_t>(value >> (8 * i));
    };
  };
  // kTwoTensors: names' sizes at 24 and 38, middle at 47, tensors at 55 (2 dimensions, data at 111) and 135 (1 dimension, data at
  // 183).
  struct Case {
    const char* damage;
    Edit edit;
    const char* message;
  };
  const std::vector<Case> cases = {
      {"file magic", put(0, kTensorMagic, 8), "header: magic: found 0xdd5e40f096b4a13f, expected 0xf7e58d4f05049cb7"},
      {"count above the file", put(16, 1ULL << 60, 8), "header: tensor count: found 1152921504606846976, expected at most 3"},
      {"count one too high", put(16, 3, 8), "name 2: found \"?\\xa1\", expected printable UTF-8"},
      {"name's size", put(24, 4097, 8), "name 0: size: found 4097, expected at most 4096"},
      {"name's size above the file", put(38, 200, 8), "name 1: found 150 bytes, expected 208"},
      {"name not UTF-8", put(32, 0xFF, 1), "name 0: found \"\\xffeight\", expected printable UTF-8"},
      {"name with a control character", put(46, '\n', 1), "name 1: found \"\\x0a\", expected printable UTF-8"},
      {"second count", put(47, 1, 8), "tensor count: found 1, expected 2 as there are names"},
      {"tensor magic", put(135, 7, 8), "tensor 1 \"b\": magic: found 0x7, expected 0xdd5e40f096b4a13f"},
      {"65 dimensions", put(55 + 24, 65, 4), "tensor 0 \"weight\": dimensions: found 65, expected 0 to 64"},
      {"-1 dimensions", put(55 + 24, 0xFFFFFFFF, 4), "tensor 0 \"weight\": dimensions: found -1, expected 0 to 64"},
      {"dimensions above the file", put(135 + 24, 20, 4), "tensor 1 \"b\": header: found 53 bytes, expected 200"},
      {"no bits", put(55 + 29, 0, 1), "tensor 0 \"weight\": dtype: found 0 bits in 1 lanes, expected at least 1 in 1"},
      {"no lanes", put(55 + 30, 0, 2), "tensor 0 \"weight\": dtype: found 32 bits in 0 lanes, expected at least 1 in 1"},
      {"a part of the lanes", put(55 + 30, 4, 2), "tensor 0 \"weight\": data size: found 24, expected 96"},
      {"negative dimension", put(55 + 32, ~0ULL, 8),
       "tensor 0 \"weight\": shape: found [-1, 2], expected dimensions of 0 or more, and fewer than 2^63 bytes"},
      {"shape overflows", put(55 + 32, 1ULL << 62, 8),
       "tensor 0 \"weight\": shape: found [4611686018427387904, 2], expected dimensions of 0 or more, and fewer than 2^63 bytes"},
      {"shape", put(55 + 40, 3, 8), "tensor 0 \"weight\": data size: found 24, expected 36"},
      {"data size", put(55 + 48, 25, 8), "tensor 0 \"weight\": data size: found 25, expected 24"},
      {"data above the file",
       [=](Bytes& bytes) {
         put(135 + 32, 6, 8)(bytes);
         put(135 + 40, 6, 8)(bytes);
       },
       "tensor 1 \"b\": data: found 5 bytes, expected 6"},
      {"trailing byte", [](Bytes& bytes) { bytes.push_back(0); },
       "end of file: found 1 bytes behind the last tensor, expected none"},
      {"empty file", [](Bytes& bytes) { bytes.clear(); }, "header: found 0 bytes, expected 24"},
  };
  const Bytes good = MakeParams(kTwoTensors);
  REQUIRE(good.size() == 188);
  REQUIRE(ErrorOf(good).empty());
  for (const Case& damaged : cases) {
    INFO(damaged.damage);
    Bytes bytes = good;
    damaged.edit(bytes);
    CHECK(ErrorOf(bytes) == StrCat("params: ", damaged.message));
  }
}

TEST_CASE("params: names occur once", "[params]") {
  CHECK(ErrorOf({{"a", kFloat32, {}, 4}, {"same", kFloat32, {}, 4}, {"b", kFloat32, {}, 4}, {"same", kFloat32, {}, 4}}) ==
        "params: name 3: found \"same\" again (name 1), expected distinct names");
  CHECK(ErrorOf({{"", kFloat32, {}, 4}, {"", kFloat32, {}, 4}}) ==
        "params: name 1: found \"\" again (name 0), expected distinct names");
  CHECK(ErrorOf({{"same", kFloat32, {}, 4}, {"same2", kFloat32, {}, 4}}).empty());
}

TEST_CASE("params: more tensors than a manifest can list", "[params]") {
  Bytes bytes = MakeParams({});
  StoreInteger(bytes.data() + 16, kMaxParamsTensors + 1, ByteOrder::kLittle);
  const GapSource source(bytes, 100'000'000, {});
  auto file = ParseParams(source);
  REQUIRE_FALSE(file.ok());
  CHECK(file.status().message() == "params: header: tensor count: found 500001, expected at most 500000");
}

TEST_CASE("params: truncated anywhere", "[params]") {
  const Bytes good = MakeParams(kTwoTensors);
  for (std::size_t size = 0; size < good.size(); ++size) {
    INFO(size);
    // A vector of its own, exactly as large, so that a sanitizer sees a read beyond it.
    CHECK_FALSE(ErrorOf(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size))).empty());
  }
}

TEST_CASE("params: any one byte changed is refused or given back", "[params]") {
  const Bytes good = MakeParams(kTwoTensors);
  std::size_t accepted = 0;
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (unsigned value = 0; value < 256; ++value) {
      if (value == good[i]) continue;
      Bytes bytes = good;
      bytes[i] = static_cast<std::uint8_t>(value);
      auto file = Parse(bytes);
      if (!file.ok()) continue;
      ++accepted;
      if (Rejoin(*file, bytes) != bytes) FAIL("byte " << i << " changed to " << value);
    }
  }
  // At least the data, the reserved words, the devices and the type codes are free: (29 + 3 * 8 + 2 * 8 + 2) bytes of 255 other
  // values.
  CHECK(accepted >= 71 * 255);
  CHECK(accepted < good.size() * 255 / 2);
}

TEST_CASE("params: a source that cannot read is not a malformed file", "[params]") {
  const Bytes bytes = MakeParams({{"far", {0, 8, 1}, {200'000}, 200'000}, {"farther", {0, 8, 1}, {200'000}, 200'000}});
  const MemorySource memory(ByteView(bytes.data(), bytes.size()));
  const WatchedSource good(memory);
  REQUIRE(ParseParams(good).ok());
  REQUIRE(good.calls == 2);
  const char* where[] = {"params: header: read: the disk is on fire",
                         "params: tensor 1 \"farther\": header: read: the disk is on fire"};
  for (std::uint64_t calls = 0; calls < good.calls; ++calls) {
    const WatchedSource failing(memory, calls);
    auto file = ParseParams(failing);
    REQUIRE_FALSE(file.ok());
    CHECK(file.status().code() == ErrorCode::kIo);
    CHECK(file.status().message() == where[calls]);
  }
}

TEST_CASE("tensor sizes", "[params]") {
  auto bytes = [](DataType dtype, std::vector<std::int64_t> shape) { return TensorBytes(dtype, {shape.data(), shape.size()}); };
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  constexpr DataType kInt8 = {0, 8, 1};
  CHECK(bytes(kFloat32, {}) == 4U);
  CHECK(bytes(kFloat32, {2, 3, 5}) == 120U);
  CHECK(bytes({2, 16, 3}, {7}) == 42U);
  CHECK(bytes({1, 1, 1}, {7}) == 7U);
  CHECK(bytes({0, 4, 8}, {7}) == 28U);
  CHECK(bytes({0, 255, 65535}, {1}) == 2088929U);
  CHECK(bytes(kInt8, {kMax}) == static_cast<std::uint64_t>(kMax));
  CHECK(bytes(kInt8, {kMax, 0}) == 0U);
  CHECK(bytes(kInt8, std::vector<std::int64_t>(64, 1)) == 1U);
  CHECK_FALSE(bytes(kInt8, {kMax, 2}));
  CHECK_FALSE(bytes(kInt8, {kMax, kMax, kMax}));
  CHECK_FALSE(bytes(kInt8, {kMax, 2, 0}));
  CHECK_FALSE(bytes(kInt8, {0, kMax, 2}));
  CHECK_FALSE(bytes({0, 16, 1}, {kMax}));
  CHECK_FALSE(bytes(kInt8, {3, -1}));
  CHECK_FALSE(bytes(kInt8, {-2, -3}));
  CHECK_FALSE(bytes(kInt8, {0, -1}));
  CHECK_FALSE(bytes(kInt8, {std::numeric_limits<std::int64_t>::min()}));
  CHECK_FALSE(bytes(kInt8, std::vector<std::int64_t>(65, 1)));
  CHECK_FALSE(bytes({0, 0, 1}, {1}));
  CHECK_FALSE(bytes({0, 8, 0}, {1}));
}

TEST_CASE("names of types", "[params]") {
  CHECK(DataTypeName({0, 8, 1}) == "int8");
  CHECK(DataTypeName({1, 64, 1}) == "uint64");
  CHECK(DataTypeName({2, 16, 4}) == "float16x4");
  CHECK(DataTypeName({4, 16, 1}) == "bfloat16");
  CHECK(DataTypeName({5, 64, 1}) == "complex64");
  CHECK(DataTypeName({3, 64, 1}) == "handle");
  CHECK(DataTypeName({1, 1, 1}) == "bool");
  CHECK(DataTypeName({1, 1, 8}) == "uint1x8");
  CHECK(DataTypeName({6, 8, 1}) == "bool");
  CHECK(DataTypeName({6, 8, 2}) == "boolx2");
  CHECK(DataTypeName({6, 1, 1}) == "bool1");
  CHECK(DataTypeName({7, 8, 1}) == "float8_e3m4");
  CHECK(DataTypeName({10, 8, 1}) == "float8_e4m3fn");
  CHECK(DataTypeName({12, 8, 4}) == "float8_e5m2x4");
  CHECK(DataTypeName({16, 6, 1}) == "float6_e3m2fn");
  CHECK(DataTypeName({17, 4, 1}) == "float4_e2m1fn");
  CHECK(DataTypeName({18, 8, 1}) == "code18_8");
  CHECK(DataTypeName({42, 8, 65535}) == "code42_8x65535");
}

}  // namespace
}  // namespace pannier
