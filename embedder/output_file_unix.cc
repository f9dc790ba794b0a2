// OutputFile on Linux: unnamed temporary files, metadata carried over, one rename.
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <vector>

#include "embedder/output_file.h"
#include "embedder/system_error.h"
#include "embedder/temporary_names_unix.h"

namespace pannier {
namespace {

constexpr std::size_t kCopyStep = 256 * 1024;
constexpr std::size_t kLongestAttribute = 65536;  // XATTR_LIST_MAX and XATTR_SIZE_MAX of linux/limits.h
constexpr int kMostAttempts = 100;                // at a name nobody has
constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz234567";
constexpr std::size_t kRandomLetters = 6;
constexpr std::string_view kAccessControlList = "system.posix_acl_access";

// With the slash; empty: the current one.
std::string DirectoryOf(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }

// Where a file of this name is, or would be made: the last component's symbolic links are followed, even a dangling one. What
// cannot be looked up is left for the caller to fail on.
Result<std::string> Resolve(std::string path) {
  for (int links = 0; links <= 40; ++links) {  // the kernel's own limit
    std::string link(PATH_MAX, '\0');
    const ssize_t length = readlink(path.c_str(), link.data(), link.size());
    if (length < 0) return path;
    link.resize(static_cast<std::size_t>(length));
    path = link[0] == '/' ? link : StrCat(DirectoryOf(path), link);
  }
  return SystemError("open", ELOOP);
}

Status DirectoryError(const std::string& directory, int error) {
  return SystemError(StrCat("directory ", Printable(directory)), error);
}

Status Changed(std::string_view found) {
  return {ErrorCode::kIo, StrCat("changed while it was being written: found ", found, "; nothing was replaced")};
}

Status WriteError(std::uint64_t position, int error) {
  const char* limit = nullptr;
  if (error == ENOSPC) limit = "no space left on device";
  if (error == EDQUOT) limit = "disk quota exceeded";
  if (error == EFBIG) limit = "file too large for the file system or the limit of this process";
  if (limit != nullptr) return {ErrorCode::kIo, StrCat(limit, " after ", position, " bytes")};
  return SystemError(StrCat("write at ", Hex(position)), error);
}

Status CheckRange(std::uint64_t offset, std::uint64_t size) {
  if (FitsWithin(offset, size, INT64_MAX)) return {};
  return {ErrorCode::kLimit, StrCat("write of ", size, " bytes at ", Hex(offset), ": beyond the largest file offset")};
}

std::string ProcessPath(int fd) { return StrCat("/proc/self/fd/", fd); }

// `.NAME.pannier-`, cut so that the letters fit as well.
std::string TemporaryPrefix(const std::string& name) {
  constexpr std::string_view kMark = ".pannier-";
  return StrCat(".", std::string_view(name).substr(0, NAME_MAX - 1 - kMark.size() - kRandomLetters), kMark);
}

Result<std::string> TemporaryName(const std::string& name) {
  std::uint8_t random[kRandomLetters] = {};
  if (getrandom(random, sizeof(random), 0) != static_cast<ssize_t>(sizeof(random))) return SystemError("random name", errno);
  std::string result = TemporaryPrefix(name);
  for (std::uint8_t byte : random) result.push_back(kLetters[byte % kLetters.size()]);
  return result;
}

// Only what no living writer has locked. A shared lock, since that asks for no right to write; without any nothing is removed.
void RemoveAbandoned(int directory, const std::string& directory_path, const std::string& target_name) {
  const std::string prefix = TemporaryPrefix(target_name);
  std::error_code error;
  std::filesystem::directory_iterator entry(directory_path, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.size() != prefix.size() + kRandomLetters || !name.starts_with(prefix)) continue;
    if (name.find_first_not_of(kLetters, prefix.size()) != std::string::npos) continue;
    const FileHandle file(openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY));
    const std::optional<FileFacts> facts = FactsAt(file.get());
    if (facts && S_ISREG(facts->mode) && flock(file.get(), LOCK_SH | LOCK_NB) == 0) unlinkat(directory, name.c_str(), 0);
  }
}

// Digests and signatures of the old bytes, which cannot hold for the new ones; the kernel keeps them where they are in use.
bool BelongsToOldContent(std::string_view attribute) { return attribute == "security.ima" || attribute == "security.evm"; }

