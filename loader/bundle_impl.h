// BundleImpl: what a Bundle handle shares: the image and its owner, the reader, and everything decoded so far.
#ifndef PANNIER_LOADER_BUNDLE_IMPL_H_
#define PANNIER_LOADER_BUNDLE_IMPL_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "loader/decoded_bytes.h"
#include "loader/tensor_memory.h"
#include "pannier/loader.h"
#include "src/bundle_reader.h"
#include "src/result.h"

namespace pannier {

class BundleImpl {
 public:
  // `image` keeps the payload's bytes in place until it is destroyed. `find_symbol` is null for a bundle whose code is not loaded.
  static Result<std::shared_ptr<const BundleImpl>> Create(const Payload& payload, std::shared_ptr<const void> image,
                                                          void* (*find_symbol)(const void* image, const char* name),
                                                          BundleOrigin origin, const LoadOptions& options);

  const BundleReader& reader() const { return reader_; }
  const std::string& path() const { return origin_.path; }
  bool is_loaded() const { return find_symbol_ != nullptr; }
  const std::string& library_path() const { return library_path_; }
  void* FindSymbol(const char* name) const { return find_symbol_(image_.get(), name); }

  Result<ByteView> ArtifactBytes(std::uint32_t index) const;

  // The tensors and their values; the table is checked on the first call.
  Result<TensorMemory*> Memory() const;
  Result<const TensorReader*> Tensors() const;
  // In this machine's byte order. Only after Tensors() succeeded.
  ArrayView<std::int64_t> TensorShape(std::uint32_t index) const;
  // Nothing where there are no params.
  Status DecodeAll() const;
  Status PrefetchAll() const;
  void ReleaseAll() const;

  // Of all artifacts.
  Status CheckDigests() const;

 private:
  // Something decoded once and kept.
  struct Slot {
    std::atomic<const std::uint8_t*> ready{nullptr};
    DecodedBytes owned;
  };

  BundleImpl(BundleReader reader, std::shared_ptr<const void> image, void* (*find_symbol)(const void*, const char*),
             BundleOrigin origin, const LoadOptions& options);
  bool checks_chunks() const { return options_.check == Check::kLazy || options_.check == Check::kFull; }
  Status OpenTensors() const;
  Result<const std::uint8_t*> DecodeArtifact(const format::Artifact& artifact, DecodedBytes& owned) const;
  Status AssembleParams(std::uint8_t* out, std::uint64_t size) const;
  std::mutex& MutexOf(std::uint32_t index) const { return slot_mutexes_[index % slot_mutexes_.size()]; }

  BundleReader reader_;
  std::shared_ptr<const void> image_;
  void* (*find_symbol_)(const void*, const char*);
  BundleOrigin origin_;
  std::string library_path_;
  LoadOptions options_;

  mutable std::vector<Slot> artifacts_;

  // Made by OpenTensors, under tensors_mutex_.
  mutable std::mutex tensors_mutex_;
  mutable std::atomic<bool> tensors_open_{false};
  mutable std::optional<TensorMemory> tensors_;
  mutable std::vector<std::int64_t> shapes_;       // one after another
  mutable std::vector<std::size_t> shape_starts_;  // into shapes_

  mutable std::array<std::mutex, 16> slot_mutexes_;
};

// Throws the status as an Error, with the bundle's path in front.
[[noreturn]] void ThrowError(Status status, const std::string& path);
Bundle BundleOrThrow(Result<Bundle> bundle, const std::string& path);

}  // namespace pannier

#endif  // PANNIER_LOADER_BUNDLE_IMPL_H_
