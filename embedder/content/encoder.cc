// The input in windows: while one is encoded, the next is read and the one before is written; a thread of its own digests them all.
#include "embedder/content/encoder.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>
#include <unordered_map>
#include <utility>

#include "embedder/content/encoder_pool.h"
#include "embedder/content/planned_content.h"
#include "src/format.h"
#include "src/parallel.h"

namespace pannier {
namespace {

constexpr std::uint64_t kWindow = 3 << 20;  // of the input
constexpr std::size_t kWindows = 4;         // in memory: read, encoded, written, and one that the file's digest may lag behind
constexpr std::size_t kMaxJobs = 4096;      // of a window: chunks may be small, and each takes memory
constexpr std::size_t kGroup = 2;           // chunks that one thread encodes at a time, so that digests run side by side
constexpr std::uint64_t kWritebackStep = 8 << 20;

class Stopwatch {
 public:
  std::uint64_t Nanoseconds() const {
    return static_cast<std::uint64_t>((std::chrono::steady_clock::now() - begin_) / std::chrono::nanoseconds(1));
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// A chunk on its way through a window.
struct Job {
  std::size_t content = 0;
  std::uint64_t chunk = 0;  // in the artifact's chunk table
  bool is_first = false;    // of its content
  bool is_shared = false;   // its stored bytes are those of an earlier chunk
  ByteView original;
  std::size_t compressed_at = 0;  // where there is room for it once compressed
  ByteView stored;
  std::uint64_t payload_offset = 0;
  std::uint64_t encoding_time = 0;
  ChunkRecord record;
};

// A range of the input: whole chunks, and what lies between contents (headers of tensors).
struct Window {
  std::uint64_t begin = 0;
  std::size_t size = 0;
  std::vector<Job> jobs;
  bool has_work = false;  // for EncodeGroup
  std::size_t compressed_room = 0;
  std::uint64_t payload_end = 0;  // behind its last chunk
  std::vector<std::uint8_t> original;
};

// Encodes the contents of one input, which lie in the order of the file. To be run once.
class ContentEncoder {
 public:
  ContentEncoder(const FileSource& file, const ContentPlan& plan, const PayloadTarget& target, const EncodeOptions& options,
                 EncoderPool& encoders, EncodedArtifact& artifact)
      : file_(file),
        plan_(plan),
        contents_(plan.contents),
        target_(target),
        options_(options),
        encoders_(encoders),
        artifact_(artifact) {
    for (Window& window : windows_) window.original.resize(static_cast<std::size_t>(std::min(kWindow, file.size())));
  }

  Status Run() {
    std::uint64_t chunks = 0;
    for (const PlannedContent& content : contents_) {
      artifact_.contents.push_back({content.first_chunk, ChunkCount(content.size, kChunkSize), {}, 0, 0});
      chunks += artifact_.contents.back().chunk_count;
    }
    artifact_.chunk_table.resize(static_cast<std::size_t>(chunks * ChunkRecord::kSize));
    position_ = written_back_ = artifact_.offset;
    {
      const std::jthread digester([this](const std::stop_token& stop) { DigestWindows(stop); });
      PANNIER_CHECK_OK(EncodeWindows());
    }
    PANNIER_CHECK_OK(EncodeGroups());
    CopyEqualContents();
    artifact_.stored_size = plan_.verbatim_from ? file_.size() - *plan_.verbatim_from : position_ - artifact_.offset;
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
      for (const Job& job : next.jobs) StoreChunkRecord(artifact_.chunk_table, job.chunk, job.record);
      PlanWindow(next);
      empty = next.size == 0 ? empty + 1 : 0;
      std::vector<std::uint8_t>& compressed = compressed_[step % compressed_.size()];
      if (compressed.size() < current.compressed_room) compressed.resize(current.compressed_room);
      PANNIER_CHECK_OK(RunTasks(next, current, compressed.data(), previous));
      HandToDigester(step + 1);
      for (Job& job : current.jobs) Place(job);
      current.payload_end = position_;
      if (options_.progress != nullptr && target_.file != nullptr) options_.progress->Advance(previous.size);
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
    while (content_ < contents_.size()) {
      const PlannedContent& content = contents_[content_];
      if (content.equal_to || content.group || done_ == content.size) {
        ++content_;
        done_ = 0;
        continue;
      }
      const std::uint64_t begin = content.source_offset + done_;
      const std::uint64_t size = std::min<std::uint64_t>(kChunkSize, content.size - done_);
      if (begin + size > limit || window.jobs.size() == kMaxJobs) {
        end = std::min(begin, limit);
        break;
      }
      Job job;
      job.content = content_;
      job.chunk = content.first_chunk + done_ / kChunkSize;
      job.is_first = done_ == 0;
      job.original = ByteView(window.original.data() + (begin - window.begin), static_cast<std::size_t>(size));
      job.compressed_at = window.compressed_room;
      job.stored = job.original;
      if (content.compress()) window.compressed_room += EncodedBound(job.original.size());
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
      PANNIER_CHECK_OK(file_.ReadAt(next.begin, next.original.data(), next.size).WithContext(Printable(file_.path())));
      return Write(previous);
    });
  }

  // The second lane of a CPU that has two is free while the file is digested: it takes the chunks that are stored as they are.
  bool IsDigestedWithFile(const Job& job) const { return has_two_lanes_ && !contents_[job.content].compress(); }

  Status EncodeGroup(Window& window, std::size_t first, std::uint8_t* compressed) const {
    const std::size_t last = std::min(first + kGroup, window.jobs.size());
    const EncoderPool::Lease encoder = encoders_.Take();
    std::array<ByteView, kGroup> stored;
    std::array<Job*, kGroup> digested;
    std::size_t count = 0;
    for (std::size_t i = first; i < last; ++i) {
      Job& job = window.jobs[i];
      const PlannedContent& content = contents_[job.content];
      if (content.compress()) {
        std::uint8_t* const out = compressed + job.compressed_at;
        const Stopwatch stopwatch;
        PANNIER_TRY(const ChunkEncoder::Stored encoded, encoder->Encode(content.plan, job.original, out));
        job.encoding_time = stopwatch.Nanoseconds();
        if (content.keep_frames || encoded.size < job.original.size()) {
          job.stored = ByteView(out, encoded.size);
          job.record.codec = encoded.codec;
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
    const PlannedContent& content = contents_[job.content];
    EncodedContent& encoded = artifact_.contents[job.content];
    encoded.encoding_time += job.encoding_time;
    job.record.stored_size = static_cast<std::uint32_t>(job.stored.size());
    artifact_.has_frames = artifact_.has_frames || job.record.codec != Codec::kStore;
    const bool may_share = content.compress() && !content.keep_frames;
    if (may_share && ShareKnown(job)) return;
    if (job.is_first) {
      position_ = plan_.verbatim_from ? artifact_.offset + (content.source_offset - *plan_.verbatim_from)
                                      : AlignUp(target_.anchor_address + position_, content.align) - target_.anchor_address;
    }
    job.payload_offset = position_;
    job.record.offset = position_ - artifact_.offset;
    position_ += job.stored.size();
    encoded.stored_size += job.stored.size();
    if (may_share) StoreChunkRecord(artifact_.chunk_table, job.chunk, job.record);
  }

  // Stored bytes that are there already are not kept twice; but a tensor that is stored as it is stays in one piece.
  bool ShareKnown(Job& job) {
    const auto key = LoadInteger<std::uint64_t>(job.record.sha256.bytes.data(), ByteOrder::kLittle);
    const auto [entry, is_new] = known_chunks_.emplace(key, job.chunk);
    if (is_new) return false;
    const ChunkRecord known = *ParseChunkRecord(View(artifact_.chunk_table), entry->second);
    job.is_shared =
        known.sha256 == job.record.sha256 && known.stored_size == job.record.stored_size && known.codec == job.record.codec;
    if (job.is_shared) job.record.offset = known.offset;
    return job.is_shared;
  }

  // Their bytes are read again, now that the file's digest is made: they may lie anywhere in it.
  struct EncodedGroup {
    std::vector<std::uint8_t> stored;
    ChunkRecord record;
    std::uint64_t encoding_time = 0;
  };

  Result<EncodedGroup> EncodeGroup(const ContentGroup& group) {
    EncodedGroup encoded;
    PANNIER_TRY(std::vector<std::uint8_t> bytes, ReadGroup(file_, plan_, group));
    encoded.stored.resize(EncodedBound(bytes.size()));
    const EncoderPool::Lease encoder = encoders_.Take();
    const Stopwatch stopwatch;
    PANNIER_TRY(const ChunkEncoder::Stored stored, encoder->Encode(group.plan, View(bytes), encoded.stored.data()));
    encoded.encoding_time = stopwatch.Nanoseconds();
    encoded.record.codec = stored.codec;
    encoded.stored.resize(stored.size);
    if (stored.size >= bytes.size()) {
      encoded.record.codec = Codec::kStore;
      encoded.stored = std::move(bytes);
    }
    encoded.record.stored_size = static_cast<std::uint32_t>(encoded.stored.size());
    encoded.record.sha256 = Sha256Of(View(encoded.stored));
    return encoded;
  }

  Status EncodeGroups() {
    constexpr std::size_t kAtATime = 32;
    for (std::size_t first = 0; first < plan_.groups.size(); first += kAtATime) {
      std::vector<EncodedGroup> batch(std::min(kAtATime, plan_.groups.size() - first));
      PANNIER_CHECK_OK(ParallelFor(batch.size(), options_.threads, [&](std::uint64_t i) -> Status {
        PANNIER_TRY(batch[i], EncodeGroup(plan_.groups[first + i]));
        return {};
      }));
      for (std::size_t i = 0; i < batch.size(); ++i) {
        const ContentGroup& group = plan_.groups[first + i];
        batch[i].record.offset = position_ - artifact_.offset;
        artifact_.has_frames = artifact_.has_frames || batch[i].record.codec != Codec::kStore;
        if (target_.file != nullptr) {
          PANNIER_CHECK_OK(WriteAt(position_, View(batch[i].stored)));
        }
        position_ += batch[i].stored.size();
        for (const std::size_t member : group.members) {
          artifact_.contents[member].group = {contents_[member].group_offset, group.size};
          StoreChunkRecord(artifact_.chunk_table, contents_[member].first_chunk, batch[i].record);
        }
        artifact_.contents[group.members.front()].stored_size = batch[i].stored.size();
        artifact_.contents[group.members.front()].encoding_time = batch[i].encoding_time;
      }
    }
    if (!plan_.groups.empty()) StartWriteback(position_);
    return {};
  }

  void CopyEqualContents() {
    for (const PlannedContent& content : contents_) {
      if (!content.equal_to) continue;
      const auto at = [&](const PlannedContent& other) {
        return artifact_.chunk_table.begin() + static_cast<std::ptrdiff_t>(other.first_chunk * ChunkRecord::kSize);
      };
      artifact_.contents[static_cast<std::size_t>(&content - contents_.data())].group = artifact_.contents[*content.equal_to].group;
      std::copy_n(at(contents_[*content.equal_to]), ChunkCount(content.size, kChunkSize) * ChunkRecord::kSize, at(content));
    }
  }

  Status Write(const Window& window) {
    if (target_.file == nullptr || window.jobs.empty()) return {};
    for (const Job& job : window.jobs) {
      if (!job.is_shared) PANNIER_CHECK_OK(WriteAt(job.payload_offset, job.stored));
    }
    if (window.payload_end - written_back_ >= kWritebackStep) StartWriteback(window.payload_end);
    return {};
  }

  Status WriteAt(std::uint64_t payload_offset, ByteView bytes) {
    return target_.file->WriteAt(target_.anchor_offset + payload_offset, bytes).WithContext(Printable(target_.file->target()));
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
  const ContentPlan& plan_;
  const std::vector<PlannedContent>& contents_;
  const PayloadTarget& target_;
  const EncodeOptions& options_;
  EncoderPool& encoders_;
  EncodedArtifact& artifact_;
  const bool has_two_lanes_ = Sha256HasTwoLanes();
  std::array<Window, kWindows> windows_;
  std::array<std::vector<std::uint8_t>, 2> compressed_;  // of the window that is being encoded, and of the one that is written

  // Where PlanWindow goes on.
  std::uint64_t planned_ = 0;  // in the file
  std::size_t content_ = 0;
  std::uint64_t done_ = 0;  // of the content

  std::unordered_map<std::uint64_t, std::uint64_t> known_chunks_;  // compressed ones by the start of their digest: their numbers

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
  PANNIER_TRY(const ContentPlan plan, PlanContents(input, options, encoders));
  EncodedArtifact artifact;
  artifact.align = plan.contents.empty() ? kTensorAlignment : plan.contents.front().align;
  artifact.offset = AlignUp(target.anchor_address + payload_offset, artifact.align) - target.anchor_address;

  PANNIER_CHECK_OK(ContentEncoder(file, plan, target, options, encoders, artifact).Run());
  PANNIER_CHECK_OK(file.CheckUnchanged().WithContext(Printable(file.path())));
  return artifact;
}

Result<EncodedArtifact> StoreVerbatim(const ArtifactInput& input, std::uint64_t from, std::uint64_t payload_offset,
                                      const PayloadTarget& target, const EncodeOptions& options) {
  const FileSource& file = *input.file;
  EncoderPool encoders(options.level);
  const ContentPlan plan = PlanVerbatim(input, from);
  EncodedArtifact artifact;
  artifact.offset = payload_offset;
  PANNIER_CHECK_OK(ContentEncoder(file, plan, target, options, encoders, artifact).Run());
  PANNIER_CHECK_OK(file.CheckUnchanged().WithContext(Printable(file.path())));
  return artifact;
}

}  // namespace pannier
