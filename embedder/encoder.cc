// The input in windows: while one is encoded, the next is read and the one before is written; a thread of its own digests them all.
#include "embedder/encoder.h"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

#include "src/parallel.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::uint64_t kWindow = 3 << 20;  // of the input
constexpr std::size_t kWindows = 4;         // in memory: read, encoded, written, and one that the file's digest may lag behind
constexpr std::size_t kMaxJobs = 4096;      // of a window: chunks may be small, and each takes memory
constexpr std::size_t kGroup = 2;           // chunks that one thread encodes at a time, so that digests run side by side
constexpr std::uint64_t kPageAlignedFrom = 256 << 10;
constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kSampleSize = 64 << 10;
constexpr std::uint64_t kFewestSamples = 4;
constexpr std::uint64_t kMostSamples = 32;
constexpr std::uint64_t kWritebackStep = 8 << 20;

// A part of the input that is encoded as a row of chunks of its own.
struct Piece {
  std::uint64_t source_offset = 0;
  std::uint64_t size = 0;
  ChunkPlan plan;
  bool keep_frames = false;  // every chunk a zstd frame, gain or not, so that the whole is a zstd stream
  std::uint64_t align = 1;

  bool compress() const { return plan.codec != Codec::kStore; }
};

// Encoders that are not at work, for whichever thread needs one: to make one costs as much as a chunk.
class EncoderPool {
 public:
  explicit EncoderPool(int level) : level_(level) {}

  struct GiveBack {
    EncoderPool* pool;
    void operator()(ChunkEncoder* encoder) const {
      const std::lock_guard<std::mutex> lock(pool->mutex_);
      pool->idle_.emplace_back(encoder);
    }
  };
  using Lease = std::unique_ptr<ChunkEncoder, GiveBack>;

  Lease Take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (idle_.empty()) idle_.push_back(std::make_unique<ChunkEncoder>(level_));
    Lease lease(idle_.back().release(), GiveBack{this});
    idle_.pop_back();
    return lease;
  }

 private:
  int level_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<ChunkEncoder>> idle_;
};

// A chunk on its way through a window.
struct Job {
  std::size_t piece = 0;
  bool is_first = false;  // of its piece
  ByteView original;
  std::size_t compressed_at = 0;  // where there is room for it once compressed
  ByteView stored;
  std::uint64_t payload_offset = 0;
  ChunkRecord record;
};

// A range of the input: whole chunks, and what lies between pieces (headers of tensors).
struct Window {
  std::uint64_t begin = 0;
  std::size_t size = 0;
  std::vector<Job> jobs;
  bool has_work = false;  // for EncodeGroup
  std::size_t compressed_room = 0;
  std::vector<std::uint8_t> original;
};

// Evenly spread parts of a piece: all of a small one, a sixteenth of a large one.
Result<std::vector<std::vector<std::uint8_t>>> ReadSamples(const FileSource& file, const Piece& piece) {
  const std::uint64_t parts = ChunkCount(piece.size, kSampleSize);
  const std::uint64_t count = std::min(parts, std::clamp(parts / 16, kFewestSamples, kMostSamples));
  std::vector<std::vector<std::uint8_t>> samples(static_cast<std::size_t>(count));
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t at = i * parts / count * kSampleSize;
    samples[i].resize(static_cast<std::size_t>(std::min(kSampleSize, piece.size - at)));
    PANNIER_CHECK_OK(file.ReadAt(piece.source_offset + at, samples[i].data(), samples[i].size()).WithContext(file.path()));
  }
  return samples;
}

