// BundleReader: a payload's manifest, checked, and everything it leads to.
#ifndef PANNIER_SRC_BUNDLE_READER_H_
#define PANNIER_SRC_BUNDLE_READER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "manifest_generated.h"
#include "src/bytes.h"
#include "src/chunked_content.h"
#include "src/format.h"
#include "src/payload.h"
#include "src/result.h"
#include "src/sha256.h"

namespace pannier {

Sha256Digest ToDigest(const format::Sha256& stored);
format::Sha256 ToStored(const Sha256Digest& digest);
std::string_view ToText(const flatbuffers::String* string);
// For messages: artifact "NAME", tensor "NAME".
std::string Named(const format::Artifact& artifact);
std::string Named(const format::Tensor& tensor);

// Of the manifest and of tables; those of chunks are checked by whoever decodes them.
enum class Digests : std::uint8_t { kChecked, kIgnored };

// The tensors of a params artifact. Borrows the manifest's and the table's bytes.
class TensorReader {
 public:
  // Checks the table's digest and structure, and all sizes and ranges in it: linear in the number of tensors.
  static Result<TensorReader> Open(const format::Artifact& artifact, ByteView section, ByteView index, Digests digests);

  std::uint32_t size() const { return table_->tensors()->size(); }
  const format::Tensor& operator[](std::uint32_t i) const { return *table_->tensors()->Get(i); }
  std::uint64_t params_reserved() const { return table_->reserved(); }
  std::uint32_t chunk_size() const { return table_->chunk_size(); }
  std::optional<std::uint32_t> Find(std::string_view name) const;

  // A tensor's chunks; checks the digest of their table.
  Result<ChunkedContent> Content(std::uint32_t i) const;

 private:
  TensorReader(const format::TensorTable* table, ByteView section, ByteView chunk_table, Digests digests)
      : table_(table), section_(section), chunk_table_(chunk_table), digests_(digests) {}
  Status CheckTensors(const format::Artifact& artifact) const;
  Status CheckNameOrder() const;

  const format::TensorTable* table_;
  ByteView section_;
  ByteView chunk_table_;
  Digests digests_;
};

// A run of the host's bytes: where they were in the host and where they stand in the bundle.
struct HostRun {
  std::uint64_t host_offset = 0;
  std::uint64_t size = 0;
  std::uint64_t bundle_offset = 0;
};

// Borrows the payload's bytes.
class BundleReader {
 public:
  // Checks sizes, bounds and the manifest's digest; looks at no artifact.
  static Result<BundleReader> Open(const Payload& payload, Digests digests = Digests::kChecked);

  const Anchor& anchor() const { return anchor_; }
  const Payload& payload() const { return payload_; }
  const format::Manifest& manifest() const { return *manifest_; }

  std::uint32_t artifact_count() const { return manifest_->artifacts()->size(); }
  const format::Artifact& artifact(std::uint32_t i) const { return *manifest_->artifacts()->Get(i); }
  std::optional<std::uint32_t> FindArtifact(std::string_view name) const;

  ByteView section(std::uint32_t i) const { return sections_[i]; }
  ByteView index() const { return sections_[manifest_->index_section()]; }
  ByteView undo() const { return sections_[manifest_->undo_section()]; }
  ByteView manifest_bytes() const { return manifest_bytes_; }
  ByteView signature_room() const { return signature_room_; }
  // Ascending in host and bundle alike; within the host's size and the file's size as written.
  const std::vector<HostRun>& host_runs() const { return host_runs_; }

  bool has_digests() const { return payload_.has_digests(); }

  // A range of the index section whose digest is right.
  Result<ByteView> IndexBytes(const format::IndexRange& range, std::string_view what) const;

  // kUnsupported for an artifact of a kind that only a later version knows. It may be listed, and its stored bytes checked.
  static Status CheckKind(const format::Artifact& artifact);
  // The chunks of such an artifact; checks the digest of their table.
  Result<ChunkedContent> OpaqueContent(const format::Artifact& artifact) const;

  // A blob's chunks; checks the digest of their table.
  Result<ChunkedContent> BlobContent(const format::Artifact& artifact) const;
  Result<TensorReader> Tensors(const format::Artifact& artifact) const;

  // All of an artifact as it is stored.
  ByteView StoredBytes(const format::Artifact& artifact) const {
    return *sections_[artifact.section()].Slice(artifact.offset(), artifact.stored_size());
  }

 private:
  BundleReader(const Payload& payload, const Anchor& anchor, Digests digests)
      : payload_(payload), anchor_(anchor), digests_(payload.has_digests() ? digests : Digests::kIgnored) {}
  Status ReadManifest();
  Status ResolveSections();
  Status CheckArtifacts() const;
  Status ReadHostRuns();
  Status CheckIndexRanges() const;

  Payload payload_;
  Anchor anchor_;
  Digests digests_;
  const format::Manifest* manifest_ = nullptr;
  ByteView manifest_bytes_;
  ByteView signature_room_;
  std::vector<HostRun> host_runs_;
  std::vector<ByteView> sections_;  // one for each of manifest().sections()
};

}  // namespace pannier

#endif  // PANNIER_SRC_BUNDLE_READER_H_
