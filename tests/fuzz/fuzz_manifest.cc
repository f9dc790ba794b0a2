// Fuzz target: a payload's manifest, and all that it leads to. Without a host and a signature room, so that there is little but
// what readers decide by; anchor and digests are made right.
//
// Input: a payload from its anchor to the end of its manifest, with the library's format (0: ELF, 1: Mach-O, 2: PE) in the anchor's
// first reserved byte.
#include <cstring>
#include <vector>

#include "src/bundle_reader.h"
#include "tests/fuzz/bundle_sealer.h"
#include "tests/fuzz/fuzz_support.h"

namespace pannier {
namespace {

constexpr std::uint64_t kRoom = 8;
constexpr std::size_t kReservedByte = 56;

void UseContent(const Result<ChunkedContent>& content) {
  if (!content.ok()) return;
  for (std::uint64_t i = 0; i < content->chunk_count(); ++i) (void)content->Stored(i);
  (void)content->CheckDigests(1);
}

void Use(const BundleReader& reader) {
  for (std::uint32_t i = 0; i < reader.artifact_count(); ++i) {
    const format::Artifact& artifact = reader.artifact(i);
    const auto found = reader.FindArtifact(ToText(artifact.name()));
    Require(found && *found == i, "every artifact is found by its name");
    (void)reader.StoredBytes(artifact);
    if (artifact.chunks() != nullptr) UseContent(reader.OpaqueContent(artifact));
    if (artifact.kind() == format::ArtifactKind::Blob) {
      const Result<ChunkedContent> content = reader.BlobContent(artifact);
      UseContent(content);
      if (content.ok()) (void)content->CheckDecodable();
    }
    if (artifact.kind() != format::ArtifactKind::TvmParams) continue;
    const Result<TensorReader> tensors = reader.Tensors(artifact);
    for (std::uint32_t t = 0; tensors.ok() && t < tensors->size(); ++t) UseContent(tensors->Content(t));
  }
  std::uint64_t end = 0;
  for (const HostRun& run : reader.host_runs()) {
    Require(run.host_offset >= end, "the host's runs ascend");
    end = run.host_offset + run.size;
  }
  (void)reader.IndexBytes(*reader.manifest().host()->chunks(), "host digests");
  (void)reader.IndexBytes(*reader.manifest().image()->spans(), "image spans");
  (void)reader.undo();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  const auto manifest_offset = input.Read<std::uint64_t>(24);
  if (size < Anchor::kSize || !manifest_offset || *manifest_offset > size) return -1;
  const std::uint64_t manifest_size = size - *manifest_offset;
  std::vector<std::uint64_t> words(AlignUp(size, 8) / 8 + kRoom / 8);  // FlatBuffers want 8 bytes' alignment
  auto* const bytes = reinterpret_cast<std::uint8_t*>(words.data());
  std::memcpy(bytes, data, size);
  Anchor anchor;
  anchor.payload_size = words.size() * 8;
  anchor.manifest_offset = *manifest_offset;
  anchor.manifest_size = manifest_size;
  anchor.signature_offset = anchor.payload_size - kRoom;
  anchor.signature_size = kRoom;
  const auto encoded = EncodeAnchor(anchor);
  std::memcpy(bytes, encoded.data(), encoded.size());
  Payload payload;
  payload.format = static_cast<format::ImageFormat>(1 + data[kReservedByte] % 3);
  payload.anchor = payload.segment = ByteView(bytes, words.size() * 8);
  SealPayload(payload.segment, payload);
  const Result<BundleReader> reader = BundleReader::Open(payload);
  if (reader.ok()) Use(*reader);
  return 0;
}

}  // namespace pannier
