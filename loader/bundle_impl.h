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
#include <string_view>
#include <vector>

#include "pannier/loader.h"
#include "src/bundle_reader.h"
#include "src/result.h"

namespace pannier {

// Memory that decoded bytes live in: aligned to 64 bytes, from the operating system's allocator, nothing else before or behind.
class DecodedBytes {
 public:
  static Result<DecodedBytes> Allocate(std::uint64_t size);
  std::uint8_t* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(std::uint8_t* bytes) const;
  };
  std::unique_ptr<std::uint8_t, Free> data_;
};

class BundleImpl {
 public:
  // `image` keeps the payload's bytes in place until it is destroyed. `find_symbol` is null for a bundle whose code is not loaded.
  static Result<std::shared_ptr<const BundleImpl>> Create(const Payload& payload, std::shared_ptr<const void> image,
                                                          void* (*find_symbol)(const void* image, const char* name),
                                                          std::string path, const LoadOptions& options);

  const BundleReader& reader() const { return reader_; }
  const std::string& path() const { return path_; }
  bool is_loaded() const { return find_symbol_ != nullptr; }
  void* FindSymbol(const char* name) const { return find_symbol_(image_.get(), name); }

  Result<ByteView> ArtifactBytes(std::uint32_t index) const;

  // The tensors; the table is checked on the first call.
  Result<const TensorReader*> Tensors() const;
  // Shape and data in this machine's byte order. Only after Tensors() succeeded.
  ArrayView<std::int64_t> TensorShape(std::uint32_t index) const;
  Result<const void*> TensorData(std::uint32_t index) const;
  Result<std::optional<ByteView>> TensorInPlace(std::uint32_t index) const;
  Status CopyTensor(std::uint32_t index, void* out) const;
  Status DecodeAll() const;
  Status CheckDigests() const;

 private:
  // Something decoded once and kept.
  struct Slot {
    std::atomic<const std::uint8_t*> ready{nullptr};
    DecodedBytes owned;
  };

  BundleImpl(BundleReader reader, std::shared_ptr<const void> image, void* (*find_symbol)(const void*, const char*),
             std::string path, const LoadOptions& options);
  bool checks_chunks() const { return options_.check != Check::kStructure; }
  Status OpenTensors() const;
  Status DecodeTensor(const ChunkedContent& content, std::uint32_t index, void* out) const;
  Result<const std::uint8_t*> DecodeArtifact(const format::Artifact& artifact, DecodedBytes& owned) const;
  Status AssembleParams(std::uint8_t* out, std::uint64_t size) const;
  std::mutex& MutexOf(std::uint32_t index) const { return slot_mutexes_[index % slot_mutexes_.size()]; }

  BundleReader reader_;
  std::shared_ptr<const void> image_;
  void* (*find_symbol_)(const void*, const char*);
  std::string path_;
  LoadOptions options_;

  mutable std::vector<Slot> artifacts_;

  // Made by OpenTensors, under tensors_mutex_; then only read, but for the slots.
  mutable std::mutex tensors_mutex_;
  mutable std::atomic<bool> tensors_open_{false};
  mutable std::optional<TensorReader> tensors_;
  mutable std::vector<std::int64_t> shapes_;       // one after another
  mutable std::vector<std::size_t> shape_starts_;  // into shapes_
  mutable std::vector<Slot> tensor_slots_;

  mutable std::array<std::mutex, 16> slot_mutexes_;
};

// Throws the status as an Error, with the bundle's path in front.
[[noreturn]] void ThrowError(Status status, const std::string& path);

}  // namespace pannier

#endif  // PANNIER_LOADER_BUNDLE_IMPL_H_
