// GraphRunner: storage laid out as the graph says, then the library's functions called in the nodes' order.
//
// The format is that of TVM 0.9 (src/runtime/graph_executor/graph_executor.h). An "entry" is one output of one node; node_row_ptr
// has the number of each node's first entry, and attrs has dtype, shape and storage of each entry.
#include "tests/graph_runner.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

namespace pannier::testing {
namespace {

using Json = nlohmann::json;

// A damaged graph then gives an error, not an allocation of terabytes.
constexpr std::uint64_t kMaxStorage = std::uint64_t{1} << 30;

constexpr std::int32_t kCpu = 1;          // kDLCPU
constexpr int kTensorHandleTypeCode = 7;  // kTVMDLTensorHandle
constexpr int kNullTypeCode = 4;          // kTVMNullptr

union TvmValue {
  std::int64_t v_int64;
  double v_float64;
  void* v_handle;
};
static_assert(sizeof(TvmValue) == 8);

void Require(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error("graph: " + what);
}

AlignedBytes AllocateAligned(std::size_t size) {
  AlignedBytes bytes(static_cast<std::uint8_t*>(::operator new (size, std::align_val_t{kTensorAlignment})));
  std::memset(bytes.get(), 0, size);
  return bytes;
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

void PrintLastError(const char* message) { std::fprintf(stderr, "the library says: %s\n", message); }

// --- the graph ---

// "float32", "uint8", "bool".
DataType ParseDataType(const std::string& text) {
  if (text == "bool") return {1, 1, 1};
  static constexpr std::pair<const char*, std::uint8_t> kNames[] = {{"uint%u%n", 1}, {"int%u%n", 0}, {"float%u%n", 2}};
  for (const auto& [format, code] : kNames) {
    unsigned bits = 0;
    int used = 0;
    const bool matches = std::sscanf(text.c_str(), format, &bits, &used) == 1 && text.c_str()[used] == '\0';
    if (matches && bits <= 64) return {code, static_cast<std::uint8_t>(bits), 1};
  }
  throw std::runtime_error("graph: dtype " + text + " is not known here");
}

// attrs' lists are pairs: ["list_int", [...]].
const Json& AttributeList(const Json& graph, const char* name, std::size_t size) {
  const Json& list = graph.at("attrs").at(name).at(1);
  Require(list.size() == size, std::string("attrs.") + name + ": one value for each entry");
  return list;
}

// [node, output, version] of one of the first `nodes` nodes.
std::size_t EntryOf(const Json& reference, const std::vector<std::size_t>& rows, std::size_t nodes) {
  const auto node = reference.at(0).get<std::size_t>();
  const auto output = reference.at(1).get<std::size_t>();
  Require(node < nodes && output < rows[node + 1] - rows[node], "a reference to " + reference.dump() + ", which is not there");
  return rows[node] + output;
}

}  // namespace

GraphRunner::GraphRunner(Bundle bundle) : bundle_(std::move(bundle)) {
  const Json graph = Json::parse(bundle_.graph_json());
  const Json& nodes = graph.at("nodes");
  const auto rows = graph.at("node_row_ptr").get<std::vector<std::size_t>>();
  Require(rows.size() == nodes.size() + 1 && rows[0] == 0 && std::is_sorted(rows.begin(), rows.end()) && rows.back() <= 1 << 20,
          "node_row_ptr ascends, one more than nodes");
  ReadEntries(graph, rows.back());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    Require(rows[i + 1] > rows[i], "a node without an output");
    if (nodes[i].at("op") == "null") arguments_.emplace(nodes[i].at("name").get<std::string>(), rows[i]);
  }
  for (const Json& head : graph.at("heads")) outputs_.push_back(EntryOf(head, rows, nodes.size()));

  // Parameters where the bundle has them, memory for all else.
  BindParams();
  for (Storage& place : storage_) {
    if (place.data != nullptr) continue;
    place.owned = AllocateAligned(place.size);
    place.data = place.owned.get();
  }
  for (Entry& entry : entries_) {
    entry.tensor.data = storage_[entry.storage].data;
    entry.tensor.ndim = static_cast<std::int32_t>(entry.shape.size());
    entry.tensor.shape = entry.shape.data();
  }
  ReadCalls(nodes, rows);
  SetCallbacks();
}

// What nodes give, and how much storage it shares.
void GraphRunner::ReadEntries(const Json& graph, std::size_t count) {
  const Json& types = AttributeList(graph, "dltype", count);
  const Json& shapes = AttributeList(graph, "shape", count);
  const Json& storage = AttributeList(graph, "storage_id", count);
  storage_.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    Entry& entry = entries_.emplace_back();
    entry.shape = shapes[i].get<std::vector<std::int64_t>>();
    entry.tensor.device = {kCpu, 0};
    entry.tensor.dtype = ParseDataType(types[i].get<std::string>());
    std::uint64_t size = (entry.tensor.dtype.bits + 7U) / 8;
    for (const std::int64_t dimension : entry.shape) {
      Require(dimension >= 0 && dimension <= 1 << 30, "a dimension that is none");
      size *= static_cast<std::uint64_t>(dimension);
      Require(size <= kMaxStorage, "a tensor of more than a gigabyte");
    }
    entry.size = static_cast<std::size_t>(size);
    entry.storage = storage[i].get<std::size_t>();
    Require(entry.storage < count, "a storage_id beyond the entries");
    storage_[entry.storage].size = std::max(storage_[entry.storage].size, entry.size);
  }
}

