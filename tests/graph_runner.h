// GraphRunner: runs a relay.build model from nothing but its bundle, in place of TVM's graph executor.
#ifndef PANNIER_TESTS_GRAPH_RUNNER_H_
#define PANNIER_TESTS_GRAPH_RUNNER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <new>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "pannier/bundle.h"

namespace pannier::testing {

// Compiled code loads whole vectors from what it is given (TVM: kAllocAlignment).
inline constexpr std::size_t kTensorAlignment = 64;

struct AlignedDelete {
  void operator()(std::uint8_t* bytes) const { ::operator delete (bytes, std::align_val_t{kTensorAlignment}); }
};
using AlignedBytes = std::unique_ptr<std::uint8_t, AlignedDelete>;

// One at a time per loaded library and thread: the library's callbacks are process-wide. All errors are exceptions.
class GraphRunner {
 public:
  explicit GraphRunner(Bundle bundle);

  // The graph's arguments that params does not give.
  const std::vector<std::string>& input_names() const { return input_names_; }
  void SetInput(const std::string& name, const DlTensor& tensor);

  void Run();

  const DlTensor& output(std::size_t index) const { return entries_.at(outputs_.at(index)).tensor; }

  // Parameters that the functions read where the bundle keeps them.
  std::size_t params_in_place() const { return params_in_place_; }

 private:
  // One output of one node: a tensor that borrows its storage and its shape.
  struct Entry {
    DlTensor tensor = {};
    std::vector<std::int64_t> shape;
    std::size_t size = 0;
    std::size_t storage = 0;
  };
  struct Storage {
    AlignedBytes owned;
    void* data = nullptr;
    std::size_t size = 0;
    bool is_param = false;
  };
  struct Call {
    std::string node;
    PackedCFunc* function = nullptr;
    std::vector<std::size_t> arguments;  // entries
  };

  void ReadEntries(const nlohmann::json& graph, std::size_t count);
  void ReadCalls(const nlohmann::json& nodes, const std::vector<std::size_t>& rows);
  void BindParams();
  void SetCallbacks() const;

  Bundle bundle_;
  std::vector<Entry> entries_;
  std::vector<Storage> storage_;
  std::vector<Call> calls_;
  std::map<std::string, std::size_t> arguments_;  // entries by name: inputs and parameters
  std::vector<std::string> input_names_;
  std::vector<std::size_t> outputs_;  // entries
  std::size_t params_in_place_ = 0;
};

}  // namespace pannier::testing

#endif  // PANNIER_TESTS_GRAPH_RUNNER_H_
