// CompareGraphs: which nodes of two graphs were added, removed, renamed, rewired or otherwise changed.
#ifndef PANNIER_EMBEDDER_VIEW_GRAPH_DIFF_H_
#define PANNIER_EMBEDDER_VIEW_GRAPH_DIFF_H_

#include <nlohmann/json_fwd.hpp>

#include "embedder/view/graph_model.h"

namespace pannier {

// {"added": [{"name", "operator"}], "removed", "changed": [{"name", "operator", "changes": [{"what", "a", "b"}]}], "equal",
// "storage_changed", "heads_changed"}. "what" is "name", "inputs", "outputs", "function" or "attribute NAME". Nodes belong together
// by name; else, in order, those that call the same code (attribute "hash") or have the same operator and outputs.
// "storage_changed" counts nodes whose outputs are in other storages: that follows from changes elsewhere, and is none of its own.
nlohmann::json CompareGraphs(const GraphModel& a, const GraphModel& b);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_VIEW_GRAPH_DIFF_H_
