// Image: a bundle's bytes in memory of exactly their size, to be damaged, with the digests behind the damage made right again.
#ifndef PANNIER_TESTS_BUNDLE_IMAGE_H_
#define PANNIER_TESTS_BUNDLE_IMAGE_H_

#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "manifest_generated.h"
#include "pannier/loader.h"
#include "src/bundle_reader.h"
#include "src/bytes.h"
#include "src/format.h"
#include "src/payload.h"
#include "src/sha256.h"

namespace pannier {

// Holds a bundle whose first artifacts are `graph` and `params`. Exactly sized, so that sanitizers see what reads beyond its end.
class Image {
 public:
  explicit Image(const std::string& good) : size_(good.size()), bytes_(Allocate(good.size())) {
    std::memcpy(bytes_.get(), good.data(), good.size());
    const Result<Payload> payload = FindPayload(view());
    REQUIRE(payload.ok());
    const Result<BundleReader> reader = BundleReader::Open(*payload);
    REQUIRE(reader.ok());
    anchor = bytes_.get() + payload->anchor_file_offset;
    manifest = &reader->manifest();
    manifest_size_ = reader->anchor().manifest_size;
    index = Mutable(reader->index().data());
    graph = manifest->artifacts()->Get(0);
    params = manifest->artifacts()->Get(1);
    tensors = flatbuffers::GetRoot<format::TensorTable>(index + params->tensors()->offset());
    chunks = index + params->chunk_table_offset();
    graph_chunks = index + graph->chunks()->offset();
    graph_bytes = Mutable(reader->section(graph->section()).data()) + graph->offset();
    params_bytes = Mutable(reader->section(params->section()).data());
  }

  ByteView view() const { return {bytes_.get(), size_}; }
  std::uint8_t* bytes() const { return bytes_.get(); }

  static std::uint8_t* Mutable(const void* bytes) { return const_cast<std::uint8_t*>(static_cast<const std::uint8_t*>(bytes)); }

  // A field of a FlatBuffers table, by its number in the generated code.
  template <typename T>
  static std::uint8_t* Field(const T* table, flatbuffers::voffset_t field) {
    const std::uint8_t* address = reinterpret_cast<const flatbuffers::Table*>(table)->GetAddressOf(field);
    REQUIRE(address != nullptr);
    return Mutable(address);
  }

  template <typename T>
  static void Put(std::uint8_t* at, T value) {
    StoreInteger(at, value, ByteOrder::kLittle);
  }

  void SealTables() const {
    for (const format::Tensor* tensor : *tensors->tensors()) {
      const std::uint64_t count = ChunkCount(tensor->size(), tensors->chunk_size());
      Seal(tensor->chunks_sha256(), ByteView(chunks + tensor->first_chunk() * ChunkRecord::kSize, count * ChunkRecord::kSize));
    }
    SealRange(params->tensors());
    SealRange(graph->chunks());
  }
  void SealRange(const format::IndexRange* range) const {
    Seal(&range->sha256(), ByteView(index + range->offset(), range->size()));
  }
  void SealManifest() const {
    const ByteView bytes(anchor + LoadInteger<std::uint64_t>(anchor + 24, ByteOrder::kLittle), manifest_size_);
    const Sha256Digest digest = Sha256Of(bytes);
    std::memcpy(anchor + 64, digest.bytes.data(), digest.bytes.size());
  }

  std::uint8_t* anchor;
  const format::Manifest* manifest;
  std::uint8_t* index;
  const format::Artifact* graph;
  const format::Artifact* params;
  const format::TensorTable* tensors;
  std::uint8_t* chunks;
  std::uint8_t* graph_chunks;
  std::uint8_t* graph_bytes;  // as they are stored
  std::uint8_t* params_bytes;

 private:
  static void Seal(const format::Sha256* digest, ByteView bytes) {
    const Sha256Digest found = Sha256Of(bytes);
    std::memcpy(Mutable(digest), found.bytes.data(), found.bytes.size());
  }
  // aligned_alloc would want a multiple of 64.
  static std::uint8_t* Allocate(std::size_t size) {
    void* bytes = nullptr;
    REQUIRE(posix_memalign(&bytes, 64, size) == 0);
    return static_cast<std::uint8_t*>(bytes);
  }
  struct Free {
    void operator()(std::uint8_t* bytes) const { std::free(bytes); }
  };
  std::size_t size_;
  std::unique_ptr<std::uint8_t, Free> bytes_;
  std::uint64_t manifest_size_ = 0;
};

inline void Put16(std::uint8_t* at, std::uint16_t value) { Image::Put(at, value); }
inline void Put32(std::uint8_t* at, std::uint32_t value) { Image::Put(at, value); }
inline void Put64(std::uint8_t* at, std::uint64_t value) { Image::Put(at, value); }

enum class Seal { kNothing, kManifest, kAll };

struct Damage {
  std::string name;
  std::function<void(const Image&)> change;
  Seal seal;
  ErrorCode code;
  std::string message;  // what it must begin with; a number that depends on the host ends it
};

// Everything a user can ask of a bundle; throws the first error.
inline void UseAll(const Image& image, Check check) {
  const Bundle bundle = OpenBundle(image.view().data(), image.view().size(), {check, 1, false});
  (void)bundle.graph_json();
  for (const TensorView& tensor : bundle.params()) (void)tensor.data();
  (void)bundle.artifact("params").bytes();
}

// Each damage of the table, alone, is answered with its error.
inline void CheckDamages(const std::string& good, const std::vector<Damage>& damages) {
  REQUIRE_NOTHROW(UseAll(Image(good), Check::kFull));
  for (const Damage& damage : damages) {
    CAPTURE(damage.name);
    const Image image(good);
    damage.change(image);
    if (damage.seal == Seal::kAll) image.SealTables();
    if (damage.seal != Seal::kNothing) image.SealManifest();
    try {
      // Chunks' own digests are not made right again.
      UseAll(image, damage.seal == Seal::kAll ? Check::kStructure : Check::kLazy);
      FAIL_CHECK("no error");
    } catch (const Error& error) {
      CHECK(error.code() == damage.code);
      const std::string message = error.what();
      CHECK(message.substr(0, damage.message.size()) == damage.message);
    }
  }
}

}  // namespace pannier

#endif  // PANNIER_TESTS_BUNDLE_IMAGE_H_
