// From the inside out: chunks, their tables, parts, manifest, anchor.
#include "tests/fuzz/bundle_sealer.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "src/bundle_reader.h"
#include "src/format.h"
#include "src/image.h"
#include "src/macho_file.h"
#include "src/payload.h"
#include "src/sha256.h"

namespace pannier {
namespace {

constexpr std::size_t kPayloadSizeInAnchor = 16;
constexpr std::size_t kManifestOffsetInAnchor = 24;
constexpr std::size_t kManifestSizeInAnchor = 32;
constexpr std::size_t kManifestDigestInAnchor = 64;
constexpr std::size_t kDigestInChunkRecord = 16;
constexpr std::size_t kDigestInSpanRecord = 24;

// Views borrow bytes that whoever called for sealing may change.
std::uint8_t* Mutable(const void* bytes) { return const_cast<std::uint8_t*>(static_cast<const std::uint8_t*>(bytes)); }

// First all places are found, then digests written: one may stand where a damaged table has something else.
class Sealer {
 public:
  Sealer() = default;
  Sealer(const Sealer&) = delete;
  Sealer& operator=(const Sealer&) = delete;
  ~Sealer() {
    // Records may lead to the same bytes over and over: what they ask for is done up to this much.
    std::size_t budget = 8 << 20;
    for (const Step& step : steps_) {
      if (step.bytes.size() > budget) continue;
      budget -= step.bytes.size();
      const Sha256Digest digest = Sha256Of(step.bytes);
      std::memcpy(step.out, digest.bytes.data(), digest.bytes.size());
    }
  }

  void Records(ByteView table, ByteView stored) {
    for (std::size_t i = 0; i < table.size() / ChunkRecord::kSize; ++i) {
      const Result<ChunkRecord> record = ParseChunkRecord(table, i);
      const auto bytes = record.ok() ? stored.Slice(record->offset, record->stored_size) : std::nullopt;
      if (bytes) Digest(Mutable(table.data() + i * ChunkRecord::kSize + kDigestInChunkRecord), *bytes);
    }
  }

  void Tensors(const format::TensorTable& table, ByteView chunk_table, ByteView stored) {
    Records(chunk_table, stored);
    if (table.chunk_size() == 0) return;
    for (const format::Tensor* tensor : *table.tensors()) {
      const auto offset = CheckedMultiply(tensor->first_chunk(), ChunkRecord::kSize);
      const auto size = CheckedMultiply(ChunkCount(tensor->size(), table.chunk_size()), ChunkRecord::kSize);
      const auto records = offset && size ? chunk_table.Slice(*offset, *size) : std::nullopt;
      if (records) Digest(Mutable(tensor->chunks_sha256()), *records);
    }
  }

  void Bundle(ByteView file, const Payload& payload);

 private:
  void Manifest(ByteView file, const Payload& payload, const format::Manifest& manifest);
  void Host(ByteView file, ByteView index, const format::Manifest& manifest);
  void Spans(ByteView file, ByteView index, const format::IndexRange& spans);
  void Range(ByteView index, const format::IndexRange& range) {
    if (const auto bytes = index.Slice(range.offset(), range.size())) Digest(Mutable(&range.sha256()), *bytes);
  }

  void Digest(void* out, ByteView bytes) { steps_.push_back({out, bytes}); }

