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

inline constexpr int kDescriptionVersion = 1;  // of the JSON; fields are added without a new one

// `library`: the bundle's file itself. With `keys`, signatures are checked.
Result<nlohmann::json> Describe(const OpenedBundle& bundle, const std::string& path, const LibraryFacts& library,
                                const std::vector<PublicKey>& keys);

// "store", "zstd", "planes", or several of them where chunks differ.
Result<std::string> CodecText(const ChunkedContent& content);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_VIEW_DESCRIPTION_H_
