// Artifact files opened: names checked, params parsed.
#include "embedder/content/artifact_input.h"

#include <algorithm>

#include "src/format.h"
#include "src/text.h"

namespace pannier {

Result<std::vector<ArtifactInput>> OpenArtifacts(const std::vector<NamedPath>& paths) {
  if (paths.size() > kMaxArtifacts)
    return {ErrorCode::kLimit, StrCat("found ", paths.size(), " artifacts, expected at most ", kMaxArtifacts)};
  std::vector<ArtifactInput> inputs;
  for (const NamedPath& entry : paths) {
    const std::string label = StrCat("artifact \"", Printable(entry.name), "\"");
    if (!IsArtifactName(entry.name)) {
      return {ErrorCode::kInvalidArgument,
              StrCat(label, ": name: expected 1 to ", kMaxArtifactName, " bytes of UTF-8 without control characters or slash")};
    }
    if (std::any_of(inputs.begin(), inputs.end(), [&](const ArtifactInput& other) { return other.name == entry.name; })) {
      return {ErrorCode::kInvalidArgument, label + ": given twice"};
    }
    ArtifactInput input;
    input.name = entry.name;
    input.path = entry.path;
    PANNIER_TRY(FileSource file, FileSource::Open(entry.path).WithContext(Printable(entry.path)));
    input.file = std::make_shared<const FileSource>(std::move(file));
    if (entry.name == kParamsArtifact) {
      Result<ParamsFile> params = ParseParams(*input.file);
      if (params.ok()) {
        input.params = std::move(*params);
      } else if (params.status().code() == ErrorCode::kMalformed) {
        input.why_opaque = params.status().message();
      } else {
        return std::move(params.TakeStatus()).WithContext(Printable(entry.path));
      }
    }
    inputs.push_back(std::move(input));
  }
  return inputs;
}

}  // namespace pannier
