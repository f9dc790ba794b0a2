// OutputFile on Windows: a temporary file beside the target, access control list and attributes carried over, one rename.
#include <fcntl.h>
#include <io.h>
#include <windows.h>
// windows.h has to come first.
#include <aclapi.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "embedder/output_file.h"
#include "embedder/system_error.h"
#include "src/win32.h"

namespace pannier {
namespace {

constexpr std::size_t kCopyStep = 256 * 1024;
constexpr std::size_t kMostAtOnce = std::size_t{1} << 30;  // a DWORD counts the bytes of one call
constexpr int kMostAttempts = 100;                         // at a name nobody has
constexpr std::wstring_view kLetters = L"abcdefghijklmnopqrstuvwxyz234567";
constexpr std::size_t kRandomLetters = 6;
constexpr std::size_t kLongestName = 255;   // in UTF-16's units
constexpr DWORD kDiskQuotaExceeded = 1295;  // ERROR_DISK_QUOTA_EXCEEDED, which MinGW's headers lack
constexpr DWORD kShareAll = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
constexpr DWORD kKeptAttributes =
    FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM | FILE_ATTRIBUTE_ARCHIVE | FILE_ATTRIBUTE_NOT_CONTENT_INDEXED;

HANDLE ToHandle(int fd) { return fd < 0 ? INVALID_HANDLE_VALUE : reinterpret_cast<HANDLE>(_get_osfhandle(fd)); }

Status Changed(std::string_view found) {
  return {ErrorCode::kIo, StrCat("changed while it was being written: found ", found, "; nothing was replaced")};
}

Status WriteError(std::uint64_t position, DWORD error) {
  const char* limit = nullptr;
  if (error == ERROR_DISK_FULL || error == ERROR_HANDLE_DISK_FULL) limit = "no space left on device";
  if (error == kDiskQuotaExceeded) limit = "disk quota exceeded";
  if (error == ERROR_FILE_TOO_LARGE) limit = "file too large for the file system";
  if (limit != nullptr) return {ErrorCode::kIo, StrCat(limit, " after ", position, " bytes")};
  return win32::SystemError(StrCat("write at ", Hex(position)), error);
}

Status DirectoryError(const std::string& directory, DWORD error) {
  return win32::SystemError(StrCat("directory ", Printable(directory)), error);
}

Status CheckRange(std::uint64_t offset, std::uint64_t size) {
  if (FitsWithin(offset, size, INT64_MAX)) return {};
  return {ErrorCode::kLimit, StrCat("write of ", size, " bytes at ", Hex(offset), ": beyond the largest file offset")};
}

// Of a living writer: on a byte that no file has, since a lock on Windows keeps others from reading. Goes with the process.
bool Lock(HANDLE file) {
  OVERLAPPED place = {};
  place.OffsetHigh = 1U << 30;
  return LockFileEx(file, LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &place) != 0;
}

// `.NAME.pannier-`, cut so that the letters fit as well.
std::wstring TemporaryPrefix(const std::wstring& name) {
  constexpr std::wstring_view kMark = L".pannier-";
  std::wstring start = name.substr(0, kLongestName - 1 - kMark.size() - kRandomLetters);
  if (start.size() < name.size() && (start.back() & 0xFC00) == 0xD800) start.pop_back();  // half of a character
  return std::wstring(L".").append(start).append(kMark);
}

// Folder with its backslash.
void RemoveAbandoned(const std::wstring& folder, const std::wstring& target_name) {
  const std::wstring prefix = TemporaryPrefix(target_name);
  WIN32_FIND_DATAW entry;
  const HANDLE search = FindFirstFileW((folder + prefix + L"*").c_str(), &entry);
  if (search == INVALID_HANDLE_VALUE) return;
  do {
    const std::wstring name = entry.cFileName;
    if (name.size() != prefix.size() + kRandomLetters || name.compare(0, prefix.size(), prefix) != 0) continue;
    const std::wstring path = folder + name;
    const win32::Handle file(
        CreateFileW(path.c_str(), GENERIC_READ, kShareAll, nullptr, OPEN_EXISTING, FILE_FLAG_OPEN_REPARSE_POINT, nullptr));
    if (file && win32::CheckIsFile(file.get()).ok() && Lock(file.get())) DeleteFileW(path.c_str());
  } while (FindNextFileW(search, &entry) != 0);
  FindClose(search);
}

// Where a link leads to; any other file's path as it is.
std::wstring Resolve(const std::wstring& path) {
  const DWORD attributes = GetFileAttributesW(path.c_str());
  if (attributes == INVALID_FILE_ATTRIBUTES || (attributes & FILE_ATTRIBUTE_REPARSE_POINT) == 0) return path;
  const win32::Handle file(CreateFileW(path.c_str(), FILE_READ_ATTRIBUTES, kShareAll, nullptr, OPEN_EXISTING, 0, nullptr));
  if (!file) return path;
  std::wstring final_path(32768, L'\0');
  const DWORD length = GetFinalPathNameByHandleW(file.get(), final_path.data(), static_cast<DWORD>(final_path.size()), 0);
  if (length == 0 || length >= final_path.size()) return path;
  final_path.resize(length);
  return final_path;
}

// The access control list of one file for another; inherited entries stay inherited.
DWORD CopyAccess(HANDLE from, HANDLE to) {
  PACL list = nullptr;
  PSECURITY_DESCRIPTOR descriptor = nullptr;
  const DWORD error =
      GetSecurityInfo(from, SE_FILE_OBJECT, DACL_SECURITY_INFORMATION, nullptr, nullptr, &list, nullptr, &descriptor);
  if (error != ERROR_SUCCESS) return error;
  const std::unique_ptr<void, decltype(&LocalFree)> owner(descriptor, &LocalFree);
  SECURITY_DESCRIPTOR_CONTROL control = 0;
  DWORD revision = 0;
  if (GetSecurityDescriptorControl(descriptor, &control, &revision) == 0) return GetLastError();
  const SECURITY_INFORMATION inheritance =
      (control & SE_DACL_PROTECTED) != 0 ? PROTECTED_DACL_SECURITY_INFORMATION : UNPROTECTED_DACL_SECURITY_INFORMATION;
  return SetSecurityInfo(to, SE_FILE_OBJECT, DACL_SECURITY_INFORMATION | inheritance, nullptr, nullptr, list, nullptr);
}

}  // namespace

Result<OutputFile> OutputFile::Create(const std::string& target, const FileSource* metadata_from) {
  PANNIER_TRY(const std::wstring given, win32::AbsolutePath(target));
  const std::wstring path = Resolve(given);
  const std::size_t name_at = path.find_last_of(L'\\') + 1;
  if (name_at == path.size()) return {ErrorCode::kInvalidArgument, "file type: found a directory's name, expected a file's"};
  OutputFile output;
  output.target_ = target;
  output.directory_path_ = win32::ToUtf8(path.substr(0, name_at));
  output.name_ = win32::ToUtf8(path.substr(name_at));

  const DWORD attributes = GetFileAttributesW(path.c_str());
  if (attributes == INVALID_FILE_ATTRIBUTES) {
    const DWORD error = GetLastError();
    if (error == ERROR_PATH_NOT_FOUND) return DirectoryError(output.directory_path_, error);
    if (error != ERROR_FILE_NOT_FOUND) return win32::SystemError("open", error);
  } else {
    PANNIER_TRY(FileSource old, FileSource::Open(target));
    output.replaced_ = old.facts();
    if (metadata_from != nullptr && metadata_from->path() == target && metadata_from->facts() != old.facts()) {
      return Changed("another file than was read");
    }
    if (old.facts().link_count > 1) {
      return {ErrorCode::kInvalidArgument, StrCat("hard links: found ", old.facts().link_count,
                                                  ", expected 1; to replace one would split them, write elsewhere with -o")};
    }
    if ((attributes & FILE_ATTRIBUTE_READONLY) != 0)
      return {ErrorCode::kInvalidArgument, "it is read-only; clear that attribute or write elsewhere with -o"};
  }
  RemoveAbandoned(path.substr(0, name_at), path.substr(name_at));
  PANNIER_CHECK_OK(output.OpenTemporary());
  return output;
}

Status OutputFile::OpenTemporary() {
  PANNIER_TRY(const std::wstring folder, win32::WidePath(directory_path_));
  PANNIER_TRY(const std::wstring name, win32::WidePath(name_));
  std::random_device random;
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    std::wstring temporary = TemporaryPrefix(name);
    for (std::size_t i = 0; i < kRandomLetters; ++i) temporary.push_back(kLetters[random() % kLetters.size()]);
    PANNIER_TRY(const std::wstring path, win32::WidePath(directory_path_ + win32::ToUtf8(temporary)));
    win32::Handle file(CreateFileW(path.c_str(), GENERIC_READ | GENERIC_WRITE | READ_CONTROL | WRITE_DAC, kShareAll, nullptr,
                                   CREATE_NEW, FILE_ATTRIBUTE_NORMAL, nullptr));
    if (!file) {
      if (GetLastError() == ERROR_FILE_EXISTS) continue;
      return DirectoryError(directory_path_, GetLastError());
    }
    if (!Lock(file.get())) continue;  // another process's RemoveAbandoned came between, and removes it
    file_ = FileHandle(_open_osfhandle(reinterpret_cast<std::intptr_t>(file.get()), _O_RDWR | _O_BINARY));
    if (!file_) return SystemError("open", errno);
    file.Release();
    temporary_name_ = win32::ToUtf8(temporary);
    return {};
  }
  return DirectoryError(directory_path_, ERROR_FILE_EXISTS);
}

