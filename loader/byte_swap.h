// SwapBytes: values of a bundle, which are little-endian, in this machine's byte order.
#ifndef PANNIER_LOADER_BYTE_SWAP_H_
#define PANNIER_LOADER_BYTE_SWAP_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "pannier/tensor.h"
#include "src/bytes.h"

namespace pannier {

// The size of the units whose bytes change places on a big-endian machine; 1 when none do.
inline std::size_t SwapUnit(DataType dtype) {
  constexpr std::uint8_t kComplex = 5;  // two numbers side by side
  if (kNativeOrder == ByteOrder::kLittle) return 1;
  const unsigned bits = dtype.code == kComplex ? dtype.bits / 2U : dtype.bits;
  return bits % 8 == 0 && IsPowerOfTwo(bits) ? bits / 8U : 1;
}

inline void SwapBytes(std::uint8_t* bytes, std::uint64_t size, std::size_t unit) {
  if (unit < 2) return;
  for (std::uint64_t at = 0; at + unit <= size; at += unit) std::reverse(bytes + at, bytes + at + unit);
}

}  // namespace pannier

#endif  // PANNIER_LOADER_BYTE_SWAP_H_
