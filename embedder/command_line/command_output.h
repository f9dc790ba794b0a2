// What commands answer with: JSON on stdout, its values in words for people, and files that are replaced in one step.
#ifndef PANNIER_EMBEDDER_COMMAND_LINE_COMMAND_OUTPUT_H_
#define PANNIER_EMBEDDER_COMMAND_LINE_COMMAND_OUTPUT_H_

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "src/bytes.h"
#include "src/result.h"

namespace pannier {

// What is not UTF-8 is replaced.
void PrintJson(const nlohmann::json& json);

// Printable; of a list all its values. "none" for null and for an empty list.
std::string ShownText(const nlohmann::json& value);

// "428 KiB"; "none" for null.
std::string ShownSize(const nlohmann::json& bytes);

// "(3, 224, 224)"; "()" of a scalar.
std::string ShownShape(const nlohmann::json& dimensions);

// "-" is stdout.
Status WriteOutput(ByteView bytes, const std::string& path);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_COMMAND_LINE_COMMAND_OUTPUT_H_
