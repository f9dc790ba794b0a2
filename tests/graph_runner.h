// GraphRunner: runs a relay.build model from nothing but its bundle, in place of TVM's graph executor.
#ifndef PANNIER_TESTS_GRAPH_RUNNER_H_
#define PANNIER_TESTS_GRAPH_RUNNER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "pannier/bundle.h"

namespace pannier::testing {

// The graph contradicts itself, its parameters or its library; or a function of the library failed.
class GraphError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Compiled code loads whole vectors from what it is given (TVM: kAllocAlignment).
inline constexpr std::size_t kTensorAlignment = 64;

struct AlignedDelete {
  void operator()(std::uint8_t* bytes) const { ::operator delete (bytes, std::align_val_t{kTensorAlignment}); }
};
using AlignedBytes = std::unique_ptr<std::uint8_t, AlignedDelete>;

// One at a time per loaded library and thread: the library's callbacks are process-wide, its code may be called from many threads.
class GraphRunner {
 public:
  // Everything about the graph is checked here: GraphError. Errors of the bundle itself: pannier::Error.
  explicit GraphRunner(Bundle bundle);

  // The graph's arguments that params does not give.
  const std::vector<std::string>& input_names() const { return input_names_; }
  void SetInput(std::string_view name, const DlTensor& tensor);

  void Run();

  std::size_t output_count() const { return outputs_.size(); }
  const DlTensor& output(std::size_t index) const { return entries_.at(outputs_.at(index)).tensor; }

  // Parameters that the functions read where the bundle keeps them.
  std::size_t params_in_place() const { return params_in_place_; }

 private:
  struct Graph;
  // A node's output: a tensor that borrows its storage and its shape.
  struct Entry {
    DlTensor tensor = {};
    std::vector<std::int64_t> shape;
    std::size_t size = 0;
    std::size_t storage = 0;
  };
  struct Storage {
    AlignedBytes bytes;
    const void* data = nullptr;
    std::size_t size = 0;
    std::string param;  // the parameter that lives here; nothing else may write it
  };
  struct Call {
    std::string node;
    PackedCFunc* function = nullptr;
    std::vector<DlTensor> arguments;
    std::vector<std::int64_t> flat_sizes;  // shapes of arguments when the node wants them flat
  };
  struct Input {
    std::size_t entry = 0;
    bool is_set = false;
  };

  void ReadEntries(const Graph& graph);
  void BindParams(const Graph& graph);
  void AllocateStorage();
  void MakeCalls(const Graph& graph);
  void SetCallbacks() const;
  void CheckAlias(const std::string& node, const Entry& source, const Entry& result) const;
  std::size_t EntryIndex(const Graph& graph, std::size_t node, std::size_t output, const std::string& what) const;

  Bundle bundle_;
  std::vector<Entry> entries_;
  std::vector<Storage> storage_;
  std::vector<Call> calls_;
  std::vector<std::string> input_names_;
  std::vector<Input> inputs_;  // beside input_names_
  std::vector<std::size_t> outputs_;
  std::size_t params_in_place_ = 0;
};

}  // namespace pannier::testing

#endif  // PANNIER_TESTS_GRAPH_RUNNER_H_
