// Artifacts and tensors handed out: in place where they can be, else decoded once and kept.
#include "loader/bundle_impl.h"

#include <array>
#include <cstring>
#include <set>
#include <tuple>
#include <utility>

#include "src/factory_reader.h"
#include "src/pages.h"
#include "src/parallel.h"
#include "src/params_walk.h"
#include "src/text.h"

namespace pannier {
namespace {

// What an empty artifact's bytes point to: not null.
constexpr std::uint8_t kNoBytes[1] = {};

// The tensors without those of a group whose chunk is another's, too: a hundred would digest it a hundred times.
Result<std::vector<std::uint32_t>> DistinctContents(const TensorReader& tensors) {
  std::vector<std::uint32_t> distinct;
  std::set<std::tuple<std::uint64_t, std::uint32_t, std::array<std::uint8_t, 32>>> seen;
  for (std::uint32_t i = 0; i < tensors.size(); ++i) {
    PANNIER_TRY(const ChunkedContent content, tensors.Content(i));
    if (content.is_grouped()) {
      PANNIER_TRY(const ChunkRecord record, content.Record(0));
      if (!seen.emplace(record.offset, record.stored_size, record.sha256.bytes).second) continue;
    }
    distinct.push_back(i);
  }
  return distinct;
}

}  // namespace

BundleImpl::BundleImpl(BundleReader reader, std::shared_ptr<const void> image, void* (*find_symbol)(const void*, const char*),
                       BundleOrigin origin, const LoadOptions& options)
    : reader_(std::move(reader)),
      image_(std::move(image)),
      find_symbol_(find_symbol),
      origin_(std::move(origin)),
      library_path_(find_symbol != nullptr ? origin_.file : ""),
      options_(options),
      artifacts_(reader_.artifact_count()) {
  if (!reader_.has_digests()) options_.check = Check::kOff;
}

Result<std::shared_ptr<const BundleImpl>> BundleImpl::Create(const Payload& payload, std::shared_ptr<const void> image,
                                                             void* (*find_symbol)(const void* image, const char* name),
                                                             BundleOrigin origin, const LoadOptions& options) {
  PANNIER_TRY(BundleReader reader,
              BundleReader::Open(payload, options.check == Check::kOff ? Digests::kIgnored : Digests::kChecked));
  std::shared_ptr<const BundleImpl> bundle(
      new BundleImpl(std::move(reader), std::move(image), find_symbol, std::move(origin), options));
  if (options.check == Check::kFull) PANNIER_CHECK_OK(bundle->CheckDigests());
  return bundle;
}

Result<ByteView> BundleImpl::ArtifactBytes(std::uint32_t index) const {
  const format::Artifact& artifact = reader_.artifact(index);
  if (artifact.size() > SIZE_MAX)
    return Unsupported(StrCat("found ", artifact.size(), " bytes, expected what fits into this machine's memory"));
  Slot& slot = artifacts_[index];
  const std::uint8_t* bytes = slot.ready.load(std::memory_order_acquire);
  if (bytes == nullptr) {
    const std::lock_guard<std::mutex> lock(MutexOf(index));
    bytes = slot.ready.load(std::memory_order_relaxed);
    if (bytes == nullptr) {
      PANNIER_TRY(bytes, DecodeArtifact(artifact, slot.owned).WithContext(Named(artifact)));
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
      PANNIER_CHECK_OK(content.CheckDecodable().WithContext(Named((*tensors)[i])));
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
  std::vector<ChunkJob> jobs;
  auto too_large = [&] { return Malformed(StrCat("params: found more than the ", size, " bytes that the manifest expects")); };
  PANNIER_CHECK_OK(WalkParams(
      tensors_->tensors(),
      [&](ByteView bytes) -> Status {
        if (!FitsWithin(at, bytes.size(), size)) return too_large();
        std::memcpy(out + at, bytes.data(), bytes.size());
        at += bytes.size();
        return {};
      },
      [&](std::uint32_t index, const ChunkedContent& content) -> Status {
        if (!FitsWithin(at, content.size(), size)) return too_large();
        jobs.push_back({content, index, out + at});
        at += content.size();
        return {};
      }));
  if (at != size) return Malformed(StrCat("params: found ", at, " bytes, expected ", size));
  return DecodeChunks(jobs, tensors_->tensors(), options_.threads, checks_chunks());
}

Result<const TensorReader*> BundleImpl::Tensors() const {
  PANNIER_TRY(const TensorMemory* memory, Memory());
  return &memory->tensors();
}

Result<TensorMemory*> BundleImpl::Memory() const {
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
    return Unsupported("artifact \"params\" is not a TVM .params file; read its bytes instead");
  }
  PANNIER_TRY(const TensorReader tensors, reader_.Tensors(artifact));
  std::vector<std::int64_t> shapes;
  std::vector<std::size_t> starts;
  starts.reserve(tensors.size() + std::size_t{1});
  for (std::uint32_t i = 0; i < tensors.size(); ++i) {
    starts.push_back(shapes.size());
    shapes.insert(shapes.end(), tensors[i].shape()->begin(), tensors[i].shape()->end());
  }
  starts.push_back(shapes.size());
  tensors_.emplace(reader_, artifact, tensors, origin_, options_);
  shapes_ = std::move(shapes);
  shape_starts_ = std::move(starts);
  return {};
}

ArrayView<std::int64_t> BundleImpl::TensorShape(std::uint32_t index) const {
  const std::size_t start = shape_starts_[index];
  return {shapes_.data() + start, shape_starts_[index + std::size_t{1}] - start};
}

Status BundleImpl::DecodeAll() const {
  if (!reader_.FindArtifact(kParamsArtifact)) return {};
  PANNIER_TRY(TensorMemory * memory, Memory());
  return memory->DecodeAll();
}

Status BundleImpl::PrefetchAll() const {
  const auto index = reader_.FindArtifact(kParamsArtifact);
  if (!index) return {};
  const format::Artifact& artifact = reader_.artifact(*index);
  if (artifact.kind() == format::ArtifactKind::TvmParams) {
    PANNIER_TRY(TensorMemory * memory, Memory());
    memory->PrefetchAll();
  } else if (origin_.is_mapped) {
    PrefetchPages(reader_.StoredBytes(artifact));
  }
  return {};
}

void BundleImpl::ReleaseAll() const {
  // Before they are asked for there is nothing to give back.
  if (tensors_open_.load(std::memory_order_acquire)) tensors_->ReleaseAll();
}

Status BundleImpl::CheckDigests() const {
  if (!reader_.has_digests()) return NoDigests();
  for (std::uint32_t i = 0; i < reader_.artifact_count(); ++i) {
    const format::Artifact& artifact = reader_.artifact(i);
    const std::string label = Named(artifact);
    const bool is_known = BundleReader::CheckKind(artifact).ok();
    if (!is_known || artifact.kind() == format::ArtifactKind::Blob) {
      PANNIER_TRY(const ChunkedContent content,
                  (is_known ? reader_.BlobContent(artifact) : reader_.OpaqueContent(artifact)).WithContext(label));
      PANNIER_CHECK_OK(content.CheckDigests(options_.threads).WithContext(label));
      continue;
    }
    PANNIER_TRY(const TensorReader tensors, reader_.Tensors(artifact));
    PANNIER_TRY(const std::vector<std::uint32_t> distinct, DistinctContents(tensors).WithContext(label));
    PANNIER_CHECK_OK(
        ParallelFor(distinct.size(), options_.threads, [&](std::uint64_t t) -> Status {
          const std::uint32_t index = distinct[static_cast<std::size_t>(t)];
          PANNIER_TRY(const ChunkedContent content, tensors.Content(index));
          return content.CheckDigests(content.chunk_count() > 64 ? options_.threads : 1).WithContext(Named(tensors[index]));
        }).WithContext(label));
  }
  return {};
}

}  // namespace pannier
