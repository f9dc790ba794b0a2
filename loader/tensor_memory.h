// TensorMemory: where each tensor's values are: in the mapped file, in the cache of decoded ones, or in memory of their own.
#ifndef PANNIER_LOADER_TENSOR_MEMORY_H_
#define PANNIER_LOADER_TENSOR_MEMORY_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "loader/bundle_file.h"
#include "loader/chunk_jobs.h"
#include "loader/decoded_bytes.h"
#include "loader/decoded_cache.h"
#include "pannier/loader.h"
#include "src/bundle_reader.h"
#include "src/result.h"

namespace pannier {

// What is known of the file that a bundle's bytes come from.
struct BundleOrigin {
  std::string path;                    // "" where there is none
  std::optional<FileIdentity> opened;  // which file that was when it was opened
  bool is_mapped = true;               // else the bytes are somebody's memory, whose pages are not ours to drop
  std::string file = path;             // where the bytes may be mapped from once more: "", nowhere
};

// Every function may be called from several threads at a time. What it borrows outlives it.
class TensorMemory {
 public:
  TensorMemory(const BundleReader& reader, const format::Artifact& params, TensorReader tensors, const BundleOrigin& origin,
               const LoadOptions& options);

  const TensorReader& tensors() const { return tensors_; }

  // A tensor's values in the bundle, where they lie there as they are used.
  Result<std::optional<ByteView>> InPlace(std::uint32_t index) const;
  Result<const void*> Data(std::uint32_t index);
  Result<void*> MutableData(std::uint32_t index);
  Status CopyTo(std::uint32_t index, void* out);
  Status DecodeAll();

  Status Prefetch(std::uint32_t index);
  void PrefetchAll();
  Status Release(std::uint32_t index);
  void ReleaseAll();
  void ReleaseMutable(std::uint32_t index);

 private:
  // Values made once and kept until they are released.
  struct Slot {
    std::atomic<const std::uint8_t*> ready{nullptr};
    std::shared_ptr<DecodedBytes> owned;  // what ready points into, where it was decoded; tensors may share a block
  };
  // A tensor that is to be decoded, and where to.
  struct Placement {
    std::shared_ptr<DecodedBytes> block;
    std::uint64_t offset = 0;
  };
  struct MutableSlot {
    std::uint8_t* data = nullptr;
    DecodedBytes owned;
    MappedFile mapped;
  };
  // A tensor's chunks, and its values where they need no decoding.
  struct Source {
    ChunkedContent content;
    std::optional<ByteView> in_place;
  };
  enum class CacheUse { kRead, kReadOrWrite };

  bool checks_chunks() const { return options_.check == Check::kLazy || options_.check == Check::kFull; }
  std::mutex& MutexOf(std::uint32_t index) { return slot_mutexes_[index % slot_mutexes_.size()]; }
  // The status with the tensor's name in front.
  Status Labelled(Status status, std::uint32_t index) const;
  bool IsStoredAsUsed(std::uint32_t index, const std::optional<ByteView>& whole) const;
  Result<Source> SourceOf(std::uint32_t index) const;
  Status Decode(const Source& source, std::uint32_t index, unsigned threads, std::uint8_t* out);
  Status DecodeHere(const ChunkedContent& content, std::uint8_t* out);
  Result<const std::uint8_t*> MakeData(std::uint32_t index, unsigned threads, std::shared_ptr<DecodedBytes>& owned);
  Result<const std::uint8_t*> Get(std::uint32_t index, unsigned threads);
  static Result<std::vector<Placement>> Place(const std::vector<ChunkJob>& jobs);
  void ReleaseDecoded(std::uint32_t index);
  Status MakeMutable(std::uint32_t index, MutableSlot& slot);
  std::vector<ChunkJob> JobsOfCache() const;
  DecodedCache* Cache(CacheUse use);
  std::optional<ByteView> FromCache(std::uint32_t index, CacheUse use, unsigned threads);

  const BundleReader& reader_;
  const format::Artifact& params_;
  const TensorReader tensors_;
  const BundleOrigin& origin_;
  const LoadOptions& options_;

  std::vector<Slot> slots_;
  std::array<std::mutex, 16> slot_mutexes_;
  std::mutex decode_all_mutex_;

  std::mutex decoder_mutex_;
  std::unique_ptr<ChunkDecoder> spare_decoder_;  // to make one takes longer than to decode a small tensor

  std::mutex mutable_mutex_;  // for the two below; a slot is used under its own
  std::unique_ptr<MutableSlot[]> mutable_slots_;
  std::optional<BundleFile> file_;

  std::mutex cache_mutex_;
  std::atomic<DecodedCache*> cache_{nullptr};  // owned_cache_, once it is there
  std::unique_ptr<DecodedCache> owned_cache_;
  bool is_cache_looked_for_ = false;
  bool is_cache_written_ = false;  // or could not be
};

}  // namespace pannier

#endif  // PANNIER_LOADER_TENSOR_MEMORY_H_
