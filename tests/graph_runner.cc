// GraphRunner: parses the graph, lays out storage, and calls the library's functions in node order.
//
// The format is that of TVM 0.9 (src/runtime/graph_executor/graph_executor.h). An "entry" is one output of one node; node_row_ptr
// gives the number of a node's first entry, and attrs has dtype, shape and storage for each entry.
#include "tests/graph_runner.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

namespace pannier::testing {
namespace {

using Json = nlohmann::json;

// What a runner of tests accepts; a damaged graph then gives an error and not an allocation of terabytes.
constexpr std::uint64_t kMaxStorage = std::uint64_t{1} << 30;
constexpr std::size_t kMaxNodes = 1 << 20;

constexpr std::int32_t kCpu = 1;          // kDLCPU
constexpr int kTensorHandleTypeCode = 7;  // kTVMDLTensorHandle
constexpr int kNullTypeCode = 4;          // kTVMNullptr

union TvmValue {
  std::int64_t v_int64;
  double v_float64;
  void* v_handle;
};
static_assert(sizeof(TvmValue) == 8);

template <typename... Pieces>
[[noreturn]] void Fail(const Pieces&... pieces) {
  std::string text;
  auto append = [&](const auto& piece) {
    if constexpr (std::is_arithmetic_v<std::decay_t<decltype(piece)>>) {
      text += std::to_string(piece);
    } else {
      text += piece;
    }
  };
  (append(pieces), ...);
  throw GraphError(text);
}

// --- what the library calls back; no exception may leave these ---

struct ParallelGroup {
  void* sync_handle;
  std::int32_t num_task;
};
using AllocWorkspace = void*(int device_type, int device_id, std::uint64_t size, int dtype_code, int dtype_bits);
using FreeWorkspace = int(int device_type, int device_id, void* workspace);
using ParallelTask = int(int task_id, ParallelGroup* group, void* data);
using ParallelLaunch = int(ParallelTask* task, void* data, int num_task);
using SetLastError = void(const char* message);

std::string& LastError() {
  thread_local std::string message;
  return message;
}

void* AllocateWorkspace(int, int, std::uint64_t size, int, int) {
  if (size > kMaxStorage) return nullptr;
  return ::operator new (static_cast<std::size_t>(size), std::align_val_t{kTensorAlignment}, std::nothrow);
}

int ReleaseWorkspace(int, int, void* workspace) {
  ::operator delete (workspace, std::align_val_t{kTensorAlignment});
  return 0;
}

int LaunchSerially(ParallelTask* task, void* data, int num_task) {
  ParallelGroup group{nullptr, num_task > 0 ? num_task : 1};
  for (int i = 0; i < group.num_task; ++i) {
    if (int status = task(i, &group, data); status != 0) return status;
  }
  return 0;
}

void KeepLastError(const char* message) {
  try {
    LastError() = message;
  } catch (const std::bad_alloc&) {
  }
}

// --- JSON, with the place in the message ---

const Json& Member(const Json& object, const char* name, const std::string& where) {
  if (!object.is_object() || !object.contains(name)) Fail(where, ": found no \"", name, "\"");
  return object[name];
}

const Json& Array(const Json& json, const std::string& where) {
  if (!json.is_array()) Fail(where, ": found ", json.type_name(), ", expected an array");
  return json;
}

std::string Text(const Json& json, const std::string& where) {
  if (!json.is_string()) Fail(where, ": found ", json.type_name(), ", expected a string");
  return json.get<std::string>();
}

// An integer in [0, limit).
std::uint64_t Number(const Json& json, std::uint64_t limit, const std::string& where) {
  if (!json.is_number_unsigned()) Fail(where, ": found ", json.dump(), ", expected a count");
  auto value = json.get<std::uint64_t>();
  if (value >= limit) Fail(where, ": found ", value, ", expected less than ", limit);
  return value;
}

std::size_t Index(const Json& json, std::size_t limit, const std::string& where) {
  return static_cast<std::size_t>(Number(json, limit, where));
}

// attrs' lists are pairs: ["list_int", [...]].
const Json& AttributeList(const Json& attributes, const char* name, const char* type, std::size_t size) {
  std::string where = std::string("graph: attrs.") + name;
  const Json& pair = Array(Member(attributes, name, "graph: attrs"), where);
  if (pair.size() != 2 || pair[0] != type)
    Fail(where, ": found ", pair.dump().substr(0, 40), ", expected a pair of \"", type, "\" and a list");
  const Json& list = Array(pair[1], where);
  if (list.size() != size) Fail(where, ": found ", list.size(), " values, expected ", size, ", as node_row_ptr says");
  return list;
}

// "float32", "uint8", "bool", "float16x4".
DataType ParseDataType(const std::string& text, const std::string& where) {
  static constexpr struct {
    const char* prefix;
    std::uint8_t code;
  } kPrefixes[] = {{"uint", 1}, {"int", 0}, {"float", 2}, {"bfloat", 4}};
  if (text == "bool") return {1, 1, 1};
  for (const auto& [prefix, code] : kPrefixes) {
    std::size_t length = std::strlen(prefix);
    if (text.compare(0, length, prefix) != 0) continue;
    unsigned bits = 0;
    unsigned lanes = 1;
    int used = 0;
    const char* digits = text.c_str() + length;
    bool matches = std::sscanf(digits, "%3u%n", &bits, &used) == 1;
    if (matches && digits[used] == 'x') {
      digits += used;
      matches = std::sscanf(digits, "x%3u%n", &lanes, &used) == 1;
    }
    if (matches && digits[used] == '\0' && bits >= 1 && bits <= 64 && lanes >= 1) {
      return {code, static_cast<std::uint8_t>(bits), static_cast<std::uint16_t>(lanes)};
    }
  }
  Fail(where, ": found \"", text, "\", which is no dtype known here");
}

std::size_t SizeInBytes(const std::vector<std::int64_t>& shape, DataType dtype, const std::string& where) {
  std::uint64_t size = (std::uint64_t{dtype.bits} * dtype.lanes + 7) / 8;
  for (std::int64_t dimension : shape) {
    // Both factors are at most 2^30.
    size *= static_cast<std::uint64_t>(dimension);
    if (size > kMaxStorage) Fail(where, ": found a tensor of more than ", kMaxStorage, " bytes");
  }
  return static_cast<std::size_t>(size);
}

AlignedBytes AllocateAligned(std::size_t size) {
  AlignedBytes bytes(static_cast<std::uint8_t*>(::operator new (size, std::align_val_t{kTensorAlignment})));
  std::memset(bytes.get(), 0, size);
  return bytes;
}

bool IsAligned(const void* address) { return reinterpret_cast<std::uintptr_t>(address) % kTensorAlignment == 0; }

}  // namespace

// The JSON document, and what is looked up in it often.
struct GraphRunner::Graph {
  Json document;
  std::vector<std::string> names;                // of nodes
  std::vector<std::size_t> row;                  // node_row_ptr: entries of node i are row[i] to row[i + 1]
  std::map<std::string, std::size_t> arguments;  // name to node, for op "null"

