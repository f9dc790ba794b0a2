// Nodes matched, then compared field by field.
#include "embedder/view/graph_diff.h"

#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "src/text.h"

namespace pannier {
namespace {

using Json = nlohmann::json;

constexpr std::uint32_t kNobody = UINT32_MAX;

std::string OutputsText(const GraphNode& node) {
  std::string text;
  for (const GraphEntry& entry : node.outputs) {
    text += text.empty() ? "" : "; ";
    text += entry.dtype.empty() ? "?" : entry.dtype;
    text += " (";
    for (std::size_t i = 0; i < entry.shape.size(); ++i) text += StrCat(i == 0 ? "" : ", ", entry.shape[i]);
    text += ")";
  }
  return text;
}

// What nodes have in common that go by different names.
std::string Likeness(const GraphNode& node) {
  for (const auto& [name, value] : node.attributes) {
    if (name == "hash") return "hash " + value;
  }
  return StrCat(OperatorName(node), " -> ", OutputsText(node));
}

// For each node of a, its partner in b.
std::vector<std::uint32_t> Match(const GraphModel& a, const GraphModel& b) {
  std::vector<std::uint32_t> partners(a.nodes.size(), kNobody);
  std::vector<bool> is_taken(b.nodes.size());
  const auto match = [&](const auto& key_of) {
    std::map<std::string, std::deque<std::uint32_t>> free;
    for (std::uint32_t i = 0; i < b.nodes.size(); ++i) {
      if (!is_taken[i]) free[key_of(b.nodes[i])].push_back(i);
    }
    for (std::uint32_t i = 0; i < a.nodes.size(); ++i) {
      if (partners[i] != kNobody) continue;
      const auto found = free.find(key_of(a.nodes[i]));
      if (found == free.end() || found->second.empty()) continue;
      partners[i] = found->second.front();
      is_taken[partners[i]] = true;
      found->second.pop_front();
    }
  };
  // First those that are the same in all; then by name, as long as they do the same; then the rest.
  match([](const GraphNode& node) { return StrCat(node.operation, " ", node.name, " ", Likeness(node)); });
  match([](const GraphNode& node) { return StrCat(node.operation, " ", Likeness(node)); });
  match([](const GraphNode& node) { return StrCat(node.operation, " ", node.name); });
  return partners;
}

class NodeComparison {
 public:
  NodeComparison(const GraphModel& a, const GraphModel& b, const std::vector<std::uint32_t>& partners)
      : a_(a), b_(b), partners_(partners) {}

  Json Changes(std::uint32_t i) const {
    const GraphNode& left = a_.nodes[i];
    const GraphNode& right = b_.nodes[partners_[i]];
    Json changes = Json::array();
    const auto add = [&](const std::string& what, const Json& one, const Json& other) {
      if (one != other) changes.push_back({{"what", what}, {"a", one}, {"b", other}});
    };
    add("name", left.name, right.name);
    add("function", left.function, right.function);
    add("outputs", OutputsText(left), OutputsText(right));
    if (!HaveSameInputs(left, right))
      changes.push_back({{"what", "inputs"}, {"a", InputNames(a_, left)}, {"b", InputNames(b_, right)}});
    std::map<std::string, std::pair<Json, Json>> attributes;
    for (const auto& [name, value] : left.attributes) attributes[name].first = value;
    for (const auto& [name, value] : right.attributes) attributes[name].second = value;
    for (const auto& [name, values] : attributes) {
      if (name != "func_name") add("attribute " + name, values.first, values.second);
    }
    return changes;
  }

  bool HasOtherStorage(std::uint32_t i) const {
    const auto& left = a_.nodes[i].outputs;
    const auto& right = b_.nodes[partners_[i]].outputs;
    for (std::size_t j = 0; j < left.size() && j < right.size(); ++j) {
      if (left[j].storage != right[j].storage) return true;
    }
    return false;
  }

  bool HaveSameHeads() const { return AreSame(a_.heads, b_.heads); }

 private:
  bool AreSame(const std::vector<GraphInput>& left, const std::vector<GraphInput>& right) const {
    if (left.size() != right.size()) return false;
    for (std::size_t i = 0; i < left.size(); ++i) {
      if (partners_[left[i].node] != right[i].node || left[i].output != right[i].output) return false;
    }
    return true;
  }
  bool HaveSameInputs(const GraphNode& left, const GraphNode& right) const { return AreSame(left.inputs, right.inputs); }

  static Json InputNames(const GraphModel& graph, const GraphNode& node) {
    Json names = Json::array();
    for (const GraphInput& input : node.inputs)
      names.push_back(input.output == 0 ? graph.nodes[input.node].name : StrCat(graph.nodes[input.node].name, ":", input.output));
    return names;
  }

  const GraphModel& a_;
  const GraphModel& b_;
  const std::vector<std::uint32_t>& partners_;
};

Json NodeJson(const GraphNode& node) { return {{"name", node.name}, {"operator", OperatorName(node)}}; }

}  // namespace

Json CompareGraphs(const GraphModel& a, const GraphModel& b) {
  const std::vector<std::uint32_t> partners = Match(a, b);
  const NodeComparison comparison(a, b, partners);
  std::vector<bool> is_kept(b.nodes.size());
  Json added = Json::array();
  Json removed = Json::array();
  Json changed = Json::array();
  std::uint64_t equal = 0;
  std::uint64_t storage_changed = 0;
  for (std::uint32_t i = 0; i < a.nodes.size(); ++i) {
    if (partners[i] == kNobody) {
      removed.push_back(NodeJson(a.nodes[i]));
      continue;
    }
    is_kept[partners[i]] = true;
    if (comparison.HasOtherStorage(i)) ++storage_changed;
    Json changes = comparison.Changes(i);
    if (changes.empty()) {
      ++equal;
      continue;
    }
    Json node = NodeJson(a.nodes[i]);
    node["changes"] = std::move(changes);
    changed.push_back(std::move(node));
  }
  for (std::uint32_t i = 0; i < b.nodes.size(); ++i) {
    if (!is_kept[i]) added.push_back(NodeJson(b.nodes[i]));
  }
  return {{"added", std::move(added)},          {"removed", std::move(removed)},
          {"changed", std::move(changed)},      {"equal", equal},
          {"storage_changed", storage_changed}, {"heads_changed", !comparison.HaveSameHeads()}};
}

}  // namespace pannier
