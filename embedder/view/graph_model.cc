// Graph JSON taken apart. "attrs" of the graph holds lists with an item for each entry; "node_row_ptr" has each node's first entry.
#include "embedder/view/graph_model.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "embedder/content/artifact_stream.h"
#include "embedder/content/strict_json.h"
#include "src/bytes.h"
#include "src/text.h"

namespace pannier {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostNodes = 1'000'000;
constexpr std::size_t kMostEntries = 4'000'000;

Status Wrong(std::string_view what, std::string_view expected) { return Malformed(StrCat(what, ": expected ", expected)); }

const Json* Find(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

std::string TextOr(const Json* value, std::string_view otherwise) {
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string(otherwise);
}

// Whole numbers alone; in JSON they may be written as text, as TVM does in attributes.
std::optional<std::int64_t> Number(const Json& value) {
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX) return std::nullopt;
  return value.is_number_integer() ? std::optional(value.get<std::int64_t>()) : std::nullopt;
}

// "float32", "bool", "float8_e4m3fn", "int8x4": bits of an element, all lanes together.
std::optional<std::uint64_t> BitsOf(std::string_view dtype) {
  if (dtype == "bool") return 8;
  std::uint64_t bits = 0;
  std::uint64_t lanes = 1;
  const std::size_t digits = dtype.find_first_of("0123456789");
  if (digits == 0 || digits == std::string_view::npos) return std::nullopt;
  std::size_t at = digits;
  const auto read = [&](std::uint64_t& number) {
    for (number = 0; at < dtype.size() && dtype[at] >= '0' && dtype[at] <= '9' && number < 100000; ++at)
      number = 10 * number + static_cast<std::uint64_t>(dtype[at] - '0');
  };
  read(bits);
  if (at < dtype.size() && dtype[at] == '_') at = std::min(dtype.rfind('x'), dtype.size());  // float8_e4m3fn
  if (at < dtype.size()) {
    if (dtype[at++] != 'x' || at == dtype.size()) return std::nullopt;
    read(lanes);
    if (at != dtype.size()) return std::nullopt;
  }
  if (bits == 0 || bits > 4096 || lanes == 0 || lanes > 65535) return std::nullopt;
  return bits * lanes;
}

std::optional<std::uint64_t> BytesOf(const GraphEntry& entry) {
  const auto bits = BitsOf(entry.dtype);
  std::uint64_t bytes = bits ? (*bits + 7) / 8 : 0;
  for (const std::int64_t dimension : entry.shape) {
    if (dimension < 0) return std::nullopt;
    const auto product = CheckedMultiply(bytes, static_cast<std::uint64_t>(dimension));
    if (!product) return std::nullopt;
    bytes = *product;
  }
  return bits ? std::optional(bytes) : std::nullopt;
}

Result<std::vector<GraphInput>> ReadInputs(const Json* list, std::size_t node_count, std::string_view what) {
  std::vector<GraphInput> inputs;
  if (list == nullptr) return inputs;
  if (!list->is_array()) return Wrong(what, "a list of [node, entry, version]");
  for (const Json& item : *list) {
    const bool is_entry = item.is_array() && item.size() >= 2;
    const auto node = is_entry ? Number(item[0]) : std::nullopt;
    const auto output = is_entry ? Number(item[1]) : std::nullopt;
    if (!node || !output || *node < 0 || static_cast<std::uint64_t>(*node) >= node_count || *output < 0 || *output > INT32_MAX)
      return Wrong(what, StrCat("entries [node, entry, version] of ", node_count, " nodes"));
    inputs.push_back({static_cast<std::uint32_t>(*node), static_cast<std::uint32_t>(*output)});
  }
  return inputs;
}

Result<GraphNode> ReadNode(const Json& json, std::size_t node_count, const std::string& what) {
  GraphNode node;
  const Json* const operation = Find(json, "op");
  const Json* const name = Find(json, "name");
  if (operation == nullptr || !operation->is_string()) return Wrong(what, "an object with \"op\"");
  node.operation = operation->get<std::string>();
  node.name = TextOr(name, "");
  PANNIER_TRY(node.inputs, ReadInputs(Find(json, "inputs"), node_count, what + ": inputs"));
  const Json* attributes = Find(json, "attrs");
  if (attributes == nullptr) attributes = Find(json, "attr");  // old ones
  if (attributes == nullptr || !attributes->is_object()) return node;
  for (const auto& [key, value] : attributes->items()) {
    std::string text = value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (key == "func_name") node.function = text;
    node.attributes.emplace_back(key, std::move(text));
  }
  return node;
}

// "attrs": {"shape": ["list_shape", [...]]}: the list itself; null where there is none.
const Json* EntryList(const Json& graph, const char* name) {
  const Json* const attributes = Find(graph, "attrs");
  const Json* const typed = attributes != nullptr ? Find(*attributes, name) : nullptr;
  return typed != nullptr && typed->is_array() && typed->size() == 2 && (*typed)[1].is_array() ? &(*typed)[1] : nullptr;
}

GraphEntry ReadEntry(const Json* shapes, const Json* dtypes, const Json* storages, std::size_t i) {
  GraphEntry entry;
  if (dtypes != nullptr && i < dtypes->size()) entry.dtype = TextOr(&(*dtypes)[i], "");
  if (storages != nullptr && i < storages->size()) entry.storage = Number((*storages)[i]);
  if (shapes == nullptr || i >= shapes->size() || !(*shapes)[i].is_array()) return entry;
  bool is_known = true;
  for (const Json& dimension : (*shapes)[i]) {
    const auto number = Number(dimension);
    is_known = is_known && number;
    entry.shape.push_back(number.value_or(-1));
  }
  if (is_known) entry.bytes = BytesOf(entry);
  return entry;
}

Status ReadEntries(const Json& json, GraphModel& graph) {
  const Json* const shapes = EntryList(json, "shape");
  const Json* const dtypes = EntryList(json, "dltype");
  const Json* const storages = EntryList(json, "storage_id");
  const Json* const rows = Find(json, "node_row_ptr");
  if (rows != nullptr && (!rows->is_array() || rows->size() != graph.nodes.size() + 1))
    return Wrong("node_row_ptr", StrCat("a list of ", graph.nodes.size() + 1, " numbers"));
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    // Without row pointers each node gives one entry.
    const auto end = rows != nullptr ? Number((*rows)[i + 1]) : begin + 1;
    if (!end || *end < begin || static_cast<std::uint64_t>(*end) > kMostEntries || (rows != nullptr && Number((*rows)[i]) != begin))
      return Wrong("node_row_ptr", "ascending numbers from 0");
    for (; begin < *end; ++begin)
      graph.nodes[i].outputs.push_back(ReadEntry(shapes, dtypes, storages, static_cast<std::size_t>(begin)));
  }
  return {};
}

}  // namespace

