// Adapter to today's TVM (apache-tvm 0.20 and later, apache-tvm-ffi): a bundle's library as tvm::ffi::Module, its params as
// tvm::ffi::Tensor without a copy, and a Relax virtual machine ready to run.
//
//     pannier::Bundle bundle = pannier::LoadBundle("model.so");
//     tvm::ffi::Module machine = pannier::RelaxVirtualMachine(bundle);
//     auto main = machine->GetFunction("main").value();
//     auto params = pannier::RelaxParams(bundle, "main");
//
// Header only; needs TVM's headers and libraries (libtvm_ffi, libtvm_runtime), nothing of it unless it is included. Errors of the
// bundle are pannier::Error, TVM's are tvm::ffi::Error.
#ifndef PANNIER_TVM_FFI_H_
#define PANNIER_TVM_FFI_H_

#include <dlpack/dlpack.h>
#include <tvm/ffi/container/array.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>

#include <cstddef>
#include <string>
#include <vector>

#include "pannier/bundle.h"
#include "pannier/dlpack.h"

namespace pannier {

// The library as TVM's module. It is loaded already, so the dynamic loader gives TVM the same one.
inline tvm::ffi::Module TvmModule(const Bundle& bundle) {
  // Not Module::LoadFromFile: it looks for a suffix, which the name of a checked copy (LoadOptions::trusted_keys) does not have.
  static const auto load = tvm::ffi::Function::GetGlobalRequired("ffi.Module.load_from_file.so");
  return load(bundle.library_path(), "so").cast<tvm::ffi::Module>();
}

// A tensor in TVM's hands: the bundle's memory, which stays for as long as TVM needs it. TVM's functions may write to their
// arguments, and types do not tell; so this is mutable_data(), whose writes nobody else sees.
inline tvm::ffi::Tensor TvmTensor(const Bundle& bundle, const TensorView& tensor) {
  return tvm::ffi::Tensor::FromDLPack(ManagedTensor(bundle, tensor));
}

// The params of a Relax function in the order in which it takes them: those named FUNCTION/0, FUNCTION/1, ..., as
// `pannier.export(..., params={"main": [...]})` names them in Python; none where no tensor has such a name. kNotFound when the
// bundle has no params at all.
inline tvm::ffi::Array<tvm::ffi::Tensor> RelaxParams(const Bundle& bundle, const std::string& function) {
  bundle.DecodeAll();
  tvm::ffi::Array<tvm::ffi::Tensor> params;
  const TensorList tensors = bundle.params();
  for (std::size_t i = 0;; ++i) {
    const std::string name = function + "/" + std::to_string(i);
    if (!tensors.contains(name)) return params;
    params.push_back(TvmTensor(bundle, tensors.at(name)));
  }
}

// TVM's virtual machine on one device; the CPU, which runs shape functions, is always there.
inline tvm::ffi::Module RelaxVirtualMachine(const Bundle& bundle, DLDevice device = {kDLCPU, 0}) {
  constexpr int kPooledAllocator = 2;  // tvm::runtime::memory::AllocatorType
  const tvm::ffi::Module machine = TvmModule(bundle)->GetFunction("vm_load_executable").value()().cast<tvm::ffi::Module>();
  const tvm::ffi::Function initialize = machine->GetFunction("vm_initialization").value();
  if (device.device_type == kDLCPU) {
    initialize(static_cast<int>(device.device_type), device.device_id, kPooledAllocator);
  } else {
    initialize(static_cast<int>(device.device_type), device.device_id, kPooledAllocator, static_cast<int>(kDLCPU), 0,
               kPooledAllocator);
  }
  return machine;
}

}  // namespace pannier

#endif  // PANNIER_TVM_FFI_H_
