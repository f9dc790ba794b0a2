// Tensors' values found, decoded, cached, copied to be written to, and given back.
#include "loader/tensor_memory.h"

#include <cstring>
#include <utility>

#include "loader/byte_swap.h"
#include "src/pages.h"
#include "src/parallel.h"
#include "src/params_walk.h"

namespace pannier {
namespace {

// What an empty tensor's data points to: not null, aligned.
alignas(kDataAlignment) constexpr std::uint8_t kNoBytes[kDataAlignment] = {};

// Below, a copy costs no more than a mapping, of which a process may have some 65,000.
constexpr std::uint64_t kLeastMappedCopy = 64 << 10;

constexpr std::uint64_t kMostBytesInBlock = 64 << 20;

// A tensor that is one of many is worth threads of its own from here on.
constexpr std::uint64_t kLeastChunksForThreads = 64;

bool IsAligned(ByteView bytes) { return reinterpret_cast<std::uintptr_t>(bytes.data()) % kDataAlignment == 0; }

DecodedCache::Digests DigestsFor(Check check) {
  if (check == Check::kStructure) return DecodedCache::Digests::kNever;
  return check == Check::kLazy ? DecodedCache::Digests::kOnFirstUse : DecodedCache::Digests::kAllAtOnce;
}

}  // namespace

TensorMemory::TensorMemory(const BundleReader& reader, const format::Artifact& params, TensorReader tensors,
                           const BundleOrigin& origin, const LoadOptions& options)
    : reader_(reader), params_(params), tensors_(tensors), origin_(origin), options_(options), slots_(tensors.size()) {}

Status TensorMemory::Labelled(Status status, std::uint32_t index) const {
  if (status.ok()) return status;
  return std::move(status).WithContext(Named(tensors_[index]));
}

// Wherever the bundle's bytes are in memory.
bool TensorMemory::IsStoredAsUsed(std::uint32_t index, const std::optional<ByteView>& whole) const {
  return whole.has_value() && SwapUnit(DataTypeOf(tensors_[index])) == 1;
}

Result<TensorMemory::Source> TensorMemory::SourceOf(std::uint32_t index) const {
  PANNIER_TRY(const ChunkedContent content, tensors_.Content(index));
  PANNIER_TRY(std::optional<ByteView> whole, content.StoredWhole());
  if (!IsStoredAsUsed(index, whole) || !IsAligned(*whole)) whole.reset();
  return Source{content, whole};
}

Result<std::optional<ByteView>> TensorMemory::InPlace(std::uint32_t index) const {
  PANNIER_TRY(const Source source, SourceOf(index));
  return source.in_place;
}

Result<const void*> TensorMemory::Data(std::uint32_t index) {
  PANNIER_TRY(const std::uint8_t* data, Get(index, options_.threads));
  return static_cast<const void*>(data);
}

Result<const std::uint8_t*> TensorMemory::Get(std::uint32_t index, unsigned threads) {
  Slot& slot = slots_[index];
  const std::uint8_t* data = slot.ready.load(std::memory_order_acquire);
  if (data == nullptr) {
    const std::lock_guard<std::mutex> lock(MutexOf(index));
    data = slot.ready.load(std::memory_order_relaxed);
    if (data == nullptr) {
      PANNIER_TRY(data, MakeData(index, threads, slot.owned));
      slot.ready.store(data, std::memory_order_release);
    }
  }
  return data;
}

Result<const std::uint8_t*> TensorMemory::MakeData(std::uint32_t index, unsigned threads, std::shared_ptr<DecodedBytes>& owned) {
  if (tensors_[index].size() == 0) return +kNoBytes;
  PANNIER_TRY(const Source source, SourceOf(index));
  if (source.in_place) {
    if (checks_chunks()) PANNIER_CHECK_OK(Labelled(source.content.CheckDigests(threads), index));
    return source.in_place->data();
  }
  if (const auto cached = FromCache(index, CacheUse::kReadOrWrite, threads)) return cached->data();
  PANNIER_CHECK_OK(Labelled(source.content.CheckDecodable(), index));
  PANNIER_TRY(DecodedBytes bytes, DecodedBytes::Allocate(source.content.size()));
  PANNIER_CHECK_OK(Decode(source, index, threads, bytes.data()));
  owned = std::make_shared<DecodedBytes>(std::move(bytes));
  return static_cast<const std::uint8_t*>(owned->data());
}

Status TensorMemory::Decode(const Source& source, std::uint32_t index, unsigned threads, std::uint8_t* out) {
  const ChunkedContent& content = source.content;
  const unsigned useful = ThreadCount(threads, content.size() / kLeastBytesPerThread);
  Status status = useful > 1 ? content.Decode(out, useful, checks_chunks()) : DecodeHere(content, out);
  if (!status.ok()) return Labelled(std::move(status), index);
  SwapBytes(out, content.size(), SwapUnit(DataTypeOf(tensors_[index])));
  return status;
}

Status TensorMemory::DecodeHere(const ChunkedContent& content, std::uint8_t* out) {
  std::unique_ptr<ChunkDecoder> decoder;
  {
    const std::lock_guard<std::mutex> lock(decoder_mutex_);
    decoder = std::move(spare_decoder_);
  }
  if (decoder == nullptr) decoder = std::make_unique<ChunkDecoder>();
  for (std::uint64_t i = 0; i < content.chunk_count(); ++i) {
    PANNIER_CHECK_OK(content.DecodeChunk(i, out, checks_chunks(), *decoder));
    out += content.chunk_bytes(i);
  }
  const std::lock_guard<std::mutex> lock(decoder_mutex_);
  spare_decoder_ = std::move(decoder);
  return {};
}

Status TensorMemory::CopyTo(std::uint32_t index, void* out) {
  if (tensors_[index].size() == 0) return {};
  PANNIER_TRY(const Source source, SourceOf(index));
  if (!source.in_place) {
    if (const auto cached = FromCache(index, CacheUse::kRead, options_.threads)) {
      std::memcpy(out, cached->data(), cached->size());
      return {};
    }
  }
  return Decode(source, index, options_.threads, static_cast<std::uint8_t*>(out));
}

Status TensorMemory::DecodeAll() {
  // Whoever comes second has nothing left to do.
  const std::lock_guard<std::mutex> lock(decode_all_mutex_);
  std::vector<std::optional<ChunkedContent>> contents(tensors_.size());
  PANNIER_CHECK_OK(ParallelFor(tensors_.size(), options_.threads, [&](std::uint64_t i) -> Status {
    const auto index = static_cast<std::uint32_t>(i);
    if (slots_[index].ready.load(std::memory_order_acquire) != nullptr) return {};
    PANNIER_TRY(const Source source, SourceOf(index));
    const unsigned threads = source.content.chunk_count() >= kLeastChunksForThreads ? options_.threads : 1;
    if (source.in_place || source.content.size() == 0 || FromCache(index, CacheUse::kReadOrWrite, threads))
      return Get(index, threads).TakeStatus();
    contents[index] = source.content;
    return Labelled(source.content.CheckDecodable(), index);
  }));
  std::vector<ChunkJob> jobs;
  for (std::uint32_t i = 0; i < tensors_.size(); ++i) {
    if (contents[i]) jobs.push_back({*contents[i], i, nullptr});
  }
  PANNIER_TRY(const std::vector<Placement> places, Place(jobs));
  for (std::size_t i = 0; i < jobs.size(); ++i) jobs[i].out = places[i].block->data() + places[i].offset;
  PANNIER_CHECK_OK(DecodeChunks(jobs, tensors_, options_.threads, checks_chunks()));
  if (kNativeOrder == ByteOrder::kBig) {
    PANNIER_CHECK_OK(ParallelFor(jobs.size(), options_.threads, [&](std::uint64_t i) -> Status {
      const ChunkJob& job = jobs[static_cast<std::size_t>(i)];
      SwapBytes(job.out, job.content.size(), SwapUnit(DataTypeOf(tensors_[job.tensor])));
      return {};
    }));
  }
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const std::lock_guard<std::mutex> slot_lock(MutexOf(jobs[i].tensor));
    Slot& slot = slots_[jobs[i].tensor];
    if (slot.ready.load(std::memory_order_relaxed) != nullptr) continue;  // Data() was faster, and its pointer is out
    slot.owned = places[i].block;
    slot.ready.store(jobs[i].out, std::memory_order_release);
  }
  return {};
}

