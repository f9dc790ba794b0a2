// Artifacts and tensors handed out: in place where they can be, else decoded once and kept.
#include "loader/bundle_impl.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "src/parallel.h"
#include "src/params_walk.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::size_t kDataAlignment = 64;

// What an empty tensor's data points to: not null, aligned.
alignas(kDataAlignment) constexpr std::uint8_t kNoBytes[kDataAlignment] = {};

// The size of the units whose bytes change places on a big-endian machine; 1 when none do.
std::size_t SwapUnit(DataType dtype) {
  constexpr std::uint8_t kComplex = 5;  // two numbers side by side
  if (kNativeOrder == ByteOrder::kLittle) return 1;
  const unsigned bits = dtype.code == kComplex ? dtype.bits / 2U : dtype.bits;
  return bits % 8 == 0 && IsPowerOfTwo(bits) ? bits / 8U : 1;
}

void SwapBytes(std::uint8_t* bytes, std::uint64_t size, std::size_t unit) {
  if (unit < 2) return;
  for (std::uint64_t at = 0; at + unit <= size; at += unit) std::reverse(bytes + at, bytes + at + unit);
}

bool IsAligned(ByteView bytes) { return reinterpret_cast<std::uintptr_t>(bytes.data()) % kDataAlignment == 0; }

}  // namespace

Result<DecodedBytes> DecodedBytes::Allocate(std::uint64_t size) {
  DecodedBytes bytes;
  void* memory =
      size <= SIZE_MAX ? ::operator new(static_cast<std::size_t>(size), std::align_val_t(kDataAlignment), std::nothrow) : nullptr;
  if (memory == nullptr) return {ErrorCode::kNoMemory, StrCat("cannot allocate ", size, " bytes")};
  bytes.data_.reset(static_cast<std::uint8_t*>(memory));
  return bytes;
}

void DecodedBytes::Free::operator()(std::uint8_t* bytes) const { ::operator delete(bytes, std::align_val_t(kDataAlignment)); }

BundleImpl::BundleImpl(BundleReader reader, std::shared_ptr<const void> image, void* (*find_symbol)(const void*, const char*),
                       std::string path, const LoadOptions& options)
    : reader_(std::move(reader)),
      image_(std::move(image)),
      find_symbol_(find_symbol),
      path_(std::move(path)),
      options_(options),
      artifacts_(reader_.artifact_count()) {}

Result<std::shared_ptr<const BundleImpl>> BundleImpl::Create(const Payload& payload, std::shared_ptr<const void> image,
                                                             void* (*find_symbol)(const void* image, const char* name),
                                                             std::string path, const LoadOptions& options) {
  PANNIER_TRY(BundleReader reader, BundleReader::Open(payload));
  std::shared_ptr<const BundleImpl> bundle(
      new BundleImpl(std::move(reader), std::move(image), find_symbol, std::move(path), options));
  if (options.check == Check::kFull) PANNIER_CHECK_OK(bundle->CheckDigests());
  return bundle;
}

Result<ByteView> BundleImpl::ArtifactBytes(std::uint32_t index) const {
  const format::Artifact& artifact = reader_.artifact(index);
  if (artifact.size() > SIZE_MAX)
    return {ErrorCode::kUnsupported, StrCat("found ", artifact.size(), " bytes, expected what fits into this machine's memory")};
  Slot& slot = artifacts_[index];
  const std::uint8_t* bytes = slot.ready.load(std::memory_order_acquire);
  if (bytes == nullptr) {
    const std::lock_guard<std::mutex> lock(MutexOf(index));
    bytes = slot.ready.load(std::memory_order_relaxed);
    if (bytes == nullptr) {
      PANNIER_TRY(
          bytes, DecodeArtifact(artifact, slot.owned).WithContext(StrCat("artifact \"", Printable(ToText(artifact.name())), "\"")));
      slot.ready.store(bytes, std::memory_order_release);
    }
  }
  return ByteView(bytes, static_cast<std::size_t>(artifact.size()));
}

