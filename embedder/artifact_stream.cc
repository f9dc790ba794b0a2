// Chunks checked, decoded side by side in windows, and handed on in order.
#include "embedder/artifact_stream.h"

#include <algorithm>
#include <vector>

#include "src/format.h"
#include "src/parallel.h"
#include "src/params_walk.h"
#include "src/released_pages.h"
#include "src/sha256.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::uint64_t kWindowBytes = 8 << 20;

}  // namespace

Status StreamArtifact(const MappedFile& file, const BundleReader& reader, const format::Artifact& artifact, const Effort& effort,
                      const std::function<Status(ByteView)>& sink) {
  const bool check = reader.has_digests();
  Sha256 sha256;
  std::uint64_t total = 0;
  auto emit = [&](ByteView bytes) -> Status {
    if (check) sha256.Update(bytes);
    total += bytes.size();
    effort.Advance(bytes.size());
    return sink(bytes);
  };
  std::vector<std::uint8_t> window;
  ChunkDecoder decoder_of_small;  // to make one takes longer than to decode a small tensor
  ReleasedPages released(file);
  auto emit_content = [&](const ChunkedContent& content) -> Status {
    if (content.chunk_count() == 0) return {};
    if (content.chunk_count() == 1) {
      window.resize(static_cast<std::size_t>(content.size()));
      PANNIER_CHECK_OK(content.DecodeChunk(0, window.data(), check, decoder_of_small));
      PANNIER_TRY(const ByteView stored, content.Stored(0));
      released.Read(stored);
      return emit(ByteView(window.data(), window.size()));
    }
    const std::uint64_t chunk_size = content.chunk_bytes(0);
    const std::uint64_t step = std::max<std::uint64_t>(kWindowBytes / chunk_size, 1);
    for (std::uint64_t first = 0; first < content.chunk_count(); first += step) {
      const std::uint64_t count = std::min(step, content.chunk_count() - first);
      const std::uint64_t bytes = (count - 1) * chunk_size + content.chunk_bytes(first + count - 1);
      window.resize(static_cast<std::size_t>(bytes));
      PANNIER_CHECK_OK(ParallelForWith<ChunkDecoder>(count, effort.threads, [&](ChunkDecoder& decoder, std::uint64_t i) -> Status {
        PANNIER_CHECK_OK(content.DecodeChunk(first + i, window.data() + i * chunk_size, check, decoder));
        PANNIER_TRY(const ByteView stored, content.Stored(first + i));
        file.Release(stored);
        return {};
      }));
      PANNIER_CHECK_OK(emit(ByteView(window.data(), window.size())));
    }
    return {};
  };

  auto run = [&]() -> Status {
    if (artifact.kind() == format::ArtifactKind::Blob) {
      PANNIER_TRY(const ChunkedContent content, reader.BlobContent(artifact));
      PANNIER_CHECK_OK(emit_content(content));
    } else {
      PANNIER_TRY(const TensorReader tensors, reader.Tensors(artifact));
      PANNIER_CHECK_OK(WalkParams(tensors, emit, [&](std::uint32_t i, const ChunkedContent& content) {
        return emit_content(content).WithContext(StrCat("tensor \"", Printable(ToText(tensors[i].name())), "\""));
      }));
    }
    if (total != artifact.size()) return Malformed(StrCat("size: found ", total, ", expected ", artifact.size()));
    if (!check) return {};
    const Sha256Digest found = sha256.Finish();
    if (found == ToDigest(*artifact.sha256())) return {};
    return {ErrorCode::kDigestMismatch, StrCat("sha-256: found ", found.Hex(), ", expected ", ToDigest(*artifact.sha256()).Hex())};
  };
  return run().WithContext(StrCat("artifact \"", Printable(ToText(artifact.name())), "\""));
}

}  // namespace pannier
