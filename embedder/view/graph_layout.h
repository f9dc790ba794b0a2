// GraphLayout: where a graph's nodes and edges are drawn. Made by Graphviz' dot; where that is missing or takes too long, by rank.
#ifndef PANNIER_EMBEDDER_VIEW_GRAPH_LAYOUT_H_
#define PANNIER_EMBEDDER_VIEW_GRAPH_LAYOUT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "embedder/view/graph_model.h"
#include "src/effort.h"

namespace pannier {

enum class NodeKind : std::uint8_t { kInput, kParam, kFunction, kNop };

// What belongs together: parameters that one function alone takes, and nodes that do nothing behind it, make a group with it.
struct GraphGroups {
  std::vector<NodeKind> kinds;                       // of each node
  std::vector<std::optional<std::uint32_t>> groups;  // of parameters and nops: the function's node
  // Of functions and inputs, with all else left out: from one to the other, each once.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> collapsed_edges;
};

// `is_param`: for each node, is it the name of a tensor?
GraphGroups GroupNodes(const GraphModel& graph, const std::vector<bool>& is_param);

// In pixels; y grows downwards.
struct GraphLayout {
  struct Box {
    std::uint32_t node = 0;
    double x = 0, y = 0;  // of its centre
    double width = 0, height = 0;
  };
  struct Edge {
    std::uint32_t from = 0;
    std::uint32_t to = 0;
    std::vector<double> points;  // x, y of each: a cubic Bezier spline's, or the two ends of a straight line
  };

  double width = 0, height = 0;
  std::vector<Box> boxes;
  std::vector<Edge> edges;
};

struct GraphLayouts {
  GraphLayout collapsed;
  GraphLayout expanded;
  std::string note;  // why dot did not make them; empty: it did
};

enum class Placing : std::uint8_t { kGraphviz, kRank };

// `labels`: for each node, as it will be shown; only their lengths count. Nobody knows how long Graphviz will take.
GraphLayouts LayOut(const GraphModel& graph, const GraphGroups& groups, const std::vector<std::string>& labels, Placing placing,
                    const Effort& effort = 0);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_VIEW_GRAPH_LAYOUT_H_
