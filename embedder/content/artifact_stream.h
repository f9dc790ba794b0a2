// Artifacts' original bytes in order, decoded with memory that does not grow.
#ifndef PANNIER_EMBEDDER_CONTENT_ARTIFACT_STREAM_H_
#define PANNIER_EMBEDDER_CONTENT_ARTIFACT_STREAM_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "src/bundle_reader.h"
#include "src/bytes.h"
#include "src/chunked_content.h"
#include "src/effort.h"
#include "src/mapped_file.h"
#include "src/released_pages.h"
#include "src/result.h"

namespace pannier {

// One content after another: an artifact's, or single tensors. Compares no digest but those of chunks.
class ContentStream {
 public:
  ContentStream(const MappedFile& file, bool check, const Effort& effort)
      : file_(file), check_(check), effort_(effort), released_(file) {}

  // Calls `sink` as StreamArtifact does.
  Status Run(const ChunkedContent& content, const std::function<Status(ByteView)>& sink);

 private:
  const MappedFile& file_;
  bool check_;
  Effort effort_;
  std::vector<std::uint8_t> window_;
  ChunkDecoder decoder_of_small_;  // to make one takes longer than to decode a small tensor
  ReleasedPages released_;
};

// A whole artifact, compared with its digest. Calls `sink` with one piece after another; an error of its own stops the stream.
// Pages of `file` that were read are given back. Tells how far it is, not how much there is in all.
Status StreamArtifact(const MappedFile& file, const BundleReader& reader, const format::Artifact& artifact, const Effort& effort,
                      const std::function<Status(ByteView)>& sink);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_CONTENT_ARTIFACT_STREAM_H_
