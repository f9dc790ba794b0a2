// The manifest opened: digest, FlatBuffers structure, then every range and name in it, before anything is handed out.
#include "src/bundle_reader.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "src/text.h"
#include "src/tvm_params.h"

namespace pannier {
namespace {

// FlatBuffers' verifier: enough tables for what the buffer can hold (a table takes at least 8 bytes), few levels.
flatbuffers::Verifier MakeVerifier(ByteView bytes) {
  constexpr flatbuffers::uoffset_t kMaxDepth = 8;
  return {bytes.data(), bytes.size(), kMaxDepth, static_cast<flatbuffers::uoffset_t>(bytes.size() / 8 + 1)};
}

// FlatBuffers reads its scalars where they lie.
bool IsAligned(const void* bytes) { return reinterpret_cast<std::uintptr_t>(bytes) % 8 == 0; }
bool IsAligned(ByteView bytes) { return IsAligned(bytes.data()); }

Result<ByteView> CheckedRange(ByteView index, const format::IndexRange& range, std::string_view what) {
  const auto bytes = index.Slice(range.offset(), range.size());
  if (!bytes || !IsAligned(*bytes)) {
    return Malformed(StrCat(what, ": found ", range.size(), " bytes at ", Hex(range.offset()),
                            ", expected an aligned range within the index's ", index.size(), " bytes"));
  }
  return *bytes;
}

Status CheckDigest(Digests digests, ByteView bytes, const format::Sha256& expected, std::string_view what) {
  if (digests == Digests::kIgnored) return {};
  const Sha256Digest found = Sha256Of(bytes);
  if (found == ToDigest(expected)) return {};
  return {ErrorCode::kDigestMismatch, StrCat(what, ": sha-256: found ", found.Hex(), ", expected ", ToDigest(expected).Hex())};
}

Status CheckChunkSize(std::uint32_t chunk_size, std::string_view what) {
  if (IsPowerOfTwo(chunk_size) && chunk_size >= kMinChunkSize && chunk_size <= kMaxChunkSize) return {};
  return Malformed(
      StrCat(what, ": chunk size: found ", chunk_size, ", expected a power of two from ", kMinChunkSize, " to ", kMaxChunkSize));
}

// A table of fixed-size records, one for each chunk.
Status CheckTableSize(const format::IndexRange& range, std::uint64_t chunks, std::size_t record_size, std::string_view what) {
  const auto expected = CheckedMultiply(chunks, record_size);
  if (expected && *expected == range.size()) return {};
  return Malformed(StrCat(what, ": chunk table: found ", range.size(), " bytes, expected ", chunks, " records of ", record_size));
}

}  // namespace

Sha256Digest ToDigest(const format::Sha256& stored) {
  Sha256Digest digest;
  std::memcpy(digest.bytes.data(), stored.bytes()->data(), digest.bytes.size());
  return digest;
}

format::Sha256 ToStored(const Sha256Digest& digest) {
  return format::Sha256(flatbuffers::span<const std::uint8_t, 32>(digest.bytes.data(), 32));
}

std::string_view ToText(const flatbuffers::String* string) { return {string->data(), string->size()}; }

std::string Named(const format::Artifact& artifact) { return StrCat("artifact \"", Printable(ToText(artifact.name())), "\""); }
std::string Named(const format::Tensor& tensor) { return StrCat("tensor \"", Printable(ToText(tensor.name())), "\""); }

Result<TensorReader> TensorReader::Open(const format::Artifact& artifact, ByteView section, ByteView index, Digests digests) {
  PANNIER_TRY(const ByteView bytes, CheckedRange(index, *artifact.tensors(), "tensor table"));
  if (bytes.size() > kMaxTensorTableSize)
    return Malformed(StrCat("tensor table: found ", bytes.size(), " bytes, expected at most ", kMaxTensorTableSize));
  PANNIER_CHECK_OK(CheckDigest(digests, bytes, artifact.tensors()->sha256(), "tensor table"));
  flatbuffers::Verifier verifier = MakeVerifier(bytes);
  if (!verifier.VerifyBuffer<format::TensorTable>(nullptr)) return Malformed("tensor table: not a sound FlatBuffer");
  const auto* table = flatbuffers::GetRoot<format::TensorTable>(bytes.data());
  PANNIER_CHECK_OK(CheckChunkSize(table->chunk_size(), "tensor table"));
  const auto chunk_bytes = CheckedMultiply(artifact.chunk_count(), ChunkRecord::kSize);
  const auto chunk_table = chunk_bytes ? index.Slice(artifact.chunk_table_offset(), *chunk_bytes) : std::nullopt;
  if (!chunk_table) {
    return Malformed(StrCat("chunk table: found ", artifact.chunk_count(), " records at ", Hex(artifact.chunk_table_offset()),
                            ", expected a range within the index's ", index.size(), " bytes"));
  }
  const TensorReader reader(table, section, *chunk_table, digests);
  PANNIER_CHECK_OK(reader.CheckTensors(artifact));
  PANNIER_CHECK_OK(reader.CheckNameOrder());
  return reader;
}

Status TensorReader::CheckTensors(const format::Artifact& artifact) const {
  const std::uint64_t chunk_count = artifact.chunk_count();
  std::uint64_t next_chunk = 0;
  std::uint64_t file_size = kParamsStartSize + kParamsMiddleSize;
  for (std::uint32_t i = 0; i < size(); ++i) {
    const format::Tensor& tensor = (*this)[i];
    const auto tensor_error = [&](const std::string& what) {
      return Malformed(StrCat("tensor ", i, " \"", Printable(ToText(tensor.name())), "\": ", what));
    };
    if (!IsPrintableUtf8(ToText(tensor.name()))) return tensor_error("name: found control characters or invalid UTF-8");
    const DataType dtype = {tensor.dtype()->code(), tensor.dtype()->bits(), tensor.dtype()->lanes()};
    // The verifier looks at a vector's length, not at where its elements lie.
    // FlatBuffers aligns no vector that is empty, as a scalar's shape is.
    if (tensor.shape()->size() != 0 && !IsAligned(tensor.shape()->data()))
      return tensor_error("shape: found it misaligned, expected a multiple of 8");
    if (tensor.shape()->size() > kMaxTensorDimensions)
      return tensor_error(StrCat("found ", tensor.shape()->size(), " dimensions, expected at most ", kMaxTensorDimensions));
    std::int64_t shape[kMaxTensorDimensions];
    std::copy(tensor.shape()->begin(), tensor.shape()->end(), shape);
    const auto expected = TensorBytes(dtype, {shape, tensor.shape()->size()});
    if (!expected || *expected != tensor.size()) {
      return tensor_error(StrCat("size: found ", tensor.size(), ", expected ",
                                 expected ? std::to_string(*expected) : std::string("a valid shape and type")));
    }
    if (tensor.first_chunk() != next_chunk)
      return tensor_error(StrCat("first chunk: found ", tensor.first_chunk(), ", expected ", next_chunk));
    if (tensor.group_size() != 0 && (tensor.size() == 0 || tensor.group_size() > table_->chunk_size() ||
                                     !FitsWithin(tensor.group_offset(), tensor.size(), tensor.group_size()))) {
      return tensor_error(StrCat("group: found ", tensor.size(), " bytes at ", tensor.group_offset(), " of ", tensor.group_size(),
                                 ", expected some within at most ", table_->chunk_size()));
    }
    next_chunk += ChunkCount(tensor.size(), table_->chunk_size());
    if (next_chunk > chunk_count)
      return tensor_error(StrCat("chunks: found ", next_chunk, " in all, expected at most ", chunk_count));
    // Cannot overflow: chunks bound the tensors' sizes, and the index bounds the chunks.
    file_size += ParamsNameSize(tensor.name()->size()) + TensorHeaderSize(tensor.shape()->size()) + tensor.size();
  }
  if (next_chunk != chunk_count)
    return Malformed(StrCat("tensor table: chunks: found ", next_chunk, " in all, expected ", chunk_count));
  // Whoever puts the file together again makes room for artifact.size() bytes.
  if (file_size != artifact.size())
    return Malformed(StrCat("tensor table: params: found ", artifact.size(), " bytes, expected ", file_size));
  return {};
}

Status TensorReader::CheckNameOrder() const {
  const auto& order = *table_->by_name();
  if (order.size() != size())
    return Malformed(StrCat("tensor table: name order: found ", order.size(), " entries, expected ", size()));
  for (std::uint32_t i = 0; i < order.size(); ++i) {
    if (order.Get(i) >= size())
      return Malformed(StrCat("tensor table: name order: found tensor ", order.Get(i), ", expected less than ", size()));
    if (i > 0 && ToText((*this)[order.Get(i - 1)].name()) >= ToText((*this)[order.Get(i)].name())) {
      return Malformed(StrCat("tensor table: name order: entry ", i, " is not greater than the one before"));
    }
  }
  return {};
}

std::optional<std::uint32_t> TensorReader::Find(std::string_view name) const {
  const auto& order = *table_->by_name();
  const auto* const found = std::lower_bound(order.data(), order.data() + order.size(), name,
                                             [this](const flatbuffers::uoffset_t& i, std::string_view wanted) {
                                               return ToText((*this)[flatbuffers::EndianScalar(i)].name()) < wanted;
                                             });
  if (found == order.data() + order.size()) return std::nullopt;
  const std::uint32_t index = flatbuffers::EndianScalar(*found);
  if (ToText((*this)[index].name()) != name) return std::nullopt;
  return index;
}

Result<ChunkedContent> TensorReader::Content(std::uint32_t i) const {
  const format::Tensor& tensor = (*this)[i];
  const std::uint64_t count = ChunkCount(tensor.size(), table_->chunk_size());
  const ByteView table(chunk_table_.data() + tensor.first_chunk() * ChunkRecord::kSize,
                       static_cast<std::size_t>(count * ChunkRecord::kSize));
  const std::string what = StrCat(Named(tensor), ": chunk table");
  PANNIER_CHECK_OK(CheckDigest(digests_, table, *tensor.chunks_sha256(), what));
  return ChunkedContent(section_, table, tensor.size(), table_->chunk_size(), {tensor.group_offset(), tensor.group_size()});
}

Result<BundleReader> BundleReader::Open(const Payload& payload, Digests digests) {
  PANNIER_TRY(const Anchor anchor, ParseAnchor(payload.anchor));
  BundleReader reader(payload, anchor, digests);
  PANNIER_CHECK_OK(reader.ReadManifest());
  PANNIER_CHECK_OK(reader.ResolveSections());
  PANNIER_CHECK_OK(reader.CheckArtifacts());
  PANNIER_CHECK_OK(reader.ReadHostRuns());
  PANNIER_CHECK_OK(reader.CheckIndexRanges());
  return reader;
}

Status BundleReader::ReadManifest() {
  if (payload_.is_mapped() && payload_.segment.size() < anchor_.payload_size) {
    return Malformed(StrCat("payload: found a segment of ", payload_.segment.size(), " bytes, expected ", anchor_.payload_size));
  }
  const auto bytes = payload_.Find(kManifestSection, anchor_.manifest_offset, anchor_.manifest_size);
  if (!bytes || !IsAligned(*bytes))
    return Malformed(StrCat("manifest: found no aligned section of ", anchor_.manifest_size, " bytes"));
  const auto room = payload_.Find(kSignatureSection, anchor_.signature_offset, anchor_.signature_size);
  if (!room) return Malformed(StrCat("signature room: found no section of ", anchor_.signature_size, " bytes"));
  manifest_bytes_ = *bytes;
  signature_room_ = *room;
  if (const Sha256Digest found = Sha256Of(manifest_bytes_); digests_ == Digests::kChecked && found != anchor_.manifest_sha256) {
    return {ErrorCode::kDigestMismatch,
            StrCat("manifest: sha-256: found ", found.Hex(), ", expected ", anchor_.manifest_sha256.Hex())};
  }
  flatbuffers::Verifier verifier = MakeVerifier(manifest_bytes_);
  if (!format::VerifyManifestBuffer(verifier)) return Malformed("manifest: not a sound FlatBuffer with identifier PNRM");
  manifest_ = format::GetManifest(manifest_bytes_.data());
  if (manifest_->version_major() != anchor_.version_major || manifest_->version_minor() != anchor_.version_minor) {
    return Malformed(StrCat("manifest: version: found ", manifest_->version_major(), ".", manifest_->version_minor(),
                            ", expected the anchor's ", anchor_.version_major, ".", anchor_.version_minor));
  }
  if (manifest_->format() != payload_.format) {
    constexpr std::string_view kNames[] = {"", "elf", "mach-o", "pe"};
    const auto expected = static_cast<unsigned>(payload_.format);
    return Unsupported(StrCat("manifest: format: found ", static_cast<unsigned>(manifest_->format()), ", expected ", expected, " (",
                              kNames[expected], ")"));
  }
  const auto placement = payload_.is_mapped() ? format::Placement::Mapped : format::Placement::FileOnly;
  if (manifest_->placement() != placement) {
    return Malformed(StrCat("manifest: placement: found ", static_cast<unsigned>(manifest_->placement()), ", expected ",
                            payload_.is_mapped() ? "1 (mapped)" : "2 (in the file only)", ", as the payload was found"));
  }
  if (manifest_->payload_size() != anchor_.payload_size) {
    return Malformed(
        StrCat("manifest: payload size: found ", manifest_->payload_size(), ", expected the anchor's ", anchor_.payload_size));
  }
  return {};
}

Status BundleReader::ResolveSections() {
  const auto& sections = *manifest_->sections();
  if (sections.size() > kMaxSections)
    return Malformed(StrCat("manifest: found ", sections.size(), " sections, expected at most ", kMaxSections));
  std::uint64_t end = Anchor::kSize;
  for (std::uint32_t i = 0; i < sections.size(); ++i) {
    const format::Section& section = *sections.Get(i);
    const std::string_view name = ToText(section.name());
    if (section.offset() < end || !FitsWithin(section.offset(), section.size(), anchor_.manifest_offset)) {
      return Malformed(StrCat("section ", Printable(name), ": found ", section.size(), " bytes at ", Hex(section.offset()),
                              ", expected a range from ", Hex(end), " to ", Hex(anchor_.manifest_offset)));
    }
    end = section.offset() + section.size();
    const auto bytes = payload_.Find(name, section.offset(), section.size());
    if (!bytes) return Malformed(StrCat("section ", Printable(name), ": found none of ", section.size(), " bytes in the file"));
    sections_.push_back(*bytes);
  }
  for (const std::uint32_t i : {manifest_->index_section(), manifest_->undo_section()}) {
    if (i >= sections_.size())
      return Malformed(StrCat("manifest: found section number ", i, ", expected less than ", sections_.size()));
  }
  return {};
}

Status BundleReader::CheckArtifacts() const {
  if (artifact_count() > kMaxArtifacts)
    return Malformed(StrCat("manifest: found ", artifact_count(), " artifacts, expected at most ", kMaxArtifacts));
  std::vector<std::string_view> names;
  for (std::uint32_t i = 0; i < artifact_count(); ++i) {
    const format::Artifact& entry = artifact(i);
    const std::string_view name = ToText(entry.name());
    const std::string label = StrCat("artifact ", i, " \"", Printable(name), "\"");
    if (!IsArtifactName(name))
      return Malformed(StrCat(label, ": name: expected 1 to 255 bytes of UTF-8 without control characters or slash"));
    names.push_back(name);
    if (entry.section() >= sections_.size())
      return Malformed(StrCat(label, ": section: found ", entry.section(), ", expected less than ", sections_.size()));
    if (!sections_[entry.section()].Contains(entry.offset(), entry.stored_size())) {
      return Malformed(StrCat(label, ": found ", entry.stored_size(), " bytes at ", Hex(entry.offset()),
                              ", expected a range within the section's ", sections_[entry.section()].size(), " bytes"));
    }
    if (entry.kind() == format::ArtifactKind::TvmParams) {
      if (entry.tensors() == nullptr) return Malformed(StrCat(label, ": tensor table missing"));
    } else if (entry.kind() == format::ArtifactKind::Blob) {
      if (entry.chunks() == nullptr) return Malformed(StrCat(label, ": chunk table missing"));
      PANNIER_CHECK_OK(CheckChunkSize(entry.chunk_size(), label));
      PANNIER_CHECK_OK(CheckTableSize(*entry.chunks(), ChunkCount(entry.size(), entry.chunk_size()), ChunkRecord::kSize, label));
    } else {
      // Of a kind of a later version: what covers its stored bytes is all that is known of it.
      if (entry.chunks() == nullptr) return Malformed(StrCat(label, ": chunk table missing"));
      if (entry.chunks()->size() % ChunkRecord::kSize != 0) {
        return Malformed(
            StrCat(label, ": chunk table: found ", entry.chunks()->size(), " bytes, expected records of ", ChunkRecord::kSize));
      }
    }
  }
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) return Malformed(StrCat("manifest: artifact \"", Printable(*twice), "\" found twice"));
  return {};
}