Result<const std::uint8_t*> BundleImpl::DecodeArtifact(const format::Artifact& artifact, DecodedBytes& owned) const {
  if (artifact.size() == 0) return +kNoBytes;
  if (artifact.kind() == format::ArtifactKind::TvmParams) {
    PANNIER_TRY(const TensorReader* tensors, Tensors());
    for (std::uint32_t i = 0; i < tensors->size(); ++i) {
      PANNIER_TRY(const ChunkedContent content, tensors->Content(i));
      PANNIER_CHECK_OK(content.CheckDecodable().WithContext(StrCat("tensor \"", Printable(ToText((*tensors)[i].name())), "\"")));
    }
    PANNIER_TRY(owned, DecodedBytes::Allocate(artifact.size()));
    PANNIER_CHECK_OK(AssembleParams(owned.data(), artifact.size()));
    return static_cast<const std::uint8_t*>(owned.data());
  }
  PANNIER_TRY(const ChunkedContent content, reader_.BlobContent(artifact));
  PANNIER_TRY(const std::optional<ByteView> whole, content.StoredWhole());
  if (whole) {
    if (checks_chunks()) PANNIER_CHECK_OK(content.CheckDigests(options_.threads));
    return whole->data();
  }
  PANNIER_CHECK_OK(content.CheckDecodable());
  PANNIER_TRY(owned, DecodedBytes::Allocate(artifact.size()));
  PANNIER_CHECK_OK(content.Decode(owned.data(), options_.threads, checks_chunks()));
  return static_cast<const std::uint8_t*>(owned.data());
}

Status BundleImpl::AssembleParams(std::uint8_t* out, std::uint64_t size) const {
  std::uint64_t at = 0;
  auto too_large = [&] { return Malformed(StrCat("params: found more than the ", size, " bytes that the manifest expects")); };
  PANNIER_CHECK_OK(WalkParams(
      *tensors_,
      [&](ByteView bytes) -> Status {
        if (!FitsWithin(at, bytes.size(), size)) return too_large();
        std::memcpy(out + at, bytes.data(), bytes.size());
        at += bytes.size();
        return {};
      },
      [&](std::uint32_t, const ChunkedContent& content) -> Status {
        if (!FitsWithin(at, content.size(), size)) return too_large();
        at += content.size();
        return content.Decode(out + at - content.size(), options_.threads, checks_chunks());
      }));
  if (at != size) return Malformed(StrCat("params: found ", at, " bytes, expected ", size));
  return {};
}

Result<const TensorReader*> BundleImpl::Tensors() const {
  if (!tensors_open_.load(std::memory_order_acquire)) {
    const std::lock_guard<std::mutex> lock(tensors_mutex_);
    if (!tensors_open_.load(std::memory_order_relaxed)) {
      PANNIER_CHECK_OK(OpenTensors());
      tensors_open_.store(true, std::memory_order_release);
    }
  }
  return &*tensors_;
}

Status BundleImpl::OpenTensors() const {
  const auto index = reader_.FindArtifact(kParamsArtifact);
  if (!index) return {ErrorCode::kNotFound, "no artifact \"params\""};
  const format::Artifact& artifact = reader_.artifact(*index);
  PANNIER_CHECK_OK(BundleReader::CheckKind(artifact).WithContext("artifact \"params\""));
  if (artifact.kind() != format::ArtifactKind::TvmParams) {
    return {ErrorCode::kUnsupported, "artifact \"params\" is not a TVM .params file; read its bytes instead"};
  }
  PANNIER_TRY(TensorReader tensors, reader_.Tensors(artifact));
  std::vector<std::int64_t> shapes;
  std::vector<std::size_t> starts;
  starts.reserve(tensors.size() + std::size_t{1});
  for (std::uint32_t i = 0; i < tensors.size(); ++i) {
    starts.push_back(shapes.size());
    shapes.insert(shapes.end(), tensors[i].shape()->begin(), tensors[i].shape()->end());
  }
  starts.push_back(shapes.size());
  tensors_ = tensors;
  shapes_ = std::move(shapes);
  shape_starts_ = std::move(starts);
  tensor_slots_ = std::vector<Slot>(tensors.size());
  return {};
}

ArrayView<std::int64_t> BundleImpl::TensorShape(std::uint32_t index) const {
  const std::size_t start = shape_starts_[index];
  return {shapes_.data() + start, shape_starts_[index + std::size_t{1}] - start};
}