  const Json& node(std::size_t index) const { return document["nodes"][index]; }
  bool IsArgument(std::size_t index) const { return arguments.count(names[index]) != 0; }

  explicit Graph(std::string_view text) : document(Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false)) {
    if (document.is_discarded()) Fail("graph: not JSON");
    const Json& nodes = Array(Member(document, "nodes", "graph"), "graph: nodes");
    const Json& pointers = Array(Member(document, "node_row_ptr", "graph"), "graph: node_row_ptr");
    if (nodes.empty() || nodes.size() > kMaxNodes) Fail("graph: nodes: found ", nodes.size(), ", expected 1 to ", kMaxNodes);
    if (pointers.size() != nodes.size() + 1) {
      Fail("graph: node_row_ptr: found ", pointers.size(), " values, expected ", nodes.size() + 1, ", one more than nodes");
    }
    for (std::size_t i = 0; i < pointers.size(); ++i) {
      row.push_back(Index(pointers[i], kMaxNodes, "graph: node_row_ptr"));
      if (i == 0 ? row[0] != 0 : row[i] <= row[i - 1])
        Fail("graph: node_row_ptr[", i, "]: found ", row[i], ", which does not ascend from 0");
    }
    std::map<std::string, std::size_t> seen;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      std::string where = "graph: node " + std::to_string(i);
      names.push_back(Text(Member(nodes[i], "name", where), where + ": name"));
      std::string op = Text(Member(nodes[i], "op", where), where + ": op");
      if (op != "null" && op != "tvm_op") Fail(where, ": op: found \"", op, "\", expected \"null\" or \"tvm_op\"");
      if (auto [other, is_new] = seen.emplace(names[i], i); !is_new)
        Fail(where, ": found the name of node ", other->second, ", ", names[i]);
      if (op == "null") {
        arguments.emplace(names[i], i);
        if (row[i + 1] - row[i] != 1) Fail(where, ": found ", row[i + 1] - row[i], " outputs of an argument, expected 1");
      }
    }
    for (const Json& argument : Array(Member(document, "arg_nodes", "graph"), "graph: arg_nodes")) {
      std::size_t index = Index(argument, nodes.size(), "graph: arg_nodes");
      if (!IsArgument(index)) Fail("graph: arg_nodes: found node ", index, ", ", names[index], ", which is no argument");
    }
  }
};

