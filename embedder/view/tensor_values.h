// Values of a tensor, of any of DLPack's real types, as numbers to look at.
#ifndef PANNIER_EMBEDDER_VIEW_TENSOR_VALUES_H_
#define PANNIER_EMBEDDER_VIEW_TENSOR_VALUES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "pannier/tensor.h"
#include "src/bytes.h"

namespace pannier {

// From a value's bits, what lies above them ignored. 64-bit integers are rounded.
using ValueDecoder = std::function<double(std::uint64_t bits)>;

// Null for a type whose values are not known as numbers: handles, complex numbers, types that only a later DLPack has.
ValueDecoder DecoderOf(DataType dtype);

// How a tensor's values lie in its bytes.
struct ValueLayout {
  unsigned width = 8;       // bits from one value to the next: 1, 2, 4 (packed, low ones first), or a multiple of 8
  std::uint64_t count = 0;  // of lanes, each is a value
};

// Of a tensor of `size` bytes. Those below a byte are packed where the tensor is too small for a byte each.
ValueLayout LayoutOf(DataType dtype, const std::vector<std::int64_t>& shape, std::uint64_t size);

// Calls function(bits) for one value after another of those that `bytes` hold, little-endian; `left` of them at most, counted down.
template <typename Function>
void ForEachValue(ByteView bytes, unsigned width, std::uint64_t& left, const Function& function) {
  if (width < 8) {
    for (const std::uint8_t byte : bytes) {
      for (unsigned shift = 0; shift < 8 && left != 0; shift += width, --left) function(std::uint64_t{byte} >> shift);
    }
    return;
  }
  const std::size_t step = width / 8;
  for (std::size_t at = 0; at + step <= bytes.size() && left != 0; at += step, --left) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < step && i < sizeof value; ++i) value |= std::uint64_t{bytes.data()[at + i]} << (8 * i);
    function(value);
  }
}

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_VIEW_TENSOR_VALUES_H_