Status BundleReader::ReadHostRuns() {
  const format::Host& host = *manifest_->host();
  if (host.pieces() == nullptr) {
    host_runs_ = {{0, host.size(), 0}};
    return {};
  }
  if (host.pieces()->size() > kMaxHostPieces)
    return Malformed(StrCat("host: found ", host.pieces()->size(), " pieces, expected at most ", kMaxHostPieces));
  if (host.pieces()->size() != 0 && !IsAligned(host.pieces()->Data())) return Malformed("host: pieces: found them misaligned");
  std::uint64_t host_end = 0;
  std::uint64_t bundle_end = 0;
  for (const format::HostPiece* piece : *host.pieces()) {
    if (piece->host_offset() < host_end || !FitsWithin(piece->host_offset(), piece->size(), host.size()) ||
        piece->bundle_offset() < bundle_end || !FitsWithin(piece->bundle_offset(), piece->size(), manifest_->file_size())) {
      return Malformed(StrCat("host: piece: found ", piece->size(), " bytes of ", Hex(piece->host_offset()), " at ",
                              Hex(piece->bundle_offset()), ", expected ascending ranges within host and file"));
    }
    host_runs_.push_back({piece->host_offset(), piece->size(), piece->bundle_offset()});
    host_end = piece->host_offset() + piece->size();
    bundle_end = piece->bundle_offset() + piece->size();
  }
  return {};
}