// Small tensors side by side in blocks large enough for huge pages, and not so large that an address space has no room for them.
Result<std::vector<TensorMemory::Placement>> TensorMemory::Place(const std::vector<ChunkJob>& jobs) {
  std::vector<Placement> places(jobs.size());
  for (std::size_t first = 0; first < jobs.size();) {
    std::uint64_t size = 0;
    std::size_t end = first;
    for (; end < jobs.size(); ++end) {
      const std::uint64_t offset = PlaceBehind(size, jobs[end].content.size());
      if (end != first && offset + jobs[end].content.size() > kMostBytesInBlock) break;
      places[end].offset = offset;
      size = offset + jobs[end].content.size();
    }
    PANNIER_TRY(DecodedBytes bytes, DecodedBytes::Allocate(size));
    const auto block = std::make_shared<DecodedBytes>(std::move(bytes));
    for (; first < end; ++first) places[first].block = block;
  }
  return places;
}

Result<void*> TensorMemory::MutableData(std::uint32_t index) {
  MutableSlot* slot = nullptr;
  {
    const std::lock_guard<std::mutex> lock(mutable_mutex_);
    if (mutable_slots_ == nullptr) {
      mutable_slots_ = std::make_unique<MutableSlot[]>(tensors_.size());
      file_ = BundleFile::Find(origin_.file, reader_, origin_.opened);
    }
    slot = &mutable_slots_[index];
  }
  const std::lock_guard<std::mutex> lock(MutexOf(index));
  if (slot->data == nullptr) PANNIER_CHECK_OK(MakeMutable(index, *slot));
  return static_cast<void*>(slot->data);
}