Result<std::optional<ByteView>> BundleImpl::TensorInPlace(std::uint32_t index) const {
  if (SwapUnit(DataTypeOf((*tensors_)[index])) > 1) return std::optional<ByteView>();
  PANNIER_TRY(const ChunkedContent content, tensors_->Content(index));
  PANNIER_TRY(const std::optional<ByteView> whole, content.StoredWhole());
  if (!whole || !IsAligned(*whole)) return std::optional<ByteView>();
  return whole;
}

Result<const void*> BundleImpl::TensorData(std::uint32_t index) const {
  Slot& slot = tensor_slots_[index];
  if (const std::uint8_t* ready = slot.ready.load(std::memory_order_acquire)) return static_cast<const void*>(ready);
  const std::lock_guard<std::mutex> lock(MutexOf(index));
  if (const std::uint8_t* ready = slot.ready.load(std::memory_order_relaxed)) return static_cast<const void*>(ready);
  const format::Tensor& tensor = (*tensors_)[index];
  const std::uint8_t* bytes = kNoBytes;
  if (tensor.size() != 0) {
    PANNIER_TRY(const std::optional<ByteView> in_place, TensorInPlace(index));
    PANNIER_TRY(const ChunkedContent content, tensors_->Content(index));
    if (in_place) {
      if (checks_chunks()) PANNIER_CHECK_OK(content.CheckDigests(options_.threads));
      bytes = in_place->data();
    } else {
      PANNIER_CHECK_OK(content.CheckDecodable());
      PANNIER_TRY(slot.owned, DecodedBytes::Allocate(tensor.size()));
      PANNIER_CHECK_OK(DecodeTensor(content, index, slot.owned.data()));
      bytes = slot.owned.data();
    }
  }
  slot.ready.store(bytes, std::memory_order_release);
  return static_cast<const void*>(bytes);
}

Status BundleImpl::DecodeTensor(const ChunkedContent& content, std::uint32_t index, void* out) const {
  PANNIER_CHECK_OK(content.Decode(out, options_.threads, checks_chunks()));
  SwapBytes(static_cast<std::uint8_t*>(out), content.size(), SwapUnit(DataTypeOf((*tensors_)[index])));
  return {};
}

Status BundleImpl::CopyTensor(std::uint32_t index, void* out) const {
  PANNIER_TRY(const ChunkedContent content, tensors_->Content(index));
  return DecodeTensor(content, index, out);
}

Status BundleImpl::DecodeAll() const {
  if (!reader_.FindArtifact(kParamsArtifact)) return {};
  PANNIER_TRY(const TensorReader* tensors, Tensors());
  return ParallelFor(tensors->size(), options_.threads,
                     [&](std::uint64_t i) { return TensorData(static_cast<std::uint32_t>(i)).TakeStatus(); });
}

Status BundleImpl::CheckDigests() const {
  for (std::uint32_t i = 0; i < reader_.artifact_count(); ++i) {
    const format::Artifact& artifact = reader_.artifact(i);
    const std::string label = StrCat("artifact \"", Printable(ToText(artifact.name())), "\"");
    const bool is_known = BundleReader::CheckKind(artifact).ok();
    if (!is_known || artifact.kind() == format::ArtifactKind::Blob) {
      PANNIER_TRY(const ChunkedContent content,
                  (is_known ? reader_.BlobContent(artifact) : reader_.OpaqueContent(artifact)).WithContext(label));
      PANNIER_CHECK_OK(content.CheckDigests(options_.threads).WithContext(label));
      continue;
    }
    PANNIER_TRY(const TensorReader tensors, reader_.Tensors(artifact));
    PANNIER_CHECK_OK(ParallelFor(tensors.size(), options_.threads, [&](std::uint64_t t) -> Status {
                       const auto index = static_cast<std::uint32_t>(t);
                       PANNIER_TRY(const ChunkedContent content, tensors.Content(index));
                       return content.CheckDigests(content.chunk_count() > 64 ? options_.threads : 1)
                           .WithContext(StrCat("tensor \"", Printable(ToText(tensors[index].name())), "\""));
                     }).WithContext(label));
  }
  return {};
}

}  // namespace pannier
