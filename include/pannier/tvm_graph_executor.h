// Adapter to the graph executor of TVM 0.7 to 0.19, which is what runs relay.build's outputs: from a bundle to an executor whose
// params are set, without a second copy where TVM allows that.
//
//     pannier::Bundle bundle = pannier::LoadBundle("model.so");
//     tvm::runtime::Module executor = pannier::GraphExecutor(bundle);
//     executor.GetFunction("set_input")("data", input);
//     executor.GetFunction("run")();
//
// Header only; needs TVM's headers and libtvm_runtime, nothing of it unless it is included. Errors of the bundle are
// pannier::Error, TVM's are dmlc::Error or tvm::runtime::InternalError.
//
// Source: TVM's include/tvm/runtime/{module,registry,ndarray}.h and src/runtime/graph_executor/graph_executor.cc, 0.7 to 0.19.
#ifndef PANNIER_TVM_GRAPH_EXECUTOR_H_
#define PANNIER_TVM_GRAPH_EXECUTOR_H_

#include <dlpack/dlpack.h>
#include <tvm/runtime/module.h>
#include <tvm/runtime/ndarray.h>
#include <tvm/runtime/packed_func.h>
#include <tvm/runtime/registry.h>

#include <string>

#include "pannier/bundle.h"
#include "pannier/dlpack.h"

namespace pannier {

// The library as TVM's module. It is loaded already, so the dynamic loader gives TVM the same one.
inline tvm::runtime::Module TvmModule(const Bundle& bundle) {
  const tvm::runtime::PackedFunc* const load = tvm::runtime::Registry::Get("runtime.module.loadfile_so");
  if (load == nullptr) throw Error(ErrorCode::kUnsupported, "tvm: found no runtime.module.loadfile_so, expected TVM 0.7 to 0.19");
  return (*load)(bundle.library_path(), "so");
}

// A tensor in TVM's hands: the bundle's memory, which stays for as long as TVM needs it. What writes to it (mutable_data()) nobody
// else sees.
inline tvm::runtime::NDArray TvmTensor(const Bundle& bundle, const TensorView& tensor) {
  return tvm::runtime::NDArray::FromDLPack(ManagedTensor(bundle, tensor));
}

// The executor for the bundle's graph on `device`, with its params set. On the CPU, from TVM 0.8 on, it uses them where they are
// (set_input_zero_copy), and they live as long as `bundle` has a handle, which the caller keeps; else it takes copies. Tensors that
// the graph does not ask for are left out. kNotFound when the bundle has no graph; without params, the caller
// sets all inputs.
inline tvm::runtime::Module GraphExecutor(const Bundle& bundle, DLDevice device = {kDLCPU, 0}) {
  // Up to 0.7 it was called the graph runtime.
  const tvm::runtime::PackedFunc* create = tvm::runtime::Registry::Get("tvm.graph_executor.create");
  if (create == nullptr) create = tvm::runtime::Registry::Get("tvm.graph_runtime.create");
  if (create == nullptr) throw Error(ErrorCode::kUnsupported, "tvm: found no graph executor, expected TVM 0.7 to 0.19");
  tvm::runtime::Module executor =
      (*create)(std::string(bundle.graph_json()), TvmModule(bundle), static_cast<int>(device.device_type), device.device_id);
  bundle.DecodeAll();
  const tvm::runtime::PackedFunc index_of = executor.GetFunction("get_input_index");
  const tvm::runtime::PackedFunc set_in_place = executor.GetFunction("set_input_zero_copy");
  const bool is_in_place = device.device_type == kDLCPU && set_in_place != nullptr;
  const tvm::runtime::PackedFunc set = is_in_place ? set_in_place : executor.GetFunction("set_input");
  if (!bundle.has_artifact("params")) return executor;
  for (const TensorView& tensor : bundle.params()) {
    const std::string name(tensor.name());
    if (index_of != nullptr && static_cast<int>(index_of(name)) < 0) continue;
    DLTensor values = tensor.mutable_dl_tensor().As<DLTensor>();
    set(name, &values);
  }
  return executor;
}

}  // namespace pannier

#endif  // PANNIER_TVM_GRAPH_EXECUTOR_H_
