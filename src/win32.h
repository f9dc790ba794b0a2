// What all of pannier's Windows files share: UTF-8 paths and errors in the form the rest of pannier has them.
#ifndef PANNIER_SRC_WIN32_H_
#define PANNIER_SRC_WIN32_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "src/result.h"

// windows.h, which defines thousands of names, stays in the .cc files: a HANDLE is a void*, an error number an unsigned long.
namespace pannier::win32 {

// Owns a HANDLE.
class Handle {
 public:
  Handle() = default;
  explicit Handle(void* handle);  // INVALID_HANDLE_VALUE is none
  Handle(Handle&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Handle();

  void* get() const { return handle_; }
  void* Release() { return std::exchange(handle_, nullptr); }
  explicit operator bool() const { return handle_ != nullptr; }

 private:
  void* handle_ = nullptr;
};

// A UTF-8 path as the system's wide calls take it; one beyond the 260 characters of MAX_PATH becomes absolute, with \\?\ in front.
// kInvalidArgument when it is not UTF-8 or holds a null character.
Result<std::wstring> WidePath(std::string_view path);

// The same, always absolute.
Result<std::wstring> AbsolutePath(std::string_view path);

std::string ToUtf8(std::wstring_view text);

// "the system cannot find the file specified (2)": the system's words in lowercase, and the number.
std::string ErrorText(unsigned long error);

// `what: the system cannot ...`
Status SystemError(std::string_view what, unsigned long error);

// Opens a file that others may read, write, rename and delete meanwhile. kInvalidArgument for what is no file on a disk.
Result<Handle> OpenForReading(const std::string& path, std::string_view what);

Result<std::uint64_t> FileSize(void* file);

// A file that is not on a disk (NUL, a console, a pipe) or a folder.
Status CheckIsFile(void* file);

}  // namespace pannier::win32

#endif  // PANNIER_SRC_WIN32_H_
