// A test double of TVM's runtime, 0.7 to 0.19: what the documented interface of PackedFunc, Module, Registry and NDArray says, as
// far as pannier/tvm_graph_executor.h calls it. It notes what it is asked.
#ifndef PANNIER_TESTS_TVM_DOUBLE_PACKED_FUNC_H_
#define PANNIER_TESTS_TVM_DOUBLE_PACKED_FUNC_H_

#include <any>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dlpack/dlpack.h"

namespace tvm {
namespace runtime {

class TVMRetValue {
 public:
  TVMRetValue() = default;
  explicit TVMRetValue(std::any value) : value_(std::move(value)) {}
  operator int() const { return std::any_cast<int>(value_); }
  template <typename T, typename = decltype(T::kIsObject)>
  operator T() const {
    return std::any_cast<T>(value_);
  }

 private:
  std::any value_;
};

class PackedFunc {
 public:
  using Body = std::function<TVMRetValue(const std::vector<std::any>&)>;

  PackedFunc() = default;
  PackedFunc(std::nullptr_t) {}
  explicit PackedFunc(Body body) : body_(std::move(body)) {}

  template <typename... Arguments>
  TVMRetValue operator()(Arguments&&... arguments) const {
    return body_(std::vector<std::any>{Held(arguments)...});
  }
  bool operator==(std::nullptr_t) const { return body_ == nullptr; }
  bool operator!=(std::nullptr_t) const { return body_ != nullptr; }

 private:
  static std::any Held(const char* text) { return std::string(text); }
  template <typename T>
  static std::any Held(const T& value) {
    return value;
  }

  Body body_;
};

class Module {
 public:
  static constexpr bool kIsObject = true;
  using Functions = std::map<std::string, PackedFunc>;

  Module() = default;
  explicit Module(Functions functions) : functions_(std::make_shared<Functions>(std::move(functions))) {}
  PackedFunc GetFunction(const std::string& name, bool /*query_imports*/ = false) const {
    const auto found = functions_->find(name);
    return found != functions_->end() ? found->second : PackedFunc();
  }

 private:
  std::shared_ptr<Functions> functions_;
};

class Registry {
 public:
  static std::map<std::string, PackedFunc>& All() {
    static std::map<std::string, PackedFunc> functions;
    return functions;
  }
  static const PackedFunc* Get(const std::string& name) {
    const auto found = All().find(name);
    return found != All().end() ? &found->second : nullptr;
  }
};

class NDArray {
 public:
  static NDArray FromDLPack(DLManagedTensor* tensor) {
    NDArray array;
    array.tensor_ = std::shared_ptr<DLManagedTensor>(tensor, [](DLManagedTensor* self) { self->deleter(self); });
    return array;
  }
  const DLTensor* operator->() const { return &tensor_->dl_tensor; }

 private:
  std::shared_ptr<DLManagedTensor> tensor_;
};

}  // namespace runtime
}  // namespace tvm

#endif  // PANNIER_TESTS_TVM_DOUBLE_PACKED_FUNC_H_