  struct Step {
    void* out;
    ByteView bytes;
  };
  std::vector<Step> steps_;  // what is within before what is around it
  std::vector<std::uint8_t> without_derived_;
};

bool IsAligned(ByteView bytes) { return reinterpret_cast<std::uintptr_t>(bytes.data()) % 8 == 0; }

flatbuffers::Verifier MakeVerifier(ByteView bytes) {
  return {bytes.data(), bytes.size(), 8, static_cast<flatbuffers::uoffset_t>(bytes.size() / 8 + 1)};
}

const format::Manifest* VerifiedManifest(ByteView bytes) {
  flatbuffers::Verifier verifier = MakeVerifier(bytes);
  return IsAligned(bytes) && format::VerifyManifestBuffer(verifier) ? format::GetManifest(bytes.data()) : nullptr;
}

// Host digests cover derived bytes as zeroes.
std::vector<std::uint8_t> WithoutDerived(ByteView file, const format::Manifest& manifest) {
  std::vector<std::uint8_t> copy(file.begin(), file.end());
  if (manifest.derived() == nullptr) return copy;
  for (const format::Derived* derived : *manifest.derived()) {
    if (file.Contains(derived->offset(), derived->size()))
      std::fill_n(copy.begin() + static_cast<std::ptrdiff_t>(derived->offset()), derived->size(), std::uint8_t{0});
  }
  return copy;
}

void Sealer::Host(ByteView file, ByteView index, const format::Manifest& manifest) {
  const format::Host& host = *manifest.host();
  const auto digests = index.Slice(host.chunks()->offset(), host.chunks()->size());
  if (!digests || host.chunk_size() < kMinChunkSize) return;
  without_derived_ = WithoutDerived(file, manifest);
  const ByteView view(without_derived_.data(), without_derived_.size());
  std::uint64_t number = 0;
  auto seal_run = [&](std::uint64_t offset, std::uint64_t size) {
    for (std::uint64_t at = 0; at < size; at += host.chunk_size()) {
      const auto chunk = view.Slice(offset + at, std::min<std::uint64_t>(host.chunk_size(), size - at));
      const auto out = digests->Slice(number++ * sizeof(Sha256Digest::bytes), sizeof(Sha256Digest::bytes));
      if (!chunk || !out) return;
      Digest(Mutable(out->data()), *chunk);
    }
  };
  if (host.pieces() == nullptr) return seal_run(0, host.size());
  if (!IsAligned(ByteView(host.pieces()->Data(), 0))) return;
  for (const format::HostPiece* piece : *host.pieces()) seal_run(piece->bundle_offset(), piece->size());
}

void Sealer::Spans(ByteView file, ByteView index, const format::IndexRange& spans) {
  const auto table = index.Slice(spans.offset(), spans.size());
  const Result<MappedImage> image = ReadImage(file);
  if (!table || !image.ok()) return;
  for (std::size_t i = 0; i < table->size() / SpanRecord::kSize; ++i) {
    const Result<SpanRecord> span = ParseSpanRecord(*table, i);
    const auto offset = span.ok() ? image->FileOffset(span->address, span->size) : std::nullopt;
    const auto bytes = offset ? file.Slice(*offset, span->size) : std::nullopt;
    if (bytes) Digest(Mutable(table->data() + i * SpanRecord::kSize + kDigestInSpanRecord), *bytes);
  }
}

void Sealer::Manifest(ByteView file, const Payload& payload, const format::Manifest& manifest) {
  const auto section = [&](std::uint32_t i) -> std::optional<ByteView> {
    if (i >= manifest.sections()->size()) return std::nullopt;
    const format::Section& entry = *manifest.sections()->Get(i);
    return payload.Find(ToText(entry.name()), entry.offset(), entry.size());
  };
  if (const auto index = section(manifest.index_section())) {
    for (const format::Artifact* artifact : *manifest.artifacts()) {
      const auto holder = section(artifact->section());
      const auto stored = holder ? holder->Slice(artifact->offset(), artifact->stored_size()) : std::nullopt;
      if (!stored) continue;
      if (artifact->chunks() != nullptr) {
        if (const auto table = index->Slice(artifact->chunks()->offset(), artifact->chunks()->size())) Records(*table, *stored);
        Range(*index, *artifact->chunks());
      }
      if (artifact->tensors() == nullptr) continue;
      const auto bytes = index->Slice(artifact->tensors()->offset(), artifact->tensors()->size());
      const format::TensorTable* table = bytes ? VerifiedTensorTable(*bytes) : nullptr;
      const auto size = CheckedMultiply(artifact->chunk_count(), ChunkRecord::kSize);
      const auto chunk_table = size ? index->Slice(artifact->chunk_table_offset(), *size) : std::nullopt;
      if (table != nullptr && chunk_table) Tensors(*table, *chunk_table, *stored);
      Range(*index, *artifact->tensors());
    }
    Host(file, *index, manifest);
    Range(*index, *manifest.host()->chunks());
    Spans(file, *index, *manifest.image()->spans());
    Range(*index, *manifest.image()->spans());
  }
  for (const format::Part* part : *manifest.parts()) {
    auto bytes = payload.Find(ToText(part->name()), part->offset(), part->size());
    if (!bytes) bytes = file.Slice(payload.anchor_file_offset + part->offset(), part->size());
    if (bytes) Digest(Mutable(part->sha256()), *bytes);
  }
}

void Sealer::Bundle(ByteView file, const Payload& payload) {
  const ByteView anchor = payload.anchor;
  const auto manifest =
      payload.Find(kManifestSection, LoadInteger<std::uint64_t>(anchor.data() + kManifestOffsetInAnchor, ByteOrder::kLittle),
                   LoadInteger<std::uint64_t>(anchor.data() + kManifestSizeInAnchor, ByteOrder::kLittle));
  if (!manifest) return;
  if (const format::Manifest* sound = VerifiedManifest(*manifest)) Manifest(file, payload, *sound);
  Digest(Mutable(anchor.data() + kManifestDigestInAnchor), *manifest);
}

void SealLibrary(ByteView file) {
  const Result<Payload> payload = FindPayload(file);
  if (payload.ok()) Sealer().Bundle(file, *payload);
}

}  // namespace

void SealBundle(std::uint8_t* bytes, std::size_t size) {
  const ByteView file(bytes, size);
  if (!macho::HasFatMagic(file)) return SealLibrary(file);
  const Result<macho::FatFile> fat = macho::ParseFat(file, size);
  if (!fat.ok()) return;
  for (const macho::Slice& slice : fat->slices) SealLibrary(*file.Slice(slice.offset, slice.size));
}

void SealPayload(ByteView file, const Payload& payload) {
  const auto offset = payload.anchor.Read<std::uint64_t>(kManifestOffsetInAnchor);
  const auto size = payload.anchor.Read<std::uint64_t>(kManifestSizeInAnchor);
  const auto bytes = offset && size ? payload.Find(kManifestSection, *offset, *size) : std::nullopt;
  if (const format::Manifest* manifest = bytes ? VerifiedManifest(*bytes) : nullptr) {
    const auto* const table = reinterpret_cast<const flatbuffers::Table*>(manifest);
    if (const std::uint8_t* field = table->GetAddressOf(format::Manifest::VT_PAYLOAD_SIZE))
      std::memcpy(Mutable(field), payload.anchor.data() + kPayloadSizeInAnchor, sizeof(std::uint64_t));
  }
  Sealer().Bundle(file, payload);
}

const format::TensorTable* VerifiedTensorTable(ByteView bytes) {
  flatbuffers::Verifier verifier = MakeVerifier(bytes);
  if (!IsAligned(bytes) || !verifier.VerifyBuffer<format::TensorTable>(nullptr)) return nullptr;
  return flatbuffers::GetRoot<format::TensorTable>(bytes.data());
}

void SealTensors(const format::TensorTable& table, ByteView chunk_table, ByteView stored) {
  Sealer().Tensors(table, chunk_table, stored);
}

}  // namespace pannier