Result<GraphModel> ParseGraph(std::string_view text) {
  const auto context = "graph";
  PANNIER_TRY(const Json json, ParseStrictJson(text).WithContext(context));
  const Json* const nodes = Find(json, "nodes");
  if (nodes == nullptr || !nodes->is_array()) return Wrong(context, "\"nodes\", as a graph executor's graph has them");
  if (nodes->size() > kMostNodes)
    return {ErrorCode::kLimit, StrCat("graph: found ", nodes->size(), " nodes, expected at most ", kMostNodes)};
  GraphModel graph;
  graph.nodes.reserve(nodes->size());
  for (const Json& node : *nodes) {
    PANNIER_TRY(GraphNode read, ReadNode(node, nodes->size(), StrCat("graph: node ", graph.nodes.size())));
    graph.nodes.push_back(std::move(read));
  }
  PANNIER_TRY(graph.heads, ReadInputs(Find(json, "heads"), nodes->size(), "graph: heads"));
  PANNIER_CHECK_OK(ReadEntries(json, graph).WithContext(context));
  return graph;
}

Result<GraphModel> ReadGraph(const OpenedBundle& bundle, const format::Artifact& artifact) {
  PANNIER_CHECK_OK(BundleReader::CheckKind(artifact));
  if (artifact.size() > kLongestGraph)
    return {ErrorCode::kLimit, StrCat("graph: found ", artifact.size(), " bytes, expected at most ", kLongestGraph)};
  std::string text;
  PANNIER_CHECK_OK(StreamArtifact(bundle.file, bundle.reader, artifact, 0, [&](ByteView bytes) -> Status {
    text += bytes.text();
    return {};
  }));
  return ParseGraph(text);
}

