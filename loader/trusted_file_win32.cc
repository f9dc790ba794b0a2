// TrustedFile on Windows: the file itself, held open so that nobody else can write, rename or remove it.
#include <windows.h>

#include <string>
#include <utility>

#include "loader/trusted_file.h"
#include "src/win32.h"

namespace pannier {

Result<TrustedFile> TrustedFile::Open(const std::string& path) {
  PANNIER_TRY(const std::wstring name, win32::AbsolutePath(path));
  win32::Handle handle(CreateFileW(name.c_str(), GENERIC_READ, FILE_SHARE_READ, nullptr, OPEN_EXISTING, 0, nullptr));
  if (!handle) return win32::SystemError("trusted keys: cannot open the file for this process alone", GetLastError());
  PANNIER_CHECK_OK(win32::CheckIsFile(handle.get()));
  // Where a link among the folders leads to may change; the file's own name cannot.
  std::wstring final_name(MAX_PATH, L'\0');
  for (;;) {
    const DWORD length = GetFinalPathNameByHandleW(handle.get(), final_name.data(), static_cast<DWORD>(final_name.size()), 0);
    if (length == 0) return win32::SystemError("trusted keys: cannot find the file's name", GetLastError());
    const bool fits = length < final_name.size();
    final_name.resize(length);
    if (fits) break;
  }
  TrustedFile trusted;
  trusted.load_path_ = win32::ToUtf8(final_name);
  PANNIER_TRY(trusted.file_, MappedFile::Open(trusted.load_path_));
  trusted.hold_ = std::make_shared<const win32::Handle>(std::move(handle));
  return trusted;
}

}  // namespace pannier
