// The section that TVM takes for its own export: a blob of modules whose first is a graph executor's factory, with graph and params
// in it.
#ifndef PANNIER_EMBEDDER_FORMATS_FACTORY_LAYOUT_H_
#define PANNIER_EMBEDDER_FORMATS_FACTORY_LAYOUT_H_

#include <optional>
#include <string_view>
#include <vector>

#include "embedder/content/artifact_input.h"
#include "embedder/content/encoder.h"
#include "embedder/layout.h"
#include "src/module_blob.h"
#include "src/result.h"

namespace pannier {

struct FactoryFacts {
  std::string_view key;                // kFactoryKey or kFactoryKey07
  std::optional<ModuleBlob> imported;  // the host's own
};

bool IsInFactory(const ArtifactInput& input);

// Streams graph and params into the target, as they are, and what TVM wants around them. They become artifacts within one section.
// kInvalidArgument: there is no graph, or params are not TVM's.
Status EncodeFactory(const std::vector<ArtifactInput>& inputs, const FactoryFacts& factory, const Placement& placement,
                     const PayloadTarget& target, const EncodeOptions& options, Layout& layout);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_FORMATS_FACTORY_LAYOUT_H_
