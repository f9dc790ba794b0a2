// Fuzz target: graph JSON looked at: parsed, grouped, placed by rank, its memory planned, compared with itself.
#include <nlohmann/json.hpp>
#include <string_view>

#include "embedder/view/graph_diff.h"
#include "embedder/view/graph_layout.h"
#include "embedder/view/graph_model.h"
#include "tests/fuzz/fuzz_support.h"

namespace pannier {

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Result<GraphModel> graph = ParseGraph(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!graph.ok()) return 0;
  std::vector<bool> is_param;
  std::vector<std::string> labels;
  for (const GraphNode& node : graph->nodes) {
    is_param.push_back(node.name.size() % 2 != 0);
    labels.push_back(OperatorName(node));
  }
  const GraphGroups groups = GroupNodes(*graph, is_param);
  const GraphLayouts layouts = LayOut(*graph, groups, labels, Placing::kRank);
  Require(layouts.expanded.boxes.size() == graph->nodes.size(), "every node has a place");
  for (const GraphLayout::Box& box : layouts.expanded.boxes)
    Require(box.x >= 0 && box.x <= layouts.expanded.width && box.y >= 0 && box.y <= layouts.expanded.height, "within the drawing");
  if (const auto plan = PlanOfMemory(*graph, is_param)) Require(plan->peak <= plan->pool, "no more lives than there is");
  const nlohmann::json diff = CompareGraphs(*graph, *graph);
  Require(diff["added"].empty() && diff["removed"].empty() && diff["changed"].empty(), "a graph does not differ from itself");
  return 0;
}

}  // namespace pannier
