// Facts written as FlatBuffers. Defaults are written out, so that a buffer's size does not depend on values.
#include "embedder/manifest_builder.h"

#include <algorithm>
#include <numeric>
#include <string_view>

#include "manifest_generated.h"
#include "src/format.h"

namespace pannier {
namespace {

using flatbuffers::FlatBufferBuilder;

format::Sha256 Stored(const Sha256Digest& digest) {
  return format::Sha256(flatbuffers::span<const std::uint8_t, 32>(digest.bytes.data(), 32));
}

format::IndexRange Stored(const IndexEntry& entry) { return {entry.offset, entry.size, Stored(entry.sha256)}; }

std::vector<std::uint8_t> Take(const FlatBufferBuilder& builder) {
  const std::uint8_t* bytes = builder.GetBufferPointer();
  return {bytes, bytes + builder.GetSize()};
}

flatbuffers::Offset<format::Artifact> BuildArtifact(FlatBufferBuilder& builder, const ArtifactFacts& facts) {
  const auto name = builder.CreateString(facts.name);
  const format::Sha256 sha256 = Stored(facts.sha256);
  const format::IndexRange chunks = Stored(facts.chunks);
  const format::IndexRange tensors = Stored(facts.tensors);
  format::ArtifactBuilder artifact(builder);
  artifact.add_name(name);
  artifact.add_kind(facts.is_params ? format::ArtifactKind::TvmParams : format::ArtifactKind::Blob);
  artifact.add_section(facts.section);
  artifact.add_offset(facts.offset);
  artifact.add_stored_size(facts.stored_size);
  artifact.add_size(facts.size);
  artifact.add_sha256(&sha256);
  if (facts.is_params) {
    artifact.add_tensors(&tensors);
    artifact.add_chunk_table_offset(facts.chunks.offset);
    artifact.add_chunk_count(facts.chunks.size / ChunkRecord::kSize);
  } else {
    artifact.add_chunk_size(kChunkSize);
    artifact.add_chunks(&chunks);
  }
  return artifact.Finish();
}

flatbuffers::Offset<format::Image> BuildImage(FlatBufferBuilder& builder, const ImageFacts& facts) {
  std::vector<format::Segment> segments;
  for (const elf::Segment& segment : facts.segments)
    segments.emplace_back(segment.type, segment.flags, segment.vaddr, segment.filesz, segment.memsz);
  const auto identification = builder.CreateVector(facts.identification.data(), facts.identification.size());
  const auto segment_vector = builder.CreateVectorOfStructs(segments);
  const format::IndexRange spans = Stored(facts.spans);
  const format::Sha256 sha256 = Stored(facts.sha256);
  return format::CreateImage(builder, identification, facts.header.type, facts.header.machine, facts.header.flags,
                             facts.header.entry, segment_vector, &spans, &sha256);
}

}  // namespace

std::vector<std::uint8_t> BuildManifest(const ManifestFacts& facts) {
  FlatBufferBuilder builder;
  builder.ForceDefaults(true);
  std::vector<flatbuffers::Offset<format::Section>> sections;
  for (const PlannedSection& section : facts.sections) {
    sections.push_back(format::CreateSection(builder, builder.CreateString(section.name), section.offset, section.size));
  }
  std::vector<flatbuffers::Offset<format::Artifact>> artifacts;
  for (const ArtifactFacts& artifact : facts.artifacts) artifacts.push_back(BuildArtifact(builder, artifact));
  std::vector<flatbuffers::Offset<format::Part>> parts;
  for (const PartFacts& part : facts.parts) {
    const format::Sha256 sha256 = Stored(part.sha256);
    parts.push_back(format::CreatePart(builder, builder.CreateString(part.name), part.offset, part.size, &sha256));
  }
  const format::Sha256 host_sha256 = Stored(facts.host_sha256);
  const format::IndexRange host_chunks = Stored(facts.host_chunks);
  const auto host = format::CreateHost(builder, facts.host_size, &host_sha256, kHostChunkSize, &host_chunks);
  const auto image = BuildImage(builder, facts.image);
  const auto producer = builder.CreateString("pannier " PANNIER_VERSION);
  const auto section_vector = builder.CreateVector(sections);
  const auto artifact_vector = builder.CreateVector(artifacts);
  const auto part_vector = builder.CreateVector(parts);
  const auto placement = facts.is_mapped ? format::Placement::Mapped : format::Placement::FileOnly;
  builder.Finish(format::CreateManifest(builder, kVersionMajor, kVersionMinor, producer, format::ImageFormat::Elf, placement,
                                        facts.anchor_file_offset, facts.payload_size, facts.file_size, section_vector,
                                        facts.index_section, facts.undo_section, artifact_vector, part_vector, host, image),
                 format::ManifestIdentifier());
  return Take(builder);
}

std::vector<std::uint8_t> BuildTensorTable(const ParamsFile& params, const std::vector<TensorFacts>& facts) {
  FlatBufferBuilder builder;
  std::vector<flatbuffers::Offset<format::Tensor>> tensors;
  for (std::size_t i = 0; i < params.tensors.size(); ++i) {
    const ParamsTensor& tensor = params.tensors[i];
    const format::DataType dtype(tensor.dtype.code, tensor.dtype.bits, tensor.dtype.lanes);
    const format::Sha256 chunks_sha256 = Stored(facts[i].chunks_sha256);
    const auto name = builder.CreateString(tensor.name);
    const auto shape = builder.CreateVector(tensor.shape);
    tensors.push_back(format::CreateTensor(builder, name, &dtype, shape, tensor.data_size, facts[i].first_chunk, &chunks_sha256,
                                           tensor.device.device_type, tensor.device.device_id, tensor.reserved));
  }
  std::vector<std::uint32_t> by_name(params.tensors.size());
  std::iota(by_name.begin(), by_name.end(), 0U);
  std::sort(by_name.begin(), by_name.end(),
            [&](std::uint32_t a, std::uint32_t b) { return params.tensors[a].name < params.tensors[b].name; });
  const auto tensor_vector = builder.CreateVector(tensors);
  const auto order = builder.CreateVector(by_name);
  builder.Finish(format::CreateTensorTable(builder, kChunkSize, params.reserved, tensor_vector, order));
  return Take(builder);
}

std::vector<std::uint8_t> BuildUndoRecord(ByteView host, const Sha256Digest& host_sha256, const std::vector<Edit>& edits) {
  FlatBufferBuilder builder;
  builder.ForceDefaults(true);
  std::vector<flatbuffers::Offset<format::Edit>> old;
  for (const Edit& edit : edits)
    old.push_back(format::CreateEdit(builder, edit.offset, builder.CreateVector(host.data() + edit.offset, edit.bytes.size())));
  const format::Sha256 sha256 = Stored(host_sha256);
  const auto edit_vector = builder.CreateVector(old);
  builder.Finish(format::CreateUndoRecord(builder, host.size(), &sha256, edit_vector));
  return Take(builder);
}

Sha256Digest ImageDigest(const ImageFacts& image, ByteView spans) {
  std::vector<std::uint8_t> bytes(image.identification.begin(), image.identification.end());
  auto append = [&bytes](std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  };
  append(image.header.type, 2);
  append(image.header.machine, 2);
  append(image.header.flags, 4);
  append(image.header.entry, 8);
  for (const elf::Segment& segment : image.segments) {
    append(segment.type, 4);
    append(segment.flags, 4);
    append(segment.vaddr, 8);
    append(segment.filesz, 8);
    append(segment.memsz, 8);
  }
  bytes.insert(bytes.end(), spans.begin(), spans.end());
  return Sha256Of(ByteView(bytes.data(), bytes.size()));
}

}  // namespace pannier
