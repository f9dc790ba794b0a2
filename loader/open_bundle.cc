// OpenBundle: a bundle read from a file or memory, running none of its code.
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "loader/bundle_impl.h"
#include "loader/trust.h"
#include "pannier/loader.h"
#include "src/factory_reader.h"
#include "src/mapped_file.h"

namespace pannier {
namespace {

constexpr std::uintptr_t kImageAlignment = 64;

// What a bundle opened from bytes holds on to.
struct OpenedImage {
  MappedFile file;
  DecodedBytes copy;  // of an image that does not begin at an aligned address
};

Result<ByteView> CopyOf(ByteView bytes, OpenedImage& image) {
  PANNIER_TRY(image.copy, DecodedBytes::Allocate(bytes.size()));
  std::memcpy(image.copy.data(), bytes.data(), bytes.size());
  return ByteView(image.copy.data(), bytes.size());
}

Result<Bundle> OpenImage(std::shared_ptr<OpenedImage> image, ByteView bytes, BundleOrigin origin, const LoadOptions& options) {
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % kImageAlignment != 0) {
    PANNIER_TRY(bytes, CopyOf(bytes, *image));
    origin.is_mapped = false;
  }
  if (options.trusted_keys && origin.is_mapped) {
    // What is mapped others may write to.
    PANNIER_TRY(const Payload signed_payload, FindPayloadWithDigests(bytes));
    PANNIER_CHECK_OK(CheckSigners(signed_payload, options));
    PANNIER_TRY(bytes, CopyOf(bytes, *image));
    origin.is_mapped = false;
    origin.file.clear();
  }
  PANNIER_TRY(const Payload payload, options.trusted_keys ? FindPayloadWithDigests(bytes) : FindPayloadOrFactory(bytes));
  if (options.trusted_keys) PANNIER_CHECK_OK(CheckTrust(payload.slice.empty() ? bytes : payload.slice, payload, options));
  PANNIER_TRY(auto impl, BundleImpl::Create(payload, std::move(image), nullptr, std::move(origin), options));
  return Bundle(std::move(impl));
}

Result<Bundle> OpenMapped(Result<MappedFile> file, const std::string& path, const LoadOptions& options) {
  if (!file.ok()) return file.TakeStatus();
  auto image = std::make_shared<OpenedImage>();
  image->file = std::move(*file);
  const ByteView bytes = image->file.bytes();
  BundleOrigin origin{path, image->file.identity(), true};
  return OpenImage(std::move(image), bytes, std::move(origin), options);
}

}  // namespace

Bundle OpenBundle(const std::string& path, const LoadOptions& options) {
  return BundleOrThrow(OpenMapped(MappedFile::Open(path), path, options), path);
}

Bundle OpenBundle(int file_descriptor, std::uint64_t offset, std::uint64_t size, const LoadOptions& options) {
  return BundleOrThrow(OpenMapped(MappedFile::Map(file_descriptor, offset, size), "", options), "");
}

Bundle OpenBundle(const void* bytes, std::size_t size, const LoadOptions& options) {
  return BundleOrThrow(OpenImage(std::make_shared<OpenedImage>(), ByteView(bytes, size), {"", {}, false}, options), "");
}

}  // namespace pannier