// Null: no such attribute, or none at all on this file system; or errno says why it is not known.
std::optional<std::string> ReadAttribute(int fd, const char* name) {
  std::string value(kLongestAttribute, '\0');
  const ssize_t length = fgetxattr(fd, name, value.data(), value.size());
  if (length < 0) return std::nullopt;
  value.resize(static_cast<std::size_t>(length));
  return value;
}

}  // namespace

Result<OutputFile> OutputFile::Create(const std::string& target, const FileSource* metadata_from) {
  PANNIER_TRY(const std::string path, Resolve(target));
  OutputFile output;
  output.target_ = target;
  output.name_ = path.substr(path.rfind('/') + 1);
  if (output.name_.empty()) return {ErrorCode::kInvalidArgument, "file type: found a directory's name, expected a file's"};
  output.directory_path_ = output.name_.size() == path.size() ? "." : DirectoryOf(path);
  output.directory_ =
      FileHandle(Uninterrupted([&] { return open(output.directory_path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC); }));
  if (!output.directory_) return DirectoryError(output.directory_path_, errno);

  // The kernel's own walk along the links comes first: it may forbid one (protected_symlinks) that readlink shows.
  struct stat found = {};
  const int error = stat(target.c_str(), &found) == 0 ? 0 : errno;
  if (error == EACCES) return DirectoryError(output.directory_path_, error);
  if (error != 0 && error != ENOENT) return SystemError("open", error);
  output.replaced_ = FactsAt(output.directory_.get(), output.name_);
  const int lookup = output.replaced_ ? 0 : errno;
  if (lookup != error) return SystemError("open", lookup != 0 ? lookup : EEXIST);

  int metadata = -1;
  std::optional<FileSource> old;
  if (output.replaced_) {
    PANNIER_TRY(old, FileSource::Open(target));
    if (old->facts() != *output.replaced_) return Changed("another file");
    if (metadata_from != nullptr && metadata_from->path() == target && metadata_from->facts() != old->facts()) {
      return Changed("another file than was read");
    }
    if (old->facts().link_count > 1) {
      return {ErrorCode::kInvalidArgument, StrCat("hard links: found ", old->facts().link_count,
                                                  ", expected 1; to replace one would split them, write elsewhere with -o")};
    }
    metadata = old->fd();
  } else if (metadata_from != nullptr) {
    metadata = metadata_from->fd();
  }
  if (metadata >= 0) {
    // Kept open: while it is, no other file can get the old one's inode number.
    output.metadata_ = FileHandle(fcntl(metadata, F_DUPFD_CLOEXEC, 0));
    if (!output.metadata_) return SystemError("open", errno);
  }
  RemoveAbandoned(output.directory_.get(), output.directory_path_, output.name_);
  PANNIER_CHECK_OK(output.OpenTemporary());
  return output;
}

