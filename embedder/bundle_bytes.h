// BundleBytes: a host's bytes as they stand in the bundle, before it is written, and their digests.
#ifndef PANNIER_EMBEDDER_BUNDLE_BYTES_H_
#define PANNIER_EMBEDDER_BUNDLE_BYTES_H_

#include <cstdint>
#include <vector>

#include "embedder/edit_plan.h"
#include "src/byte_source.h"
#include "src/bytes.h"
#include "src/result.h"

namespace pannier {

// The bundle that a plan describes, but for the payload's own sections: those, padding and derived bytes read as zero.
// Borrows both.
class BundleBytes : public ByteSource {
 public:
  BundleBytes(ByteView host, const EditPlan& plan) : host_(host), plan_(plan) {}
  std::uint64_t size() const override { return plan_.file_size; }
  Status ReadAt(std::uint64_t offset, void* out, std::size_t size) const override;

 private:
  ByteView host_;
  const EditPlan& plan_;
};

// SHA-256 of each chunk of each piece, one after another.
Result<std::vector<std::uint8_t>> HostChunkDigests(const ByteSource& bundle, const std::vector<Piece>& pieces,
                                                   std::uint32_t chunk_size, unsigned threads);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_BUNDLE_BYTES_H_
