// EditedHost: a host's bytes as they stand in the bundle, and their digests.
#ifndef PANNIER_EMBEDDER_EDITED_HOST_H_
#define PANNIER_EMBEDDER_EDITED_HOST_H_

#include <cstdint>
#include <vector>

#include "embedder/edit_plan.h"
#include "src/byte_source.h"
#include "src/bytes.h"
#include "src/elf_file.h"
#include "src/result.h"

namespace pannier {

// Borrows both. The edits lie within the host.
class EditedHost : public ByteSource {
 public:
  EditedHost(ByteView host, const std::vector<Edit>& edits) : host_(host), edits_(edits) {}
  std::uint64_t size() const override { return host_.size(); }
  Status ReadAt(std::uint64_t offset, void* out, std::size_t size) const override;

 private:
  ByteView host_;
  const std::vector<Edit>& edits_;
};

// SHA-256 of each chunk, one after another.
Result<std::vector<std::uint8_t>> HostChunkDigests(const ByteSource& host, std::uint32_t chunk_size, unsigned threads);

// SpanRecords for all file bytes that the host's PT_LOADs map, but for ELF header and program headers (whose meaning the manifest
// keeps). `file` is the edited host with its sections where they are now; `ours` is the entry of the payload's segment, left out.
Result<std::vector<std::uint8_t>> ElfImageSpans(const ByteSource& file, const elf::Header& header,
                                                const std::vector<elf::Segment>& segments,
                                                const std::vector<elf::Section>& sections, std::uint64_t anchor_address,
                                                unsigned threads);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_EDITED_HOST_H_
