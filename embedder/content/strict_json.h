// JSON that others wrote, read where it means the same to every reader.
#ifndef PANNIER_EMBEDDER_CONTENT_STRICT_JSON_H_
#define PANNIER_EMBEDDER_CONTENT_STRICT_JSON_H_

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "src/result.h"

namespace pannier {

// kMalformed where it is not JSON, is nested deeper than 32, or where an object names a member twice: readers differ in which one
// they take. Memory stays at some 40 times the text.
Result<nlohmann::json> ParseStrictJson(std::string_view text);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_CONTENT_STRICT_JSON_H_