Status OutputFile::WriteAt(std::uint64_t offset, ByteView bytes) {
  PANNIER_CHECK_OK(CheckRange(offset, bytes.size()));
  std::size_t done = 0;
  while (done < bytes.size()) {
    const std::uint64_t position = offset + done;
    OVERLAPPED place = {};
    place.Offset = static_cast<DWORD>(position);
    place.OffsetHigh = static_cast<DWORD>(position >> 32);
    DWORD put = 0;
    const auto step = static_cast<DWORD>(std::min(bytes.size() - done, kMostAtOnce));
    const bool is_written = WriteFile(ToHandle(fd()), bytes.data() + done, step, &put, &place) != 0;
    if (!is_written || put == 0) return WriteError(position, is_written ? ERROR_WRITE_FAULT : GetLastError());
    done += put;
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
  std::vector<std::uint8_t> buffer(kCopyStep);
  for (std::uint64_t done = 0; done < size;) {
    const auto step = static_cast<std::size_t>(std::min<std::uint64_t>(size - done, buffer.size()));
    PANNIER_CHECK_OK(source.ReadAt(source_offset + done, buffer.data(), step).WithContext(Printable(source.path())));
    PANNIER_CHECK_OK(WriteAt(offset + done, ByteView(buffer.data(), step)));
    done += step;
    effort.Advance(step);
  }
  return {};
}

Status OutputFile::Truncate(std::uint64_t size) {
  PANNIER_CHECK_OK(CheckRange(0, size));
  FILE_END_OF_FILE_INFO end;
  end.EndOfFile.QuadPart = static_cast<LONGLONG>(size);
  if (SetFileInformationByHandle(ToHandle(fd()), FileEndOfFileInfo, &end, sizeof(end)) != 0) return {};
  return WriteError(size, GetLastError());
}

// The system has no such call, and begins to write by itself.
void OutputFile::StartWriteback(std::uint64_t /*offset*/, std::uint64_t /*size*/) {}

std::string OutputFile::path_for_reading() const { return directory_path_ + temporary_name_; }

Status OutputFile::Commit() {
  if (temporary_name_.empty()) return {ErrorCode::kInvalidArgument, "commit: found it done already"};
  Status status = KeepMetadata();
  if (status.ok() && FlushFileBuffers(ToHandle(fd())) == 0) status = win32::SystemError("sync", GetLastError());
  if (status.ok()) status = TakePlace();
  Discard();
  return status;
}

// Of a target that is replaced. Named streams are not carried over: most often they say where the old content was downloaded.
Status OutputFile::KeepMetadata() {
  if (!replaced_) return {};
  PANNIER_TRY(const std::wstring path, win32::WidePath(directory_path_ + name_));
  const win32::Handle old(
      CreateFileW(path.c_str(), READ_CONTROL | FILE_READ_ATTRIBUTES, kShareAll, nullptr, OPEN_EXISTING, 0, nullptr));
  FILE_BASIC_INFO facts;
  if (!old || GetFileInformationByHandleEx(old.get(), FileBasicInfo, &facts, sizeof(facts)) == 0)
    return win32::SystemError("stat", GetLastError());
  const DWORD error = CopyAccess(old.get(), ToHandle(fd()));
  // Not on this file system.
  if (error != ERROR_SUCCESS && error != ERROR_NOT_SUPPORTED && error != ERROR_INVALID_FUNCTION)
    return win32::SystemError("access control list cannot be kept", error);
  FILE_BASIC_INFO kept = {};  // a time that is zero stays as it is
  kept.CreationTime = facts.CreationTime;
  kept.FileAttributes = facts.FileAttributes & kKeptAttributes;
  if (kept.FileAttributes == 0) kept.FileAttributes = FILE_ATTRIBUTE_NORMAL;
  if (SetFileInformationByHandle(ToHandle(fd()), FileBasicInfo, &kept, sizeof(kept)) == 0)
    return win32::SystemError("attributes cannot be kept", GetLastError());
  return {};
}

Status OutputFile::TakePlace() {
  PANNIER_TRY(const std::wstring from, win32::WidePath(directory_path_ + temporary_name_));
  PANNIER_TRY(const std::wstring to, win32::WidePath(directory_path_ + name_));
  if (replaced_) {
    const std::optional<FileFacts> now = FactsAt(-1, directory_path_ + name_);
    if (!now) return Changed("no file");
    if (*now != *replaced_) return Changed(now->inode == replaced_->inode ? "another size, time or attributes" : "another file");
  }
  // Our own handle lets the file be renamed, and its lock keeps others from it.
  if (MoveFileExW(from.c_str(), to.c_str(), MOVEFILE_WRITE_THROUGH | (replaced_ ? MOVEFILE_REPLACE_EXISTING : 0)) != 0) {
    temporary_name_.clear();
    return {};
  }
  const DWORD error = GetLastError();
  if (!replaced_ && (error == ERROR_ALREADY_EXISTS || error == ERROR_FILE_EXISTS)) return Changed("a new file of that name");
  return win32::SystemError(replaced_ ? "cannot be replaced (does a program use it?)" : "cannot be created", error);
}

void OutputFile::Discard() {
  file_ = FileHandle();
  if (temporary_name_.empty()) return;
  const Result<std::wstring> path = win32::WidePath(directory_path_ + temporary_name_);
  if (path.ok()) DeleteFileW(path->c_str());
  temporary_name_.clear();
}

}  // namespace pannier
