// The description of a bundle, its graph with places to draw it at, its tensors with statistics, its file's map.
#include "embedder/view/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "embedder/view/description.h"
#include "embedder/view/file_map.h"
#include "embedder/view/graph_layout.h"
#include "embedder/view/graph_model.h"
#include "embedder/view/page.h"
#include "embedder/view/tensor_statistics.h"
#include "src/parallel.h"
#include "src/params_walk.h"
#include "src/released_pages.h"
#include "src/text.h"

namespace pannier {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostFunctionsShown = 20000;
constexpr std::size_t kMostAttributes = 100;  // of a node
constexpr std::size_t kMostProblems = 100;

// The description's functions, largest first.
Json TakeFunctions(Json& library, Json& notes) {
  Json functions = std::move(library["functions"]);
  library.erase("functions");
  auto& list = functions.get_ref<Json::array_t&>();
  std::stable_sort(list.begin(), list.end(), [](const Json& a, const Json& b) { return a["bytes"] > b["bytes"]; });
  if (list.size() > kMostFunctionsShown) {
    notes.push_back(StrCat("the ", kMostFunctionsShown, " largest of ", list.size(), " functions are shown"));
    list.resize(kMostFunctionsShown);
  }
  return functions;
}

Json ToJson(const TensorStatistics& found) {
  Json json = {{"elements", found.elements},
               {"zeros", found.zeros},
               {"nan", found.nan},
               {"infinite", found.infinite},
               {"min", nullptr},
               {"max", nullptr},
               {"mean", nullptr},
               {"counts", Json::array()}};
  if (found.finite == 0) return json;
  json["min"] = json["low"] = found.least;
  json["max"] = json["high"] = found.greatest;
  json["mean"] = std::isfinite(found.mean) ? Json(found.mean) : Json();
  json["counts"] = found.counts;
  return json;
}

// Of tensors that can be decoded; what is damaged is told of as a problem, and the rest shown.
Status AddStatistics(const OpenedBundle& bundle, const ReportOptions& options, const TensorReader& tensors, Json& list,
                     Json& problems) {
  std::vector<Json> statistics(tensors.size());
  std::vector<std::string> failures(tensors.size());
  PANNIER_CHECK_OK(ParallelFor(tensors.size(), options.effort.threads, [&](std::uint64_t i) -> Status {
    const auto index = static_cast<std::uint32_t>(i);
    PANNIER_TRY(const ChunkedContent content, tensors.Content(index));
    const auto found = StatisticsOf(content, DataTypeOf(tensors[index]), ShapeOf(tensors[index]), bundle.reader.has_digests());
    if (!found.ok()) failures[i] = found.status().message();
    if (found.ok() && *found) statistics[i] = ToJson(**found);
    const auto whole = content.StoredWhole();
    if (whole.ok() && *whole) bundle.file.Release(**whole);
    options.effort.Advance(content.size());
    return {};
  }));
  for (std::uint32_t i = 0; i < tensors.size(); ++i) {
    list[i]["statistics"] = std::move(statistics[i]);
    if (!failures[i].empty() && problems.size() < kMostProblems)
      problems.push_back(StrCat("tensor ", Printable(ToText(tensors[i].name())), ": ", Printable(failures[i])));
  }
  return {};
}

std::string_view KindText(NodeKind kind) {
  if (kind == NodeKind::kInput) return "input";
  if (kind == NodeKind::kParam) return "param";
  return kind == NodeKind::kNop ? "nop" : "function";
}

template <typename T>
Json OrNull(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

// Tenths of a pixel are enough, and short.
double Rounded(double value) { return std::round(value * 10) / 10; }

Json ToJson(const GraphLayout& layout) {
  Json boxes = Json::array();
  Json edges = Json::array();
  for (const GraphLayout::Box& box : layout.boxes)
    boxes.push_back({box.node, Rounded(box.x), Rounded(box.y), Rounded(box.width), Rounded(box.height)});
  for (const GraphLayout::Edge& edge : layout.edges) {
    Json points = Json::array();
    for (const double point : edge.points) points.push_back(Rounded(point));
    edges.push_back({edge.from, edge.to, std::move(points)});
  }
  return {{"width", Rounded(layout.width)}, {"height", Rounded(layout.height)}, {"nodes", boxes}, {"edges", edges}};
}

// The graph's nodes in the report's words.
class GraphReport {
 public:
  GraphReport(const GraphModel& graph, const LibraryFacts& library, const Json& tensors) : graph_(graph) {
    for (const LibraryFunction& function : library.functions) function_sizes_.emplace(function.name, function.size);
    for (std::size_t i = 0; i < tensors.size(); ++i) tensors_.emplace(tensors[i]["name"].get<std::string>(), i);
    for (const GraphNode& node : graph_.nodes) is_param_.push_back(TensorOf(node).has_value());
  }

  const std::vector<bool>& is_param() const { return is_param_; }

  Json Make(const ReportOptions& options) const {
    std::vector<std::string> labels;
    for (const GraphNode& node : graph_.nodes) labels.push_back(Printable(OperatorName(node)));
    const GraphGroups groups = GroupNodes(graph_, is_param_);
    const GraphLayouts layouts = LayOut(graph_, groups, labels, options.placing, options.effort);
    Json nodes = Json::array();
    for (std::uint32_t i = 0; i < graph_.nodes.size(); ++i) nodes.push_back(NodeJson(i, groups, labels[i]));
    Json heads = Json::array();
    for (const GraphInput& head : graph_.heads) heads.push_back(head.node);
    return {{"nodes", std::move(nodes)},
            {"heads", std::move(heads)},
            {"layouts", {{"collapsed", ToJson(layouts.collapsed)}, {"expanded", ToJson(layouts.expanded)}}},
            {"layout_note", layouts.note.empty() ? Json() : Json(layouts.note)}};
  }

 private:
  std::optional<std::size_t> TensorOf(const GraphNode& node) const {
    const auto found = node.is_call() ? tensors_.end() : tensors_.find(node.name);
    return found != tensors_.end() ? std::optional(found->second) : std::nullopt;
  }

  Json NodeJson(std::uint32_t i, const GraphGroups& groups, const std::string& label) const {
    const GraphNode& node = graph_.nodes[i];
    const auto size = function_sizes_.find(node.function);
    Json inputs = Json::array();
    for (const GraphInput& input : node.inputs) inputs.push_back(input.node);
    Json outputs = Json::array();
    for (const GraphEntry& entry : node.outputs) {
      outputs.push_back({{"shape", entry.shape},
                         {"dtype", Printable(entry.dtype)},
                         {"storage", OrNull(entry.storage)},
                         {"bytes", OrNull(entry.bytes)}});
    }
    Json attributes = Json::object();
    for (const auto& [name, value] : node.attributes) {
      if (attributes.size() < kMostAttributes) attributes[Printable(name)] = Printable(value);
    }
    return {{"name", Printable(node.name)},
            {"operator", label},
            {"kind", KindText(groups.kinds[i])},
            {"function", node.function.empty() ? Json() : Json(Printable(node.function))},
            {"function_bytes", size != function_sizes_.end() ? Json(size->second) : Json()},
            {"inputs", std::move(inputs)},
            {"outputs", std::move(outputs)},
            {"attributes", std::move(attributes)},
            {"tensor", OrNull(TensorOf(node))},
            {"group", OrNull(groups.groups[i])}};
  }

  const GraphModel& graph_;
  std::unordered_map<std::string, std::uint64_t> function_sizes_;
  std::unordered_map<std::string, std::size_t> tensors_;
  std::vector<bool> is_param_;
};

Json MemoryJson(const GraphModel& graph, const std::vector<bool>& is_param) {
  const std::optional<MemoryPlan> plan = PlanOfMemory(graph, is_param);
  if (!plan) return {};
  Json storages = Json::array();
  for (const MemoryPlan::Storage& storage : plan->storages)
    storages.push_back({{"id", storage.id}, {"bytes", storage.bytes}, {"first", storage.first}, {"last", storage.last}});
  Json steps = Json::array();
  std::size_t peak_step = 0;
  for (std::uint32_t i = 0; i < plan->live.size(); ++i) {
    if (!graph.nodes[i].is_call()) continue;
    if (plan->live[i] == plan->peak) peak_step = steps.size();
    steps.push_back({{"node", i}, {"live", plan->live[i]}});
  }
  return {{"storages", std::move(storages)}, {"steps", std::move(steps)}, {"peak", plan->peak},
          {"peak_step", peak_step},          {"pool", plan->pool},        {"params", plan->params}};
}

Json MapJson(ByteView file, const BundleReader& reader, const LibraryFacts& library) {
  Json map = Json::array();
  for (const FileRange& range : MapOfFile(file, reader, library)) {
    map.push_back(
        {{"name", Printable(range.name)}, {"kind", KindName(range.kind)}, {"offset", range.offset}, {"size", range.size}});
  }
  return map;
}

// The description's artifacts, tensors apart.
void SplitTensors(Json& artifacts, Json& tensors) {
  for (Json& artifact : artifacts) {
    const auto found = artifact.find("tensors");
    if (found == artifact.end()) continue;
    std::set<std::string> codecs;
    for (const Json& tensor : *found) codecs.insert(tensor["codec"].get<std::string>());
    artifact["codec"] = fmt::format("{}", fmt::join(codecs, ", "));
    if (artifact["name"] == kParamsArtifact || tensors.empty()) tensors = std::move(*found);
    artifact.erase(found);
  }
}

// What the description leaves out where there is none of it: the page reads every field.
void FillIn(Json& report, Json& tensors, Json& problems) {
  for (const char* name : {"graph", "memory", "host_bytes"}) {
    if (!report.contains(name)) report[name] = nullptr;
  }
  // Of what TVM exported: its blob was in the library from the start.
  if (report["host_bytes"].is_null())
    report["host_bytes"] = report["bytes"].get<std::uint64_t>() - report["payload_bytes"].get<std::uint64_t>();
  if (const auto error = report.find("signature_error"); error != report.end()) {
    report["signatures"] = Json::array();
    problems.push_back(StrCat("signatures: ", Printable(error->get<std::string>())));
  }
  for (Json& artifact : report["artifacts"]) artifact.emplace("codec", nullptr);
  for (Json& tensor : tensors) tensor.emplace("statistics", nullptr);
}

}  // namespace

Result<Json> MakeReport(const OpenedBundle& bundle, const std::string& path, const ReportOptions& options) {
  const BundleReader& reader = bundle.reader;
  PANNIER_TRY(const LibraryFacts library, ReadLibraryFacts(bundle.file.bytes()));
  PANNIER_TRY(Json report, Describe(bundle, path, library, options.keys));
  report["schema"] = "pannier.report";
  Json notes = Json::array();
  Json problems = Json::array();
  Json tensors = Json::array();
  SplitTensors(report["artifacts"], tensors);
  if (const auto index = reader.FindArtifact(kGraphArtifact)) {
    const auto show = [&]() -> Status {
      PANNIER_TRY(const GraphModel graph, ReadGraph(bundle, reader.artifact(*index)));
      const GraphReport nodes(graph, library, tensors);
      report["graph"] = nodes.Make(options);
      report["memory"] = MemoryJson(graph, nodes.is_param());
      return {};
    };
    const Status shown = show();
    if (!shown.ok()) problems.push_back(StrCat("the graph cannot be shown: ", Printable(shown.message())));
  }
  if (const auto index = reader.FindArtifact(kParamsArtifact);
      options.statistics && index && reader.artifact(*index).kind() == format::ArtifactKind::TvmParams) {
    PANNIER_TRY(const TensorReader reader_of_tensors, reader.Tensors(reader.artifact(*index)));
    options.effort.Begin("reading values", reader.artifact(*index).size());
    PANNIER_CHECK_OK(AddStatistics(bundle, options, reader_of_tensors, tensors, problems));
  }
  report["functions"] = TakeFunctions(report["library"], notes);
  report["map"] = MapJson(bundle.file.bytes(), reader, library);
  if (!report["changes"].is_null()) notes.push_back(StrCat("embedding changed ", ChangesText(report["changes"])));
  FillIn(report, tensors, problems);
  for (const Json& misfit : report["misfits"]) problems.push_back("not of one model: " + misfit.get<std::string>());
  MakePrintable(report);
  MakePrintable(tensors);
  report["tensors"] = std::move(tensors);
  report["notes"] = std::move(notes);
  report["problems"] = std::move(problems);
  return report;
}

}  // namespace pannier
