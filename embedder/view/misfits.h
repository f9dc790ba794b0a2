// Misfits: signs that a graph, params and a library are not of one model.
//
// TVM finds most of them out when the model runs, and never those params that the graph has no input for: it skips them.
#ifndef PANNIER_EMBEDDER_VIEW_MISFITS_H_
#define PANNIER_EMBEDDER_VIEW_MISFITS_H_

#include <string>
#include <vector>

#include "embedder/content/artifact_input.h"
#include "embedder/opened_bundle.h"
#include "embedder/view/library_facts.h"
#include "src/bytes.h"
#include "src/result.h"

namespace pannier {

// One text each; empty: they fit, as far as can be seen. Only what is there is compared, and a graph that is none counts as absent.
// Functions are not looked for in a library that has modules of its own (TVM's blob), from which they may come.
//
// Of what is to be embedded. Errors are those of reading.
Result<std::vector<std::string>> FindMisfits(ByteView library, const std::vector<ArtifactInput>& inputs);

// Of a bundle; `library`: what its file says.
Result<std::vector<std::string>> FindMisfits(const OpenedBundle& bundle, const LibraryFacts& library);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_VIEW_MISFITS_H_
