// Embed: from a host and artifact files to a bundle, checked before it takes the target's place.
#ifndef PANNIER_EMBEDDER_EMBED_H_
#define PANNIER_EMBEDDER_EMBED_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "embedder/content/artifact_input.h"
#include "embedder/content/encoder.h"
#include "embedder/edit_plan.h"
#include "embedder/layout.h"
#include "src/bytes.h"
#include "src/result.h"

namespace pannier {

// Asked for each library (of a fat host: each slice) before anything is written; its error is Embed's.
using EmbedCheck = std::function<Status(ByteView library, const std::vector<ArtifactInput>& inputs)>;

struct EmbedOptions {
  EncodeOptions encode;
  bool force = false;           // the host may be a bundle: it is restored first
  bool dry_run = false;         // plan and encode, write nothing
  bool drop_signature = false;  // the host's signature, which any change voids, may be left out
  bool sectionless = false;     // Mach-O: where there is no room, a segment without section headers will do
  std::string arch;             // fat Mach-O: this slice alone; empty: all
  std::string sign_key;         // a file with a private key that signs; empty: nobody does
  // TVM's own loader takes the bundle for an export of its own. Empty, or what it calls a graph executor's factory: kFactoryKey and
  // so on (src/module_blob.h). Only with CodecChoice::kStore.
  std::string factory_key;
  EmbedCheck check;  // empty: nobody is asked
};

struct ArtifactSummary {
  std::string name;
  std::uint64_t size = 0;
  std::uint64_t stored_size = 0;
  std::uint64_t tensors = 0;  // 0 for a blob
  std::vector<TypeSummary> types;
  std::string note;  // e.g. why params are kept as one blob
};

// Of a fat file: sizes of the whole, all else of the first slice; `slices` has one for each that became a bundle.
struct EmbedSummary {
  std::string arch;  // of a slice
  std::uint64_t host_size = 0;
  std::uint64_t bundle_size = 0;
  std::uint64_t host_bytes_changed = 0;
  bool is_mapped = true;
  std::string why_not_mapped;
  std::vector<std::string> notes;  // what was given up for the room
  std::vector<ArtifactSummary> artifacts;
  std::vector<MovedSection> moved;
  std::vector<PlannedSection> sections;
  EditPlan plan;
  std::vector<EmbedSummary> slices;
};

// Replaces `target` (or makes it) in one step. On any error nothing has changed.
Result<EmbedSummary> Embed(const std::string& host_path, const std::vector<NamedPath>& artifacts, const std::string& target,
                           const EmbedOptions& options);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_EMBED_H_
