// GraphModel: a graph executor's graph JSON as nodes with what goes in and comes out; and the storage it runs in.
//
// Source: TVM 0.7 to 0.19, src/runtime/graph_executor/graph_executor.h (GraphExecutor::Load and SetupStorage). Files may be
// hostile: every number is checked, and what the executor could not run may still be looked at.
#ifndef PANNIER_EMBEDDER_VIEW_GRAPH_MODEL_H_
#define PANNIER_EMBEDDER_VIEW_GRAPH_MODEL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "embedder/opened_bundle.h"
#include "src/result.h"

namespace pannier {

// What a node gives: TVM calls it an entry.
struct GraphEntry {
  std::vector<std::int64_t> shape;
  std::string dtype;                    // TVM's spelling; empty: not said
  std::optional<std::int64_t> storage;  // entries with the same number share memory
  std::optional<std::uint64_t> bytes;   // none where dtype or shape are not known, or too large
};

struct GraphInput {
  std::uint32_t node = 0;
  std::uint32_t output = 0;  // which of that node's entries
};

struct GraphNode {
  std::string name;
  std::string operation;  // "null": an input or a parameter; "tvm_op": a call
  std::string function;   // of the library, that a call names; "__nop" does nothing
  std::vector<GraphInput> inputs;
  std::vector<GraphEntry> outputs;
  std::vector<std::pair<std::string, std::string>> attributes;  // those of the node, as JSON but for texts

  bool is_call() const { return operation != "null"; }
  bool is_nop() const { return function == "__nop"; }
};

struct GraphModel {
  std::vector<GraphNode> nodes;  // in the order in which they run
  std::vector<GraphInput> heads;
};

inline constexpr std::uint64_t kLongestGraph = std::uint64_t{64} << 20;

// kMalformed where it is not such a graph.
Result<GraphModel> ParseGraph(std::string_view json);
// Of an artifact of up to kLongestGraph bytes.
Result<GraphModel> ReadGraph(const OpenedBundle& bundle, const format::Artifact& artifact);

// The operators that TVM fused into a function, by its name: "tvmgen_default_fused_nn_dense_add_1" gives "nn_dense_add".
std::string OperatorName(const GraphNode& node);

// What the executor needs for entries, in order of execution, apart from parameters.
struct MemoryPlan {
  struct Storage {
    std::int64_t id = 0;
    std::uint64_t bytes = 0;  // of the largest entry in it
    std::uint32_t first = 0;  // node that uses it, and the last one; inputs and results are there from begin to end
    std::uint32_t last = 0;
  };
  std::vector<Storage> storages;    // by id
  std::vector<std::uint64_t> live;  // for each node: bytes of all storages in use when it runs
  std::uint64_t peak = 0;           // of `live`
  std::uint64_t pool = 0;           // of all storages together: what the executor allocates
  std::uint64_t params = 0;         // of those that hold parameters: it allocates these, too, unless they are set in place
};

// Nothing where the graph does not say which storage its entries are in. `is_param`: for each node, is it the name of a tensor?
std::optional<MemoryPlan> PlanOfMemory(const GraphModel& graph, const std::vector<bool>& is_param);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_VIEW_GRAPH_MODEL_H_
