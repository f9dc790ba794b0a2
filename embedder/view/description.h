// Describe: all that a bundle is, as one JSON object. What `pannier inspect` prints, and what report and diff are made of.
// docs/json.md has the schema.
#ifndef PANNIER_EMBEDDER_VIEW_DESCRIPTION_H_
#define PANNIER_EMBEDDER_VIEW_DESCRIPTION_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "embedder/opened_bundle.h"
#include "embedder/view/library_facts.h"
#include "src/public_key.h"
#include "src/result.h"

namespace pannier {

// `library`: the bundle's file itself. With `keys`, signatures are checked.
Result<nlohmann::json> Describe(const OpenedBundle& bundle, const std::string& path, const LibraryFacts& library,
                                const std::vector<PublicKey>& keys);

// Of what Describe says of changes: "12 bytes of the host: 8 in .dynamic, 4 in headers and tables".
std::string ChangesText(const nlohmann::json& changes);

// "store", "zstd", "planes", or several of them where chunks differ.
Result<std::string> CodecText(const ChunkedContent& content);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_VIEW_DESCRIPTION_H_