GraphRunner::GraphRunner(Bundle bundle) : bundle_(std::move(bundle)) {
  if (!bundle_.is_loaded()) Fail("graph: found a bundle that was opened, expected one that was loaded: its code is called");
  Graph graph(bundle_.graph_json());
  ReadEntries(graph);
  BindParams(graph);
  AllocateStorage();
  MakeCalls(graph);
  SetCallbacks();
}

void GraphRunner::ReadEntries(const Graph& graph) {
  std::size_t count = graph.row.back();
  const Json& attributes = Member(graph.document, "attrs", "graph");
  const Json& types = AttributeList(attributes, "dltype", "list_str", count);
  const Json& shapes = AttributeList(attributes, "shape", "list_shape", count);
  const Json& storage = AttributeList(attributes, "storage_id", "list_int", count);
  const Json* devices =
      attributes.contains("device_index") ? &AttributeList(attributes, "device_index", "list_int", count) : nullptr;
  if (attributes.contains("storage_scope")) {
    for (const Json& scope : AttributeList(attributes, "storage_scope", "list_str", count)) {
      if (scope != "" && scope != "global") Fail("graph: attrs.storage_scope: found ", scope.dump(), ", expected \"global\"");
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    std::string where = "graph: entry " + std::to_string(i);
    if (devices != nullptr && (*devices)[i] != kCpu)
      Fail(where, ": device_index: found ", (*devices)[i].dump(), ", expected 1, the CPU");
    Entry entry;
    for (const Json& dimension : Array(shapes[i], where + ": shape")) {
      entry.shape.push_back(static_cast<std::int64_t>(Number(dimension, kMaxStorage, where + ": shape")));
    }
    entry.tensor.device = {kCpu, 0};
    entry.tensor.dtype = ParseDataType(Text(types[i], where + ": dltype"), where + ": dltype");
    entry.size = SizeInBytes(entry.shape, entry.tensor.dtype, where + ": shape");
    entry.storage = Index(storage[i], count, where + ": storage_id");
    if (storage_.size() <= entry.storage) storage_.resize(entry.storage + 1);
    storage_[entry.storage].size = std::max(storage_[entry.storage].size, entry.size);
    entries_.push_back(std::move(entry));
  }
  for (const Json& head : Array(Member(graph.document, "heads", "graph"), "graph: heads")) {
    if (!head.is_array() || head.size() < 2) Fail("graph: heads: found ", head.dump(), ", expected [node, output, version]");
    std::size_t node = Index(head[0], graph.names.size(), "graph: heads");
    outputs_.push_back(EntryIndex(graph, node, Index(head[1], count, "graph: heads"), "graph: heads"));
  }
  if (outputs_.empty()) Fail("graph: heads: found none");
}

std::size_t GraphRunner::EntryIndex(const Graph& graph, std::size_t node, std::size_t output, const std::string& what) const {
  std::size_t count = graph.row[node + 1] - graph.row[node];
  if (output >= count) Fail(what, ": found output ", output, " of node ", graph.names[node], ", which has ", count);
  return graph.row[node] + output;
}

// Parameters that the graph does not name are left alone, as TVM does.
void GraphRunner::BindParams(const Graph& graph) {
  for (const TensorView& param : bundle_.params()) {
    std::string name(param.name());
    auto argument = graph.arguments.find(name);
    if (argument == graph.arguments.end()) continue;
    const Entry& entry = entries_[graph.row[argument->second]];
    if (param.dtype() != entry.tensor.dtype) {
      Fail("param ", name, ": found dtype ", DataTypeName(param.dtype()), ", expected ", DataTypeName(entry.tensor.dtype),
           ", as the graph says");
    }
    ArrayView<std::int64_t> shape = param.shape();
    if (!std::equal(shape.begin(), shape.end(), entry.shape.begin(), entry.shape.end()) || param.nbytes() != entry.size) {
      Fail("param ", name, ": found another shape than the graph's");
    }
    Storage& storage = storage_[entry.storage];
    if (!storage.param.empty()) Fail("param ", name, ": found the storage of param ", storage.param);
    if (storage.size != entry.size) Fail("param ", name, ": found its storage shared with a larger tensor");
    storage.param = name;
    if (const void* data = param.data(); IsAligned(data)) {
      storage.data = data;
      ++params_in_place_;
    } else {
      storage.bytes = AllocateAligned(entry.size);
      std::memcpy(storage.bytes.get(), data, entry.size);
      storage.data = storage.bytes.get();
    }
  }
  for (const auto& [name, node] : graph.arguments) {
    std::size_t entry = graph.row[node];
    const std::string& param = storage_[entries_[entry].storage].param;
    if (param == name) continue;
    if (!param.empty()) Fail("graph: input ", name, ": found the storage of param ", param);
    input_names_.push_back(name);
    inputs_.push_back({entry, false});
  }
}

void GraphRunner::AllocateStorage() {
  std::uint64_t total = 0;
  for (Storage& storage : storage_) {
    if (storage.data != nullptr) continue;
    total += storage.size;
    if (total > kMaxStorage) Fail("graph: found more than ", kMaxStorage, " bytes of storage");
    storage.bytes = AllocateAligned(storage.size);
    storage.data = storage.bytes.get();
  }
  for (Entry& entry : entries_) {
    // DLTensor has no const; what holds a parameter is never an output (MakeCalls).
    entry.tensor.data = const_cast<void*>(storage_[entry.storage].data);
    entry.tensor.ndim = static_cast<std::int32_t>(entry.shape.size());
    entry.tensor.shape = entry.shape.data();
  }
}

void GraphRunner::MakeCalls(const Graph& graph) {
  for (std::size_t i = 0; i < graph.names.size(); ++i) {
    if (graph.IsArgument(i)) continue;
    std::string where = "graph: node " + graph.names[i];
    const Json& attributes = Member(graph.node(i), "attrs", where);
    std::string function = Text(Member(attributes, "func_name", where), where + ": func_name");
    std::size_t output_count = graph.row[i + 1] - graph.row[i];
    if (Member(attributes, "num_outputs", where) != std::to_string(output_count)) {
      Fail(where, ": num_outputs: found ", attributes["num_outputs"].dump(), ", expected ", output_count, ", as node_row_ptr says");
    }
    std::vector<std::size_t> used;
    for (const Json& input : Array(Member(graph.node(i), "inputs", where), where + ": inputs")) {
      if (!input.is_array() || input.size() < 2)
        Fail(where, ": inputs: found ", input.dump(), ", expected [node, output, version]");
      // Only nodes before this one: they have run by then.
      std::size_t source = Index(input[0], i, where + ": inputs");
      used.push_back(EntryIndex(graph, source, Index(input[1], entries_.size(), where + ": inputs"), where + ": inputs"));
    }
    if (Member(attributes, "num_inputs", where) != std::to_string(used.size())) {
      Fail(where, ": num_inputs: found ", attributes["num_inputs"].dump(), ", expected ", used.size());
    }
    if (function == "__nop") {
      if (used.size() != 1 || output_count != 1)
        Fail(where, ": found a __nop of ", used.size(), " inputs and ", output_count, " outputs, expected 1 and 1");
      CheckAlias(graph.names[i], entries_[used[0]], entries_[graph.row[i]]);
      continue;
    }
    for (std::size_t output = 0; output < output_count; ++output) {
      const Entry& entry = entries_[graph.row[i] + output];
      if (const std::string& param = storage_[entry.storage].param; !param.empty())
        Fail(where, ": found its output in the storage of param ", param);
      used.push_back(graph.row[i] + output);
    }
    Call call;
    call.node = graph.names[i];
    call.function = bundle_.symbol<PackedCFunc>(function.c_str());
    for (std::size_t entry : used) call.arguments.push_back(entries_[entry].tensor);
    if (attributes.contains("flatten_data") && attributes["flatten_data"] == "1") {
      call.flat_sizes.reserve(used.size());  // the arguments point into it
      for (DlTensor& argument : call.arguments) {
        std::int64_t elements = 1;
        for (std::int32_t dimension = 0; dimension < argument.ndim; ++dimension) elements *= argument.shape[dimension];
        call.flat_sizes.push_back(elements);
        argument.ndim = 1;
        argument.shape = &call.flat_sizes.back();
      }
    }
    calls_.push_back(std::move(call));
  }
}

// __nop copies nothing, so its result must already be where it is looked for.
void GraphRunner::CheckAlias(const std::string& node, const Entry& source, const Entry& result) const {
  if (source.storage != result.storage) {
    Fail("graph: node ", node, ": storage_id: found ", result.storage, " for a __nop, expected ", source.storage, ", its input's");
  }
  if (source.size != result.size)
    Fail("graph: node ", node, ": found ", result.size, " bytes for a __nop, expected ", source.size, ", its input's");
}

// A pointer that the library does not need is absent.
void GraphRunner::SetCallbacks() const {
  for (const char* name : {"__TVMFuncCall", "__TVMBackendGetFuncFromEnv", "__TVMBackendParallelBarrier"}) {
    if (bundle_.FindSymbol(name) != nullptr)
      Fail("library: found ", name, ", a callback that needs more of TVM than this runner has");
  }
  auto set = [&](const char* name, auto* function) {
    if (void* pointer = bundle_.FindSymbol(name); pointer != nullptr) *static_cast<decltype(function)*>(pointer) = function;
  };
  set("__TVMBackendAllocWorkspace", static_cast<AllocWorkspace*>(AllocateWorkspace));
  set("__TVMBackendFreeWorkspace", static_cast<FreeWorkspace*>(ReleaseWorkspace));
  set("__TVMBackendParallelLaunch", static_cast<ParallelLaunch*>(LaunchSerially));
  set("__TVMAPISetLastError", static_cast<SetLastError*>(KeepLastError));
}

void GraphRunner::SetInput(std::string_view name, const DlTensor& tensor) {
  auto found = std::find(input_names_.begin(), input_names_.end(), name);
  if (found == input_names_.end()) Fail("input ", std::string(name), ": not an input of the graph");
  Input& input = inputs_[static_cast<std::size_t>(found - input_names_.begin())];
  const Entry& entry = entries_[input.entry];
  if (tensor.dtype != entry.tensor.dtype) {
    Fail("input ", *found, ": found dtype ", DataTypeName(tensor.dtype), ", expected ", DataTypeName(entry.tensor.dtype));
  }
  if (tensor.strides != nullptr || !std::equal(tensor.shape, tensor.shape + tensor.ndim, entry.shape.begin(), entry.shape.end())) {
    Fail("input ", *found, ": found another shape than the graph's");
  }
  std::memcpy(entry.tensor.data, static_cast<const std::uint8_t*>(tensor.data) + tensor.byte_offset, entry.size);
  input.is_set = true;
}

void GraphRunner::Run() {
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (!inputs_[i].is_set) Fail("input ", input_names_[i], ": not set");
  }
  for (Call& call : calls_) {
    std::vector<TvmValue> values;
    std::vector<int> type_codes(call.arguments.size(), kTensorHandleTypeCode);
    for (DlTensor& argument : call.arguments) {
      TvmValue value = {};
      value.v_handle = &argument;
      values.push_back(value);
    }
    TvmValue result = {};
    int result_type_code = kNullTypeCode;
    LastError().clear();
    int status =
        call.function(values.data(), type_codes.data(), static_cast<int>(values.size()), &result, &result_type_code, nullptr);
    if (status != 0) Fail("node ", call.node, ": the function returned ", status, ", expected 0: ", LastError());
  }
}

}  // namespace pannier::testing
