// MappedFile on systems with mmap.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>

#include "src/mapped_file.h"
#include "src/pages.h"
#include "src/text.h"

namespace pannier {
namespace {

Status SystemError(const char* what) { return {ErrorCode::kIo, StrCat(what, ": ", std::strerror(errno))}; }

}  // namespace

FileIdentity IdentityOf(const struct stat& facts) {
#ifdef __APPLE__
  const timespec& modified = facts.st_mtimespec;
#else
  const timespec& modified = facts.st_mtim;
#endif
  return {static_cast<std::uint64_t>(facts.st_dev), static_cast<std::uint64_t>(facts.st_ino),
          static_cast<std::uint64_t>(facts.st_size), std::int64_t{modified.tv_sec} * 1000000000 + modified.tv_nsec};
}

Result<MappedFile> MappedFile::Open(const std::string& path) {
  // A FIFO would block without O_NONBLOCK.
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return SystemError("cannot open");
  struct stat facts {};
  auto result = [&]() -> Result<MappedFile> {
    if (fstat(descriptor, &facts) != 0) return SystemError("cannot stat");
    if (!S_ISREG(facts.st_mode)) return {ErrorCode::kInvalidArgument, "not a regular file"};
    return Map(descriptor, 0, static_cast<std::uint64_t>(facts.st_size));
  }();
  close(descriptor);
  return result;
}

Result<MappedFile> MappedFile::Map(int file_descriptor, std::uint64_t offset, std::uint64_t size) {
  return MapDescriptor(file_descriptor, offset, size, Access::kRead);
}

Result<MappedFile> MappedFile::OpenCopyOnWrite(const std::string& path, std::uint64_t offset, std::uint64_t size) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return SystemError("cannot open");
  Result<MappedFile> result = MapDescriptor(descriptor, offset, size, Access::kCopyOnWrite);
  close(descriptor);
  return result;
}

Result<MappedFile> MappedFile::MapDescriptor(int descriptor, std::uint64_t offset, std::uint64_t size, Access access) {
  struct stat facts {};
  if (fstat(descriptor, &facts) != 0) return SystemError("cannot stat");
  if (!S_ISREG(facts.st_mode)) return {ErrorCode::kInvalidArgument, "not a regular file"};
  const auto file_size = static_cast<std::uint64_t>(facts.st_size);
  if (!FitsWithin(offset, size, file_size)) {
    return Malformed(StrCat("found ", file_size, " bytes, expected ", size, " from offset ", offset));
  }
  MappedFile file;
  file.identity_ = IdentityOf(facts);
  if (size == 0) return file;
  const std::uint64_t slack = offset % PageSize();
  if (size > std::numeric_limits<std::size_t>::max() - slack) {
    return Unsupported(StrCat("found ", size, " bytes, expected what fits into this machine's address space"));
  }
  file.mapping_size_ = static_cast<std::size_t>(size + slack);
  const int protection = access == Access::kCopyOnWrite ? PROT_READ | PROT_WRITE : PROT_READ;
  void* mapping = mmap(nullptr, file.mapping_size_, protection, MAP_PRIVATE, descriptor, static_cast<off_t>(offset - slack));
  if (mapping == MAP_FAILED) return SystemError("cannot map");
  file.mapping_ = mapping;
  file.bytes_ = ByteView(static_cast<const std::uint8_t*>(mapping) + slack, static_cast<std::size_t>(size));
  return file;
}

MappedFile::~MappedFile() {
  if (mapping_ != nullptr) munmap(mapping_, mapping_size_);
}

void MappedFile::Release(ByteView range) const {
  if (mapping_ == nullptr) return;  // borrowed
  const PageRange pages = WholePagesWithin(range.data(), range.size());
  if (!pages.is_empty()) madvise(reinterpret_cast<void*>(pages.begin), pages.end - pages.begin, MADV_DONTNEED);
}

}  // namespace pannier
