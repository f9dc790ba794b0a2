// Chunks read, encoded and digested in parallel, placed in order, written in parallel: batch after batch.
#include "embedder/encoder.h"

#include <zstd.h>

#include <algorithm>
#include <array>
#include <future>
#include <memory>
#include <optional>
#include <utility>

#include "src/parallel.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::uint64_t kGroup = 4;        // chunks that one thread takes at a time, so that digests run side by side
constexpr std::uint64_t kBatchGroups = 8;  // 8 MiB of original bytes
constexpr std::uint64_t kPageAlignedFrom = 256 << 10;
constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kSampledChunks = 8;
constexpr std::uint64_t kWritebackStep = 32 << 20;

// A part of the input that is encoded as a row of chunks of its own.
struct Piece {
  std::uint64_t source_offset = 0;
  std::uint64_t size = 0;
  bool compress = false;
  bool keep_frames = false;  // every chunk a zstd frame, gain or not, so that the whole is a zstd stream
  std::uint64_t align = 1;
};

struct Compressor {
  std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context{ZSTD_createCCtx(), &ZSTD_freeCCtx};

  Result<std::size_t> Run(ByteView input, std::vector<std::uint8_t>& out, int level) {
    if (context == nullptr) return {ErrorCode::kNoMemory, "zstd: cannot allocate a context"};
    out.resize(ZSTD_compressBound(input.size()));
    const std::size_t size = ZSTD_compressCCtx(context.get(), out.data(), out.size(), input.data(), input.size(), level);
    if (ZSTD_isError(size) != 0U) return {ErrorCode::kInvalidArgument, StrCat("zstd: ", ZSTD_getErrorName(size))};
    return size;
  }
};

// A chunk on its way through a batch.
struct Job {
  std::size_t piece = 0;
  std::uint64_t chunk = 0;  // within the piece
  std::uint64_t source_offset = 0;
  std::size_t size = 0;
  std::vector<std::uint8_t> original;
  std::vector<std::uint8_t> compressed;
  ByteView stored;
  std::uint64_t payload_offset = 0;
  ChunkRecord record;
};

// Encoding gains when it saves at least this share: less is not worth losing the view straight into the file.
bool Gains(std::uint64_t compressed, std::uint64_t original) { return compressed + original / 64 < original; }

// Would zstd gain on this piece? Tried on all of a small piece, on evenly spread chunks of a large one.
Result<bool> WouldGain(const FileSource& file, std::uint64_t offset, std::uint64_t size, int level) {
  const std::uint64_t chunks = ChunkCount(size, kChunkSize);
  const std::uint64_t samples = std::min(chunks, kSampledChunks);
  Compressor compressor;
  std::vector<std::uint8_t> original;
  std::vector<std::uint8_t> compressed;
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  for (std::uint64_t i = 0; i < samples; ++i) {
    const std::uint64_t chunk = i * chunks / samples;
    original.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kChunkSize, size - chunk * kChunkSize)));
    PANNIER_CHECK_OK(file.ReadAt(offset + chunk * kChunkSize, original.data(), original.size()));
    PANNIER_TRY(const std::size_t encoded, compressor.Run(ByteView(original.data(), original.size()), compressed, level));
    before += original.size();
    after += encoded;
  }
  return Gains(after, before);
}

Result<std::vector<Piece>> MakePieces(const ArtifactInput& input, const EncodeOptions& options) {
  std::vector<Piece> pieces;
  if (input.params) {
    for (const ParamsTensor& tensor : input.params->tensors)
      pieces.push_back({tensor.data_offset, tensor.data_size, false, false, kTensorAlignment});
  } else {
    pieces.push_back({0, input.file->size(), false, true, kTensorAlignment});
  }
  PANNIER_CHECK_OK(ParallelFor(pieces.size(), options.threads, [&](std::uint64_t i) -> Status {
    Piece& piece = pieces[i];
    if (options.codec == CodecChoice::kZstd) piece.compress = true;
    if (options.codec == CodecChoice::kAuto && piece.size != 0) {
      PANNIER_TRY(piece.compress, WouldGain(*input.file, piece.source_offset, piece.size, options.level));
    }
    if (!piece.compress && piece.size >= kPageAlignedFrom) piece.align = kPage;
    return {};
  }));
  return pieces;
}

// The input's own digest, as `sha256sum` would print it; made beside the encoding.
Result<Sha256Digest> DigestOf(const FileSource& file) {
  Sha256 sha256;
  std::vector<std::uint8_t> window(1 << 20);
  for (std::uint64_t at = 0; at < file.size();) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(window.size(), file.size() - at));
    PANNIER_CHECK_OK(file.ReadAt(at, window.data(), size));
    sha256.Update(ByteView(window.data(), size));
    at += size;
  }
  return sha256.Finish();
}

// Encodes the pieces of one input, one batch after the other.
class PieceEncoder {
 public:
  PieceEncoder(const FileSource& file, const std::vector<Piece>& pieces, const PayloadTarget& target, const EncodeOptions& options,
               EncodedArtifact& artifact)
      : file_(file), pieces_(pieces), target_(target), options_(options), artifact_(artifact), jobs_(kGroup * kBatchGroups) {}