Status BundleReader::CheckIndexRanges() const {
  const format::Host& host = *manifest_->host();
  PANNIER_CHECK_OK(CheckChunkSize(host.chunk_size(), "host"));
  std::uint64_t chunks = 0;
  for (const HostRun& run : host_runs_) chunks += ChunkCount(run.size, host.chunk_size());
  PANNIER_CHECK_OK(CheckTableSize(*host.chunks(), chunks, sizeof(Sha256Digest::bytes), "host"));
  const format::IndexRange& spans = *manifest_->image()->spans();
  if (spans.size() % SpanRecord::kSize != 0)
    return Malformed(StrCat("image spans: found ", spans.size(), " bytes, expected records of ", SpanRecord::kSize));
  if (manifest_->image()->segments()->size() != 0 && !IsAligned(manifest_->image()->segments()->Data()))
    return Malformed("image: segments: found them misaligned");
  return {};
}

std::optional<std::uint32_t> BundleReader::FindArtifact(std::string_view name) const {
  for (std::uint32_t i = 0; i < artifact_count(); ++i) {
    if (ToText(artifact(i).name()) == name) return i;
  }
  return std::nullopt;
}

Result<ByteView> BundleReader::IndexBytes(const format::IndexRange& range, std::string_view what) const {
  PANNIER_TRY(const ByteView bytes, CheckedRange(index(), range, what));
  PANNIER_CHECK_OK(CheckDigest(digests_, bytes, range.sha256(), what));
  return bytes;
}

