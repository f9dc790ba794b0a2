// The public handles: each call forwards to BundleImpl and throws what it answers.
#include "pannier/bundle.h"

#include "loader/bundle_impl.h"
#include "src/params_walk.h"
#include "src/text.h"

namespace pannier {
namespace {

template <typename T>
T ValueOrThrow(Result<T> result, const BundleImpl& bundle) {
  if (!result.ok()) ThrowError(result.TakeStatus(), bundle.path());
  return std::move(*result);
}

void OkOrThrow(Status status, const BundleImpl& bundle) {
  if (!status.ok()) ThrowError(std::move(status), bundle.path());
}

const format::Tensor& TensorOf(const BundleImpl* bundle, std::size_t index) {
  const TensorReader& tensors = *ValueOrThrow(bundle->Tensors(), *bundle);
  return tensors[static_cast<std::uint32_t>(index)];
}

TensorMemory& MemoryOf(const BundleImpl* bundle) { return *ValueOrThrow(bundle->Memory(), *bundle); }

constexpr std::int32_t kDlCpu = 1;

// DLTensor has no room for const: shapes stay read-only, and so does what data() gave.
DlTensor MakeDlTensor(const TensorView& tensor, const void* data) {
  const ArrayView<std::int64_t> dimensions = tensor.shape();
  return {const_cast<void*>(data),
          {kDlCpu, 0},
          static_cast<std::int32_t>(dimensions.size()),
          tensor.dtype(),
          const_cast<std::int64_t*>(dimensions.data()),
          nullptr,
          0};
}

}  // namespace

void ThrowError(Status status, const std::string& path) {
  if (!path.empty()) status = std::move(status).WithContext(Printable(path));
  throw Error(status.code(), status.message());
}

Bundle BundleOrThrow(Result<Bundle> bundle, const std::string& path) {
  if (!bundle.ok()) ThrowError(bundle.TakeStatus(), path);
  return std::move(*bundle);
}

std::string_view TensorView::name() const { return ToText(TensorOf(bundle_, index_).name()); }

DataType TensorView::dtype() const { return DataTypeOf(TensorOf(bundle_, index_)); }

ArrayView<std::int64_t> TensorView::shape() const { return bundle_->TensorShape(static_cast<std::uint32_t>(index_)); }

std::size_t TensorView::nbytes() const { return static_cast<std::size_t>(TensorOf(bundle_, index_).size()); }

Device TensorView::device() const {
  const format::Tensor& tensor = TensorOf(bundle_, index_);
  return {tensor.device_type(), tensor.device_id()};
}

const void* TensorView::data() const { return ValueOrThrow(MemoryOf(bundle_).Data(static_cast<std::uint32_t>(index_)), *bundle_); }

void* TensorView::mutable_data() const {
  return ValueOrThrow(MemoryOf(bundle_).MutableData(static_cast<std::uint32_t>(index_)), *bundle_);
}

bool TensorView::is_zero_copy() const {
  return ValueOrThrow(MemoryOf(bundle_).InPlace(static_cast<std::uint32_t>(index_)), *bundle_).has_value();
}

void TensorView::Prefetch() const { OkOrThrow(MemoryOf(bundle_).Prefetch(static_cast<std::uint32_t>(index_)), *bundle_); }

void TensorView::Release() const { OkOrThrow(MemoryOf(bundle_).Release(static_cast<std::uint32_t>(index_)), *bundle_); }

void TensorView::ReleaseMutable() const { MemoryOf(bundle_).ReleaseMutable(static_cast<std::uint32_t>(index_)); }

std::size_t TensorView::stored_bytes() const {
  const TensorReader& tensors = *ValueOrThrow(bundle_->Tensors(), *bundle_);
  const ChunkedContent content = ValueOrThrow(tensors.Content(static_cast<std::uint32_t>(index_)), *bundle_);
  return static_cast<std::size_t>(ValueOrThrow(content.StoredBytes(), *bundle_));
}

void TensorView::CopyTo(void* destination, std::size_t size) const {
  if (size != nbytes()) {
    ThrowError({ErrorCode::kInvalidArgument,
                StrCat("tensor \"", Printable(name()), "\": destination: found ", size, " bytes, expected ", nbytes())},
               bundle_->path());
  }
  OkOrThrow(MemoryOf(bundle_).CopyTo(static_cast<std::uint32_t>(index_), destination), *bundle_);
}

DlTensor TensorView::dl_tensor() const { return MakeDlTensor(*this, data()); }

DlTensor TensorView::mutable_dl_tensor() const { return MakeDlTensor(*this, mutable_data()); }

TensorView TensorList::at(std::string_view name) const {
  const auto index = ValueOrThrow(bundle_->Tensors(), *bundle_)->Find(name);
  if (!index) ThrowError({ErrorCode::kNotFound, StrCat("params: no tensor \"", Printable(name), "\"")}, bundle_->path());
  return {bundle_, *index};
}

bool TensorList::contains(std::string_view name) const {
  return ValueOrThrow(bundle_->Tensors(), *bundle_)->Find(name).has_value();
}

std::string_view ArtifactView::name() const {
  return ToText(bundle_->reader().artifact(static_cast<std::uint32_t>(index_)).name());
}

std::size_t ArtifactView::size() const {
  return static_cast<std::size_t>(bundle_->reader().artifact(static_cast<std::uint32_t>(index_)).size());
}

std::size_t ArtifactView::stored_bytes() const {
  return static_cast<std::size_t>(bundle_->reader().artifact(static_cast<std::uint32_t>(index_)).stored_size());
}

std::string ArtifactView::sha256() const {
  if (!bundle_->reader().has_digests()) return {};
  return ToDigest(*bundle_->reader().artifact(static_cast<std::uint32_t>(index_)).sha256()).Hex();
}

ArrayView<std::uint8_t> ArtifactView::bytes() const {
  const ByteView bytes = ValueOrThrow(bundle_->ArtifactBytes(static_cast<std::uint32_t>(index_)), *bundle_);
  return {bytes.data(), bytes.size()};
}

std::string_view Bundle::graph_json() const {
  const ArrayView<std::uint8_t> bytes = artifact(kGraphArtifact).bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TensorList Bundle::params() const { return {impl_.get(), ValueOrThrow(impl_->Tensors(), *impl_)->size()}; }

ArtifactView Bundle::artifact(std::string_view name) const {
  const auto index = impl_->reader().FindArtifact(name);
  if (!index) ThrowError({ErrorCode::kNotFound, StrCat("no artifact \"", Printable(name), "\"")}, impl_->path());
  return {impl_.get(), *index};
}

bool Bundle::has_artifact(std::string_view name) const { return impl_->reader().FindArtifact(name).has_value(); }

std::size_t Bundle::artifact_count() const { return impl_->reader().artifact_count(); }

ArtifactView Bundle::artifact_at(std::size_t index) const { return {impl_.get(), index}; }

void Bundle::DecodeAll() const { OkOrThrow(impl_->DecodeAll(), *impl_); }

void Bundle::Prefetch() const { OkOrThrow(impl_->PrefetchAll(), *impl_); }

void Bundle::Release() const { impl_->ReleaseAll(); }

void Bundle::CheckDigests() const { OkOrThrow(impl_->CheckDigests(), *impl_); }

const std::string& Bundle::path() const { return impl_->path(); }

const std::string& Bundle::library_path() const { return impl_->library_path(); }
bool Bundle::is_loaded() const { return impl_->is_loaded(); }

std::string Bundle::image_digest() const {
  if (!impl_->reader().has_digests()) return {};
  return ToDigest(*impl_->reader().manifest().image()->sha256()).Hex();
}

void* Bundle::FindSymbol(const char* name) const {
  if (!is_loaded())
    ThrowError({ErrorCode::kInvalidArgument, "opened, not loaded: its code cannot be called; use LoadBundle"}, impl_->path());
  return impl_->FindSymbol(name);
}

void* Bundle::RequireSymbol(const char* name) const {
  void* address = FindSymbol(name);
  if (address == nullptr) ThrowError({ErrorCode::kNotFound, StrCat("no exported symbol \"", Printable(name), "\"")}, impl_->path());
  return address;
}

}  // namespace pannier
