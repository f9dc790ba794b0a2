// LoadBundle and FindBundle where the OS loads Mach-O: dlopen, then the payload among the mapped segments.
#include <dlfcn.h>
#include <mach-o/dyld.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "loader/bundle_impl.h"
#include "loader/loaded_image.h"
#include "loader/trust.h"
#include "pannier/loader.h"
#include "src/factory_reader.h"
#include "src/macho_file.h"
#include "src/mapped_file.h"
#include "src/text.h"

namespace pannier {
namespace {

// A file that was cut off dies of SIGBUS at first touch; its load commands tell beforehand. Which slice of a fat file is taken is
// dyld's choice, so all of this machine's must be whole.
Result<FileIdentity> CheckFileIsWhole(const std::string& path) {
  PANNIER_TRY(const MappedFile file, MappedFile::Open(path));
  const ByteView bytes = file.bytes();
  const FileFormat found = DetectFormat(bytes);
  if (found != FileFormat::kMachO) return Unsupported(StrCat("found ", FormatName(found), ", expected a Mach-O shared library"));
  auto check = [](ByteView library) -> Status {
    PANNIER_TRY(const macho::Header header, macho::ParseHeader(library));
    PANNIER_TRY(const std::vector<macho::Command> commands, macho::ParseCommands(library, header));
    PANNIER_TRY(const std::vector<macho::Segment> segments, macho::ParseSegments(header, commands));
    return macho::CheckSegmentsInFile(segments, library.size());
  };
  if (!macho::HasFatMagic(bytes)) {
    PANNIER_CHECK_OK(check(bytes));
    return file.identity();
  }
  PANNIER_TRY(const macho::FatFile fat, macho::ParseFat(bytes, bytes.size()));
  for (const macho::Slice& slice : fat.slices) {
    if (slice.cpu_type == macho::OwnCpuType()) PANNIER_CHECK_OK(check(*bytes.Slice(slice.offset, slice.size)));
  }
  return file.identity();
}

Result<Bundle> BundleOf(std::shared_ptr<LoadedImage> image, const void* header, BundleOrigin origin, const LoadOptions& options) {
  Result<Payload> payload = FindMappedMachO(header);
  if (payload.status().code() == ErrorCode::kNotABundle) {
    PANNIER_TRY(image->file, MappedFile::Open(origin.file));
    payload = FindFactory(image->file.bytes());
  }
  if (!payload.ok()) return payload.TakeStatus();
  PANNIER_TRY(auto impl, BundleImpl::Create(*payload, std::move(image), &FindSymbolIn, std::move(origin), options));
  return Bundle(std::move(impl));
}

// The header of a library by dlopen's handle. There is no call for it: the newest library whose name gives the same handle is it.
const void* HeaderOf(const void* handle) {
  // dyld keeps how a library was opened in a handle's lowest bits.
  auto library = [](const void* any) { return reinterpret_cast<std::uintptr_t>(any) & ~std::uintptr_t{3}; };
  for (std::uint32_t i = _dyld_image_count(); i-- > 0;) {
    const char* const name = _dyld_get_image_name(i);
    if (name == nullptr) continue;
    void* const other = dlopen(name, RTLD_LAZY | RTLD_NOLOAD);
    if (other == nullptr) continue;
    const bool is_same = library(other) == library(handle);
    dlclose(other);
    if (is_same) return _dyld_get_image_header(i);
  }
  return nullptr;
}

Result<Bundle> Load(const std::string& path, const LoadOptions& options) {
  std::optional<TrustedFile> trusted;
  if (options.trusted_keys) {
    PANNIER_TRY(trusted, OpenTrustedFile(path, options));
  }
  const std::string loaded = trusted ? trusted->load_path() : path;
  PANNIER_TRY(const FileIdentity identity, CheckFileIsWhole(loaded));
  PANNIER_TRY(std::shared_ptr<LoadedImage> image, OpenImage(loaded, std::move(trusted), options));
  const void* const header = HeaderOf(image->handle);
  if (header == nullptr) return {ErrorCode::kLoadFailed, "it was loaded, but is not among dyld's images"};
  return BundleOf(std::move(image), header, {path, identity, true, loaded}, options);
}

Result<Bundle> Find(const void* address, const LoadOptions& options) {
  PANNIER_CHECK_OK(CheckNothingHasRun(options));
  Dl_info info{};
  if (dladdr(address, &info) == 0 || info.dli_fbase == nullptr)
    return {ErrorCode::kNotFound, "no loaded library holds this address"};
  PANNIER_TRY(std::shared_ptr<LoadedImage> image, ReopenImage(info.dli_fname));
  return BundleOf(std::move(image), info.dli_fbase, {info.dli_fname, {}, true}, options);
}

}  // namespace

Bundle LoadBundle(const std::string& path, const LoadOptions& options) { return BundleOrThrow(Load(path, options), path); }

Bundle FindBundle(const void* address, const LoadOptions& options) { return BundleOrThrow(Find(address, options), ""); }

}  // namespace pannier