Status TensorMemory::MakeMutable(std::uint32_t index, MutableSlot& slot) {
  if (tensors_[index].size() == 0) {
    slot.data = const_cast<std::uint8_t*>(kNoBytes);  // nobody writes to no bytes
    return {};
  }
  PANNIER_TRY(const Source source, SourceOf(index));
  if (source.in_place && checks_chunks()) PANNIER_CHECK_OK(Labelled(source.content.CheckDigests(options_.threads), index));
  if (source.in_place && file_ && source.in_place->size() >= kLeastMappedCopy) {
    std::optional<MappedFile> mapped = file_->MapCopyOnWrite(*source.in_place, reader_, params_);
    if (mapped) {
      slot.mapped = std::move(*mapped);
      slot.data = slot.mapped.writable_data();
      return {};
    }
  }
  std::optional<ByteView> values = source.in_place;
  if (!values) values = FromCache(index, CacheUse::kReadOrWrite, options_.threads);
  const std::uint8_t* const decoded = slots_[index].ready.load(std::memory_order_relaxed);
  if (!values && decoded != nullptr) values = ByteView(decoded, static_cast<std::size_t>(source.content.size()));
  if (!values) PANNIER_CHECK_OK(Labelled(source.content.CheckDecodable(), index));
  PANNIER_TRY(DecodedBytes bytes, DecodedBytes::Allocate(source.content.size()));
  if (values) {
    std::memcpy(bytes.data(), values->data(), values->size());
  } else {
    PANNIER_CHECK_OK(Decode(source, index, options_.threads, bytes.data()));
  }
  slot.owned = std::move(bytes);
  slot.data = slot.owned.data();
  return {};
}

void TensorMemory::ReleaseMutable(std::uint32_t index) {
  const std::lock_guard<std::mutex> lock(mutable_mutex_);
  if (mutable_slots_ == nullptr) return;
  const std::lock_guard<std::mutex> slot_lock(MutexOf(index));
  mutable_slots_[index] = {};
}

Status TensorMemory::Prefetch(std::uint32_t index) {
  if (tensors_[index].size() == 0) return {};
  PANNIER_TRY(const Source source, SourceOf(index));
  if (!source.in_place) {
    if (DecodedCache* const cache = Cache(CacheUse::kRead)) {
      PrefetchPages(cache->Where(index));
      return {};
    }
  }
  if (!origin_.is_mapped) return {};
  // Chunks mostly follow one another.
  ByteView run;
  for (std::uint64_t i = 0; i < source.content.chunk_count(); ++i) {
    PANNIER_TRY(const ByteView stored, source.content.Stored(i));
    if (stored.data() != run.end()) {
      PrefetchPages(run);
      run = ByteView(stored.data(), 0);
    }
    run = ByteView(run.data(), run.size() + stored.size());
  }
  PrefetchPages(run);
  return {};
}

