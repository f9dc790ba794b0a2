// Tensors: the shapes in which a bundle's parameters are handed out. Memory layouts are DLPack's (dlpack.h, DLDataType and
// DLTensor).
#ifndef PANNIER_TENSOR_H_
#define PANNIER_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "pannier/export.h"

namespace pannier {

// DLPack's DLDataType: code is kDLInt 0, kDLUInt 1, kDLFloat 2, kDLOpaqueHandle 3, kDLBfloat 4, ...
struct DataType {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;

  friend bool operator==(DataType a, DataType b) { return a.code == b.code && a.bits == b.bits && a.lanes == b.lanes; }
  friend bool operator!=(DataType a, DataType b) { return !(a == b); }
};

// TVM's spelling: "float32", "int8", "bfloat16", "float16x4".
PANNIER_API std::string DataTypeName(DataType dtype);

// DLPack's DLDevice.
struct Device {
  std::int32_t device_type;
  std::int32_t device_id;
};

// DLPack's DLTensor. `data` is aligned to at least 64 bytes and must not be written to; `strides` is null (row-major, compact).
struct DlTensor {
  void* data;
  Device device;
  std::int32_t ndim;
  DataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;
  std::uint64_t byte_offset;

  // The same as DLPack's own type, where dlpack.h is included: tensor.As<DLTensor>().
  template <typename T>
  T As() const {
    static_assert(sizeof(T) == sizeof(DlTensor) && alignof(T) == alignof(DlTensor), "not a type of DLTensor's layout");
    T other;
    std::memcpy(&other, this, sizeof(T));
    return other;
  }
};

// A borrowed array; whoever handed it out says how long it lives.
template <typename T>
class ArrayView {
 public:
  ArrayView() = default;
  ArrayView(const T* data, std::size_t size) : data_(data), size_(size) {}

  const T* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  const T& operator[](std::size_t i) const { return data_[i]; }

 private:
  const T* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace pannier

#endif  // PANNIER_TENSOR_H_
