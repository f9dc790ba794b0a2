// CompareBundles: what differs between two bundles: host, graph, params, other artifacts, codecs, signatures. docs/json.md has the
// schema.
#ifndef PANNIER_EMBEDDER_VIEW_BUNDLE_DIFF_H_
#define PANNIER_EMBEDDER_VIEW_BUNDLE_DIFF_H_

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "embedder/opened_bundle.h"
#include "src/effort.h"
#include "src/result.h"

namespace pannier {

struct DiffSide {
  const OpenedBundle& bundle;
  std::string path;
};

// "differ" is false only where all that is compared is the same.
Result<nlohmann::json> CompareBundles(const DiffSide& a, const DiffSide& b, const Effort& effort);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_VIEW_BUNDLE_DIFF_H_
