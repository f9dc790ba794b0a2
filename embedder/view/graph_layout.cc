// Numbers alone go to dot, no names: its language needs no escapes then, and the layout depends on nothing else.
#include "embedder/view/graph_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <set>
#include <string_view>

#include "embedder/run_program.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr double kPointsPerInch = 72;  // dot's unit; a point is a pixel here
constexpr double kBoxHeight = 36;
constexpr double kRankGap = 34;
constexpr double kBoxGap = 20;
constexpr std::size_t kMostNodesForSplines = 1500;
constexpr std::size_t kMostNodesForDot = 20000;
constexpr std::chrono::seconds kPatience{60};
constexpr std::uint64_t kMostOutput = std::uint64_t{256} << 20;

using Edges = std::vector<std::pair<std::uint32_t, std::uint32_t>>;

// Nodes and edges of one layout.
struct Drawing {
  std::vector<GraphLayout::Box> boxes;  // without places
  Edges edges;
};

// The page writes a shape under the label: no box is too narrow for that.
GraphLayout::Box BoxOf(std::uint32_t node, const std::string& label) {
  const double width = std::clamp(28 + 7 * static_cast<double>(label.size()), 132.0, 300.0);
  return {node, 0, 0, width, kBoxHeight};
}

std::string DotSource(const Drawing& drawing) {
  std::string dot = "digraph {\nnode [shape=box, fixedsize=true, label=\"\"];\n";
  // Network simplex without end, else; its results hardly get better then.
  dot += fmt::format("graph [nslimit=2, nslimit1=2, mclimit=0.3, nodesep={}, ranksep={}, splines={}];\n", kBoxGap / kPointsPerInch,
                     kRankGap / kPointsPerInch, drawing.boxes.size() <= kMostNodesForSplines ? "spline" : "line");
  for (const GraphLayout::Box& box : drawing.boxes)
    dot += fmt::format("{} [width={:.3f}, height={:.3f}];\n", box.node, box.width / kPointsPerInch, box.height / kPointsPerInch);
  for (const auto& [from, to] : drawing.edges) dot += fmt::format("{} -> {};\n", from, to);
  return dot + "}\n";
}

// dot's "plain" output: words parted by blanks. "graph scale width height", "node name x y width height ...",
// "edge tail head n x1 y1 .. xn yn ...", in inches, y growing upwards.
class PlainReader {
 public:
  explicit PlainReader(std::string_view text) : text_(text) {}

  // The next line's first word; empty at the end.
  std::string_view NextLine() {
    const std::size_t end = text_.find('\n');
    line_ = text_.substr(0, end);
    text_.remove_prefix(end == std::string_view::npos ? text_.size() : end + 1);
    return Word();
  }

  std::string_view Word() {
    line_.remove_prefix(std::min(line_.find_first_not_of(" \r"), line_.size()));
    const std::string_view word = line_.substr(0, line_.find_first_of(" \r"));
    line_.remove_prefix(word.size());
    return word;
  }

  double Length() { return kPointsPerInch * Number<double>(); }

  template <typename T>
  T Number() {
    const std::string_view word = Word();
    T number = 0;
    const auto read = std::from_chars(word.data(), word.data() + word.size(), number);
    is_sound_ = is_sound_ && read.ec == std::errc() && read.ptr == word.data() + word.size();
    return number;
  }

  bool is_sound() const { return is_sound_; }

 private:
  std::string_view text_;
  std::string_view line_;
  bool is_sound_ = true;
};

Result<GraphLayout> ReadPlain(std::string_view text) {
  GraphLayout layout;
  PlainReader reader(text);
  for (std::string_view kind = reader.NextLine(); !kind.empty() && kind != "stop"; kind = reader.NextLine()) {
    if (kind == "graph") {
      reader.Word();
      layout.width = reader.Length();
      layout.height = reader.Length();
    } else if (kind == "node") {
      GraphLayout::Box box;
      box.node = reader.Number<std::uint32_t>();
      box.x = reader.Length();
      box.y = layout.height - reader.Length();
      box.width = reader.Length();
      box.height = reader.Length();
      layout.boxes.push_back(box);
    } else if (kind == "edge") {
      GraphLayout::Edge edge;
      edge.from = reader.Number<std::uint32_t>();
      edge.to = reader.Number<std::uint32_t>();
      for (auto left = reader.Number<std::uint32_t>(); left != 0 && reader.is_sound(); --left) {
        edge.points.push_back(reader.Length());
        edge.points.push_back(layout.height - reader.Length());
      }
      layout.edges.push_back(std::move(edge));
    }
    if (!reader.is_sound()) return Malformed("dot's output: found something else than its plain format");
  }
  return layout;
}

Result<GraphLayout> ByDot(const Drawing& drawing, const Effort& effort) {
  PANNIER_TRY(const std::string plain, Filter({"dot", "-Tplain"}, DotSource(drawing), kMostOutput, kPatience, effort));
  PANNIER_TRY(GraphLayout layout, ReadPlain(plain));
  if (layout.boxes.size() != drawing.boxes.size() || layout.edges.size() != drawing.edges.size())
    return Malformed(StrCat("dot's output: found ", layout.boxes.size(), " nodes, expected ", drawing.boxes.size()));
  return layout;
}

