// ArtifactInput: a file that becomes an artifact, and what is known of its content.
#ifndef PANNIER_EMBEDDER_CONTENT_ARTIFACT_INPUT_H_
#define PANNIER_EMBEDDER_CONTENT_ARTIFACT_INPUT_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "embedder/file_source.h"
#include "src/result.h"
#include "src/tvm_params.h"

namespace pannier {

struct ArtifactInput {
  std::string name;
  std::string path;
  std::shared_ptr<const FileSource> file;
  std::optional<ParamsFile> params;  // for the artifact `params`, when it is TVM's .params
  std::string why_opaque;            // why a params file is kept as one blob; empty otherwise
};

struct NamedPath {
  std::string name;
  std::string path;
};

// Opens the files and parses params. Names are checked, and that none comes twice.
Result<std::vector<ArtifactInput>> OpenArtifacts(const std::vector<NamedPath>& paths);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_CONTENT_ARTIFACT_INPUT_H_
