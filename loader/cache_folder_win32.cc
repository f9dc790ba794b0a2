// CacheFolder on Windows. A file being written is open for nobody else, which tells it from one that a killed writer left.
#include <windows.h>

#include <algorithm>
#include <utility>

#include "loader/cache_folder.h"
#include "src/text.h"
#include "src/win32.h"

namespace pannier {
namespace {

std::optional<MappedFile> Map(const std::string& path) {
  Result<MappedFile> mapped = MappedFile::Open(path);
  if (!mapped.ok()) return std::nullopt;
  return std::move(*mapped);
}

void Delete(const std::string& path) {
  const Result<std::wstring> wide = win32::WidePath(path);
  if (wide.ok()) DeleteFileW(wide->c_str());
}

class NewFile : public NewCacheFile {
 public:
  NewFile(std::string path, std::string unfinished_path, win32::Handle file)
      : path_(std::move(path)), unfinished_path_(std::move(unfinished_path)), file_(std::move(file)) {}
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  ~NewFile() override {
    Close();
    if (!is_committed_) Delete(unfinished_path_);
  }

  bool WriteAt(std::uint64_t offset, ByteView bytes) override {
    constexpr std::size_t kAtOnce = std::size_t{1} << 30;
    for (std::size_t done = 0; done < bytes.size();) {
      OVERLAPPED position{};
      position.Offset = static_cast<DWORD>(offset + done);
      position.OffsetHigh = static_cast<DWORD>((offset + done) >> 32);
      DWORD written = 0;
      const auto size = static_cast<DWORD>(std::min(bytes.size() - done, kAtOnce));
      if (WriteFile(file_.get(), bytes.data() + done, size, &written, &position) == 0 || written == 0) return false;
      done += written;
    }
    return true;
  }

  std::optional<MappedFile> Commit() override {
    if (FlushFileBuffers(file_.get()) == 0) return std::nullopt;
    // What is open to nobody else can neither be renamed nor mapped by its name.
    Close();
    const Result<std::wstring> from = win32::WidePath(unfinished_path_);
    const Result<std::wstring> to = win32::WidePath(path_);
    // Refused while others have the older one mapped.
    if (!from.ok() || !to.ok() || MoveFileExW(from->c_str(), to->c_str(), MOVEFILE_REPLACE_EXISTING) == 0) return std::nullopt;
    is_committed_ = true;
    return Map(path_);
  }

 private:
  void Close() { const win32::Handle closed = std::move(file_); }

  std::string path_;
  std::string unfinished_path_;
  win32::Handle file_;
  bool is_committed_ = false;
};

class Folder : public CacheFolder {
 public:
  explicit Folder(std::string path) : path_(std::move(path)) {}

  std::optional<MappedFile> Find(const std::string& name) override { return Map(PathOf(name)); }

  std::unique_ptr<NewCacheFile> Create(const std::string& name) override {
    RemoveUnfinished();
    LARGE_INTEGER now;
    QueryPerformanceCounter(&now);
    std::string unfinished_path = StrCat(PathOf(name), ".", GetCurrentProcessId(), ".", now.QuadPart, kUnfinishedSuffix);
    const Result<std::wstring> wide = win32::WidePath(unfinished_path);
    if (!wide.ok()) return nullptr;
    win32::Handle file(CreateFileW(wide->c_str(), GENERIC_WRITE, 0, nullptr, CREATE_NEW, FILE_ATTRIBUTE_NORMAL, nullptr));
    if (!file) return nullptr;
    return std::make_unique<NewFile>(PathOf(name), std::move(unfinished_path), std::move(file));
  }

  void Remove(const std::string& name) override { Delete(PathOf(name)); }

 private:
  std::string PathOf(const std::string& name) const { return StrCat(path_, "\\", name); }

  // Those that are being written cannot be deleted.
  void RemoveUnfinished() {
    const Result<std::wstring> pattern = win32::WidePath(PathOf(StrCat("*", kUnfinishedSuffix)));
    if (!pattern.ok()) return;
    WIN32_FIND_DATAW found;
    void* const search = FindFirstFileW(pattern->c_str(), &found);
    if (search == INVALID_HANDLE_VALUE) return;
    do {
      Delete(PathOf(win32::ToUtf8(found.cFileName)));
    } while (FindNextFileW(search, &found) != 0);
    FindClose(search);
  }

  std::string path_;
};

void MakeFolders(const std::wstring& path) {
  for (std::size_t end = 0; end != std::wstring::npos;) {
    end = path.find_first_of(L"\\/", end + 1);
    CreateDirectoryW(path.substr(0, end).c_str(), nullptr);
  }
}

}  // namespace

std::unique_ptr<CacheFolder> CacheFolder::Open(const std::string& path, Missing missing) {
  const Result<std::wstring> wide = win32::AbsolutePath(path);
  if (!wide.ok()) return nullptr;
  if (missing == Missing::kIsMade) MakeFolders(*wide);
  const DWORD attributes = GetFileAttributesW(wide->c_str());
  if (attributes == INVALID_FILE_ATTRIBUTES || (attributes & FILE_ATTRIBUTE_DIRECTORY) == 0) return nullptr;
  return std::make_unique<Folder>(win32::ToUtf8(*wide));
}

}  // namespace pannier
