// LoadBundle and FindBundle on Windows: LoadLibrary, then the payload among the sections of the mapped image.
#include <windows.h>
// windows.h has to come first.
#include <psapi.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "loader/bundle_impl.h"
#include "loader/trust.h"
#include "pannier/loader.h"
#include "src/factory_reader.h"
#include "src/mapped_file.h"
#include "src/payload.h"
#include "src/pe_file.h"
#include "src/text.h"
#include "src/win32.h"

namespace pannier {
namespace {

// What the headers of a library must fit into; those of Windows' own end within the first page.
constexpr std::size_t kMostHeaderBytes = 64 * 1024;

struct LoadedImage {
  HMODULE module = nullptr;
  MappedFile file;  // of what TVM's export_library made

  LoadedImage() = default;
  LoadedImage(const LoadedImage&) = delete;
  LoadedImage& operator=(const LoadedImage&) = delete;
  ~LoadedImage() {
    if (module != nullptr) FreeLibrary(module);
  }
};

void* FindSymbolIn(const void* image, const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(static_cast<const LoadedImage*>(image)->module, name));
}

Status LoadError(DWORD error) { return {ErrorCode::kLoadFailed, win32::ErrorText(error)}; }

// The system's own words for a library that was cut off say no more than "not a valid application".
Status CheckFileIsWhole(const std::string& path) {
  PANNIER_TRY(const win32::Handle file, win32::OpenForReading(path, "cannot open"));
  PANNIER_TRY(const std::uint64_t file_size, win32::FileSize(file.get()));
  std::vector<std::uint8_t> start(kMostHeaderBytes);
  DWORD got = 0;
  if (ReadFile(file.get(), start.data(), static_cast<DWORD>(start.size()), &got, nullptr) == 0)
    return win32::SystemError("cannot read", GetLastError());
  const ByteView prefix(start.data(), got);
  const FileFormat found = DetectFormat(prefix);
  if (found != FileFormat::kPe) return Unsupported(StrCat("found ", FormatName(found), ", expected a PE library"));
  PANNIER_TRY(const pe::Header header, pe::ParseHeader(prefix));
  PANNIER_TRY(const std::vector<pe::Section> sections, pe::ParseSections(prefix, header));
  return pe::CheckSectionsInFile(sections, file_size);
}

// No window that asks for a missing library or an empty drive; the caller gets the error.
class QuietErrors {
 public:
  QuietErrors() { is_set_ = SetThreadErrorMode(SEM_FAILCRITICALERRORS | SEM_NOOPENFILEERRORBOX, &before_) != 0; }
  QuietErrors(const QuietErrors&) = delete;
  QuietErrors& operator=(const QuietErrors&) = delete;
  ~QuietErrors() {
    if (is_set_) SetThreadErrorMode(before_, nullptr);
  }

 private:
  DWORD before_ = 0;
  bool is_set_ = false;
};

std::string PathOf(HMODULE module) {
  std::wstring path(MAX_PATH, L'\0');
  for (;;) {
    const DWORD length = GetModuleFileNameW(module, path.data(), static_cast<DWORD>(path.size()));
    if (length < path.size()) {  // else it was cut; 0: an error
      path.resize(length);
      return win32::ToUtf8(path);
    }
    path.resize(path.size() * 2);
  }
}

Result<Bundle> BundleOf(std::shared_ptr<LoadedImage> image, std::string path, const LoadOptions& options) {
  MODULEINFO info;
  if (GetModuleInformation(GetCurrentProcess(), image->module, &info, sizeof(info)) == 0) return LoadError(GetLastError());
  Result<Payload> payload = FindMappedPe(ByteView(info.lpBaseOfDll, info.SizeOfImage));
  if (payload.status().code() == ErrorCode::kNotABundle) {
    PANNIER_TRY(image->file, MappedFile::Open(path));
    payload = FindFactory(image->file.bytes());
  }
  if (!payload.ok()) return payload.TakeStatus();
  PANNIER_TRY(auto impl,
              BundleImpl::Create(*payload, std::move(image), &FindSymbolIn, BundleOrigin{std::move(path), {}, true}, options));
  return Bundle(std::move(impl));
}

Result<Bundle> Load(const std::string& path, const LoadOptions& options) {
  std::optional<TrustedFile> trusted;  // until the library is loaded: from then on Windows keeps its file as it is
  if (options.trusted_keys) {
    PANNIER_TRY(trusted, OpenTrustedFile(path, options));
  }
  PANNIER_CHECK_OK(CheckFileIsWhole(path));
  // A name without a folder would be searched for; of an absolute one the library's own folder comes first when others are.
  PANNIER_TRY(std::wstring file, win32::AbsolutePath(trusted ? trusted->load_path() : path));
  // Where there is no dot, LoadLibrary adds ".dll".
  if (file.find(L'.', file.find_last_of(L'\\') + 1) == std::wstring::npos) file += L'.';
  auto image = std::make_shared<LoadedImage>();
  const QuietErrors quiet;
  image->module = LoadLibraryExW(file.c_str(), nullptr, LOAD_WITH_ALTERED_SEARCH_PATH);
  if (image->module == nullptr) return LoadError(GetLastError());
  return BundleOf(std::move(image), path, options);
}

Result<Bundle> Find(const void* address, const LoadOptions& options) {
  PANNIER_CHECK_OK(CheckNothingHasRun(options));
  auto image = std::make_shared<LoadedImage>();
  // Adds a reference to the library.
  if (GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, static_cast<const wchar_t*>(address), &image->module) == 0)
    return {ErrorCode::kNotFound, "no loaded library holds this address"};
  std::string path = PathOf(image->module);
  return BundleOf(std::move(image), std::move(path), options);
}

}  // namespace

Bundle LoadBundle(const std::string& path, const LoadOptions& options) { return BundleOrThrow(Load(path, options), path); }

Bundle FindBundle(const void* address, const LoadOptions& options) { return BundleOrThrow(Find(address, options), ""); }

}  // namespace pannier
