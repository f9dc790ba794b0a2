// Layout: a payload's sections, artifacts and index while it grows from the anchor on.
#ifndef PANNIER_EMBEDDER_LAYOUT_H_
#define PANNIER_EMBEDDER_LAYOUT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "embedder/content/artifact_input.h"
#include "embedder/content/encoder.h"
#include "embedder/content/index_section.h"
#include "embedder/content/manifest_builder.h"
#include "embedder/edit_plan.h"
#include "pannier/tensor.h"
#include "src/result.h"

namespace pannier {

// All tensors of one type together.
struct TypeSummary {
  DataType dtype = {};
  std::uint64_t tensors = 0;
  std::uint64_t size = 0;
  std::uint64_t stored_size = 0;    // without what is kept once for several
  std::uint64_t encoding_time = 0;  // nanoseconds of one processor; 0 for what is stored as it is
};

// Offsets count from the anchor.
struct Layout {
  std::vector<PlannedSection> sections;  // without anchor, manifest and signature room
  std::vector<ArtifactFacts> artifacts;
  std::vector<TypeSummary> types;       // of the tensors in params, the largest first
  std::vector<std::string> compressed;  // names of artifacts with compressed chunks
  std::vector<PartFacts> parts;         // of the sections' bytes, what no chunk holds
  IndexSection index;
  std::uint64_t end = 0;

  std::uint32_t AddSection(std::string name, std::uint64_t offset, std::uint64_t size, std::uint64_t align);
  void AddArtifact(const ArtifactInput& input, EncodedArtifact encoded, std::uint32_t section);
};

struct FactoryFacts;

// Streams all artifacts into the target: those with a section of their own, then those that share one.
// `factory`: what graph and params become a part of; null: they have sections of their own.
Result<Layout> EncodeArtifacts(const std::vector<ArtifactInput>& inputs, const FactoryFacts* factory, const Placement& placement,
                               const PayloadTarget& target, const EncodeOptions& options);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_LAYOUT_H_
