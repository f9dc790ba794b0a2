// Everything behind the artifacts, and the host's changes: planned twice, then written.
#include "embedder/finisher.h"

#include <algorithm>
#include <string>
#include <utility>

#include "embedder/bundle_bytes.h"
#include "embedder/derived_bytes.h"
#include "src/text.h"

namespace pannier {
namespace {

format::ImageFormat StoredFormat(FileFormat format) {
  if (format == FileFormat::kMachO) return format::ImageFormat::MachO;
  return format == FileFormat::kPe ? format::ImageFormat::Pe : format::ImageFormat::Elf;
}

}  // namespace

Status Finisher::Run() {
  artifacts_tables_ = layout_.index.tables().size();
  // 1. Tables of the right sizes, with edits of the right places, but with values that do not count yet.
  std::vector<PlannedSection> provisional = {{std::string(kAnchorSection), 0, Anchor::kSize, kTensorAlignment}};
  provisional.insert(provisional.end(), layout_.sections.begin(), layout_.sections.end());
  for (const std::string_view name : {kIndexSection, kUndoSection, kManifestSection, kSignatureSection})
    provisional.push_back({std::string(name), layout_.end, 0, 8});
  PANNIER_TRY(plan_, host_.Plan(provisional));
  PANNIER_CHECK_OK(CheckEdits(plan_));
  PANNIER_CHECK_OK(FillIndex());
  PlaceSections();
  // 2. From here on all offsets and sizes stand. The same again, with the values.
  PANNIER_TRY(plan_, host_.Plan(AllSections()));
  PANNIER_CHECK_OK(CheckEdits(plan_));
  PANNIER_CHECK_OK(FillIndex());
  undo_ = BuildUndoRecord(host_.bytes(), host_sha256_, plan_, fat_);
  FillParts();
  facts_.file_size = plan_.file_size;
  manifest_ = BuildManifest(facts_);
  if (undo_.size() != undo_size_ || manifest_.size() != anchor_.manifest_size)
    return {ErrorCode::kLimit, "internal: the manifest changed its size"};
  if (manifest_.size() > kMaxManifestSize)
    return {ErrorCode::kLimit, StrCat("manifest: found ", manifest_.size(), " bytes, expected at most ", kMaxManifestSize)};
  anchor_.manifest_sha256 = Sha256Of(View(manifest_));
  return {};
}

std::vector<PlannedSection> Finisher::AllSections() const {
  std::vector<PlannedSection> all = {{std::string(kAnchorSection), 0, Anchor::kSize, kTensorAlignment}};
  all.insert(all.end(), layout_.sections.begin(), layout_.sections.end());
  all.push_back({std::string(kManifestSection), anchor_.manifest_offset, anchor_.manifest_size, 8});
  all.push_back({std::string(kSignatureSection), anchor_.signature_offset, anchor_.signature_size, 8});
  return all;
}

// Host digests and image spans, behind what the artifacts put into the index.
Status Finisher::FillIndex() {
  layout_.index.Truncate(artifacts_tables_);
  const BundleBytes bundle(host_.bytes(), plan_);
  PANNIER_TRY(std::vector<std::uint8_t> digests, HostChunkDigests(bundle, plan_.pieces, kHostChunkSize, threads_));
  facts_.host_chunks = layout_.index.Add(std::move(digests));
  PANNIER_TRY(std::vector<std::uint8_t> spans, SpanTable(bundle, plan_.image, threads_));
  facts_.image_sha256 = ImageDigest(plan_.image, View(spans));
  facts_.image_spans = layout_.index.Add(std::move(spans));
  facts_.image = plan_.image;
  facts_.host_pieces = plan_.pieces;
  facts_.derived = plan_.derived;
  return {};
}

// Index and undo record are known by their sizes; the manifest's follows from names and counts.
void Finisher::PlaceSections() {
  const std::uint64_t align = placement_.grouping == Grouping::kAll ? 8 : std::max<std::uint64_t>(8, placement_.section_align);
  facts_.index_section = layout_.AddSection(std::string(kIndexSection), AlignUp(layout_.end, align), layout_.index.size(), 8);
  undo_ = BuildUndoRecord(host_.bytes(), host_sha256_, plan_, fat_);
  undo_size_ = undo_.size();
  facts_.undo_section = layout_.AddSection(std::string(kUndoSection), AlignUp(layout_.end, 8), undo_size_, 8);
  facts_.format = StoredFormat(host_.format());
  facts_.is_mapped = placement_.is_mapped;
  facts_.anchor_file_offset = placement_.anchor_offset;
  facts_.sections = layout_.sections;
  facts_.artifacts = layout_.artifacts;
  facts_.host_size = host_.bytes().size();
  facts_.host_sha256 = host_sha256_;
  FillParts();
  anchor_.manifest_offset = AlignUp(layout_.end, 8);
  anchor_.manifest_size = BuildManifest(facts_).size();
  anchor_.signature_offset = AlignUp(anchor_.manifest_offset + anchor_.manifest_size, 8);
  anchor_.payload_size = AlignUp(anchor_.signature_offset + kSignatureRoom, placement_.payload_align);
  anchor_.signature_size = anchor_.payload_size - anchor_.signature_offset;
  facts_.payload_size = anchor_.payload_size;
}

void Finisher::FillParts() {
  facts_.parts.clear();
  auto add = [&](std::string name, std::uint64_t offset, const std::vector<std::uint8_t>& bytes, format::PartKind kind) {
    facts_.parts.push_back({std::move(name), offset, bytes.size(), Sha256Of(View(bytes)), kind});
  };
  auto add_planned = [&](bool within_payload) {
    for (const AddedBytes& added : plan_.added) {
      const std::uint64_t offset = added.offset - placement_.anchor_offset;
      const bool is_within = added.offset >= placement_.anchor_offset && offset < placement_.content_offset;
      if (is_within == within_payload) add(added.name, offset, added.bytes, added.kind);
    }
  };
  add_planned(true);
  facts_.parts.insert(facts_.parts.end(), layout_.parts.begin(), layout_.parts.end());
  facts_.parts.push_back({std::string(kIndexSection), layout_.sections[facts_.index_section].offset, layout_.index.size(),
                          layout_.index.Digest(), format::PartKind::All});
  add(std::string(kUndoSection), layout_.sections[facts_.undo_section].offset, undo_, format::PartKind::All);
  add_planned(false);
}

Status Finisher::Write(const FileSource& host, std::uint64_t host_base, OutputFile& out, std::uint64_t base) const {
  auto write = [&](std::uint64_t offset, const auto& bytes) {
    return out.WriteAt(base + offset, ByteView(bytes.data(), bytes.size()));
  };
  PANNIER_CHECK_OK(out.Truncate(base + plan_.file_size));
  for (const Piece& piece : plan_.pieces)
    PANNIER_CHECK_OK(out.CopyFrom(host, host_base + piece.host_offset, base + piece.bundle_offset, piece.size));
  for (const Edit& edit : plan_.edits) PANNIER_CHECK_OK(write(BundleOffset(plan_, edit.offset), edit.bytes));
  for (const AddedBytes& added : plan_.added) PANNIER_CHECK_OK(write(added.offset, added.bytes));
  PANNIER_CHECK_OK(write(placement_.anchor_offset, EncodeAnchor(anchor_)));
  const std::uint64_t index = placement_.anchor_offset + layout_.sections[facts_.index_section].offset;
  for (const IndexSection::Table& table : layout_.index.tables()) PANNIER_CHECK_OK(write(index + table.offset, table.bytes));
  PANNIER_CHECK_OK(write(placement_.anchor_offset + layout_.sections[facts_.undo_section].offset, undo_));
  PANNIER_CHECK_OK(write(placement_.anchor_offset + anchor_.manifest_offset, manifest_));
  return WriteDerived(out, base, plan_.file_size, plan_.derived);
}

}  // namespace pannier
