// Artifacts laid out one after another, each in its section, with tables about them in the index.
#include "embedder/layout.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>
#include <utility>

#include "embedder/formats/factory_layout.h"
#include "src/format.h"
#include "src/tensor_table.h"
#include "src/text.h"

namespace pannier {
namespace {

// May an artifact have a section named after it?
bool IsSectionName(std::string_view name, const Placement& placement) {
  if (name == kGraphArtifact || name == kParamsArtifact) return true;
  if (name.size() > placement.longest_name) return false;
  for (const char c : name) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
    if (!plain) return false;
  }
  for (const std::string_view taken : {"anchor", "extra", "index", "undo", "manifest", "sig", "meta", "phdrs", "factory"}) {
    if (name == taken) return false;
  }
  return true;
}

std::vector<TypeSummary> SummarizeTypes(const ParamsFile& params, const std::vector<EncodedContent>& contents) {
  std::map<std::tuple<unsigned, unsigned, unsigned>, TypeSummary> by_type;
  for (std::size_t i = 0; i < contents.size(); ++i) {
    const DataType dtype = params.tensors[i].dtype;
    TypeSummary& type = by_type[{dtype.code, dtype.bits, dtype.lanes}];
    type.dtype = dtype;
    ++type.tensors;
    type.size += params.tensors[i].data_size;
    type.stored_size += contents[i].stored_size;
    type.encoding_time += contents[i].encoding_time;
  }
  std::vector<TypeSummary> types;
  for (const auto& [key, type] : by_type) types.push_back(type);
  std::stable_sort(types.begin(), types.end(), [](const TypeSummary& a, const TypeSummary& b) { return a.size > b.size; });
  return types;
}

// The section that holds what was encoded; answers with its number.
std::uint32_t PlaceInSection(const ArtifactInput& input, const EncodedArtifact& encoded, bool in_extra, Layout& layout) {
  if (in_extra && !layout.sections.empty() && layout.sections.back().name == kExtraSection) {
    // Its alignment stays that of its start, the first artifact's.
    PlannedSection& extra = layout.sections.back();
    extra.size = encoded.offset - extra.offset + encoded.stored_size;
    layout.end = extra.offset + extra.size;
    return static_cast<std::uint32_t>(layout.sections.size() - 1);
  }
  const std::string name = in_extra ? std::string(kExtraSection) : ".tvm." + input.name;
  return layout.AddSection(name, encoded.offset, encoded.stored_size, encoded.align);
}

Status TooLarge(std::uint64_t size, const Placement& placement) {
  return {ErrorCode::kLimit, StrCat("found ", size, " bytes to embed, expected at most ", placement.largest_payload,
                                    " (the library's format holds no more); embed less, or compress it with --codec zstd")};
}

}  // namespace

std::uint32_t Layout::AddSection(std::string name, std::uint64_t offset, std::uint64_t size, std::uint64_t align) {
  sections.push_back({std::move(name), offset, size, align});
  end = offset + size;
  return static_cast<std::uint32_t>(sections.size() - 1);
}

void Layout::AddArtifact(const ArtifactInput& input, EncodedArtifact encoded, std::uint32_t section) {
  ArtifactFacts facts;
  facts.name = input.name;
  facts.is_params = input.params.has_value();
  facts.section = section;
  facts.offset = encoded.offset - sections[section].offset;
  facts.stored_size = encoded.stored_size;
  facts.size = input.file->size();
  facts.sha256 = encoded.sha256;
  facts.chunks = index.Add(std::move(encoded.chunk_table));
  const ByteView chunk_table = index.tables().back().bytes;
  if (input.params) {
    std::vector<TensorFacts> tensors;
    for (const EncodedContent& content : encoded.contents) {
      const ByteView records(chunk_table.data() + content.first_chunk * ChunkRecord::kSize,
                             static_cast<std::size_t>(content.chunk_count * ChunkRecord::kSize));
      tensors.push_back({content.first_chunk, content.group, Sha256Of(records)});
    }
    facts.tensors = index.Add(BuildTensorTable(*input.params, tensors));
    types = SummarizeTypes(*input.params, encoded.contents);
  }
  if (encoded.has_frames) compressed.push_back(input.name);
  artifacts.push_back(std::move(facts));
}

Result<Layout> EncodeArtifacts(const std::vector<ArtifactInput>& inputs, const FactoryFacts* factory, const Placement& placement,
                               const PayloadTarget& target, const EncodeOptions& options) {
  if (options.codec == CodecChoice::kStore) {
    std::uint64_t size = 0;
    for (const ArtifactInput& input : inputs) size += input.file->size();
    if (size > placement.largest_payload) return TooLarge(size, placement);
  }
  Layout layout;
  layout.end = placement.content_offset;
  if (factory != nullptr) PANNIER_CHECK_OK(EncodeFactory(inputs, *factory, placement, target, options, layout));
  std::vector<const ArtifactInput*> own;
  std::vector<const ArtifactInput*> shared;
  for (const ArtifactInput& input : inputs) {
    if (factory != nullptr && IsInFactory(input)) continue;
    (IsSectionName(input.name, placement) && own.size() < placement.own_sections ? own : shared).push_back(&input);
  }
  const std::uint64_t align = placement.grouping == Grouping::kAll ? 1 : placement.section_align;
  for (const auto* group : {&own, &shared}) {
    for (const ArtifactInput* input : *group) {
      const bool begins_section = group == &own || input == shared.front();
      const std::uint64_t from = begins_section ? AlignUp(layout.end, align) : layout.end;
      PANNIER_TRY(EncodedArtifact encoded, EncodeArtifact(*input, from, target, options));
      const std::uint32_t section = PlaceInSection(*input, encoded, group == &shared, layout);
      layout.AddArtifact(*input, std::move(encoded), section);
      if (layout.end > placement.largest_payload) return TooLarge(layout.end, placement);
    }
  }
  return layout;
}

}  // namespace pannier