std::string OperatorName(const GraphNode& node) {
  if (!node.is_call() || node.is_nop()) return node.name;
  std::string_view name = node.function.empty() ? node.name : node.function;
  const std::size_t fused = name.find("fused_");
  if (fused != std::string_view::npos && fused + 6 < name.size()) name.remove_prefix(fused + 6);
  const std::size_t last = name.find_last_not_of("0123456789");
  const bool has_number = last != std::string_view::npos && last != 0 && name[last] == '_' && last + 1 < name.size();
  if (has_number) name = name.substr(0, last);
  return std::string(name);
}

std::optional<MemoryPlan> PlanOfMemory(const GraphModel& graph, const std::vector<bool>& is_param) {
  std::map<std::int64_t, MemoryPlan::Storage> storages;
  const auto count = static_cast<std::uint32_t>(graph.nodes.size());
  const auto use = [&](const GraphEntry& entry, std::uint32_t first, std::uint32_t last) {
    if (!entry.storage) return;
    const auto [place, is_new] = storages.try_emplace(*entry.storage, MemoryPlan::Storage{*entry.storage, 0, first, last});
    MemoryPlan::Storage& storage = place->second;
    storage.bytes = std::max(storage.bytes, entry.bytes.value_or(0));
    storage.first = std::min(storage.first, first);
    storage.last = std::max(storage.last, last);
  };
  const auto use_input = [&](const GraphInput& input, std::uint32_t first, std::uint32_t last) {
    const GraphNode& node = graph.nodes[input.node];
    if (input.output < node.outputs.size()) use(node.outputs[input.output], first, last);
  };
  std::set<std::int64_t> of_params;
  for (std::uint32_t i = 0; i < count; ++i) {
    const GraphNode& node = graph.nodes[i];
    for (const GraphEntry& entry : node.outputs) use(entry, node.is_call() ? i : 0, node.is_call() ? i : count - 1);
    for (const GraphInput& input : node.inputs) use_input(input, i, i);
    for (const GraphEntry& entry : node.outputs) {
      if (is_param[i] && entry.storage) of_params.insert(*entry.storage);
    }
  }
  for (const GraphInput& head : graph.heads) use_input(head, head.node, count - 1);
  if (storages.empty()) return std::nullopt;

  MemoryPlan plan;
  std::vector<std::uint64_t> begins(count + std::size_t{1}), ends(count + std::size_t{1});
  for (const auto& [id, storage] : storages) {
    const bool is_of_param = of_params.count(id) != 0;
    std::uint64_t& sum = is_of_param ? plan.params : plan.pool;
    // A hostile graph's may not fit; nobody has so much memory.
    const auto total = CheckedAdd(sum, storage.bytes);
    if (!total) return std::nullopt;
    sum = *total;
    if (is_of_param) continue;
    plan.storages.push_back(storage);
    begins[storage.first] += storage.bytes;
    ends[storage.last + std::size_t{1}] += storage.bytes;
  }
  std::uint64_t live = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    live = live + begins[i] - ends[i];
    plan.live.push_back(live);
    plan.peak = std::max(plan.peak, live);
  }
  return plan;
}

}  // namespace pannier
