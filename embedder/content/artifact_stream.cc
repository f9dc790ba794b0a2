// Chunks checked, decoded side by side in windows, and handed on in order.
#include "embedder/content/artifact_stream.h"

#include <algorithm>

#include "src/parallel.h"
#include "src/params_walk.h"
#include "src/sha256.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::uint64_t kWindowBytes = 8 << 20;

}  // namespace

Status ContentStream::Run(const ChunkedContent& content, const std::function<Status(ByteView)>& sink) {
  if (content.chunk_count() == 0) return {};
  if (content.chunk_count() == 1) {
    window_.resize(static_cast<std::size_t>(content.size()));
    PANNIER_CHECK_OK(content.DecodeChunk(0, window_.data(), check_, decoder_of_small_));
    PANNIER_TRY(const ByteView stored, content.Stored(0));
    released_.Read(stored);
    effort_.Advance(window_.size());
    return sink(View(window_));
  }
  const std::uint64_t chunk_size = content.chunk_bytes(0);
  const std::uint64_t step = std::max<std::uint64_t>(kWindowBytes / chunk_size, 1);
  for (std::uint64_t first = 0; first < content.chunk_count(); first += step) {
    const std::uint64_t count = std::min(step, content.chunk_count() - first);
    const std::uint64_t bytes = (count - 1) * chunk_size + content.chunk_bytes(first + count - 1);
    window_.resize(static_cast<std::size_t>(bytes));
    PANNIER_CHECK_OK(ParallelForWith<ChunkDecoder>(count, effort_.threads, [&](ChunkDecoder& decoder, std::uint64_t i) -> Status {
      PANNIER_CHECK_OK(content.DecodeChunk(first + i, window_.data() + i * chunk_size, check_, decoder));
      PANNIER_TRY(const ByteView stored, content.Stored(first + i));
      file_.Release(stored);
      return {};
    }));
    effort_.Advance(window_.size());
    PANNIER_CHECK_OK(sink(View(window_)));
  }
  return {};
}

Status StreamArtifact(const MappedFile& file, const BundleReader& reader, const format::Artifact& artifact, const Effort& effort,
                      const std::function<Status(ByteView)>& sink) {
  const bool check = reader.has_digests();
  Sha256 sha256;
  std::uint64_t total = 0;
  auto emit = [&](ByteView bytes) -> Status {
    if (check) sha256.Update(bytes);
    total += bytes.size();
    return sink(bytes);
  };
  ContentStream stream(file, check, effort);

  auto run = [&]() -> Status {
    if (artifact.kind() == format::ArtifactKind::Blob) {
      PANNIER_TRY(const ChunkedContent content, reader.BlobContent(artifact));
      PANNIER_CHECK_OK(stream.Run(content, emit));
    } else {
      PANNIER_TRY(const TensorReader tensors, reader.Tensors(artifact));
      PANNIER_CHECK_OK(WalkParams(tensors, emit, [&](std::uint32_t i, const ChunkedContent& content) {
        return stream.Run(content, emit).WithContext(Named(tensors[i]));
      }));
    }
    if (total != artifact.size()) return Malformed(StrCat("size: found ", total, ", expected ", artifact.size()));
    if (!check) return {};
    const Sha256Digest found = sha256.Finish();
    if (found == ToDigest(*artifact.sha256())) return {};
    return {ErrorCode::kDigestMismatch, StrCat("sha-256: found ", found.Hex(), ", expected ", ToDigest(*artifact.sha256()).Hex())};
  };
  return run().WithContext(Named(artifact));
}

}  // namespace pannier
