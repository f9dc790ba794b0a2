// Fuzz target: TVM's blob of modules, at the start of what a library exports. A factory is read as a bundle, and gives the parts
// that it is made of; anything else becomes the import of a factory.
#include <string>
#include <vector>

#include "src/bundle_reader.h"
#include "src/factory_reader.h"
#include "src/module_blob.h"
#include "src/params_walk.h"
#include "tests/fuzz/fuzz_support.h"

namespace pannier {
namespace {

std::string Decoded(const ChunkedContent& content) {
  std::string bytes(static_cast<std::size_t>(content.size()), '\0');
  Require(content.Decode(bytes.data(), 1, false), "what is stored as it is can be decoded");
  return bytes;
}

void ReadAsBundle(const ModuleBlob& blob, ByteView input) {
  const Result<Factory> factory = ReadFactory(blob);
  if (!factory.ok()) return;
  const Result<BundleReader> reader = BundleReader::Open(DescribeFactory(*factory, blob, input));
  Require(reader.status(), "what describes a factory is a sound bundle");
  Require(!reader->has_digests(), "nobody made digests of it");

  const format::Artifact& graph = reader->artifact(*reader->FindArtifact(kGraphArtifact));
  const Result<ChunkedContent> content = reader->BlobContent(graph);
  Require(content.status(), "the graph has chunks");
  Require(Decoded(*content) == factory->graph.text(), "the graph is what the blob has");

  const format::Artifact& params = reader->artifact(*reader->FindArtifact(kParamsArtifact));
  const Result<TensorReader> tensors = reader->Tensors(params);
  Require(tensors.status(), "the tensor table is sound");
  std::string file;
  const auto add = [&](ByteView bytes) {
    file += bytes.text();
    return Status();
  };
  Require(WalkParams(*tensors, add,
                     [&](std::uint32_t i, const ChunkedContent& tensor) {
                       Require(tensors->Find(ToText((*tensors)[i].name())) == i, "every tensor is found by its name");
                       file += Decoded(tensor);
                       return Status();
                     }),
          "params can be put together");
  Require(file.size() == params.size(), "params have the size that they are said to have");
  // The blob has no header before the counts, and both of them in front of the names.
  std::size_t names_end = kParamsStartSize;
  for (const ParamsTensor& tensor : factory->file.tensors) names_end += ParamsNameSize(tensor.name.size());
  const std::string in_blob =
      file.substr(names_end, kParamsMiddleSize) + file.substr(16, names_end - 16) + file.substr(names_end + kParamsMiddleSize);
  Require(in_blob == factory->params.text(), "params are what the blob has");
}

void Import(const ModuleBlob& blob) {
  constexpr std::string_view kGraph = "{}";
  const std::vector<std::uint8_t> no_params(16);
  const Result<FactoryBlob> wrapped = WrapInFactory(kFactoryKey, &blob, kGraph.size(), kGraph.size() + no_params.size());
  Require(wrapped.status(), "what is no factory can be imported by one");
  std::vector<std::uint8_t> bytes = wrapped->before_graph;
  bytes.insert(bytes.end(), kGraph.begin(), kGraph.end());
  bytes.insert(bytes.end(), no_params.begin(), no_params.end());
  bytes.insert(bytes.end(), wrapped->behind_tensors.begin(), wrapped->behind_tensors.end());
  const Result<ModuleBlob> again = ParseModuleBlob(View(bytes));
  Require(again.status(), "a factory that was made can be parsed");
  Require(again->bytes.size() == bytes.size() && again->is_factory() && again->tree.has_value(),
          "it is one, with a tree of imports");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  const Result<ModuleBlob> blob = ParseModuleBlob(input);
  if (!blob.ok()) return 0;
  if (blob->is_factory()) {
    ReadAsBundle(*blob, input);
  } else {
    Import(*blob);
  }
  return 0;
}

}  // namespace pannier