// Each node one rank below the lowest of those it takes from; within a rank in the order of execution. Edges that lead back (only
// a hostile graph has them) do not count.
GraphLayout ByRank(const Drawing& drawing) {
  GraphLayout layout;
  layout.boxes = drawing.boxes;
  std::uint32_t most = 0;
  for (const GraphLayout::Box& box : drawing.boxes) most = std::max(most, box.node);
  std::vector<std::uint32_t> ranks(most + std::size_t{1});
  std::vector<std::size_t> places(ranks.size());
  Edges edges = drawing.edges;
  std::sort(edges.begin(), edges.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  for (const auto& [from, to] : edges) {
    if (from < to) ranks[to] = std::max(ranks[to], ranks[from] + 1);
  }
  std::vector<double> ends;  // of the row of each rank
  for (std::size_t i = 0; i < layout.boxes.size(); ++i) {
    GraphLayout::Box& box = layout.boxes[i];
    const std::uint32_t rank = ranks[box.node];
    places[box.node] = i;
    if (rank >= ends.size()) ends.resize(rank + std::size_t{1});
    box.x = ends[rank] + box.width / 2;
    box.y = (kBoxHeight + kRankGap) * rank + kBoxHeight / 2;
    ends[rank] += box.width + kBoxGap;
  }
  for (const double end : ends) layout.width = std::max(layout.width, end);
  layout.height = (kBoxHeight + kRankGap) * static_cast<double>(ends.size());
  for (GraphLayout::Box& box : layout.boxes) box.x += (layout.width - ends[ranks[box.node]]) / 2;
  for (const auto& [from, to] : drawing.edges) {
    const GraphLayout::Box& a = layout.boxes[places[from]];
    const GraphLayout::Box& b = layout.boxes[places[to]];
    layout.edges.push_back({from, to, {a.x, a.y + a.height / 2, b.x, b.y - b.height / 2}});
  }
  return layout;
}

Drawing CollapsedDrawing(const GraphGroups& groups, const std::vector<std::string>& labels) {
  Drawing drawing;
  for (std::uint32_t i = 0; i < groups.kinds.size(); ++i) {
    if (groups.kinds[i] == NodeKind::kFunction || groups.kinds[i] == NodeKind::kInput) drawing.boxes.push_back(BoxOf(i, labels[i]));
  }
  drawing.edges = groups.collapsed_edges;
  return drawing;
}

Drawing ExpandedDrawing(const GraphModel& graph, const std::vector<std::string>& labels) {
  Drawing drawing;
  std::set<std::pair<std::uint32_t, std::uint32_t>> edges;
  for (std::uint32_t i = 0; i < graph.nodes.size(); ++i) {
    drawing.boxes.push_back(BoxOf(i, labels[i]));
    for (const GraphInput& input : graph.nodes[i].inputs) edges.emplace(input.node, i);
  }
  drawing.edges.assign(edges.begin(), edges.end());
  return drawing;
}

}  // namespace

GraphGroups GroupNodes(const GraphModel& graph, const std::vector<bool>& is_param) {
  constexpr std::uint32_t kNobody = UINT32_MAX;
  constexpr std::uint32_t kSeveral = UINT32_MAX - 1;
  const std::size_t count = graph.nodes.size();
  GraphGroups groups;
  groups.groups.resize(count);
  std::vector<std::uint32_t> takers(count, kNobody);  // the one node that takes from it
  for (std::uint32_t i = 0; i < count; ++i) {
    const GraphNode& node = graph.nodes[i];
    groups.kinds.push_back(!node.is_call() ? (is_param[i] ? NodeKind::kParam : NodeKind::kInput)
                                           : (node.is_nop() ? NodeKind::kNop : NodeKind::kFunction));
    for (const GraphInput& input : node.inputs)
      takers[input.node] = takers[input.node] == kNobody || takers[input.node] == i ? i : kSeveral;
  }
  // What a node stands for when groups are closed: itself, or, of a nop, what it takes from.
  std::vector<std::uint32_t> shown(count);
  std::set<std::pair<std::uint32_t, std::uint32_t>> edges;
  for (std::uint32_t i = 0; i < count; ++i) {
    const GraphNode& node = graph.nodes[i];
    shown[i] = i;
    const bool is_view = groups.kinds[i] == NodeKind::kNop && !node.inputs.empty() && node.inputs.front().node < i;
    if (is_view) shown[i] = shown[node.inputs.front().node];
    if (is_view && groups.kinds[shown[i]] == NodeKind::kFunction) groups.groups[i] = shown[i];
    if (groups.kinds[i] == NodeKind::kParam && takers[i] < count && groups.kinds[takers[i]] == NodeKind::kFunction)
      groups.groups[i] = takers[i];
    if (groups.kinds[i] != NodeKind::kFunction) continue;
    for (const GraphInput& input : node.inputs) {
      const std::uint32_t from = input.node < i ? shown[input.node] : input.node;
      if (from != i && groups.kinds[from] != NodeKind::kParam && groups.kinds[from] != NodeKind::kNop) edges.emplace(from, i);
    }
  }
  groups.collapsed_edges.assign(edges.begin(), edges.end());
  return groups;
}

GraphLayouts LayOut(const GraphModel& graph, const GraphGroups& groups, const std::vector<std::string>& labels, Placing placing,
                    const Effort& effort) {
  GraphLayouts layouts;
  effort.Begin("laying out the graph", 0);
  const auto place = [&](const Drawing& drawing) {
    if (layouts.note.empty() && drawing.boxes.size() > kMostNodesForDot)
      layouts.note = StrCat("more than ", kMostNodesForDot, " nodes: placed by rank, not by Graphviz");
    if (placing == Placing::kRank || !layouts.note.empty() || drawing.boxes.empty()) return ByRank(drawing);
    Result<GraphLayout> layout = ByDot(drawing, effort);
    if (layout.ok()) return std::move(*layout);
    layouts.note = StrCat("nodes are placed by rank, since Graphviz could not be used: ", layout.status().message());
    return ByRank(drawing);
  };
  layouts.collapsed = place(CollapsedDrawing(groups, labels));
  layouts.expanded = place(ExpandedDrawing(graph, labels));
  return layouts;
}

}  // namespace pannier
