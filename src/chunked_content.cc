// Chunks found, checked and decoded.
#include "src/chunked_content.h"

#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include "src/parallel.h"
#include "src/planes.h"
#include "src/text.h"

namespace pannier {

namespace {

Status CheckCodec(std::uint64_t index, Codec codec) {
  if (codec == Codec::kStore || codec == Codec::kZstd || codec == Codec::kPlanes) return {};
  return {ErrorCode::kUnsupported,
          StrCat("chunk ", index, ": codec: found ", static_cast<unsigned>(codec), ", expected 0 (store), 1 (zstd) or 2 (planes)")};
}

}  // namespace

void ChunkDecoder::Context::operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }

Status ChunkDecoder::Decode(Codec codec, ByteView stored, std::uint8_t* out, std::size_t size) {
  if (codec == Codec::kStore) {
    std::memcpy(out, stored.data(), size);
    return {};
  }
  if (context_ == nullptr) context_.reset(ZSTD_createDCtx());
  if (context_ == nullptr) return {ErrorCode::kNoMemory, "zstd: cannot allocate a context"};
  if (codec == Codec::kPlanes) {
    if (scratch_size_ < size) {
      scratch_.reset(new (std::nothrow) std::uint8_t[size]);
      scratch_size_ = scratch_ != nullptr ? size : 0;
    }
    if (scratch_size_ < size) return {ErrorCode::kNoMemory, StrCat("cannot allocate ", size, " bytes")};
    return DecodePlanes(stored, out, size, context_.get(), scratch_.get());
  }
  // One-shot decoding never writes beyond `size`, whatever the frame claims.
  const std::size_t decoded = ZSTD_decompressDCtx(context_.get(), out, size, stored.data(), stored.size());
  if (ZSTD_isError(decoded) != 0U) return Malformed(StrCat("zstd: ", ZSTD_getErrorName(decoded)));
  if (decoded != size) return Malformed(StrCat("zstd: found ", decoded, " bytes, expected ", size));
  return {};
}

Result<const std::uint8_t*> ChunkDecoder::DecodeGroup(const Group& group) {
  if (!HasGroup(group)) {
    group_size_ = 0;
    if (group_room_ < group.size) {
      group_bytes_.reset(new (std::nothrow) std::uint8_t[group.size]);
      group_room_ = group_bytes_ != nullptr ? group.size : 0;
    }
    if (group_room_ < group.size) return {ErrorCode::kNoMemory, StrCat("cannot allocate ", group.size, " bytes")};
    PANNIER_CHECK_OK(Decode(group.record.codec, ByteView(group.stored, group.record.stored_size), group_bytes_.get(), group.size));
    group_ = group;
    group_size_ = group.size;
  }
  return static_cast<const std::uint8_t*>(group_bytes_.get());
}

std::size_t ChunkedContent::DecodedSize(std::uint64_t index) const {
  return is_grouped() ? group_.size : static_cast<std::size_t>(chunk_bytes(index));
}

std::uint64_t ChunkedContent::chunk_bytes(std::uint64_t index) const {
  return std::min<std::uint64_t>(chunk_size_, size_ - index * chunk_size_);
}

Result<ChunkRecord> ChunkedContent::Record(std::uint64_t index) const {
  PANNIER_TRY(const ChunkRecord record, ParseChunkRecord(table_, index));
  if (!stored_.Contains(record.offset, record.stored_size)) {
    return Malformed(StrCat("chunk ", index, ": found ", record.stored_size, " bytes at ", Hex(record.offset),
                            ", expected a range within the artifact's ", stored_.size(), " bytes"));
  }
  if (is_opaque() || !CheckCodec(index, record.codec).ok()) return record;
  const std::size_t original = DecodedSize(index);
  const std::size_t bound = record.codec == Codec::kPlanes
                                ? PlanesBound(original)
                                : ZSTD_COMPRESSBOUND(original);  // the function would link all of the compressor
  const bool fits = record.codec == Codec::kStore ? record.stored_size == original : record.stored_size <= bound;
  if (!fits)
    return Malformed(
        StrCat("chunk ", index, ": stored size: found ", record.stored_size, ", expected what holds ", original, " bytes"));
  return record;
}

Result<ByteView> ChunkedContent::Stored(std::uint64_t index) const {
  PANNIER_TRY(const ChunkRecord record, Record(index));
  return ByteView(stored_.data() + record.offset, record.stored_size);
}

Status ChunkedContent::CheckDigest(std::uint64_t index, const ChunkRecord& record) const {
  const Sha256Digest found = Sha256Of(ByteView(stored_.data() + record.offset, record.stored_size));
  if (found == record.sha256) return {};
  return {ErrorCode::kDigestMismatch, StrCat("chunk ", index, " (stored at ", Hex(record.offset), "): sha-256: found ", found.Hex(),
                                             ", expected ", record.sha256.Hex())};
}

