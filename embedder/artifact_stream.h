// StreamArtifact: an artifact's original bytes in order, decoded with memory that does not grow, and compared with their digest.
#ifndef PANNIER_EMBEDDER_ARTIFACT_STREAM_H_
#define PANNIER_EMBEDDER_ARTIFACT_STREAM_H_

#include <functional>

#include "src/bundle_reader.h"
#include "src/bytes.h"
#include "src/effort.h"
#include "src/mapped_file.h"
#include "src/result.h"

namespace pannier {

// Calls `sink` with one piece after another; an error of its own stops the stream. Pages of `file` that were read are given back.
// Tells how far it is, not how much there is in all.
Status StreamArtifact(const MappedFile& file, const BundleReader& reader, const format::Artifact& artifact, const Effort& effort,
                      const std::function<Status(ByteView)>& sink);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_ARTIFACT_STREAM_H_
