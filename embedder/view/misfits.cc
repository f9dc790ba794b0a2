// Names, types and shapes of a graph's inputs compared with params; functions that it calls, with those that a library exports.
#include "embedder/view/misfits.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "embedder/view/graph_model.h"
#include "src/exported_symbol.h"
#include "src/module_blob.h"
#include "src/params_walk.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::size_t kMostNames = 3;  // that a text lists
constexpr std::size_t kLongestText = 200;
constexpr std::size_t kMostDimensions = 8;

struct Tensor {
  std::string name;
  std::string dtype;
  std::vector<std::int64_t> shape;
};

// A graph's names and shapes may be as long as the graph.
std::string Shown(std::string_view text) {
  std::string shown = Printable(text);
  std::size_t end = kLongestText;
  if (shown.size() <= end) return shown;
  while (end > 0 && (static_cast<unsigned char>(shown[end]) & 0xC0U) == 0x80) --end;  // not within a character
  return shown.substr(0, end) + "...";
}

// "3 of 8 WHAT: a, b, c"; nothing where there are none.
void AddMisfit(const std::vector<std::string>& names, std::size_t of, std::string_view what, std::vector<std::string>& misfits) {
  if (names.empty()) return;
  std::string text = StrCat(names.size(), " of ", of, " ", what, ": ");
  for (std::size_t i = 0; i < std::min(names.size(), kMostNames); ++i) text += StrCat(i == 0 ? "" : ", ", names[i]);
  if (names.size() > kMostNames) text += ", ...";
  misfits.push_back(std::move(text));
}

// A bool has had both names.
std::string_view Normalized(std::string_view dtype) { return dtype == "uint1" ? "bool" : dtype; }

std::string TypeText(std::string_view dtype, const std::vector<std::int64_t>& shape) {
  std::string text = StrCat(dtype, "[");
  for (std::size_t i = 0; i < std::min(shape.size(), kMostDimensions); ++i) text += StrCat(i == 0 ? "" : ", ", shape[i]);
  return text + (shape.size() > kMostDimensions ? ", ...]" : "]");
}

void CompareParamsWithGraph(const std::vector<Tensor>& tensors, const GraphModel& graph, std::vector<std::string>& misfits) {
  std::unordered_map<std::string_view, const GraphNode*> inputs;
  for (const GraphNode& node : graph.nodes) {
    if (!node.is_call()) inputs.emplace(node.name, &node);
  }
  std::vector<std::string> unknown, different;
  for (const Tensor& tensor : tensors) {
    const auto input = inputs.find(tensor.name);
    if (input == inputs.end()) {
      unknown.push_back(Shown(tensor.name));
      continue;
    }
    const std::vector<GraphEntry>& entries = input->second->outputs;
    if (entries.empty() || entries[0].dtype.empty()) continue;  // it does not say
    if (Normalized(entries[0].dtype) != Normalized(tensor.dtype) || entries[0].shape != tensor.shape) {
      different.push_back(StrCat(Shown(tensor.name), " is ", TypeText(tensor.dtype, tensor.shape), ", not ",
                                 TypeText(Shown(entries[0].dtype), entries[0].shape)));
    }
  }
  AddMisfit(unknown, tensors.size(), "params are no inputs of the graph", misfits);
  AddMisfit(different, tensors.size(), "params are of another type or shape than the graph's inputs", misfits);
}

// A graph as it was before it was compiled has operators, where TVM's executor takes calls alone ("Can only take tvm_op as op").
void LookForOperators(const GraphModel& graph, std::vector<std::string>& misfits) {
  std::vector<std::string> operators;
  for (const GraphNode& node : graph.nodes) {
    if (node.is_call() && node.operation != "tvm_op")
      operators.push_back(StrCat(Shown(node.name), " (", Shown(node.operation), ")"));
  }
  AddMisfit(operators, graph.nodes.size(), "nodes of the graph are not compiled", misfits);
}