// Inputs come first, then outputs.
void GraphRunner::ReadCalls(const Json& nodes, const std::vector<std::size_t>& rows) {
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].at("op") == "null") continue;
    Call call;
    call.node = nodes[i].at("name").get<std::string>();
    for (const Json& input : nodes[i].at("inputs")) call.arguments.push_back(EntryOf(input, rows, i));
    const Json& attributes = nodes[i].at("attrs");
    const auto function = attributes.at("func_name").get<std::string>();
    if (function == "__nop") {  // copies nothing, so its result must already be where it is looked for
      Require(call.arguments.size() == 1 && entries_[call.arguments[0]].storage == entries_[rows[i]].storage,
              call.node + ": a __nop whose output does not share its input's storage");
      continue;
    }
    Require(attributes.value("flatten_data", "0") == "0", call.node + ": flatten_data is not known here");
    for (std::size_t output = rows[i]; output < rows[i + 1]; ++output) {
      Require(!storage_[entries_[output].storage].is_param, call.node + ": an output in a parameter's storage");
      call.arguments.push_back(output);
    }
    call.function = bundle_.symbol<PackedCFunc>(function.c_str());
    calls_.push_back(std::move(call));
  }
}

// Parameters that the graph does not name are left alone, as TVM does.
void GraphRunner::BindParams() {
  for (const TensorView& param : bundle_.params()) {
    const auto argument = arguments_.find(std::string(param.name()));
    if (argument == arguments_.end()) continue;
    const Entry& entry = entries_[argument->second];
    const ArrayView<std::int64_t> shape = param.shape();
    Storage& storage = storage_[entry.storage];
    Require(param.dtype() == entry.tensor.dtype && std::equal(shape.begin(), shape.end(), entry.shape.begin(), entry.shape.end()),
            argument->first + ": the parameter has another type or shape than the graph says");
    Require(storage.size == entry.size && !storage.is_param, argument->first + ": the parameter shares its storage");
    storage.is_param = true;
    // DLTensor has no const; what holds a parameter is never an output.
    storage.data = const_cast<void*>(param.data());
    if (reinterpret_cast<std::uintptr_t>(storage.data) % kTensorAlignment == 0) {
      ++params_in_place_;
    } else {
      storage.owned = AllocateAligned(entry.size);
      storage.data = std::memcpy(storage.owned.get(), param.data(), entry.size);
    }
  }
  for (const auto& [name, entry] : arguments_) {
    if (!storage_[entries_[entry].storage].is_param) input_names_.push_back(name);
  }
}

// A pointer that the library does not need is absent.
void GraphRunner::SetCallbacks() const {
  auto set = [&](const char* name, auto* function) {
    if (void* pointer = bundle_.FindSymbol(name); pointer != nullptr) *static_cast<decltype(function)*>(pointer) = function;
  };
  set("__TVMBackendAllocWorkspace", static_cast<AllocWorkspace*>(AllocateWorkspace));
  set("__TVMBackendFreeWorkspace", static_cast<FreeWorkspace*>(ReleaseWorkspace));
  set("__TVMBackendParallelLaunch", static_cast<ParallelLaunch*>(LaunchSerially));
  set("__TVMAPISetLastError", static_cast<SetLastError*>(PrintLastError));
}

void GraphRunner::SetInput(const std::string& name, const DlTensor& tensor) {
  const Entry& entry = entries_[arguments_.at(name)];
  Require(!storage_[entry.storage].is_param, name + ": a parameter, no input");
  Require(tensor.dtype == entry.tensor.dtype && tensor.strides == nullptr &&
              std::equal(tensor.shape, tensor.shape + tensor.ndim, entry.shape.begin(), entry.shape.end()),
          name + ": the input has another type or shape than the graph says");
  std::memcpy(entry.tensor.data, static_cast<const std::uint8_t*>(tensor.data) + tensor.byte_offset, entry.size);
}

void GraphRunner::Run() {
  for (const Call& call : calls_) {
    std::vector<TvmValue> values(call.arguments.size());
    std::vector<int> type_codes(call.arguments.size(), kTensorHandleTypeCode);
    for (std::size_t i = 0; i < values.size(); ++i) values[i].v_handle = &entries_[call.arguments[i]].tensor;
    TvmValue result = {};
    int result_type_code = kNullTypeCode;
    const int status =
        call.function(values.data(), type_codes.data(), static_cast<int>(values.size()), &result, &result_type_code, nullptr);
    Require(status == 0, call.node + ": its function returned " + std::to_string(status));
  }
}

}  // namespace pannier::testing
