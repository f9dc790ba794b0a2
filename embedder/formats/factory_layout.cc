// Graph and params stored as they are within TVM's blob; all between and around them written by us, under one digest.
#include "embedder/formats/factory_layout.h"

#include <algorithm>
#include <array>
#include <utility>

#include "src/format.h"
#include "src/text.h"
#include "src/tvm_params.h"

namespace pannier {
namespace {

const ArtifactInput* Find(const std::vector<ArtifactInput>& inputs, std::string_view name) {
  const auto found = std::find_if(inputs.begin(), inputs.end(), [&](const ArtifactInput& input) { return input.name == name; });
  return found == inputs.end() ? nullptr : &*found;
}

// What a factory has in place of a .params file's start, names and middle: the count, and the names with their count.
std::vector<std::uint8_t> EncodeNames(const ParamsFile& params) {
  std::vector<std::uint8_t> bytes;
  AppendParamsMiddle(bytes, params.tensors.size());
  AppendParamsMiddle(bytes, params.tensors.size());
  for (const ParamsTensor& tensor : params.tensors) AppendParamsName(bytes, tensor.name);
  return bytes;
}

std::uint64_t FirstHeader(const ParamsFile& params) {
  if (params.tensors.empty()) return params.file_size;
  const ParamsTensor& first = params.tensors.front();
  return first.data_offset - TensorHeaderSize(first.shape.size());
}

// The address modulo kTensorAlignment, for the first tensor's header, by which most bytes of tensors can be used where they lie.
// The stream leaves no room to align each.
std::uint64_t BestRemainder(const ParamsFile& params, std::uint64_t first_header) {
  std::array<std::uint64_t, kTensorAlignment> aligned{};
  for (const ParamsTensor& tensor : params.tensors) {
    const std::uint64_t distance = tensor.data_offset - first_header;
    aligned[static_cast<std::size_t>((kTensorAlignment - distance % kTensorAlignment) % kTensorAlignment)] += tensor.data_size;
  }
  return static_cast<std::uint64_t>(std::max_element(aligned.begin(), aligned.end()) - aligned.begin());
}

// Bytes of the blob that are in no artifact: written, and digested in their order.
class Glue {
 public:
  Glue(const PayloadTarget& target, Sha256& sha256) : target_(target), sha256_(sha256) {}

  Status Write(std::uint64_t payload_offset, const std::vector<std::uint8_t>& bytes) {
    const ByteView view(bytes.data(), bytes.size());
    sha256_.Update(view);
    if (target_.file == nullptr) return {};
    return target_.file->WriteAt(target_.anchor_offset + payload_offset, view).WithContext(Printable(target_.file->target()));
  }

  // Those in front of each tensor's data; the first one's at this offset.
  Status WriteHeaders(std::uint64_t payload_offset, const ParamsFile& params) {
    const std::uint64_t first_header = FirstHeader(params);
    std::vector<std::uint8_t> bytes;
    for (const ParamsTensor& tensor : params.tensors) {
      bytes.clear();
      AppendTensorHeader(bytes, tensor.header());
      PANNIER_CHECK_OK(Write(payload_offset + (tensor.data_offset - bytes.size() - first_header), bytes));
    }
    return {};
  }

 private:
  const PayloadTarget& target_;
  Sha256& sha256_;
};

}  // namespace

bool IsInFactory(const ArtifactInput& input) { return input.name == kGraphArtifact || input.name == kParamsArtifact; }

Status EncodeFactory(const std::vector<ArtifactInput>& inputs, const FactoryFacts& factory, const Placement& placement,
                     const PayloadTarget& target, const EncodeOptions& options, Layout& layout) {
  const ArtifactInput* const graph = Find(inputs, kGraphArtifact);
  const ArtifactInput* const params_input = Find(inputs, kParamsArtifact);
  if (graph == nullptr) return {ErrorCode::kInvalidArgument, "--as-factory: found no graph, expected --graph FILE"};
  if (params_input != nullptr && !params_input->params) {
    return {ErrorCode::kInvalidArgument, StrCat("--as-factory: found params that are not TVM's (", params_input->why_opaque,
                                                "), expected what tvm.runtime.save_param_dict gives")};
  }
  const ParamsFile params = params_input != nullptr ? *params_input->params : ParamsFile{0, {}, 0};

  // Where all of it goes.
  const std::vector<std::uint8_t> names = EncodeNames(params);
  const std::uint64_t first_header = FirstHeader(params);
  const std::uint64_t graph_size = graph->file->size();
  const std::uint64_t inner_size = graph_size + names.size() + (params.file_size - first_header);
  PANNIER_TRY(const FactoryBlob blob,
              WrapInFactory(factory.key, factory.imported ? &*factory.imported : nullptr, graph_size, inner_size));
  const std::uint64_t to_first_header = blob.before_graph.size() + graph_size + names.size();
  const bool has_fixed_start = placement.grouping != Grouping::kAll && placement.section_align > 1;
  std::uint64_t begin = AlignUp(layout.end, has_fixed_start ? placement.section_align : kTensorAlignment);
  if (!has_fixed_start) {
    const std::uint64_t remainder = (target.anchor_address + begin + to_first_header) % kTensorAlignment;
    begin += (BestRemainder(params, first_header) + kTensorAlignment - remainder) % kTensorAlignment;
  }
  const std::uint64_t graph_offset = begin + blob.before_graph.size();
  const std::uint64_t tensors_offset = begin + to_first_header;
  const std::uint64_t size = blob.before_graph.size() + inner_size + blob.behind_tensors.size();
  const std::uint32_t section =
      layout.AddSection(std::string(kFactorySection), begin, size, has_fixed_start ? kTensorAlignment : 1);

  PANNIER_TRY(EncodedArtifact stored_graph, StoreVerbatim(*graph, 0, graph_offset, target, options));
  layout.AddArtifact(*graph, std::move(stored_graph), section);
  if (params_input != nullptr) {
    PANNIER_TRY(EncodedArtifact stored_params, StoreVerbatim(*params_input, first_header, tensors_offset, target, options));
    layout.AddArtifact(*params_input, std::move(stored_params), section);
  }
  Sha256 sha256;
  Glue glue(target, sha256);
  PANNIER_CHECK_OK(glue.Write(begin, blob.before_graph));
  PANNIER_CHECK_OK(glue.Write(graph_offset + graph_size, names));
  PANNIER_CHECK_OK(glue.WriteHeaders(tensors_offset, params));
  PANNIER_CHECK_OK(glue.Write(begin + size - blob.behind_tensors.size(), blob.behind_tensors));
  layout.parts.push_back({std::string(kFactorySection), begin, size, sha256.Finish(), format::PartKind::Rest});
  return {};
}

}  // namespace pannier
