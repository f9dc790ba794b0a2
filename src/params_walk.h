// WalkParams: a params artifact as the .params file it came from, piece by piece.
#ifndef PANNIER_SRC_PARAMS_WALK_H_
#define PANNIER_SRC_PARAMS_WALK_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "pannier/tensor.h"
#include "src/bundle_reader.h"
#include "src/chunked_content.h"
#include "src/result.h"

namespace pannier {

inline DataType DataTypeOf(const format::Tensor& tensor) {
  return {tensor.dtype()->code(), tensor.dtype()->bits(), tensor.dtype()->lanes()};
}

// In this machine's byte order.
std::vector<std::int64_t> ShapeOf(const format::Tensor& tensor);

// Calls on_bytes for the bytes between tensors and on_tensor for each tensor's data, in the file's order; stops at the first error.
Status WalkParams(const TensorReader& tensors, const std::function<Status(ByteView)>& on_bytes,
                  const std::function<Status(std::uint32_t index, const ChunkedContent& content)>& on_tensor);

}  // namespace pannier

#endif  // PANNIER_SRC_PARAMS_WALK_H_
