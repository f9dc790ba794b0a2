// DecodedCache: a file with all tensors of a bundle that do not lie in it as they are used, decoded, for other processes to map.
//
// The file, little-endian but for the values, which are in the byte order of the machine that wrote them:
//
//     0  magic "PNRCACHE"
//     8  u32 version: 1
//    12  u32 byte order of the values: 1 little, 2 big
//    16  u64 size of the file
//    24  u64 number of tensors n
//    32  key: 32 bytes, what the values were made from (below)
//    64  SHA-256 of the tensor records
//    96  SHA-256 of the 96 bytes before
//   128  n records of 48 bytes: u64 offset from the file's start, u64 size, 32 bytes digest
//        then the values: each at a multiple of 64, those of 64 KiB and more of 4096; zeros between them
//
// A tensor that needs no decoding, being stored as it is or empty, has a record of zeros. A digest is the SHA-256 of the SHA-256s
// of the tensor's chunks, cut as in the bundle, so that many threads make it.
//
// The key is the SHA-256 of the version, the byte order, the params artifact's SHA-256 and its tensor table's. That table has a
// digest of each stored chunk; and chunks are compared with it before their values are written, so that a damaged bundle leaves no
// values behind under a sound one's name. The file's name is made of the key.
#ifndef PANNIER_LOADER_DECODED_CACHE_H_
#define PANNIER_LOADER_DECODED_CACHE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "loader/cache_folder.h"
#include "loader/chunk_jobs.h"
#include "src/bundle_reader.h"
#include "src/mapped_file.h"

namespace pannier {

class DecodedCache {
 public:
  // When a tensor's values are compared with their digest.
  enum class Digests { kNever, kOnFirstUse, kAllAtOnce };

  // The file for this bundle's params, if it is there and sound.
  static std::unique_ptr<DecodedCache> Open(CacheFolder& folder, const format::Artifact& params, const TensorReader& tensors,
                                            Digests digests, unsigned threads);
  // Makes it: decodes the jobs' contents, each a tensor's, into a new file. Null when that is not possible, for whatever reason.
  static std::unique_ptr<DecodedCache> Write(CacheFolder& folder, const format::Artifact& params, const TensorReader& tensors,
                                             const std::vector<ChunkJob>& jobs, unsigned threads);

  // A tensor's values; nothing when they are not here or not what was written.
  std::optional<ByteView> Tensor(std::uint32_t index, unsigned threads);

  // Where they are, checked or not; empty when they are not here.
  ByteView Where(std::uint32_t index) const {
    return ByteView(file_.bytes().data() + entries_[index].offset, static_cast<std::size_t>(entries_[index].size));
  }

  // Some values were not what was written: the file should be made anew.
  bool is_damaged() const { return is_damaged_.load(std::memory_order_relaxed); }
  ByteView bytes() const { return file_.bytes(); }

  // Where it is in the folder.
  static std::string FileName(const format::Artifact& params);

 private:
  struct Entry {
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    Sha256Digest sha256;
    std::atomic<bool> is_checked{false};
  };

  DecodedCache(MappedFile file, std::size_t count, std::uint32_t chunk_size)
      : file_(std::move(file)), entries_(count), chunk_size_(chunk_size) {}
  bool ReadRecords(ByteView records, const TensorReader& tensors);
  bool CheckTensor(const Entry& entry, unsigned threads) const;

  MappedFile file_;
  std::vector<Entry> entries_;
  std::uint32_t chunk_size_;
  std::atomic<bool> is_damaged_{false};
};

}  // namespace pannier

#endif  // PANNIER_LOADER_DECODED_CACHE_H_