// How a piece is best stored, as far as samples tell. A blob is stored whole or as a zstd stream.
Result<ChunkPlan> PlanPiece(const FileSource& file, const Piece& piece, const ParamsTensor* tensor, const EncodeOptions& options,
                            ChunkEncoder& encoder) {
  const bool is_blob = tensor == nullptr;
  const CodecChoice choice = is_blob && options.codec == CodecChoice::kPlanes ? CodecChoice::kStore : options.codec;
  ChunkPlan plan;
  if (choice == CodecChoice::kZstd) plan.codec = Codec::kZstd;
  if (choice == CodecChoice::kStore || choice == CodecChoice::kZstd || piece.size == 0) return plan;
  PANNIER_TRY(const auto samples, ReadSamples(file, piece));
  std::vector<ByteView> views;
  for (const std::vector<std::uint8_t>& sample : samples) views.emplace_back(sample.data(), sample.size());
  if (!is_blob) return encoder.Choose(choice, tensor->dtype, views);
  PANNIER_TRY(const bool gains, encoder.GainsByZstd(views));
  if (gains) plan.codec = Codec::kZstd;
  return plan;
}

Result<std::vector<Piece>> MakePieces(const ArtifactInput& input, const EncodeOptions& options, EncoderPool& encoders) {
  std::vector<Piece> pieces;
  if (input.params) {
    for (const ParamsTensor& tensor : input.params->tensors)
      pieces.push_back({tensor.data_offset, tensor.data_size, {}, false, kTensorAlignment});
  } else {
    pieces.push_back({0, input.file->size(), {}, true, kTensorAlignment});
  }
  PANNIER_CHECK_OK(ParallelFor(pieces.size(), options.threads, [&](std::uint64_t i) -> Status {
    Piece& piece = pieces[i];
    const ParamsTensor* const tensor = input.params ? &input.params->tensors[i] : nullptr;
    const EncoderPool::Lease encoder = encoders.Take();
    PANNIER_TRY(piece.plan, PlanPiece(*input.file, piece, tensor, options, *encoder));
    if (!piece.compress() && piece.size >= kPageAlignedFrom) piece.align = kPage;
    return {};
  }));
  return pieces;
}

// Encodes the pieces of one input, which lie in the order of the file. To be run once.
class PieceEncoder {
 public:
  PieceEncoder(const FileSource& file, const std::vector<Piece>& pieces, const PayloadTarget& target, const EncodeOptions& options,
               EncoderPool& encoders, EncodedArtifact& artifact)
      : file_(file), pieces_(pieces), target_(target), options_(options), encoders_(encoders), artifact_(artifact) {
    for (Window& window : windows_) window.original.resize(static_cast<std::size_t>(std::min(kWindow, file.size())));
  }

  Status Run() {
    std::uint64_t chunks = 0;
    for (const Piece& piece : pieces_) {
      artifact_.contents.push_back({chunks, ChunkCount(piece.size, kChunkSize)});
      chunks += artifact_.contents.back().chunk_count;
    }
    position_ = written_back_ = artifact_.offset;
    {
      const std::jthread digester([this](const std::stop_token& stop) { DigestWindows(stop); });
      PANNIER_CHECK_OK(EncodeWindows());
    }
    artifact_.stored_size = position_ - artifact_.offset;
    artifact_.sha256 = sha256_.Finish();
    return {};
  }

 private:
  Status EncodeWindows() {
    std::size_t empty = 0;
    for (std::uint64_t step = 0; empty < kWindows; ++step) {
      Window& next = windows_[step % kWindows];
      Window& current = windows_[(step + kWindows - 1) % kWindows];
      Window& previous = windows_[(step + kWindows - 2) % kWindows];
      if (step >= kWindows) AwaitDigested(step - kWindows + 1);
      for (const Job& job : next.jobs) AppendChunkRecord(artifact_.chunk_table, job.record);
      PlanWindow(next);
      empty = next.size == 0 ? empty + 1 : 0;
      std::vector<std::uint8_t>& compressed = compressed_[step % compressed_.size()];
      if (compressed.size() < current.compressed_room) compressed.resize(current.compressed_room);
      PANNIER_CHECK_OK(RunTasks(next, current, compressed.data(), previous));
      HandToDigester(step + 1);
      for (Job& job : current.jobs) Place(job);
      if (options_.progress && target_.file != nullptr) options_.progress(previous.size);
    }
    StartWriteback(position_);
    return {};
  }