  Status Run() {
    position_ = artifact_.offset;
    while (const std::size_t count = FillBatch()) {
      PANNIER_CHECK_OK(ParallelFor(ChunkCount(count, kGroup), options_.threads,
                                   [&](std::uint64_t group) { return EncodeGroup(group * kGroup, count); }));
      for (std::size_t i = 0; i < count; ++i) Place(jobs_[i]);
      if (target_.file != nullptr) PANNIER_CHECK_OK(WriteBatch(count));
    }
    artifact_.stored_size = position_ - artifact_.offset;
    return {};
  }

 private:
  // The next chunks, across pieces; 0 at the end.
  std::size_t FillBatch() {
    std::size_t count = 0;
    while (count < jobs_.size() && piece_ < pieces_.size()) {
      const Piece& piece = pieces_[piece_];
      const std::uint64_t begin = chunk_ * kChunkSize;
      if (chunk_ == 0) artifact_.contents.push_back({chunk_total_, ChunkCount(piece.size, kChunkSize)});
      if (begin >= piece.size) {
        ++piece_;
        chunk_ = 0;
        continue;
      }
      Job& job = jobs_[count++];
      job.piece = piece_;
      job.chunk = chunk_++;
      job.source_offset = piece.source_offset + begin;
      job.size = static_cast<std::size_t>(std::min<std::uint64_t>(kChunkSize, piece.size - begin));
      ++chunk_total_;
    }
    return count;
  }

  Status EncodeGroup(std::size_t first, std::size_t count) {
    const std::size_t last = std::min<std::size_t>(first + kGroup, count);
    Compressor compressor{{nullptr, &ZSTD_freeCCtx}};
    std::array<ByteView, kGroup> stored;
    std::array<Sha256Digest, kGroup> digests;
    for (std::size_t i = first; i < last; ++i) {
      Job& job = jobs_[i];
      job.original.resize(job.size);
      PANNIER_CHECK_OK(file_.ReadAt(job.source_offset, job.original.data(), job.size).WithContext(file_.path()));
      job.stored = ByteView(job.original.data(), job.size);
      job.record.codec = Codec::kStore;
      const Piece& piece = pieces_[job.piece];
      if (piece.compress) {
        if (compressor.context == nullptr) compressor = Compressor();
        PANNIER_TRY(const std::size_t size, compressor.Run(job.stored, job.compressed, options_.level));
        if (piece.keep_frames || size < job.size) {
          job.stored = ByteView(job.compressed.data(), size);
          job.record.codec = Codec::kZstd;
        }
      }
      stored[i - first] = job.stored;
    }
    Sha256Many(stored.data(), last - first, digests.data());
    for (std::size_t i = first; i < last; ++i) jobs_[i].record.sha256 = digests[i - first];
    return {};
  }

  void Place(Job& job) {
    if (job.chunk == 0) {
      const std::uint64_t align = pieces_[job.piece].align;
      position_ = AlignUp(target_.anchor_address + position_, align) - target_.anchor_address;
    }
    job.payload_offset = position_;
    job.record.offset = position_ - artifact_.offset;
    job.record.stored_size = static_cast<std::uint32_t>(job.stored.size());
    AppendChunkRecord(artifact_.chunk_table, job.record);
    artifact_.has_frames = artifact_.has_frames || job.record.codec != Codec::kStore;
    position_ += job.stored.size();
  }

  Status WriteBatch(std::size_t count) {
    PANNIER_CHECK_OK(ParallelFor(count, options_.threads, [&](std::uint64_t i) {
      const Job& job = jobs_[i];
      return target_.file->WriteAt(target_.anchor_offset + job.payload_offset, job.stored);
    }));
    if (position_ - written_back_ >= kWritebackStep) {
      target_.file->StartWriteback(target_.anchor_offset + written_back_, position_ - written_back_);
      written_back_ = position_;
    }
    if (options_.progress) {
      std::uint64_t bytes = 0;
      for (std::size_t i = 0; i < count; ++i) bytes += jobs_[i].size;
      options_.progress(bytes);
    }
    return {};
  }

  const FileSource& file_;
  const std::vector<Piece>& pieces_;
  const PayloadTarget& target_;
  const EncodeOptions& options_;
  EncodedArtifact& artifact_;
  std::vector<Job> jobs_;

  // Where FillBatch goes on.
  std::size_t piece_ = 0;
  std::uint64_t chunk_ = 0;
  std::uint64_t chunk_total_ = 0;

  std::uint64_t position_ = 0;  // from the anchor
  std::uint64_t written_back_ = 0;
};

}  // namespace

Result<EncodedArtifact> EncodeArtifact(const ArtifactInput& input, std::uint64_t payload_offset, const PayloadTarget& target,
                                       const EncodeOptions& options) {
  const FileSource& file = *input.file;
  PANNIER_TRY(const std::vector<Piece> pieces, MakePieces(input, options));
  EncodedArtifact artifact;
  artifact.align = pieces.empty() ? kTensorAlignment : pieces.front().align;
  artifact.offset = AlignUp(target.anchor_address + payload_offset, artifact.align) - target.anchor_address;

  std::future<Result<Sha256Digest>> digest = std::async(std::launch::async, [&file] { return DigestOf(file); });
  Status encoded = PieceEncoder(file, pieces, target, options, artifact).Run();
  Result<Sha256Digest> sha256 = digest.get();
  PANNIER_CHECK_OK(std::move(encoded));
  PANNIER_TRY(artifact.sha256, std::move(sha256).WithContext(file.path()));
  PANNIER_CHECK_OK(file.CheckUnchanged().WithContext(file.path()));
  return artifact;
}

}  // namespace pannier
