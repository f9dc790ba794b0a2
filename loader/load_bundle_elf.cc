// LoadBundle and FindBundle where the OS loads ELF: dlopen, then the payload among the mapped program headers.
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "loader/bundle_impl.h"
#include "loader/loaded_image.h"
#include "loader/origin_dependencies.h"
#include "loader/trust.h"
#include "pannier/loader.h"
#include "src/elf_file.h"
#include "src/factory_reader.h"
#include "src/mapped_file.h"
#include "src/text.h"

namespace pannier {
namespace {

// A file that was cut off loads without complaint and then dies of SIGBUS; its program headers tell beforehand.
Result<FileIdentity> CheckFileIsWhole(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return {ErrorCode::kIo, StrCat("cannot open: ", std::strerror(errno))};
  auto check = [&]() -> Result<FileIdentity> {
    struct stat facts {};
    if (fstat(descriptor, &facts) != 0) return {ErrorCode::kIo, StrCat("cannot stat: ", std::strerror(errno))};
    if (!S_ISREG(facts.st_mode)) return {ErrorCode::kInvalidArgument, "not a regular file"};
    const auto file_size = static_cast<std::uint64_t>(facts.st_size);
    std::array<std::uint8_t, 4096> start;
    const ssize_t got = pread(descriptor, start.data(), start.size(), 0);
    if (got < 0) return {ErrorCode::kIo, StrCat("cannot read: ", std::strerror(errno))};
    const ByteView prefix(start.data(), static_cast<std::size_t>(got));
    const FileFormat found = DetectFormat(prefix);
    if (found != FileFormat::kElf) return Unsupported(StrCat("found ", FormatName(found), ", expected an ELF shared library"));
    PANNIER_TRY(const elf::Header header, elf::ParseHeader(prefix));
    Result<std::vector<elf::Segment>> segments = elf::ParseSegments(prefix, header);
    MappedFile whole;
    if (!segments.ok()) {  // the program headers lie further behind
      PANNIER_TRY(whole, MappedFile::Map(descriptor, 0, file_size));
      segments = elf::ParseSegments(whole.bytes(), header);
      if (!segments.ok()) return segments.TakeStatus();
    }
    PANNIER_CHECK_OK(elf::CheckSegmentsInFile(*segments, file_size));
    return IdentityOf(facts);
  };
  Result<FileIdentity> identity = check();
  close(descriptor);
  return identity;
}

// What dl_iterate_phdr is asked: the object that holds an address of its image, or that is loaded at a base.
struct ImageSearch {
  const void* address;  // within one of the object's PT_LOADs
  bool found = false;
  std::string path;
  ByteView segment;  // that begins with the anchor; empty if there is none
};

int VisitObject(dl_phdr_info* info, std::size_t, void* data) {
  auto& search = *static_cast<ImageSearch*>(data);
  const auto address = reinterpret_cast<std::uintptr_t>(search.address);
  bool holds = false;
  for (std::size_t i = 0; i < info->dlpi_phnum; ++i) {
    const auto& segment = info->dlpi_phdr[i];
    const auto begin = static_cast<std::uintptr_t>(info->dlpi_addr + segment.p_vaddr);
    holds = holds || (segment.p_type == PT_LOAD && address - begin < segment.p_memsz);
  }
  if (!holds) return 0;
  search.found = true;
  search.path = info->dlpi_name != nullptr ? info->dlpi_name : "";
  for (std::size_t i = 0; i < info->dlpi_phnum; ++i) {
    const auto& segment = info->dlpi_phdr[i];
    const std::size_t mapped = std::min(segment.p_filesz, segment.p_memsz);
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_R) == 0 || mapped < Anchor::kSize) continue;
    const ByteView bytes(reinterpret_cast<const void*>(info->dlpi_addr + segment.p_vaddr), mapped);
    if (!HasAnchorMagic(bytes)) continue;
    search.segment = bytes;  // the first, as FindPayload has it: what verify sees is what is loaded
    break;
  }
  return 1;
}

// `image->handle` is open; `address` is in its library.
Result<Bundle> BundleOf(std::shared_ptr<LoadedImage> image, const void* address, BundleOrigin origin, const LoadOptions& options) {
  ImageSearch search{address, false, {}, {}};
  dl_iterate_phdr(&VisitObject, &search);
  if (!search.found) return {ErrorCode::kNotFound, "no loaded library holds this address"};
  if (origin.path.empty()) origin.path = origin.file = search.path;
  Payload payload;
  if (!search.segment.empty()) {
    payload.anchor = search.segment;
    payload.segment = search.segment;
  } else {
    if (origin.path.empty()) return NoPayload();
    if (!image->trusted) {
      PANNIER_TRY(image->file, MappedFile::Open(origin.path));
    }
    const MappedFile& file = image->trusted ? image->trusted->file() : image->file;
    PANNIER_TRY(payload, FindPayloadOrFactory(file.bytes()));
    // The file was replaced since the library was loaded: what it carries belongs to another library.
    if (payload.is_mapped()) return NoPayload();
    origin.opened = file.identity();
  }
  PANNIER_TRY(auto impl, BundleImpl::Create(payload, std::move(image), &FindSymbolIn, std::move(origin), options));
  return Bundle(std::move(impl));
}

Result<Bundle> Load(const std::string& path, const LoadOptions& options) {
  BundleOrigin origin;
  std::optional<TrustedFile> trusted;
  if (options.trusted_keys) {
    PANNIER_TRY(trusted, OpenTrustedFile(path, options));
    origin.file = trusted->load_path();
  } else {
    origin.file = path;
  }
  PANNIER_TRY(origin.opened, CheckFileIsWhole(origin.file));
  if (trusted) PANNIER_CHECK_OK(CheckOriginDependencies(trusted->file().bytes(), path));
  const std::string loaded = origin.file;
  PANNIER_TRY(std::shared_ptr<LoadedImage> image, OpenImage(loaded, std::move(trusted), options));
  link_map* map = nullptr;
  if (dlinfo(image->handle, RTLD_DI_LINKMAP, &map) != 0) return LoadError();
  // The dynamic section is a part of every loaded image, wherever the image is.
  const void* address = map->l_ld;
  origin.path = path;
  return BundleOf(std::move(image), address, std::move(origin), options);
}

Result<Bundle> Find(const void* address, const LoadOptions& options) {
  PANNIER_CHECK_OK(CheckNothingHasRun(options));
  Dl_info info{};
  if (dladdr(address, &info) == 0) return {ErrorCode::kNotFound, "no loaded library holds this address"};
  PANNIER_TRY(std::shared_ptr<LoadedImage> image, ReopenImage(info.dli_fname));
  return BundleOf(std::move(image), address, {}, options);
}

}  // namespace

Bundle LoadBundle(const std::string& path, const LoadOptions& options) { return BundleOrThrow(Load(path, options), path); }

Bundle FindBundle(const void* address, const LoadOptions& options) { return BundleOrThrow(Find(address, options), ""); }

}  // namespace pannier