  // The chunks that fit, and what lies before and between them; behind the last one, what is left of the file. Of size 0 at the
  // end.
  void PlanWindow(Window& window) {
    window.begin = planned_;
    window.jobs.clear();
    window.has_work = false;
    const std::uint64_t limit = std::min(window.begin + kWindow, file_.size());
    std::uint64_t end = limit;
    window.compressed_room = 0;
    while (piece_ < pieces_.size()) {
      const Piece& piece = pieces_[piece_];
      if (done_ == piece.size) {
        ++piece_;
        done_ = 0;
        continue;
      }
      const std::uint64_t begin = piece.source_offset + done_;
      const std::uint64_t size = std::min<std::uint64_t>(kChunkSize, piece.size - done_);
      if (begin + size > limit || window.jobs.size() == kMaxJobs) {
        end = std::min(begin, limit);
        break;
      }
      Job job;
      job.piece = piece_;
      job.is_first = done_ == 0;
      job.original = ByteView(window.original.data() + (begin - window.begin), static_cast<std::size_t>(size));
      job.compressed_at = window.compressed_room;
      job.stored = job.original;
      if (piece.compress()) window.compressed_room += EncodedBound(job.original.size());
      window.has_work = window.has_work || !IsDigestedWithFile(job);
      window.jobs.push_back(job);
      done_ += size;
    }
    window.size = static_cast<std::size_t>(end - window.begin);
    planned_ = end;
  }

  // Reading and writing is one thread's work: file systems let one write to a file at a time, and the input's next pages are read
  // ahead.
  Status RunTasks(Window& next, Window& current, std::uint8_t* compressed, const Window& previous) {
    const std::uint64_t groups = current.has_work ? ChunkCount(current.jobs.size(), kGroup) : 0;
    return ParallelFor(1 + groups, options_.threads, [&](std::uint64_t task) -> Status {
      if (task != 0) return EncodeGroup(current, static_cast<std::size_t>(task - 1) * kGroup, compressed);
      PANNIER_CHECK_OK(file_.ReadAt(next.begin, next.original.data(), next.size).WithContext(file_.path()));
      return Write(previous);
    });
  }

  // The second lane of a CPU that has two is free while the file is digested: it takes the chunks that are stored as they are.
  bool IsDigestedWithFile(const Job& job) const { return has_two_lanes_ && !pieces_[job.piece].compress(); }

  Status EncodeGroup(Window& window, std::size_t first, std::uint8_t* compressed) const {
    const std::size_t last = std::min(first + kGroup, window.jobs.size());
    const EncoderPool::Lease encoder = encoders_.Take();
    std::array<ByteView, kGroup> stored;
    std::array<Job*, kGroup> digested;
    std::size_t count = 0;
    for (std::size_t i = first; i < last; ++i) {
      Job& job = window.jobs[i];
      const Piece& piece = pieces_[job.piece];
      if (piece.compress()) {
        std::uint8_t* const out = compressed + job.compressed_at;
        PANNIER_TRY(const std::size_t size, encoder->Encode(piece.plan, job.original, out));
        if (piece.keep_frames || size < job.original.size()) {
          job.stored = ByteView(out, size);
          job.record.codec = piece.plan.codec;
        }
      }
      if (IsDigestedWithFile(job)) continue;
      stored[count] = job.stored;
      digested[count++] = &job;
    }
    std::array<Sha256Digest, kGroup> digests;
    Sha256Many(stored.data(), count, digests.data());
    for (std::size_t i = 0; i < count; ++i) digested[i]->record.sha256 = digests[i];
    return {};
  }

  void Place(Job& job) {
    if (job.is_first) {
      const std::uint64_t align = pieces_[job.piece].align;
      position_ = AlignUp(target_.anchor_address + position_, align) - target_.anchor_address;
    }
    job.payload_offset = position_;
    job.record.offset = position_ - artifact_.offset;
    job.record.stored_size = static_cast<std::uint32_t>(job.stored.size());
    artifact_.has_frames = artifact_.has_frames || job.record.codec != Codec::kStore;
    position_ += job.stored.size();
  }

