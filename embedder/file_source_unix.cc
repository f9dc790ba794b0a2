// FileSource on Linux: refuses what is no regular file, reads through interruptions and short reads.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "embedder/file_source.h"
#include "embedder/system_error.h"

namespace pannier {
namespace {

static_assert(sizeof(off_t) == 8, "build with -D_FILE_OFFSET_BITS=64");

Status CheckRegular(mode_t mode) {
  const char* found = nullptr;
  switch (mode & S_IFMT) {
    case S_IFREG:
      return {};
    case S_IFDIR:
      found = "a directory";
      break;
    case S_IFIFO:
      found = "a FIFO";
      break;
    case S_IFCHR:
      found = "a character device";
      break;
    case S_IFBLK:
      found = "a block device";
      break;
    case S_IFSOCK:
      found = "a socket";
      break;
    default:
      found = "something else";
  }
  return {ErrorCode::kInvalidArgument, StrCat("file type: found ", found, ", expected a regular file")};
}

}  // namespace

FileHandle::~FileHandle() {
  if (fd_ >= 0) close(fd_);
}

std::optional<FileFacts> FactsAt(int fd, const std::string& name) {
  struct stat found = {};
  const int outcome = name.empty() ? fstat(fd, &found) : fstatat(fd, name.c_str(), &found, AT_SYMLINK_NOFOLLOW);
  if (outcome != 0) return std::nullopt;
  FileFacts facts;
  facts.device = found.st_dev;
  facts.inode = found.st_ino;
  facts.size = static_cast<std::uint64_t>(found.st_size);
  facts.link_count = found.st_nlink;
  facts.mode = found.st_mode;
  facts.user = found.st_uid;
  facts.group = found.st_gid;
  facts.modified_seconds = found.st_mtim.tv_sec;
  facts.modified_nanoseconds = found.st_mtim.tv_nsec;
  facts.changed_seconds = found.st_ctim.tv_sec;
  facts.changed_nanoseconds = found.st_ctim.tv_nsec;
  return facts;
}

Result<FileSource> FileSource::Open(const std::string& path) {
  struct stat before = {};
  if (stat(path.c_str(), &before) != 0) return SystemError("open", errno);
  PANNIER_CHECK_OK(CheckRegular(before.st_mode));
  // O_NONBLOCK: a FIFO that took the file's place since must not hang. It means nothing to a regular file.
  const int fd = Uninterrupted([&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); });
  FileHandle handle(fd);
  if (!handle) return SystemError("open", errno);
  const std::optional<FileFacts> facts = FactsAt(fd);
  if (!facts) return SystemError("open", errno);
  PANNIER_CHECK_OK(CheckRegular(facts->mode));
  posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);  // a hint: more is read ahead
  return FileSource(std::move(handle), path, *facts);
}

Status FileSource::ReadAt(std::uint64_t offset, void* out, std::size_t size) const {
  if (!FitsWithin(offset, size, facts_.size)) {
    return Malformed(StrCat("read of ", size, " bytes at ", Hex(offset), ": found ", facts_.size, " bytes in all"));
  }
  std::size_t done = 0;
  while (done < size) {
    const std::uint64_t position = offset + done;
    std::uint8_t* rest = static_cast<std::uint8_t*>(out) + done;
    const ssize_t got = Uninterrupted([&] { return pread(fd(), rest, size - done, static_cast<off_t>(position)); });
    if (got < 0) return SystemError(StrCat("read at ", Hex(position)), errno);
    if (got == 0) {
      return {ErrorCode::kIo, StrCat("read at ", Hex(position), ": found the end of the file, expected ", facts_.size,
                                     " bytes; it shrank meanwhile")};
    }
    done += static_cast<std::size_t>(got);
  }
  return {};
}

Status FileSource::CheckUnchanged() const {
  const std::optional<FileFacts> now = FactsAt(fd());
  if (!now) return SystemError("stat", errno);
  if (now->size != facts_.size) {
    return {ErrorCode::kIo, StrCat("changed while it was being read: found ", now->size, " bytes, expected ", facts_.size)};
  }
  if (now->modified_seconds != facts_.modified_seconds || now->modified_nanoseconds != facts_.modified_nanoseconds) {
    return {ErrorCode::kIo, "changed while it was being read: found another time of modification"};
  }
  return {};
}

}  // namespace pannier
