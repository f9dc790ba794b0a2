// The cache file written, and read with the mistrust that a file of unknown history deserves.
#include "loader/decoded_cache.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>

#include "loader/byte_swap.h"
#include "loader/decoded_bytes.h"
#include "src/parallel.h"
#include "src/params_walk.h"
#include "src/sha256.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::string_view kMagic = "PNRCACHE";
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kOrder = kNativeOrder == ByteOrder::kLittle ? 1 : 2;
constexpr std::size_t kDigestSize = sizeof(Sha256Digest::bytes);
constexpr std::size_t kKeyOffset = 32;
constexpr std::size_t kRecordsDigestOffset = 64;
constexpr std::size_t kHeaderDigestOffset = 96;
constexpr std::size_t kHeaderSize = 128;
constexpr std::size_t kRecordSize = 48;

using Header = std::array<std::uint8_t, kHeaderSize>;

void Put(std::uint8_t* out, const Sha256Digest& digest) { std::memcpy(out, digest.bytes.data(), kDigestSize); }

Sha256Digest MakeKey(const format::Artifact& params) {
  std::array<std::uint8_t, 8 + 2 * kDigestSize> bytes{};
  StoreInteger(bytes.data(), kVersion, ByteOrder::kLittle);
  StoreInteger(bytes.data() + 4, kOrder, ByteOrder::kLittle);
  Put(bytes.data() + 8, ToDigest(*params.sha256()));
  Put(bytes.data() + 8 + kDigestSize, ToDigest(params.tensors()->sha256()));
  return Sha256Of(View(bytes));
}

Header MakeHeader(const format::Artifact& params, ByteView records, std::uint64_t file_size) {
  Header header{};
  std::memcpy(header.data(), kMagic.data(), kMagic.size());
  StoreInteger(header.data() + 8, kVersion, ByteOrder::kLittle);
  StoreInteger(header.data() + 12, kOrder, ByteOrder::kLittle);
  StoreInteger(header.data() + 16, file_size, ByteOrder::kLittle);
  StoreInteger(header.data() + 24, std::uint64_t{records.size() / kRecordSize}, ByteOrder::kLittle);
  Put(header.data() + kKeyOffset, MakeKey(params));
  Put(header.data() + kRecordsDigestOffset, Sha256Of(records));
  Put(header.data() + kHeaderDigestOffset, Sha256Of(ByteView(header.data(), kHeaderDigestOffset)));
  return header;
}

// What decodes and digests chunks and passes them on.
struct ChunkWriter {
  ChunkDecoder decoder;
  std::vector<std::uint8_t> bytes;
};

// The digests of a tensor's chunks are consecutive, from its first_chunk on.
Result<std::vector<Sha256Digest>> WriteValues(NewCacheFile& file, const TensorReader& tensors, const std::vector<ChunkJob>& jobs,
                                              const std::vector<std::uint64_t>& offsets, std::uint64_t chunk_count,
                                              unsigned threads) {
  std::vector<Sha256Digest> digests(static_cast<std::size_t>(chunk_count));
  PANNIER_CHECK_OK(
      ForAllChunks<ChunkWriter>(jobs, threads, [&](ChunkWriter& writer, const ChunkJob& job, std::uint64_t chunk) -> Status {
        const format::Tensor& tensor = tensors[job.tensor];
        const auto size = static_cast<std::size_t>(job.content.chunk_bytes(chunk));
        if (writer.bytes.size() < size) writer.bytes.resize(size);
        PANNIER_CHECK_OK(job.content.DecodeChunk(chunk, writer.bytes.data(), true, writer.decoder));
        SwapBytes(writer.bytes.data(), size, SwapUnit(DataTypeOf(tensor)));
        const ByteView values(writer.bytes.data(), size);
        digests[static_cast<std::size_t>(tensor.first_chunk() + chunk)] = Sha256Of(values);
        if (!file.WriteAt(offsets[job.tensor] + chunk * tensors.chunk_size(), values)) return {ErrorCode::kIo, "cannot write"};
        return {};
      }));
  return digests;
}

// One digest for all of a tensor's chunks.
Sha256Digest Combine(const Sha256Digest* digests, std::size_t count) {
  Sha256 sha256;
  for (std::size_t i = 0; i < count; ++i) sha256.Update(ByteView(digests[i].bytes.data(), kDigestSize));
  return sha256.Finish();
}

}  // namespace

std::string DecodedCache::FileName(const format::Artifact& params) { return StrCat("pannier-", MakeKey(params).Hex(), ".cache"); }

