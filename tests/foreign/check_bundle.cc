// check_bundle: loads a bundle of host.c and make_params.py's tensors, and checks that their values come out right on this machine.
//
// usage: check_bundle BUNDLE GRAPH PARAMS store|auto
//
// Prints each thing that is wrong. Exit status: 0 nothing is; 1 something is; 2 anything else.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "pannier/loader.h"
#include "src/bytes.h"
#include "tests/dynamic_loader.h"

namespace pannier::testing {
namespace {

int failures = 0;

void Expect(bool is_right, const std::string& what) {
  if (is_right) return;
  ++failures;
  std::printf("wrong: %s\n", what.c_str());
}

// Tensor `name` has this dtype and shape; value i is Bits(Pattern(i)).
struct Pattern {
  const char* name;
  DataType dtype;
  std::vector<std::int64_t> shape;
  std::uint64_t (*bits)(
      std::uint64_t i);  // of value i, as an integer of its size; lanes and the halves of a complex number are values
};

template <typename Integer, typename Float>
std::uint64_t BitsOf(Float value) {
  static_assert(sizeof(Integer) == sizeof(Float) && std::numeric_limits<Float>::is_iec559);
  Integer bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

// The floats are exact: no rounding, and so the same on every machine.
const Pattern kPatterns[] = {
    {"fc/weight:0",
     {2, 32, 1},
     {700, 1001},
     [](std::uint64_t i) { return BitsOf<std::uint32_t>(static_cast<float>(i * 7919 % 1009) / 8 - 50); }},
    {"int64", {0, 64, 1}, {3, 5, 7}, [](std::uint64_t i) { return i * 0x0123456789ABCDEF + 0x1122334455667788; }},
    {"float16", {2, 16, 1}, {513}, [](std::uint64_t i) { return 0x3C00 + i; }},
    {"float64",
     {2, 64, 1},
     {17},
     [](std::uint64_t i) { return BitsOf<std::uint64_t>(static_cast<double>(i + 1) * (1 + 1.0 / (std::uint64_t{1} << 44))); }},
    {"int8", {0, 8, 1}, {255}, [](std::uint64_t i) { return i * 7 % 256; }},
    {"uint16x4", {1, 16, 4}, {33}, [](std::uint64_t i) { return i * 259 + 1; }},
    {"bfloat16", {4, 16, 1}, {4, 10}, [](std::uint64_t i) { return 0x3F81 + i; }},
    {"bool", {1, 1, 1}, {9}, [](std::uint64_t i) { return i % 2; }},
    {"complex64", {5, 64, 1}, {6}, [](std::uint64_t i) { return BitsOf<std::uint32_t>(static_cast<float>(i) - 2.5F); }},
    {"scalar", {2, 32, 1}, {}, [](std::uint64_t) { return BitsOf<std::uint32_t>(-1234.5F); }},
    {"empty", {2, 32, 1}, {0, 3}, [](std::uint64_t) { return std::uint64_t{0}; }},
};

constexpr std::uint8_t kComplex = 5;

std::size_t ValuesPerElement(const Pattern& pattern) { return pattern.dtype.code == kComplex ? 2 : 1; }

std::size_t ValueSize(const Pattern& pattern) {
  return std::max<std::size_t>(pattern.dtype.bits / 8 / ValuesPerElement(pattern), 1);
}

std::size_t ValueCount(const Pattern& pattern) {
  std::size_t count = pattern.dtype.lanes * ValuesPerElement(pattern);
  for (std::int64_t dimension : pattern.shape) count *= static_cast<std::size_t>(dimension);
  return count;
}

// The first wrong value, or ValueCount().
std::size_t FirstWrong(const Pattern& pattern, const void* data) {
  const auto* bytes = static_cast<const std::uint8_t*>(data);
  const std::size_t size = ValueSize(pattern);
  for (std::size_t i = 0; i < ValueCount(pattern); ++i) {
    const std::uint8_t* place = bytes + i * size;
    std::uint64_t value = 0;
    // Through the machine's own integers, as a user's program reads them.
    auto read = [&](auto integer) {
      std::memcpy(&integer, place, sizeof integer);
      value = integer;
    };
    if (size == 1) read(std::uint8_t{});
    if (size == 2) read(std::uint16_t{});
    if (size == 4) read(std::uint32_t{});
    if (size == 8) read(std::uint64_t{});
    if (value != pattern.bits(i)) return i;
  }
  return ValueCount(pattern);
}

// `code` is null for a bundle that was only opened.
void CheckTensor(const Pattern& pattern, const TensorView& tensor, bool is_stored, const void* code) {
  const std::string name = std::string(code != nullptr ? "loaded: " : "opened: ") + pattern.name;
  const std::size_t size = ValueCount(pattern) * ValueSize(pattern);
  Expect(tensor.name() == pattern.name, name + ": name: " + std::string(tensor.name()));
  Expect(tensor.dtype() == pattern.dtype, name + ": dtype: " + DataTypeName(tensor.dtype()));
  Expect(std::vector<std::int64_t>(tensor.shape().begin(), tensor.shape().end()) == pattern.shape, name + ": shape");
  Expect(tensor.nbytes() == size, name + ": nbytes: " + std::to_string(tensor.nbytes()));
  if (tensor.nbytes() != size) return;

  const void* data = tensor.data();
  Expect(reinterpret_cast<std::uintptr_t>(data) % 64 == 0, name + ": alignment");
  Expect(data == tensor.data(), name + ": data() moved");
  if (size != 0) {
    std::size_t wrong = FirstWrong(pattern, data);
    Expect(wrong == ValueCount(pattern), name + ": value " + std::to_string(wrong));
    const bool is_native = kNativeOrder == ByteOrder::kLittle || ValueSize(pattern) == 1;
    if (is_stored && is_native) {
      Expect(tensor.is_zero_copy(), name + ": stored, and still copied");
      Expect(code == nullptr || LibraryBase(code) == LibraryBase(data), name + ": zero-copy, but not in the mapped library");
    }
    if (!is_native) Expect(!tensor.is_zero_copy(), name + ": zero-copy, in the other byte order");
    // Small tensors may not get smaller and so be stored in spite of that.
    if (!is_stored && size > 100000) Expect(!tensor.is_zero_copy(), name + ": zero-copy, though compressed");
  }

  std::vector<std::uint64_t> copy(size / 8 + 1, ~std::uint64_t{0});
  tensor.CopyTo(copy.data(), size);
  Expect(FirstWrong(pattern, copy.data()) == ValueCount(pattern), name + ": CopyTo");
  const DlTensor view = tensor.dl_tensor();
  Expect(view.data == data && view.ndim == static_cast<std::int32_t>(pattern.shape.size()) && view.dtype == pattern.dtype &&
             view.device.device_type == 1 && view.byte_offset == 0 && view.strides == nullptr &&
             std::equal(pattern.shape.begin(), pattern.shape.end(), view.shape),
         name + ": dl_tensor");
}

void CheckContent(const Bundle& bundle, const std::string& graph, const std::string& params, bool is_stored, const void* code) {
  Expect(bundle.graph_json() == graph, "graph_json");
  auto bytes = bundle.artifact("params").bytes();
  Expect(ByteView(bytes.data(), bytes.size()) == ByteView(params.data(), params.size()), "params, put together again");
  Expect(bundle.params().size() == std::size(kPatterns), "number of tensors: " + std::to_string(bundle.params().size()));
  if (bundle.params().size() != std::size(kPatterns)) return;
  for (std::size_t i = 0; i < std::size(kPatterns); ++i) CheckTensor(kPatterns[i], bundle.params()[i], is_stored, code);
  Expect(bundle.params().at("float16").nbytes() == 1026, "at(\"float16\")");
  bundle.CheckDigests();
}

void CheckCode(const Bundle& bundle) {
  auto* answer = bundle.symbol<int(int)>("foreign_answer");
  Expect(answer(41) == 128, "foreign_answer(41): " + std::to_string(answer(41)));
  std::int64_t argument = -77;
  std::int64_t result = 0;
  int type_code = 0;
  int result_type_code = -1;
  const int status = bundle.symbol<PackedCFunc>("foreign_packed")(&argument, &type_code, 1, &result, &result_type_code, nullptr);
  Expect(status == 0 && result == -231, "foreign_packed(-77): " + std::to_string(result));
  Expect(bundle.FindSymbol("foreign_nothing") == nullptr, "FindSymbol of a name that is not there");
  try {
    bundle.symbol<int>("foreign_nothing");
    Expect(false, "symbol<> of a name that is not there: no error");
  } catch (const Error& error) {
    Expect(error.code() == ErrorCode::kNotFound, std::string("symbol<> of a name that is not there: ") + error.what());
  }
}

std::string ReadAll(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(std::string(path) + ": cannot open the file");
  return {std::istreambuf_iterator<char>(file), {}};
}

int Main(int argc, char** argv) {
  if (argc != 5 || (std::string(argv[4]) != "store" && std::string(argv[4]) != "auto")) {
    std::fprintf(stderr, "usage: check_bundle BUNDLE GRAPH PARAMS store|auto\n");
    return 2;
  }
  const std::string graph = ReadAll(argv[2]);
  const std::string params = ReadAll(argv[3]);
  const bool is_stored = std::string(argv[4]) == "store";

  const Bundle loaded = LoadBundle(argv[1]);
  const void* code = loaded.FindSymbol("foreign_answer");
  if (code == nullptr) throw std::runtime_error("found no foreign_answer");
  CheckContent(loaded, graph, params, is_stored, code);
  CheckCode(loaded);
  CheckContent(FindBundle(code), graph, params, is_stored, code);

  const Bundle opened = OpenBundle(argv[1]);
  Expect(!opened.is_loaded() && loaded.is_loaded(), "is_loaded");
  Expect(opened.image_digest() == loaded.image_digest(), "image_digest of loaded and opened");
  CheckContent(opened, graph, params, is_stored, nullptr);

  std::printf("%s-endian, %u-bit: %zu tensors, %d wrong\n", kNativeOrder == ByteOrder::kLittle ? "little" : "big",
              static_cast<unsigned>(sizeof(void*) * 8), loaded.params().size(), failures);
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace pannier::testing

int main(int argc, char** argv) {
  try {
    return pannier::testing::Main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "check_bundle: %s\n", error.what());
    return 2;
  }
}
