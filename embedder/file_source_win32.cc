// FileSource on Windows: a descriptor of the C library over a handle that lets others do with the file as they like.
#include <fcntl.h>
#include <io.h>
#include <windows.h>

#include <algorithm>

#include "embedder/file_source.h"
#include "embedder/system_error.h"
#include "src/win32.h"

namespace pannier {
namespace {

constexpr std::size_t kMostAtOnce = std::size_t{1} << 30;  // a DWORD counts the bytes of one call

HANDLE ToHandle(int fd) { return fd < 0 ? INVALID_HANDLE_VALUE : reinterpret_cast<HANDLE>(_get_osfhandle(fd)); }

std::int64_t Seconds(std::int64_t time) { return time / 10'000'000; }
std::int64_t Nanoseconds(std::int64_t time) { return time % 10'000'000 * 100; }

std::optional<FileFacts> FactsOf(HANDLE file) {
  BY_HANDLE_FILE_INFORMATION found;
  FILE_BASIC_INFO times;
  if (GetFileInformationByHandle(file, &found) == 0) return std::nullopt;
  if (GetFileInformationByHandleEx(file, FileBasicInfo, &times, sizeof(times)) == 0) return std::nullopt;
  auto join = [](DWORD high, DWORD low) { return (std::uint64_t{high} << 32) | low; };
  FileFacts facts;
  facts.device = found.dwVolumeSerialNumber;
  facts.inode = join(found.nFileIndexHigh, found.nFileIndexLow);
  facts.size = join(found.nFileSizeHigh, found.nFileSizeLow);
  facts.link_count = found.nNumberOfLinks;
  facts.mode = found.dwFileAttributes;
  facts.modified_seconds = Seconds(times.LastWriteTime.QuadPart);
  facts.modified_nanoseconds = Nanoseconds(times.LastWriteTime.QuadPart);
  facts.changed_seconds = Seconds(times.ChangeTime.QuadPart);
  facts.changed_nanoseconds = Nanoseconds(times.ChangeTime.QuadPart);
  return facts;
}

Status WrongType(std::string_view found) {
  return {ErrorCode::kInvalidArgument, StrCat("file type: found ", found, ", expected a regular file")};
}

}  // namespace

FileHandle::~FileHandle() {
  if (fd_ >= 0) _close(fd_);
}

std::optional<FileFacts> FactsAt(int fd, const std::string& name) {
  if (name.empty()) return FactsOf(ToHandle(fd));
  const Result<std::wstring> path = win32::WidePath(name);
  if (!path.ok()) return std::nullopt;
  const win32::Handle file(CreateFileW(path->c_str(), FILE_READ_ATTRIBUTES, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                                       nullptr, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT, nullptr));
  return file ? FactsOf(file.get()) : std::nullopt;
}

Result<FileSource> FileSource::Open(const std::string& path) {
  PANNIER_TRY(const std::wstring wide, win32::WidePath(path));
  const DWORD attributes = GetFileAttributesW(wide.c_str());
  if (attributes == INVALID_FILE_ATTRIBUTES) return win32::SystemError("open", GetLastError());
  if ((attributes & FILE_ATTRIBUTE_DIRECTORY) != 0) return WrongType("a directory");
  win32::Handle file(CreateFileW(wide.c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr,
                                 OPEN_EXISTING, FILE_FLAG_SEQUENTIAL_SCAN, nullptr));
  if (!file) return win32::SystemError("open", GetLastError());
  if (GetFileType(file.get()) != FILE_TYPE_DISK) return WrongType("a device");
  const std::optional<FileFacts> facts = FactsOf(file.get());
  if (!facts) return win32::SystemError("open", GetLastError());
  FileHandle handle(_open_osfhandle(reinterpret_cast<std::intptr_t>(file.get()), _O_RDONLY | _O_BINARY));
  if (!handle) return SystemError("open", errno);
  file.Release();
  return FileSource(std::move(handle), path, *facts);
}

Status FileSource::ReadAt(std::uint64_t offset, void* out, std::size_t size) const {
  if (!FitsWithin(offset, size, facts_.size)) {
    return Malformed(StrCat("read of ", size, " bytes at ", Hex(offset), ": found ", facts_.size, " bytes in all"));
  }
  std::size_t done = 0;
  while (done < size) {
    const std::uint64_t position = offset + done;
    OVERLAPPED place = {};
    place.Offset = static_cast<DWORD>(position);
    place.OffsetHigh = static_cast<DWORD>(position >> 32);
    DWORD got = 0;
    const auto step = static_cast<DWORD>(std::min(size - done, kMostAtOnce));
    const bool is_read = ReadFile(ToHandle(fd()), static_cast<std::uint8_t*>(out) + done, step, &got, &place) != 0;
    if (!is_read && GetLastError() != ERROR_HANDLE_EOF)
      return win32::SystemError(StrCat("read at ", Hex(position)), GetLastError());
    if (got == 0) {
      return {ErrorCode::kIo, StrCat("read at ", Hex(position), ": found the end of the file, expected ", facts_.size,
                                     " bytes; it shrank meanwhile")};
    }
    done += got;
  }
  return {};
}

Status FileSource::CheckUnchanged() const {
  const std::optional<FileFacts> now = FactsAt(fd());
  if (!now) return win32::SystemError("stat", GetLastError());
  if (now->size != facts_.size) {
    return {ErrorCode::kIo, StrCat("changed while it was being read: found ", now->size, " bytes, expected ", facts_.size)};
  }
  if (now->modified_seconds != facts_.modified_seconds || now->modified_nanoseconds != facts_.modified_nanoseconds) {
    return {ErrorCode::kIo, "changed while it was being read: found another time of modification"};
  }
  return {};
}

}  // namespace pannier
