// FileSource: a regular file opened for reading, and the facts that tell whether it is still the same file.
#ifndef PANNIER_EMBEDDER_FILE_SOURCE_H_
#define PANNIER_EMBEDDER_FILE_SOURCE_H_

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "src/byte_source.h"
#include "src/result.h"

namespace pannier {

// Owns a file descriptor.
class FileHandle {
 public:
  FileHandle() = default;
  explicit FileHandle(int fd) : fd_(fd) {}
  FileHandle(FileHandle&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileHandle& operator=(FileHandle&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileHandle();

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// As stat tells them. All are equal as long as nobody touches the file (reading it changes none of them).
struct FileFacts {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::uint64_t link_count = 0;
  std::uint32_t mode = 0;  // type and permission bits
  std::uint32_t user = 0;
  std::uint32_t group = 0;
  std::int64_t modified_seconds = 0;
  std::int64_t modified_nanoseconds = 0;
  std::int64_t changed_seconds = 0;  // of the content, mode, owner, attributes or links
  std::int64_t changed_nanoseconds = 0;

  friend bool operator==(const FileFacts&, const FileFacts&) = default;
};

// The facts of `name` in a directory (a symbolic link is not followed), or of the open file itself if `name` is empty.
// Without an answer errno says why.
std::optional<FileFacts> FactsAt(int fd, const std::string& name = "");

// Repeats a system call as long as signals interrupt it.
template <typename Call>
auto Uninterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

// Move-only. The file must not be written to meanwhile: CheckUnchanged tells.
class FileSource : public ByteSource {
 public:
  // Anything but a regular file (or a link to one) is refused without being opened: a FIFO would hang, a device might act.
  static Result<FileSource> Open(const std::string& path);

  std::uint64_t size() const override { return facts_.size; }
  Status ReadAt(std::uint64_t offset, void* out, std::size_t size) const override;

  // An error if the content was written to since Open. To be asked after the last read.
  Status CheckUnchanged() const;

  int fd() const { return handle_.get(); }
  const std::string& path() const { return path_; }
  const FileFacts& facts() const { return facts_; }  // when it was opened

 private:
  FileSource(FileHandle handle, std::string path, const FileFacts& facts)
      : handle_(std::move(handle)), path_(std::move(path)), facts_(facts) {}

  FileHandle handle_;
  std::string path_;
  FileFacts facts_;
};

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_FILE_SOURCE_H_
