// TVM's .params files: their headers parsed and written again, the same bytes; tensor data is neither held nor read.
//
// The layout, all of it little-endian:
//   u64 0xF7E58D4F05049CB7, u64 reserved, u64 count, count times { u64 size, name }, u64 count, and count times
//   { u64 0xDD5E40F096B4A13F, u64 reserved, i32 device_type, i32 device_id, i32 ndim, u8 code, u8 bits, u16 lanes, i64 shape[ndim],
//     i64 data_size, data }
// Written by TVM's SaveParams (src/runtime/file_utils.cc) and SaveDLTensor (include/tvm/runtime/ndarray.h).
#ifndef PANNIER_SRC_TVM_PARAMS_H_
#define PANNIER_SRC_TVM_PARAMS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pannier/tensor.h"
#include "src/byte_source.h"
#include "src/result.h"

namespace pannier {

inline constexpr std::uint64_t kMaxParamsTensors = 500'000;  // FlatBuffers' verifier gives up at a million tables
inline constexpr std::size_t kMaxParamsNameSize = 4096;
inline constexpr std::size_t kMaxTensorDimensions = 64;

// The bytes of a compact tensor in memory: the product of its dimensions (1 if there are none) times ceil(bits * lanes / 8), as
// GetDataSize has it in TVM 0.9's ndarray.h: bool and int4 take a byte each. (tvm-ffi's GetDataSize packs int4, but SaveDLTensor
// still writes a byte for each.) Nothing if a dimension is negative, bits or lanes are 0, there are more than kMaxTensorDimensions,
// or the product, leaving out dimensions of 0, exceeds 2^63 - 1: so nobody who multiplies in another order, for strides say, can
// overflow.
std::optional<std::uint64_t> TensorBytes(DataType dtype, ArrayView<std::int64_t> shape);

// What stands in front of a tensor's data. Borrows the shape, which is in this machine's byte order.
struct TensorHeader {
  std::uint64_t reserved;
  Device device;
  DataType dtype;
  ArrayView<std::int64_t> shape;
  std::uint64_t data_size;
};

struct ParamsTensor {
  std::string name;
  std::uint64_t reserved;
  Device device;
  DataType dtype;
  std::vector<std::int64_t> shape;
  std::uint64_t data_size;    // is TensorBytes(dtype, shape)
  std::uint64_t data_offset;  // in the .params file

  TensorHeader header() const { return {reserved, device, dtype, {shape.data(), shape.size()}, data_size}; }
};

struct ParamsFile {
  std::uint64_t reserved;
  std::vector<ParamsTensor> tensors;  // in the file's order
  std::uint64_t file_size;
};

// Succeeds only on a file that the functions below give back byte for byte from the fields and the data, and that ends with the
// last tensor. Names are distinct, printable UTF-8 (IsPrintableUtf8; may be empty), as they go on into messages, JSON and C
// strings. kMalformed: this is not such a file, keep it as opaque bytes. Any other error comes from `source`, and says nothing
// about the file.
Result<ParamsFile> ParseParams(const ByteSource& source);

// The same params as a graph executor's factory has them within TVM's blob of modules:
//   u64 count, u64 count, count times { u64 size, name }, and the tensors as above
// Written by SaveToBinary (src/runtime/graph_executor/graph_executor_factory.cc).
struct FactoryParams {
  ParamsFile file;         // that these params make; data_offset is in the source, though
  std::uint64_t size = 0;  // of the source, up to the last tensor's end
};

// The source may go on behind the last tensor. Errors as above.
Result<FactoryParams> ParseFactoryParams(const ByteSource& source);

// The pieces of the file in their order: start, each tensor's name, middle, then each tensor's header followed by its data. They
// append, so that one cleared and reused buffer serves any number of tensors.
void AppendParamsStart(std::vector<std::uint8_t>& out, std::uint64_t reserved, std::uint64_t tensor_count);
void AppendParamsName(std::vector<std::uint8_t>& out, std::string_view name);
void AppendParamsMiddle(std::vector<std::uint8_t>& out, std::uint64_t tensor_count);
void AppendTensorHeader(std::vector<std::uint8_t>& out, const TensorHeader& header);

// The sizes of those pieces.
inline constexpr std::size_t kParamsStartSize = 24;
inline constexpr std::size_t kParamsMiddleSize = 8;
constexpr std::size_t ParamsNameSize(std::size_t name_size) { return 8 + name_size; }
constexpr std::size_t TensorHeaderSize(std::size_t dimensions) { return 40 + 8 * dimensions; }

}  // namespace pannier

#endif  // PANNIER_SRC_TVM_PARAMS_H_