std::unique_ptr<DecodedCache> DecodedCache::Write(CacheFolder& folder, const format::Artifact& params, const TensorReader& tensors,
                                                  const std::vector<ChunkJob>& jobs, unsigned threads) {
  std::vector<std::uint64_t> offsets(tensors.size());
  std::uint64_t end = kHeaderSize + std::uint64_t{tensors.size()} * kRecordSize;
  for (const ChunkJob& job : jobs) {
    // Cannot overflow: chunks bound the tensors' sizes, and the index bounds the chunks.
    offsets[job.tensor] = PlaceBehind(end, job.content.size());
    end = offsets[job.tensor] + job.content.size();
  }
  if (end > std::numeric_limits<std::size_t>::max()) return nullptr;
  const std::unique_ptr<NewCacheFile> file = folder.Create(FileName(params));
  if (file == nullptr) return nullptr;
  const Result<std::vector<Sha256Digest>> digests = WriteValues(*file, tensors, jobs, offsets, params.chunk_count(), threads);
  if (!digests.ok()) return nullptr;

  std::vector<std::uint8_t> records(tensors.size() * kRecordSize);
  for (const ChunkJob& job : jobs) {
    std::uint8_t* const record = records.data() + job.tensor * kRecordSize;
    StoreInteger(record, offsets[job.tensor], ByteOrder::kLittle);
    StoreInteger(record + 8, job.content.size(), ByteOrder::kLittle);
    const auto first = static_cast<std::size_t>(tensors[job.tensor].first_chunk());
    Put(record + 16, Combine(digests->data() + first, static_cast<std::size_t>(job.content.chunk_count())));
  }
  const ByteView record_bytes(records.data(), records.size());
  const Header header = MakeHeader(params, record_bytes, end);
  if (!file->WriteAt(kHeaderSize, record_bytes) || !file->WriteAt(0, View(header))) return nullptr;
  std::optional<MappedFile> mapped = file->Commit();
  if (!mapped || mapped->bytes().size() != end) return nullptr;
  std::unique_ptr<DecodedCache> cache(new DecodedCache(std::move(*mapped), tensors.size(), tensors.chunk_size()));
  if (!cache->ReadRecords(record_bytes, tensors)) return nullptr;
  // They are what was written just now.
  for (Entry& entry : cache->entries_) entry.is_checked.store(true, std::memory_order_relaxed);
  return cache;
}

std::unique_ptr<DecodedCache> DecodedCache::Open(CacheFolder& folder, const format::Artifact& params, const TensorReader& tensors,
                                                 Digests digests, unsigned threads) {
  std::optional<MappedFile> file = folder.Find(FileName(params));
  if (!file) return nullptr;
  const auto records = file->bytes().Slice(kHeaderSize, std::uint64_t{tensors.size()} * kRecordSize);
  if (!records) return nullptr;
  // All of it follows from the bundle and the records.
  const Header expected = MakeHeader(params, *records, file->bytes().size());
  if (*file->bytes().Slice(0, kHeaderSize) != View(expected)) return nullptr;
  std::unique_ptr<DecodedCache> cache(new DecodedCache(std::move(*file), tensors.size(), tensors.chunk_size()));
  if (!cache->ReadRecords(*records, tensors)) return nullptr;
  for (std::uint32_t i = 0; i < tensors.size(); ++i) {
    Entry& entry = cache->entries_[i];
    if (digests == Digests::kNever) entry.is_checked.store(true, std::memory_order_relaxed);
    if (digests == Digests::kAllAtOnce && entry.size != 0 && !cache->Tensor(i, threads)) return nullptr;
  }
  return cache;
}

bool DecodedCache::ReadRecords(ByteView records, const TensorReader& tensors) {
  for (std::uint32_t i = 0; i < tensors.size(); ++i) {
    const std::uint8_t* const record = records.data() + i * kRecordSize;
    Entry& entry = entries_[i];
    entry.offset = LoadInteger<std::uint64_t>(record, ByteOrder::kLittle);
    entry.size = LoadInteger<std::uint64_t>(record + 8, ByteOrder::kLittle);
    std::memcpy(entry.sha256.bytes.data(), record + 16, kDigestSize);
    if (entry.size == 0) continue;
    if (entry.size != tensors[i].size() || entry.offset % kDataAlignment != 0 || !file_.bytes().Contains(entry.offset, entry.size))
      return false;
  }
  return true;
}

std::optional<ByteView> DecodedCache::Tensor(std::uint32_t index, unsigned threads) {
  Entry& entry = entries_[index];
  if (entry.size == 0) return std::nullopt;
  if (!entry.is_checked.load(std::memory_order_acquire)) {
    if (!CheckTensor(entry, threads)) {
      is_damaged_.store(true, std::memory_order_relaxed);
      return std::nullopt;
    }
    entry.is_checked.store(true, std::memory_order_release);
  }
  return file_.bytes().Slice(entry.offset, entry.size);
}

bool DecodedCache::CheckTensor(const Entry& entry, unsigned threads) const {
  // Several at a time, since independent digests are made faster side by side.
  constexpr std::uint64_t kGroup = 8;
  const std::uint64_t count = ChunkCount(entry.size, chunk_size_);
  std::vector<Sha256Digest> digests(static_cast<std::size_t>(count));
  const Status status = ParallelFor(ChunkCount(count, kGroup), threads, [&](std::uint64_t group) -> Status {
    ByteView chunks[kGroup];
    const std::uint64_t first = group * kGroup;
    const std::uint64_t in_group = std::min(kGroup, count - first);
    for (std::uint64_t i = 0; i < in_group; ++i) {
      const std::uint64_t at = (first + i) * chunk_size_;
      chunks[i] = *file_.bytes().Slice(entry.offset + at, std::min<std::uint64_t>(chunk_size_, entry.size - at));
    }
    Sha256Many(chunks, static_cast<std::size_t>(in_group), &digests[static_cast<std::size_t>(first)]);
    return {};
  });
  return status.ok() && Combine(digests.data(), digests.size()) == entry.sha256;
}

}  // namespace pannier
