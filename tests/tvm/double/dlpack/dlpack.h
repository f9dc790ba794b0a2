// A test double of DLPack's header: its types, as the specification lays them out.
#ifndef PANNIER_TESTS_TVM_DOUBLE_DLPACK_H_
#define PANNIER_TESTS_TVM_DOUBLE_DLPACK_H_

#include <cstdint>

enum DLDeviceType { kDLCPU = 1, kDLCUDA = 2 };

struct DLDevice {
  DLDeviceType device_type;
  std::int32_t device_id;
};

struct DLDataType {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};

struct DLTensor {
  void* data;
  DLDevice device;
  std::int32_t ndim;
  DLDataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;
  std::uint64_t byte_offset;
};

struct DLManagedTensor {
  DLTensor dl_tensor;
  void* manager_ctx;
  void (*deleter)(DLManagedTensor* self);
};

#endif  // PANNIER_TESTS_TVM_DOUBLE_DLPACK_H_