Status OutputFile::OpenTemporary() {
  const mode_t mode = metadata_ ? 0600 : 0666;  // only the second is meant to last
  const int fd = openat(directory_.get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
  if (fd >= 0) {
    file_ = FileHandle(fd);
    // Only /proc can give it a name later.
    if (access(ProcessPath(fd).c_str(), F_OK) == 0) {
      flock(fd, LOCK_EX | LOCK_NB);
      return {};
    }
  }
  // Older kernels and some file systems have no unnamed files and answer with various errors. Real trouble shows here as well.
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    PANNIER_TRY(std::string name, TemporaryName(name_));
    temporary_name_ = std::move(name);
    RememberTemporary(directory_.get(), temporary_name_);
    file_ = FileHandle(openat(directory_.get(), temporary_name_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (!file_) {
      const int error = errno;
      ForgetName();
      if (error == EEXIST || error == EINTR) continue;
      return DirectoryError(directory_path_, error);
    }
    // Another process's RemoveAbandoned may have come between.
    const bool taken = flock(file_.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    const std::optional<FileFacts> facts = FactsAt(file_.get());
    if (!taken && facts && facts->link_count == 1) return {};
    unlinkat(directory_.get(), temporary_name_.c_str(), 0);
    ForgetName();
  }
  return DirectoryError(directory_path_, EEXIST);
}

Status OutputFile::WriteAt(std::uint64_t offset, ByteView bytes) {
  PANNIER_CHECK_OK(CheckRange(offset, bytes.size()));
  std::size_t done = 0;
  while (done < bytes.size()) {
    const off_t position = static_cast<off_t>(offset + done);
    const ssize_t put = Uninterrupted([&] { return pwrite(fd(), bytes.data() + done, bytes.size() - done, position); });
    if (put <= 0) return WriteError(offset + done, put < 0 ? errno : EIO);
    done += static_cast<std::size_t>(put);
  }
  return {};
}

Status OutputFile::CopyFrom(const FileSource& source, std::uint64_t source_offset, std::uint64_t offset, std::uint64_t size,
                            const Effort& effort) {
  PANNIER_CHECK_OK(CheckRange(offset, size));
  if (!FitsWithin(source_offset, size, source.size())) {
    return Malformed(StrCat("copy of ", size, " bytes at ", Hex(source_offset), " of ", Printable(source.path()), ": found ",
                            source.size(), " bytes in all"));
  }
  std::uint64_t done = 0;
  while (done < size) {
    loff_t from = static_cast<loff_t>(source_offset + done);
    loff_t to = static_cast<loff_t>(offset + done);
    const std::size_t step = static_cast<std::size_t>(std::min<std::uint64_t>(size - done, 64 << 20));
    const ssize_t copied = Uninterrupted([&] { return copy_file_range(source.fd(), &from, fd(), &to, step, 0); });
    // Not between these file systems (EXDEV, EINVAL, EOPNOTSUPP), not with this kernel (ENOSYS, or EPERM from a container's
    // filter), or 0 from one that cannot tell: the plain way works. A real error (ENOSPC) meets it as well and is told there.
    if (copied <= 0) break;
    done += static_cast<std::uint64_t>(copied);
    effort.Advance(static_cast<std::uint64_t>(copied));
  }
  std::vector<std::uint8_t> buffer(done < size ? kCopyStep : 0);
  while (done < size) {
    const std::size_t step = static_cast<std::size_t>(std::min<std::uint64_t>(size - done, buffer.size()));
    PANNIER_CHECK_OK(source.ReadAt(source_offset + done, buffer.data(), step).WithContext(Printable(source.path())));
    PANNIER_CHECK_OK(WriteAt(offset + done, ByteView(buffer.data(), step)));
    done += step;
    effort.Advance(step);
  }
  return {};
}

Status OutputFile::Truncate(std::uint64_t size) {
  PANNIER_CHECK_OK(CheckRange(0, size));
  if (Uninterrupted([&] { return ftruncate(fd(), static_cast<off_t>(size)); }) != 0)
    return errno == EFBIG ? WriteError(size, errno) : SystemError(StrCat("set size to ", size, " bytes"), errno);
  if (size == 0 || Uninterrupted([&] { return fallocate(fd(), 0, 0, static_cast<off_t>(size)); }) == 0) return {};
  // Others tell that it cannot be done here.
  if (errno != ENOSPC && errno != EDQUOT && errno != EIO) return {};
  return SystemError(StrCat("room for ", size, " bytes"), errno);
}

void OutputFile::StartWriteback(std::uint64_t offset, std::uint64_t size) {
  if (!CheckRange(offset, size).ok() || size == 0) return;
  sync_file_range(fd(), static_cast<off_t>(offset), static_cast<off_t>(size), SYNC_FILE_RANGE_WRITE);
}

std::string OutputFile::path_for_reading() const {
  return temporary_name_.empty() ? ProcessPath(fd()) : StrCat(directory_path_, "/", temporary_name_);
}

Status OutputFile::Commit() {
  if (!directory_) return {ErrorCode::kInvalidArgument, "commit: found it done already"};
  Status status = KeepMetadata();
  if (status.ok() && Uninterrupted([&] { return fsync(fd()); }) != 0) status = SystemError("sync", errno);
  if (status.ok()) status = TakePlace();
  if (status.ok()) {
    // A directory that may not be read cannot be synced, and some file systems cannot sync any.
    FileHandle directory(Uninterrupted([&] { return openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
    if (directory ? Uninterrupted([&] { return fsync(directory.get()); }) != 0 && errno != EINVAL : errno != EACCES) {
      status = SystemError(StrCat("written in full, but may not outlast a crash: sync of directory ", Printable(directory_path_)),
                           errno);
    }
  }
  Discard();
  return status;
}

// The order matters: a change of owner clears setuid bits and capabilities, an access control list sets the mode's group bits,
// and either may take away our right to set attributes.
Status OutputFile::KeepMetadata() {
  if (!metadata_) return {};
  const std::optional<FileFacts> from = FactsAt(metadata_.get());
  std::optional<FileFacts> own = FactsAt(fd());
  if (!from || !own) return SystemError("stat", errno);
  std::uint32_t mode = from->mode & 07777;
  if ((own->user != from->user || own->group != from->group) && fchown(fd(), from->user, from->group) != 0) {
    if (replaced_) return SystemError(StrCat("owner ", from->user, ":", from->group, " cannot be kept"), errno);
    mode &= 01777U;  // of another owner, setuid and setgid would mean something else
  }
  PANNIER_CHECK_OK(KeepAttributes());
  own = FactsAt(fd());
  if (own && (own->mode & 07777) != mode) {
    if (fchmod(fd(), mode) != 0 && replaced_) return SystemError("mode cannot be kept", errno);
    own = FactsAt(fd());  // the kernel drops a setgid bit without a word
  }
  if (!own) return SystemError("stat", errno);
  if (!replaced_ || (own->mode & 07777) == mode) return {};
  return {ErrorCode::kIo, "mode cannot be kept: the system drops setgid for this user"};
}

Status OutputFile::KeepAttributes() {
  std::string list(kLongestAttribute, '\0');
  const ssize_t length = flistxattr(metadata_.get(), list.data(), list.size());
  if (length < 0 && errno != EOPNOTSUPP && errno != ENOSYS) return SystemError("list of extended attributes", errno);
  std::vector<std::string> names;
  bool lists_access = false;
  for (const char* at = list.c_str(); length > 0 && at < list.c_str() + length; at += std::strlen(at) + 1) {
    if (at == kAccessControlList)
      lists_access = true;
    else if (!BelongsToOldContent(at))
      names.emplace_back(at);
  }
  if (lists_access) {
    names.emplace_back(kAccessControlList);  // last
  } else if (ReadAttribute(fd(), kAccessControlList.data())) {
    if (fremovexattr(fd(), kAccessControlList.data()) != 0)
      return SystemError("access control list by the directory's default cannot be removed", errno);
  } else if (errno != ENODATA && errno != EOPNOTSUPP && errno != ENOSYS) {
    return SystemError("access control list", errno);
  }
  for (const std::string& name : names) {
    const std::optional<std::string> value = ReadAttribute(metadata_.get(), name.c_str());
    if (value && ReadAttribute(fd(), name.c_str()) == value) continue;
    if (value && fsetxattr(fd(), name.c_str(), value->data(), value->size(), 0) == 0) continue;
    if (!replaced_ && name != kAccessControlList) continue;
    return SystemError(StrCat("extended attribute ", Printable(name), " cannot be kept"), errno);
  }
  return {};
}

Status OutputFile::TakePlace() {
  const int directory = directory_.get();
  const auto give_name = [&](const std::string& name) {
    return linkat(AT_FDCWD, ProcessPath(fd()).c_str(), directory, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
  };
  if (!replaced_) {
    // Neither call replaces a file that was made since Create.
    bool done = temporary_name_.empty()
                    ? give_name(name_)
                    : renameat2(directory, temporary_name_.c_str(), directory, name_.c_str(), RENAME_NOREPLACE) == 0;
    if (!done && errno == EEXIST) return Changed("a new file of that name");
    if (!done && (errno == EINVAL || errno == ENOSYS) && !temporary_name_.empty()) {  // not on this file system, or an old kernel
      if (FactsAt(directory, name_)) return Changed("a new file of that name");
      done = renameat(directory, temporary_name_.c_str(), directory, name_.c_str()) == 0;
    }
    if (!done) return SystemError("cannot be created", errno);
    if (!temporary_name_.empty()) ForgetName();
    return {};
  }
  const std::optional<FileFacts> now = FactsAt(directory, name_);
  if (!now) return Changed("no file");
  if (*now != *replaced_) return Changed(now->inode == replaced_->inode ? "another size, time, mode or owner" : "another file");
  for (int attempt = 0; temporary_name_.empty(); ++attempt) {
    PANNIER_TRY(temporary_name_, TemporaryName(name_));
    RememberTemporary(directory, temporary_name_);
    if (give_name(temporary_name_)) break;
    const int error = errno;
    ForgetName();
    if (error != EEXIST || attempt == kMostAttempts) return DirectoryError(directory_path_, error);
  }
  if (renameat(directory, temporary_name_.c_str(), directory, name_.c_str()) != 0) return SystemError("cannot be replaced", errno);
  ForgetName();
  return {};
}

void OutputFile::ForgetName() {
  ForgetTemporary(directory_.get(), temporary_name_);
  temporary_name_.clear();
}

void OutputFile::Discard() {
  if (directory_ && !temporary_name_.empty()) {
    unlinkat(directory_.get(), temporary_name_.c_str(), 0);
    ForgetName();
  }
  directory_ = FileHandle();
}

}  // namespace pannier
