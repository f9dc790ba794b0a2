// Windows' paths, errors and files, turned into pannier's.
#include "src/win32.h"

#include <windows.h>

#include <climits>

#include "src/text.h"

namespace pannier::win32 {
namespace {

// CreateDirectory's limit, the lowest of the old limits: MAX_PATH less the 12 characters of a file's short name.
constexpr std::size_t kLongestPlainPath = MAX_PATH - 12;

Result<std::wstring> ToWide(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return {ErrorCode::kInvalidArgument, "path: found a null character"};
  if (text.empty()) return std::wstring();
  if (text.size() > INT_MAX) return {ErrorCode::kInvalidArgument, StrCat("path: found ", text.size(), " bytes")};
  const int size = static_cast<int>(text.size());
  const int count = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text.data(), size, nullptr, 0);
  if (count <= 0) return {ErrorCode::kInvalidArgument, "path: found bytes that are not UTF-8"};
  std::wstring wide(static_cast<std::size_t>(count), L'\0');
  MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text.data(), size, wide.data(), count);
  return wide;
}

bool StartsWith(const std::wstring& text, std::wstring_view start) { return text.compare(0, start.size(), start) == 0; }

Result<std::wstring> Full(const std::wstring& path) {
  // With \\?\ or \\.\ in front a path is taken as it is.
  if (StartsWith(path, LR"(\\?\)") || StartsWith(path, LR"(\\.\)")) return path;
  std::wstring full;
  DWORD size = MAX_PATH;
  while (size > full.size()) {  // the current folder, which is a part of the answer, may change between two calls
    full.resize(size);
    size = GetFullPathNameW(path.c_str(), size, full.data(), nullptr);
    if (size == 0) return SystemError("path", GetLastError());
  }
  full.resize(size);
  if (full.size() < kLongestPlainPath || StartsWith(full, LR"(\\.\)")) return full;
  return StartsWith(full, LR"(\\)") ? LR"(\\?\UNC)" + full.substr(1) : LR"(\\?\)" + full;
}

}  // namespace

Handle::Handle(void* handle) : handle_(handle == INVALID_HANDLE_VALUE ? nullptr : handle) {}

Handle::~Handle() {
  if (handle_ != nullptr) CloseHandle(handle_);
}

Result<std::wstring> WidePath(std::string_view path) {
  PANNIER_TRY(std::wstring wide, ToWide(path));
  if (wide.size() < kLongestPlainPath) return wide;
  return Full(wide);
}

Result<std::wstring> AbsolutePath(std::string_view path) {
  PANNIER_TRY(const std::wstring wide, ToWide(path));
  if (wide.empty()) return SystemError("path", ERROR_PATH_NOT_FOUND);
  return Full(wide);
}

std::string ToUtf8(std::wstring_view text) {
  if (text.empty() || text.size() > INT_MAX / 3) return {};
  const int size = static_cast<int>(text.size());
  std::string utf8(text.size() * 3, '\0');  // at most three bytes for each of UTF-16's units
  const int count =
      WideCharToMultiByte(CP_UTF8, 0, text.data(), size, utf8.data(), static_cast<int>(utf8.size()), nullptr, nullptr);
  utf8.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  return utf8;
}

std::string ErrorText(unsigned long error) {
  wchar_t words[512];
  const DWORD length = FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS | FORMAT_MESSAGE_MAX_WIDTH_MASK,
                                      nullptr, error, 0, words, static_cast<DWORD>(sizeof(words) / sizeof(words[0])), nullptr);
  std::string text = ToUtf8({words, length});
  while (!text.empty() && (text.back() == ' ' || text.back() == '.')) text.pop_back();
  if (text.empty()) return StrCat("error ", error);
  // "%1 is not a valid Win32 application": the file's name stands in front of our messages already.
  if (text.compare(0, 2, "%1") == 0) text.replace(0, 2, "it");
  if (text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] - 'A' + 'a');
  return StrCat(text, " (", error, ")");
}

Status SystemError(std::string_view what, unsigned long error) {
  const bool no_memory = error == ERROR_NOT_ENOUGH_MEMORY || error == ERROR_OUTOFMEMORY || error == ERROR_COMMITMENT_LIMIT;
  return {no_memory ? ErrorCode::kNoMemory : ErrorCode::kIo, StrCat(what, ": ", ErrorText(error))};
}

Status CheckIsFile(void* file) {
  BY_HANDLE_FILE_INFORMATION facts;
  if (GetFileType(file) == FILE_TYPE_DISK && GetFileInformationByHandle(file, &facts) != 0 &&
      (facts.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) == 0) {
    return {};
  }
  return {ErrorCode::kInvalidArgument, "not a regular file"};
}

Result<Handle> OpenForReading(const std::string& path, std::string_view what) {
  PANNIER_TRY(const std::wstring wide, WidePath(path));
  Handle file(CreateFileW(wide.c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr,
                          OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr));
  if (!file) {
    const DWORD error = GetLastError();
    // A folder is refused with "access is denied".
    const DWORD attributes = error == ERROR_ACCESS_DENIED ? GetFileAttributesW(wide.c_str()) : INVALID_FILE_ATTRIBUTES;
    if (attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0)
      return {ErrorCode::kInvalidArgument, "not a regular file"};
    return SystemError(what, error);
  }
  PANNIER_CHECK_OK(CheckIsFile(file.get()));
  return file;
}

Result<std::uint64_t> FileSize(void* file) {
  LARGE_INTEGER size;
  if (GetFileSizeEx(file, &size) == 0) return SystemError("cannot stat", GetLastError());
  return static_cast<std::uint64_t>(size.QuadPart);
}

}  // namespace pannier::win32
