// .params files for tests, as TVM writes them: one-dimensional tensors of any type.
#ifndef PANNIER_TESTS_PARAMS_BUILDER_H_
#define PANNIER_TESTS_PARAMS_BUILDER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "pannier/tensor.h"
#include "src/tvm_params.h"

namespace pannier {

struct TensorParts {
  std::string data;  // a whole number of elements
  DataType dtype = {2, 32, 1};
};

// Tensor i is named "p<i>", filled up with underscores to `name_length`.
inline std::string BuildParams(const std::vector<TensorParts>& tensors, std::size_t name_length = 2) {
  std::vector<std::uint8_t> out;
  AppendParamsStart(out, 0, tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    std::string name = "p" + std::to_string(i);
    if (name.size() < name_length) name.resize(name_length, '_');
    AppendParamsName(out, name);
  }
  AppendParamsMiddle(out, tensors.size());
  std::string file(out.begin(), out.end());
  for (const TensorParts& tensor : tensors) {
    const std::size_t width = (tensor.dtype.bits * tensor.dtype.lanes + 7U) / 8U;
    const auto length = static_cast<std::int64_t>(tensor.data.size() / width);
    out.clear();
    AppendTensorHeader(out, {0, {1, 0}, tensor.dtype, {&length, 1}, tensor.data.size()});
    file.append(out.begin(), out.end());
    file += tensor.data;
  }
  return file;
}

// Bytes that no codec makes smaller.
inline std::string Noise(std::size_t size, std::uint32_t seed) {
  std::string bytes(size, '\0');
  std::uint64_t state = seed * 0x9E3779B97F4A7C15U + 1;
  for (char& byte : bytes) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    byte = static_cast<char>(state >> 32);
  }
  return bytes;
}

}  // namespace pannier

#endif  // PANNIER_TESTS_PARAMS_BUILDER_H_
