// ChunkedContent: a blob or a tensor as a row of chunks that decode one by one.
#ifndef PANNIER_SRC_CHUNKED_CONTENT_H_
#define PANNIER_SRC_CHUNKED_CONTENT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "src/bytes.h"
#include "src/format.h"
#include "src/result.h"

struct ZSTD_DCtx_s;
using ZSTD_DCtx = ZSTD_DCtx_s;  // NOLINT(readability-identifier-naming): as in zstd.h

namespace pannier {

// What a thread that decodes chunks reuses from one to the next.
class ChunkDecoder {
 public:
  Status Decode(Codec codec, ByteView stored, std::uint8_t* out, std::size_t size);

  // What a chunk of a group decodes to, kept until the next one: its tensors are mostly asked for one after another. The stored
  // bytes stay where they are as long as the decoder lives.
  struct Group {
    const std::uint8_t* stored = nullptr;
    ChunkRecord record;
    std::size_t size = 0;  // decoded

    friend bool operator==(const Group& a, const Group& b) {
      return a.stored == b.stored && a.size == b.size && a.record.stored_size == b.record.stored_size &&
             a.record.codec == b.record.codec && a.record.sha256 == b.record.sha256;
    }
  };
  bool HasGroup(const Group& group) const { return group_size_ != 0 && group_ == group; }
  Result<const std::uint8_t*> DecodeGroup(const Group& group);

 private:
  struct Context {
    void operator()(ZSTD_DCtx* context) const;
  };

  std::unique_ptr<ZSTD_DCtx, Context> context_;  // made when first used
  std::unique_ptr<std::uint8_t[]> scratch_;
  std::size_t scratch_size_ = 0;
  Group group_;
  std::unique_ptr<std::uint8_t[]> group_bytes_;
  std::size_t group_room_ = 0;
  std::size_t group_size_ = 0;  // 0: there is none
};

// Of a small tensor that shares its one chunk with others: where it is in what that decodes to. A size of 0: it shares none.
struct GroupPlace {
  std::uint32_t offset = 0;
  std::uint32_t size = 0;  // of the group
};

// Borrows the artifact's stored bytes and the table's. `table` holds exactly the records of this content; its digest has been
// checked. A chunk whose codec is unknown has a digest like all others, and is an error only when it is decoded.
class ChunkedContent {
 public:
  ChunkedContent(ByteView stored, ByteView table, std::uint64_t size, std::uint32_t chunk_size, GroupPlace group = {})
      : stored_(stored), table_(table), size_(size), chunk_size_(chunk_size), group_(group) {}

  // Chunks of an artifact whose kind is unknown: nothing is known of what they decode to, and none may be decoded.
  static ChunkedContent Opaque(ByteView stored, ByteView table) { return {stored, table, 0, 0}; }

  std::uint64_t size() const { return size_; }
  std::uint64_t chunk_count() const { return table_.size() / ChunkRecord::kSize; }
  std::uint64_t chunk_bytes(std::uint64_t index) const;  // of the original, not as stored
  bool is_grouped() const { return group_.size != 0; }

  // The record, its range checked against the stored bytes and its sizes against the codec.
  Result<ChunkRecord> Record(std::uint64_t index) const;

  // A chunk as it is stored.
  Result<ByteView> Stored(std::uint64_t index) const;

  // What can be known of all chunks before memory is made for size() bytes: records, codecs, and the sizes that frames claim.
  Status CheckDecodable() const;

  // Decodes a chunk into chunk_bytes(index) bytes; with `check`, its digest is compared first.
  Status DecodeChunk(std::uint64_t index, void* out, bool check, ChunkDecoder& decoder) const;

  // The whole content where it lies, when every chunk is stored as it is and follows the one before.
  Result<std::optional<ByteView>> StoredWhole() const;

  // Decodes all into size() bytes.
  Status Decode(void* out, unsigned threads, bool check) const;

  // Compares every stored chunk with its digest. Calls are independent of decoding.
  Status CheckDigests(unsigned threads) const;

  // Of a tensor in a group: its share.
  Result<std::uint64_t> StoredBytes() const;

 private:
  Status CheckDigest(std::uint64_t index, const ChunkRecord& record) const;
  bool is_opaque() const { return chunk_size_ == 0; }
  std::size_t DecodedSize(std::uint64_t index) const;  // of the whole chunk

  ByteView stored_;
  ByteView table_;
  std::uint64_t size_;
  std::uint32_t chunk_size_;
  GroupPlace group_;
};

}  // namespace pannier

#endif  // PANNIER_SRC_CHUNKED_CONTENT_H_
