// Facts written as FlatBuffers. Defaults are written out, so that a buffer's size does not depend on values.
#include "embedder/content/manifest_builder.h"

#include <algorithm>

#include "manifest_generated.h"
#include "src/bundle_reader.h"
#include "src/format.h"

namespace pannier {
namespace {

using flatbuffers::FlatBufferBuilder;

format::IndexRange Stored(const IndexEntry& entry) { return {entry.offset, entry.size, ToStored(entry.sha256)}; }

std::vector<std::uint8_t> Take(const FlatBufferBuilder& builder) {
  const std::uint8_t* bytes = builder.GetBufferPointer();
  return {bytes, bytes + builder.GetSize()};
}

flatbuffers::Offset<format::Artifact> BuildArtifact(FlatBufferBuilder& builder, const ArtifactFacts& facts) {
  const auto name = builder.CreateString(facts.name);
  const format::Sha256 sha256 = ToStored(facts.sha256);
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

flatbuffers::Offset<format::Image> BuildImage(FlatBufferBuilder& builder, const ManifestFacts& facts) {
  const LibraryImage& image = facts.image;
  std::vector<format::Segment> segments;
  for (const ImageSegment& segment : image.segments)
    segments.emplace_back(segment.type, segment.flags, segment.vaddr, segment.filesz, segment.memsz);
  const auto identification = builder.CreateVector(image.identification.data(), image.identification.size());
  const auto segment_vector = builder.CreateVectorOfStructs(segments);
  const format::IndexRange spans = Stored(facts.image_spans);
  const format::Sha256 sha256 = ToStored(facts.image_sha256);
  const auto headers = image.headers.empty() ? 0 : builder.CreateVector(image.headers);
  return format::CreateImage(builder, identification, image.type, image.machine, image.flags, image.entry, segment_vector, &spans,
                             &sha256, headers);
}

// An ELF host is one piece that stays where it was; that is what a reader takes an absent list for.
bool IsInPlace(const ManifestFacts& facts) {
  return facts.host_pieces.size() == 1 && facts.host_pieces[0].host_offset == 0 && facts.host_pieces[0].bundle_offset == 0 &&
         facts.host_pieces[0].size == facts.host_size;
}

flatbuffers::Offset<format::Host> BuildHost(FlatBufferBuilder& builder, const ManifestFacts& facts) {
  const format::Sha256 sha256 = ToStored(facts.host_sha256);
  const format::IndexRange chunks = Stored(facts.host_chunks);
  flatbuffers::Offset<flatbuffers::Vector<const format::HostPiece*>> pieces = 0;
  if (!IsInPlace(facts)) {
    std::vector<format::HostPiece> stored;
    for (const Piece& piece : facts.host_pieces) stored.emplace_back(piece.host_offset, piece.size, piece.bundle_offset);
    pieces = builder.CreateVectorOfStructs(stored);
  }
  return format::CreateHost(builder, facts.host_size, &sha256, kHostChunkSize, &chunks, pieces);
}

flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<format::Derived>>> BuildDerived(FlatBufferBuilder& builder,
                                                                                            const ManifestFacts& facts) {
  if (facts.derived.empty()) return 0;
  std::vector<flatbuffers::Offset<format::Derived>> stored;
  for (const Derived& derived : facts.derived) {
    const auto parameters = derived.parameters.empty() ? 0 : builder.CreateVector(derived.parameters);
    stored.push_back(format::CreateDerived(builder, derived.kind, derived.offset, derived.size, parameters));
  }
  return builder.CreateVector(stored);
}

flatbuffers::Offset<format::FatRecord> BuildFatRecord(FlatBufferBuilder& builder, const FatFacts& fat) {
  std::vector<format::Sha256> digests;
  for (const Sha256Digest& digest : fat.slices) digests.push_back(ToStored(digest));
  const format::Sha256 sha256 = ToStored(fat.file_sha256);
  const auto header = builder.CreateVector(fat.header.data(), fat.header.size());
  const auto slices = builder.CreateVectorOfStructs(digests);
  return format::CreateFatRecord(builder, fat.file_size, &sha256, header, slices);
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
    const format::Sha256 sha256 = ToStored(part.sha256);
    parts.push_back(format::CreatePart(builder, builder.CreateString(part.name), part.offset, part.size, &sha256, part.kind));
  }
  const auto host = BuildHost(builder, facts);
  const auto image = BuildImage(builder, facts);
  const auto derived = BuildDerived(builder, facts);
  const auto producer = builder.CreateString("pannier " PANNIER_VERSION);
  const auto section_vector = builder.CreateVector(sections);
  const auto artifact_vector = builder.CreateVector(artifacts);
  const auto part_vector = builder.CreateVector(parts);
  const auto placement = facts.is_mapped ? format::Placement::Mapped : format::Placement::FileOnly;
  builder.Finish(
      format::CreateManifest(builder, kVersionMajor, kVersionMinor, producer, facts.format, placement, facts.anchor_file_offset,
                             facts.payload_size, facts.file_size, section_vector, facts.index_section, facts.undo_section,
                             artifact_vector, part_vector, host, image, derived),
      format::ManifestIdentifier());
  return Take(builder);
}

std::vector<std::uint8_t> BuildUndoRecord(ByteView host, const Sha256Digest& host_sha256, const EditPlan& plan,
                                          const FatFacts* fat) {
  struct Range {
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
  };
  std::vector<Range> ranges;
  for (const Edit& edit : plan.edits) ranges.push_back({edit.offset, edit.bytes.size()});
  std::uint64_t end = 0;
  for (const Piece& piece : plan.pieces) {
    if (piece.host_offset > end) ranges.push_back({end, piece.host_offset - end});
    end = piece.host_offset + piece.size;
  }
  if (host.size() > end) ranges.push_back({end, host.size() - end});
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.offset < b.offset; });

  FlatBufferBuilder builder;
  builder.ForceDefaults(true);
  std::vector<flatbuffers::Offset<format::Edit>> old;
  for (const Range& range : ranges) {
    const auto bytes = builder.CreateVector(host.data() + range.offset, static_cast<std::size_t>(range.size));
    old.push_back(format::CreateEdit(builder, range.offset, bytes));
  }
  const format::Sha256 sha256 = ToStored(host_sha256);
  const auto edit_vector = builder.CreateVector(old);
  const auto fat_record = fat != nullptr ? BuildFatRecord(builder, *fat) : 0;
  builder.Finish(format::CreateUndoRecord(builder, host.size(), &sha256, edit_vector, fat_record));
  return Take(builder);
}

}  // namespace pannier