void LookForFunctions(const GraphModel& graph, const LibraryFacts& library, std::vector<std::string>& misfits) {
  if (library.functions.size() >= kMostFunctions) return;  // there are more than we know
  std::set<std::string_view> exported, called;
  for (const LibraryFunction& function : library.functions) {
    if (function.is_exported) exported.insert(function.name);
  }
  for (const GraphNode& node : graph.nodes) {
    if (node.is_call() && !node.is_nop() && !node.function.empty()) called.insert(node.function);
  }
  std::vector<std::string> missing;
  for (const std::string_view name : called) {
    if (exported.count(name) == 0) missing.push_back(Shown(name));
  }
  AddMisfit(missing, called.size(), "functions that the graph calls are not exported by the library", misfits);
}

// kUnsupported and the like: it may have some.
bool HasModules(ByteView library) {
  const auto blob = FindExported(library, kBlobSymbol);
  return !blob.ok() || blob->has_value();
}

const ArtifactInput* Find(const std::vector<ArtifactInput>& inputs, std::string_view name) {
  const auto found = std::find_if(inputs.begin(), inputs.end(), [&](const ArtifactInput& input) { return input.name == name; });
  return found != inputs.end() ? &*found : nullptr;
}

}  // namespace

Result<std::vector<std::string>> FindMisfits(ByteView library, const std::vector<ArtifactInput>& inputs) {
  std::vector<std::string> misfits;
  const ArtifactInput* const graph_input = Find(inputs, kGraphArtifact);
  if (graph_input == nullptr || graph_input->file->size() > kLongestGraph) return misfits;
  std::string text(graph_input->file->size(), '\0');
  PANNIER_CHECK_OK(graph_input->file->ReadAt(0, text.data(), text.size()).WithContext(Printable(graph_input->path)));
  const Result<GraphModel> graph = ParseGraph(text);
  if (!graph.ok()) return misfits;
  LookForOperators(*graph, misfits);

  const ArtifactInput* const params = Find(inputs, kParamsArtifact);
  if (params != nullptr && params->params) {
    std::vector<Tensor> tensors;
    for (const ParamsTensor& tensor : params->params->tensors)
      tensors.push_back({tensor.name, DataTypeName(tensor.dtype), tensor.shape});
    CompareParamsWithGraph(tensors, *graph, misfits);
  }
  if (HasModules(library)) return misfits;
  const Result<LibraryFacts> facts = ReadLibraryFacts(library);
  if (facts.ok()) LookForFunctions(*graph, *facts, misfits);
  return misfits;
}

Result<std::vector<std::string>> FindMisfits(const OpenedBundle& bundle, const LibraryFacts& library) {
  std::vector<std::string> misfits;
  const BundleReader& reader = bundle.reader;
  const auto graph_index = reader.FindArtifact(kGraphArtifact);
  if (!graph_index) return misfits;
  const Result<GraphModel> graph = ReadGraph(bundle, reader.artifact(*graph_index));
  if (!graph.ok()) return misfits;
  LookForOperators(*graph, misfits);

  const auto params_index = reader.FindArtifact(kParamsArtifact);
  if (params_index && BundleReader::CheckKind(reader.artifact(*params_index)).ok() &&
      reader.artifact(*params_index).kind() == format::ArtifactKind::TvmParams) {
    PANNIER_TRY(const TensorReader params, reader.Tensors(reader.artifact(*params_index)));
    std::vector<Tensor> tensors;
    for (std::uint32_t i = 0; i < params.size(); ++i)
      tensors.push_back({std::string(ToText(params[i].name())), DataTypeName(DataTypeOf(params[i])), ShapeOf(params[i])});
    CompareParamsWithGraph(tensors, *graph, misfits);
  }
  if (!HasModules(bundle.file.bytes())) LookForFunctions(*graph, library, misfits);
  return misfits;
}

}  // namespace pannier
