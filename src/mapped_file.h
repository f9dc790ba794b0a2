// MappedFile: a file, or a part of one, as read-only memory.
#ifndef PANNIER_SRC_MAPPED_FILE_H_
#define PANNIER_SRC_MAPPED_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "src/bytes.h"
#include "src/result.h"

struct stat;

namespace pannier {

// What tells a file from another one that took its name. A file that was written to since is another one, too.
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t number = 0;  // inode, file index
  std::uint64_t size = 0;
  std::int64_t modified = 0;  // in the finest units the system has

  friend bool operator==(const FileIdentity& a, const FileIdentity& b) {
    return a.device == b.device && a.number == b.number && a.size == b.size && a.modified == b.modified;
  }
  friend bool operator!=(const FileIdentity& a, const FileIdentity& b) { return !(a == b); }
};

#ifndef _WIN32
FileIdentity IdentityOf(const struct stat& facts);
#endif

// Touching bytes of a file that another process cuts off meanwhile ends in SIGBUS, as with every mapping; Windows lets nobody cut
// off a file that is mapped.
class MappedFile {
 public:
  // Regular files only.
  static Result<MappedFile> Open(const std::string& path);
  // `size` bytes from `offset`, which need not be aligned. The descriptor (on Windows: of the C library) may be closed
  // afterwards.
  static Result<MappedFile> Map(int file_descriptor, std::uint64_t offset, std::uint64_t size);
  // The same of the file at `path`, to be written to: pages that are become this mapping's own, the file never changes.
  static Result<MappedFile> OpenCopyOnWrite(const std::string& path, std::uint64_t offset, std::uint64_t size);

  // Bytes in memory as if they were a file's; they are borrowed. No identity.
  static MappedFile Borrow(ByteView bytes) {
    MappedFile file;
    file.bytes_ = bytes;
    return file;
  }

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(mapping_, other.mapping_);
    std::swap(mapping_size_, other.mapping_size_);
    std::swap(bytes_, other.bytes_);
    std::swap(identity_, other.identity_);
    return *this;
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  ByteView bytes() const { return bytes_; }
  std::uint8_t* writable_data() const { return const_cast<std::uint8_t*>(bytes_.data()); }  // of OpenCopyOnWrite
  const FileIdentity& identity() const { return identity_; }                                // when it was mapped

  // The pages of `range` (a part of bytes()) need not stay in memory; they are read again when touched.
  void Release(ByteView range) const;

 private:
  enum class Access { kRead, kCopyOnWrite };
#ifdef _WIN32
  static Result<MappedFile> MapHandle(void* handle, std::uint64_t offset, std::uint64_t size, Access access);
#else
  static Result<MappedFile> MapDescriptor(int descriptor, std::uint64_t offset, std::uint64_t size, Access access);
#endif

  void* mapping_ = nullptr;
  std::size_t mapping_size_ = 0;
  ByteView bytes_;
  FileIdentity identity_;
};

}  // namespace pannier

#endif  // PANNIER_SRC_MAPPED_FILE_H_