Status BundleReader::CheckKind(const format::Artifact& artifact) {
  if (artifact.kind() == format::ArtifactKind::Blob || artifact.kind() == format::ArtifactKind::TvmParams) return {};
  return Unsupported(StrCat("kind: found ", static_cast<unsigned>(artifact.kind()),
                            ", expected 0 (blob) or 1 (params); a newer pannier reads it"));
}

Result<ChunkedContent> BundleReader::OpaqueContent(const format::Artifact& artifact) const {
  PANNIER_TRY(const ByteView table, IndexBytes(*artifact.chunks(), "chunk table"));
  return ChunkedContent::Opaque(StoredBytes(artifact), table);
}

Result<ChunkedContent> BundleReader::BlobContent(const format::Artifact& artifact) const {
  PANNIER_CHECK_OK(CheckKind(artifact));
  PANNIER_TRY(const ByteView table, IndexBytes(*artifact.chunks(), "chunk table"));
  return ChunkedContent(StoredBytes(artifact), table, artifact.size(), artifact.chunk_size());
}

Result<TensorReader> BundleReader::Tensors(const format::Artifact& artifact) const {
  PANNIER_CHECK_OK(CheckKind(artifact));
  return TensorReader::Open(artifact, StoredBytes(artifact), index(), digests_);
}

}  // namespace pannier