void TensorMemory::PrefetchAll() {
  if (DecodedCache* const cache = Cache(CacheUse::kRead)) PrefetchPages(cache->bytes());
  if (origin_.is_mapped) PrefetchPages(reader_.StoredBytes(params_));
}

// The slot's lock is held.
void TensorMemory::ReleaseDecoded(std::uint32_t index) {
  Slot& slot = slots_[index];
  const std::uint8_t* const data = slot.ready.exchange(nullptr, std::memory_order_relaxed);
  slot.owned->Discard(data, tensors_[index].size());
  slot.owned.reset();
}

Status TensorMemory::Release(std::uint32_t index) {
  {
    const std::lock_guard<std::mutex> lock(MutexOf(index));
    if (slots_[index].owned != nullptr) {
      ReleaseDecoded(index);
      return {};
    }
  }
  DecodedCache* const cache = cache_.load(std::memory_order_acquire);
  if (cache != nullptr) DropPages(cache->Where(index));
  PANNIER_TRY(const std::optional<ByteView> in_place, InPlace(index));
  if (in_place && origin_.is_mapped) DropPages(*in_place);
  return {};
}

void TensorMemory::ReleaseAll() {
  for (std::uint32_t i = 0; i < tensors_.size(); ++i) {
    const std::lock_guard<std::mutex> lock(MutexOf(i));
    if (slots_[i].owned != nullptr) ReleaseDecoded(i);
  }
  if (DecodedCache* const cache = cache_.load(std::memory_order_acquire)) DropPages(cache->bytes());
  if (origin_.is_mapped) DropPages(reader_.StoredBytes(params_));
}

// The tensors that no bundle holds as they are used. Without those that cannot be decoded there is no cache.
std::vector<ChunkJob> TensorMemory::JobsOfCache() const {
  std::vector<ChunkJob> jobs;
  for (std::uint32_t i = 0; i < tensors_.size(); ++i) {
    if (tensors_[i].size() == 0) continue;
    const Result<ChunkedContent> content = tensors_.Content(i);
    if (!content.ok()) return {};
    const Result<std::optional<ByteView>> whole = content->StoredWhole();
    if (!whole.ok()) return {};
    if (IsStoredAsUsed(i, *whole)) continue;
    if (!content->CheckDecodable().ok()) return {};
    jobs.push_back({*content, i, nullptr});
  }
  return jobs;
}

DecodedCache* TensorMemory::Cache(CacheUse use) {
  // Whose tables nobody checked must not leave values behind under another's name.
  if (options_.cache_dir.empty() || options_.check == Check::kOff) return nullptr;
  if (DecodedCache* const cache = cache_.load(std::memory_order_acquire)) return cache;
  const std::lock_guard<std::mutex> lock(cache_mutex_);
  const bool may_write = use == CacheUse::kReadOrWrite && !is_cache_written_;
  if (owned_cache_ != nullptr || (is_cache_looked_for_ && !may_write)) return owned_cache_.get();
  const auto folder =
      CacheFolder::Open(options_.cache_dir, may_write ? CacheFolder::Missing::kIsMade : CacheFolder::Missing::kIsNone);
  if (folder != nullptr)
    owned_cache_ = DecodedCache::Open(*folder, params_, tensors_, DigestsFor(options_.check), options_.threads);
  if (owned_cache_ == nullptr && may_write && folder != nullptr) {
    const std::vector<ChunkJob> jobs = JobsOfCache();
    if (!jobs.empty()) owned_cache_ = DecodedCache::Write(*folder, params_, tensors_, jobs, options_.threads);
  }
  is_cache_looked_for_ = true;
  is_cache_written_ = is_cache_written_ || may_write;
  cache_.store(owned_cache_.get(), std::memory_order_release);
  return owned_cache_.get();
}

std::optional<ByteView> TensorMemory::FromCache(std::uint32_t index, CacheUse use, unsigned threads) {
  DecodedCache* const cache = Cache(use);
  if (cache == nullptr) return std::nullopt;
  const bool was_damaged = cache->is_damaged();
  const std::optional<ByteView> values = cache->Tensor(index, threads);
  if (!values && cache->is_damaged() && !was_damaged) {
    // The next process makes it anew.
    if (const auto folder = CacheFolder::Open(options_.cache_dir, CacheFolder::Missing::kIsNone))
      folder->Remove(DecodedCache::FileName(params_));
  }
  return values;
}

}  // namespace pannier