  Status Write(const Window& window) {
    if (target_.file == nullptr || window.jobs.empty()) return {};
    for (const Job& job : window.jobs)
      PANNIER_CHECK_OK(target_.file->WriteAt(target_.anchor_offset + job.payload_offset, job.stored));
    const std::uint64_t end = window.jobs.back().payload_offset + window.jobs.back().stored.size();
    if (end - written_back_ >= kWritebackStep) StartWriteback(end);
    return {};
  }

  void StartWriteback(std::uint64_t end) {
    if (target_.file != nullptr) target_.file->StartWriteback(target_.anchor_offset + written_back_, end - written_back_);
    written_back_ = end;
  }

  // The digester's thread: the input's own digest, as `sha256sum` would print it. That is one long chain, and so what all else has
  // to keep up with.
  void DigestWindows(const std::stop_token& stop) {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;; ++digested_, changed_.notify_all()) {
      if (!changed_.wait(lock, stop, [this] { return read_ > digested_; })) return;
      Window& window = windows_[digested_ % kWindows];
      lock.unlock();
      DigestWindow(window);
      lock.lock();
    }
  }

  void DigestWindow(Window& window) {
    const std::uint8_t* at = window.original.data();
    const auto update_to = [&](const std::uint8_t* end) { sha256_.Update(ByteView(at, static_cast<std::size_t>(end - at))); };
    for (Job& job : window.jobs) {
      update_to(job.original.begin());
      if (IsDigestedWithFile(job)) {
        job.record.sha256 = sha256_.UpdateAndDigest(job.original);
      } else {
        sha256_.Update(job.original);
      }
      at = job.original.end();
    }
    update_to(window.original.data() + window.size);
  }

  void HandToDigester(std::uint64_t windows) {
    const std::lock_guard<std::mutex> lock(mutex_);
    read_ = windows;
    changed_.notify_all();
  }

  void AwaitDigested(std::uint64_t windows) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return digested_ >= windows; });
  }

  const FileSource& file_;
  const std::vector<Piece>& pieces_;
  const PayloadTarget& target_;
  const EncodeOptions& options_;
  EncoderPool& encoders_;
  EncodedArtifact& artifact_;
  const bool has_two_lanes_ = Sha256HasTwoLanes();
  std::array<Window, kWindows> windows_;
  std::array<std::vector<std::uint8_t>, 2> compressed_;  // of the window that is being encoded, and of the one that is written

  // Where PlanWindow goes on.
  std::uint64_t planned_ = 0;  // in the file
  std::size_t piece_ = 0;
  std::uint64_t done_ = 0;  // of the piece

  std::uint64_t position_ = 0;      // from the anchor: behind the last chunk placed
  std::uint64_t written_back_ = 0;  // from the anchor

  Sha256 sha256_;  // of the file
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::uint64_t read_ = 0;      // windows that the digester may touch, and
  std::uint64_t digested_ = 0;  // those that it is done with; both under mutex_
};

}  // namespace

Result<EncodedArtifact> EncodeArtifact(const ArtifactInput& input, std::uint64_t payload_offset, const PayloadTarget& target,
                                       const EncodeOptions& options) {
  const FileSource& file = *input.file;
  EncoderPool encoders(options.level);
  PANNIER_TRY(const std::vector<Piece> pieces, MakePieces(input, options, encoders));
  EncodedArtifact artifact;
  artifact.align = pieces.empty() ? kTensorAlignment : pieces.front().align;
  artifact.offset = AlignUp(target.anchor_address + payload_offset, artifact.align) - target.anchor_address;

  PANNIER_CHECK_OK(PieceEncoder(file, pieces, target, options, encoders, artifact).Run());
  PANNIER_CHECK_OK(file.CheckUnchanged().WithContext(file.path()));
  return artifact;
}

}  // namespace pannier
