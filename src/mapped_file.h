// MappedFile: a file, or a part of one, as read-only memory.
#ifndef PANNIER_SRC_MAPPED_FILE_H_
#define PANNIER_SRC_MAPPED_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "src/bytes.h"
#include "src/result.h"

namespace pannier {

// Touching bytes of a file that another process cuts off meanwhile ends in SIGBUS, as with every mapping; Windows lets nobody cut
// off a file that is mapped.
class MappedFile {
 public:
  // Regular files only.
  static Result<MappedFile> Open(const std::string& path);
  // `size` bytes from `offset`, which need not be aligned. The descriptor (on Windows: of the C library) may be closed
  // afterwards.
  static Result<MappedFile> Map(int file_descriptor, std::uint64_t offset, std::uint64_t size);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  ByteView bytes() const { return bytes_; }

  // The pages of `range` (a part of bytes()) need not stay in memory; they are read again when touched.
  void Release(ByteView range) const;

 private:
#ifdef _WIN32
  static Result<MappedFile> MapHandle(void* handle, std::uint64_t offset, std::uint64_t size);
#endif

  void* mapping_ = nullptr;
  std::size_t mapping_size_ = 0;
  ByteView bytes_;
};

}  // namespace pannier

#endif  // PANNIER_SRC_MAPPED_FILE_H_