Status ChunkedContent::CheckDecodable() const {
  for (std::uint64_t i = 0; i < chunk_count(); ++i) {
    PANNIER_TRY(const ChunkRecord record, Record(i));
    PANNIER_CHECK_OK(CheckCodec(i, record.codec));
    if (record.codec == Codec::kPlanes) {
      PANNIER_CHECK_OK(ParsePlanes(ByteView(stored_.data() + record.offset, record.stored_size), DecodedSize(i))
                           .TakeStatus()
                           .WithContext(StrCat("chunk ", i)));
    }
    if (record.codec != Codec::kZstd) continue;
    const unsigned long long found = ZSTD_getFrameContentSize(stored_.data() + record.offset, record.stored_size);
    if (found == DecodedSize(i)) continue;
    const bool has_size = found != ZSTD_CONTENTSIZE_UNKNOWN && found != ZSTD_CONTENTSIZE_ERROR;
    return Malformed(StrCat("chunk ", i, ": zstd frame: found ", has_size ? std::to_string(found) : "no content size",
                            ", expected ", DecodedSize(i)));
  }
  return {};
}

Status ChunkedContent::DecodeChunk(std::uint64_t index, void* out, bool check, ChunkDecoder& decoder) const {
  PANNIER_TRY(const ChunkRecord record, Record(index));
  PANNIER_CHECK_OK(CheckCodec(index, record.codec));
  const std::uint8_t* const stored = stored_.data() + record.offset;
  const ChunkDecoder::Group group = {stored, record, DecodedSize(index)};
  if (is_grouped() && decoder.HasGroup(group)) check = false;  // it was
  if (check) PANNIER_CHECK_OK(CheckDigest(index, record));
  const auto decode = [&]() -> Status {
    const auto size = static_cast<std::size_t>(chunk_bytes(index));
    if (!is_grouped())
      return decoder.Decode(record.codec, ByteView(stored, record.stored_size), static_cast<std::uint8_t*>(out), size);
    PANNIER_TRY(const std::uint8_t* const bytes, decoder.DecodeGroup(group));
    std::memcpy(out, bytes + group_.offset, size);
    return {};
  };
  return decode().WithContext(StrCat("chunk ", index));
}

Result<std::optional<ByteView>> ChunkedContent::StoredWhole() const {
  if (size_ == 0) return std::optional<ByteView>(ByteView(stored_.data(), 0));
  if (is_grouped()) return std::optional<ByteView>();
  std::uint64_t begin = 0;
  std::uint64_t next = 0;
  for (std::uint64_t i = 0; i < chunk_count(); ++i) {
    PANNIER_TRY(const ChunkRecord record, Record(i));
    if (i == 0) begin = next = record.offset;
    if (record.codec != Codec::kStore || record.offset != next) return std::optional<ByteView>();
    next += record.stored_size;
  }
  return std::optional<ByteView>(ByteView(stored_.data() + begin, static_cast<std::size_t>(size_)));
}

Status ChunkedContent::Decode(void* out, unsigned threads, bool check) const {
  auto* bytes = static_cast<std::uint8_t*>(out);
  return ParallelForWith<ChunkDecoder>(chunk_count(), threads, [&](ChunkDecoder& decoder, std::uint64_t i) {
    return DecodeChunk(i, bytes + i * chunk_size_, check, decoder);
  });
}

Status ChunkedContent::CheckDigests(unsigned threads) const {
  // Several chunks at a time, since independent digests are made faster side by side.
  constexpr std::uint64_t kGroup = 8;
  return ParallelFor(ChunkCount(chunk_count(), kGroup), threads, [&](std::uint64_t group) -> Status {
    const std::uint64_t first = group * kGroup;
    const std::uint64_t count = std::min(kGroup, chunk_count() - first);
    ChunkRecord records[kGroup];
    ByteView stored[kGroup];
    Sha256Digest digests[kGroup];
    for (std::uint64_t i = 0; i < count; ++i) {
      PANNIER_TRY(records[i], Record(first + i));
      stored[i] = ByteView(stored_.data() + records[i].offset, records[i].stored_size);
    }
    Sha256Many(stored, static_cast<std::size_t>(count), digests);
    for (std::uint64_t i = 0; i < count; ++i) {
      if (digests[i] != records[i].sha256) return CheckDigest(first + i, records[i]);
    }
    return {};
  });
}

Result<std::uint64_t> ChunkedContent::StoredBytes() const {
  std::uint64_t total = 0;
  for (std::uint64_t i = 0; i < chunk_count(); ++i) {
    PANNIER_TRY(const ChunkRecord record, Record(i));
    total += record.stored_size;
  }
  if (is_grouped()) total = total * size_ / group_.size;
  return total;
}

}  // namespace pannier
