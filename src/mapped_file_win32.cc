// MappedFile on Windows: views of a file, which begin at multiples of 64 KiB.
#include <io.h>
#include <windows.h>

#include <cerrno>
#include <cstring>
#include <limits>

#include "src/mapped_file.h"
#include "src/pages.h"
#include "src/text.h"
#include "src/win32.h"

namespace pannier {
namespace {

SYSTEM_INFO System() {
  SYSTEM_INFO system;
  GetSystemInfo(&system);
  return system;
}

std::uint64_t Join(DWORD high, DWORD low) { return std::uint64_t{high} << 32 | low; }

Result<FileIdentity> IdentityOf(HANDLE file) {
  BY_HANDLE_FILE_INFORMATION facts;
  if (GetFileInformationByHandle(file, &facts) == 0) return win32::SystemError("cannot stat", GetLastError());
  return FileIdentity{facts.dwVolumeSerialNumber, Join(facts.nFileIndexHigh, facts.nFileIndexLow),
                      Join(facts.nFileSizeHigh, facts.nFileSizeLow),
                      static_cast<std::int64_t>(Join(facts.ftLastWriteTime.dwHighDateTime, facts.ftLastWriteTime.dwLowDateTime))};
}

}  // namespace

Result<MappedFile> MappedFile::Open(const std::string& path) {
  PANNIER_TRY(const win32::Handle handle, win32::OpenForReading(path, "cannot open"));
  PANNIER_TRY(const std::uint64_t size, win32::FileSize(handle.get()));
  return MapHandle(handle.get(), 0, size, Access::kRead);
}

Result<MappedFile> MappedFile::OpenCopyOnWrite(const std::string& path, std::uint64_t offset, std::uint64_t size) {
  PANNIER_TRY(const win32::Handle handle, win32::OpenForReading(path, "cannot open"));
  return MapHandle(handle.get(), offset, size, Access::kCopyOnWrite);
}

Result<MappedFile> MappedFile::Map(int file_descriptor, std::uint64_t offset, std::uint64_t size) {
  // The C library ends the program when it is asked about a negative number.
  void* const handle = file_descriptor < 0 ? INVALID_HANDLE_VALUE : reinterpret_cast<void*>(_get_osfhandle(file_descriptor));
  if (handle == INVALID_HANDLE_VALUE) return {ErrorCode::kIo, StrCat("cannot stat: ", std::strerror(EBADF))};
  PANNIER_CHECK_OK(win32::CheckIsFile(handle));
  return MapHandle(handle, offset, size, Access::kRead);
}

Result<MappedFile> MappedFile::MapHandle(void* handle, std::uint64_t offset, std::uint64_t size, Access access) {
  PANNIER_TRY(const std::uint64_t file_size, win32::FileSize(handle));
  if (!FitsWithin(offset, size, file_size)) {
    return Malformed(StrCat("found ", file_size, " bytes, expected ", size, " from offset ", offset));
  }
  MappedFile file;
  PANNIER_TRY(file.identity_, IdentityOf(handle));
  if (size == 0) return file;
  const std::uint64_t slack = offset % System().dwAllocationGranularity;
  if (size > std::numeric_limits<std::size_t>::max() - slack) {
    return Unsupported(StrCat("found ", size, " bytes, expected what fits into this machine's address space"));
  }
  file.mapping_size_ = static_cast<std::size_t>(size + slack);
  const bool is_copy = access == Access::kCopyOnWrite;
  // The view keeps what it needs open.
  const win32::Handle mapping(CreateFileMappingW(handle, nullptr, is_copy ? PAGE_WRITECOPY : PAGE_READONLY, 0, 0, nullptr));
  if (!mapping) return win32::SystemError("cannot map", GetLastError());
  const std::uint64_t start = offset - slack;
  file.mapping_ = MapViewOfFile(mapping.get(), is_copy ? FILE_MAP_COPY : FILE_MAP_READ, static_cast<DWORD>(start >> 32),
                                static_cast<DWORD>(start), file.mapping_size_);
  if (file.mapping_ == nullptr) return win32::SystemError("cannot map", GetLastError());
  file.bytes_ = ByteView(static_cast<const std::uint8_t*>(file.mapping_) + slack, static_cast<std::size_t>(size));
  return file;
}

MappedFile::~MappedFile() {
  if (mapping_ != nullptr) UnmapViewOfFile(mapping_);
}

void MappedFile::Release(ByteView range) const {
  const PageRange pages = WholePagesWithin(range.data(), range.size());
  // Of pages that are not locked it says so, and takes them out of the working set: its documented use for this.
  if (!pages.is_empty()) VirtualUnlock(reinterpret_cast<void*>(pages.begin), pages.end - pages.begin);
}

}  // namespace pannier
