// The adapter to the graph executor of TVM 0.7 to 0.19, compiled against a test double: what it asks TVM for, and what it hands
// over.
#include <any>
#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pannier/loader.h"
#include "pannier/tvm_graph_executor.h"

namespace pannier {
namespace {

using tvm::runtime::Module;
using tvm::runtime::PackedFunc;
using tvm::runtime::Registry;
using tvm::runtime::TVMRetValue;

// What TVM was asked for.
struct Asked {
  std::string library;
  std::string graph;
  int device = 0;
  std::map<std::string, const void*> in_place;
  std::map<std::string, std::string> copied;
};

// TVM as it is in one version: whether it sets inputs in place, knows its inputs, and what it calls its executor.
class Tvm {
 public:
  Tvm(bool sets_in_place, bool knows_inputs, const std::string& creator) {
    Registry::All().clear();
    Registry::All()["runtime.module.loadfile_so"] = PackedFunc([this](const std::vector<std::any>& arguments) {
      asked.library = std::any_cast<std::string>(arguments[0]);
      CHECK(std::any_cast<std::string>(arguments[1]) == "so");
      return TVMRetValue(Module(Module::Functions{}));
    });
    Module::Functions functions;
    functions["set_input"] = PackedFunc([this](const std::vector<std::any>& arguments) {
      const DLTensor* const tensor = std::any_cast<DLTensor*>(arguments[1]);
      std::size_t size = tensor->dtype.bits / 8U;
      for (int i = 0; i < tensor->ndim; ++i) size *= static_cast<std::size_t>(tensor->shape[i]);
      asked.copied[std::any_cast<std::string>(arguments[0])] = std::string(static_cast<const char*>(tensor->data), size);
      return TVMRetValue();
    });
    if (sets_in_place) {
      functions["set_input_zero_copy"] = PackedFunc([this](const std::vector<std::any>& arguments) {
        asked.in_place[std::any_cast<std::string>(arguments[0])] = std::any_cast<DLTensor*>(arguments[1])->data;
        return TVMRetValue();
      });
    }
    if (knows_inputs) {
      functions["get_input_index"] = PackedFunc([](const std::vector<std::any>& arguments) {
        return TVMRetValue(std::any_cast<std::string>(arguments[0]) == "p5" ? -1 : 0);
      });
    }
    Registry::All()[creator] = PackedFunc([this, functions](const std::vector<std::any>& arguments) {
      asked.graph = std::any_cast<std::string>(arguments[0]);
      asked.device = std::any_cast<int>(arguments[2]);
      return TVMRetValue(Module(functions));
    });
  }
  Asked asked;
};

TEST_CASE("params are set where they are, where TVM can do that") {
  const Bundle bundle = LoadBundle(PANNIER_STORED_BUNDLE);
  const Tvm tvm(true, true, "tvm.graph_executor.create");
  GraphExecutor(bundle);
  CHECK(tvm.asked.library == PANNIER_STORED_BUNDLE);
  CHECK(tvm.asked.graph == bundle.graph_json());
  CHECK(tvm.asked.device == kDLCPU);
  CHECK(tvm.asked.copied.empty());
  CHECK(tvm.asked.in_place.size() == bundle.params().size() - 1);  // one is no input of the graph
  for (const auto& [name, address] : tvm.asked.in_place) CHECK(address == bundle.params().at(name).mutable_data());
}

TEST_CASE("params are copied by versions and to devices that want it") {
  const Bundle bundle = LoadBundle(PANNIER_STORED_BUNDLE);
  for (const bool is_device : {false, true}) {
    const Tvm tvm(is_device, false, is_device ? "tvm.graph_executor.create" : "tvm.graph_runtime.create");
    GraphExecutor(bundle, {is_device ? kDLCUDA : kDLCPU, 0});
    CHECK(tvm.asked.in_place.empty());
    REQUIRE(tvm.asked.copied.size() == bundle.params().size());
    for (const auto& [name, bytes] : tvm.asked.copied) {
      const TensorView tensor = bundle.params().at(name);
      CHECK(bytes == std::string(static_cast<const char*>(tensor.data()), tensor.nbytes()));
    }
  }
}

TEST_CASE("another TVM than 0.7 to 0.19 is said to be one") {
  const Bundle bundle = LoadBundle(PANNIER_STORED_BUNDLE);
  Registry::All().clear();
  CHECK_THROWS_AS(TvmModule(bundle), Error);
  CHECK_THROWS_AS(GraphExecutor(bundle), Error);
}

TEST_CASE("a tensor in TVM's hands keeps the bundle") {
  std::optional<Bundle> bundle = LoadBundle(PANNIER_STORED_BUNDLE);
  const std::string values(static_cast<const char*>(bundle->params().at("p0").data()), bundle->params().at("p0").nbytes());
  const auto shape = bundle->params().at("p0").shape();
  const std::vector<std::int64_t> extents(shape.begin(), shape.end());
  const tvm::runtime::NDArray array = TvmTensor(*bundle, bundle->params().at("p0"));
  bundle.reset();
  CHECK(std::vector<std::int64_t>(array->shape, array->shape + array->ndim) == extents);
  CHECK(std::string(static_cast<const char*>(array->data), values.size()) == values);
}

}  // namespace
}  // namespace pannier
