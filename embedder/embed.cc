// Embed, pass by pass: open, model, place, stream the payload, plan the edits, write them, read back, commit.
#include "embedder/embed.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "embedder/artifact_stream.h"
#include "embedder/edited_host.h"
#include "embedder/lief_adapter.h"
#include "embedder/manifest_builder.h"
#include "embedder/output_file.h"
#include "embedder/plan_elf.h"
#include "embedder/restore.h"
#include "embedder/verify.h"
#include "src/format.h"
#include "src/mapped_file.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::size_t kMaxOwnSections = 32;  // further artifacts share .tvm.extra

// The host without a payload, in memory, and the file it is in.
struct HostFile {
  std::optional<OutputFile> scratch;   // what a bundle was restored into; never committed
  std::optional<FileSource> original;  // the file that the user named
  std::optional<FileSource> restored;
  MappedFile mapped;

  const FileSource& source() const { return restored ? *restored : *original; }
};

Status OpenHost(const std::string& path, const std::string& target, bool force, HostFile& host) {
  PANNIER_TRY(FileSource original, FileSource::Open(path));
  host.original = std::move(original);
  PANNIER_TRY(host.mapped, MappedFile::Map(host.original->fd(), 0, host.original->size()));
  Result<Payload> payload = FindPayload(host.mapped.bytes());
  if (payload.status().code() == ErrorCode::kNotABundle) return {};
  PANNIER_CHECK_OK(payload.TakeStatus());
  if (!force)
    return {ErrorCode::kAlreadyBundle,
            "it is a bundle already; embed with --force to replace what it carries, or restore it first"};

  PANNIER_TRY(const BundleReader reader, BundleReader::Open(*payload));
  PANNIER_TRY(OutputFile scratch, OutputFile::Create(target, nullptr));
  PANNIER_CHECK_OK(RestoreHost(*host.original, host.mapped.bytes(), reader, scratch));
  host.scratch.emplace(std::move(scratch));
  PANNIER_TRY(FileSource restored, FileSource::Open(host.scratch->path_for_reading()));
  host.restored = std::move(restored);
  PANNIER_TRY(host.mapped, MappedFile::Map(host.restored->fd(), 0, host.restored->size()));
  return {};
}

// May an artifact have a section named after it?
bool IsSectionName(std::string_view name) {
  for (const char c : name) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
    if (!plain) return false;
  }
  for (const std::string_view taken : {"anchor", "extra", "index", "undo", "manifest", "sig", "phdrs"}) {
    if (name == taken) return false;
  }
  return true;
}

// The payload while it grows. Offsets count from the anchor.
struct Layout {
  std::vector<PlannedSection> sections;  // without anchor, manifest and signature room
  std::vector<ArtifactFacts> artifacts;
  std::vector<std::string> compressed;  // names of artifacts with compressed chunks
  std::vector<std::uint8_t> index;
  std::uint64_t end = 0;

  std::uint32_t AddSection(std::string name, std::uint64_t offset, std::uint64_t size, std::uint64_t align) {
    sections.push_back({std::move(name), offset, size, align});
    end = offset + size;
    return static_cast<std::uint32_t>(sections.size() - 1);
  }

  IndexEntry AddToIndex(const std::vector<std::uint8_t>& bytes) {
    index.resize(static_cast<std::size_t>(AlignUp(index.size(), 8)));
    const IndexEntry entry = {index.size(), bytes.size(), Sha256Of(ByteView(bytes.data(), bytes.size()))};
    index.insert(index.end(), bytes.begin(), bytes.end());
    return entry;
  }
};

void AddArtifact(const ArtifactInput& input, const EncodedArtifact& encoded, bool in_extra, Layout& layout) {
  ArtifactFacts facts;
  facts.name = input.name;
  facts.is_params = input.params.has_value();
  facts.stored_size = encoded.stored_size;
  facts.size = input.file->size();
  facts.sha256 = encoded.sha256;
  if (in_extra && !layout.sections.empty() && layout.sections.back().name == kExtraSection) {
    PlannedSection& extra = layout.sections.back();
    facts.section = static_cast<std::uint32_t>(layout.sections.size() - 1);
    facts.offset = encoded.offset - extra.offset;
    extra.size = facts.offset + encoded.stored_size;
    extra.align = std::max(extra.align, encoded.align);
    layout.end = extra.offset + extra.size;
  } else {
    const std::string name = in_extra ? std::string(kExtraSection) : ".tvm." + input.name;
    facts.section = layout.AddSection(name, encoded.offset, encoded.stored_size, encoded.align);
  }
  facts.chunks = layout.AddToIndex(encoded.chunk_table);
  if (input.params) {
    std::vector<TensorFacts> tensors;
    for (const EncodedContent& content : encoded.contents) {
      const ByteView records(encoded.chunk_table.data() + content.first_chunk * ChunkRecord::kSize,
                             static_cast<std::size_t>(content.chunk_count * ChunkRecord::kSize));
      tensors.push_back({content.first_chunk, Sha256Of(records)});
    }
    facts.tensors = layout.AddToIndex(BuildTensorTable(*input.params, tensors));
  }
  if (encoded.has_frames) layout.compressed.push_back(input.name);
  layout.artifacts.push_back(std::move(facts));
}

// Streams all artifacts: those with a section of their own, then those that share one.
Status EncodeArtifacts(const std::vector<ArtifactInput>& inputs, const PayloadTarget& target, const EncodeOptions& options,
                       Layout& layout) {
  std::vector<const ArtifactInput*> own;
  std::vector<const ArtifactInput*> shared;
  for (const ArtifactInput& input : inputs)
    (IsSectionName(input.name) && own.size() < kMaxOwnSections ? own : shared).push_back(&input);
  for (const auto* group : {&own, &shared}) {
    for (const ArtifactInput* input : *group) {
      PANNIER_TRY(const EncodedArtifact encoded, EncodeArtifact(*input, layout.end, target, options));
      AddArtifact(*input, encoded, group == &shared, layout);
    }
  }
  return {};
}

std::uint64_t CountChangedBytes(ByteView host, const std::vector<Edit>& edits) {
  std::uint64_t changed = 0;
  for (const Edit& edit : edits) {
    for (std::size_t i = 0; i < edit.bytes.size(); ++i) changed += edit.bytes[i] != host.data()[edit.offset + i] ? 1U : 0U;
  }
  return changed;
}

// Everything behind the artifacts, and the edits: first with sizes alone, since headers, digests and manifest tell of one another.
class Finisher {
 public:
  Finisher(const HostModel& host, const ElfPlacement& placement, const Sha256Digest& host_sha256, unsigned threads, Layout& layout)
      : host_(host), placement_(placement), host_sha256_(host_sha256), threads_(threads), layout_(layout) {}

  Status Run() {
    artifacts_index_size_ = layout_.index.size();
    // 1. Tables of the right sizes, with edits of the right places, but with values that do not count yet.
    PANNIER_TRY(plan_, PlanElf(host_, placement_, {{std::string(kAnchorSection), 0, Anchor::kSize, kTensorAlignment}}));
    PANNIER_CHECK_OK(FillIndex());
    PlaceSections();
    // 2. From here on all offsets and sizes stand. The same again, with the values.
    PANNIER_TRY(plan_, PlanElf(host_, placement_, AllSections()));
    PANNIER_CHECK_OK(FillIndex());
    undo_ = BuildUndoRecord(host_.bytes, host_sha256_, plan_.edits);
    FillParts();
    facts_.file_size = plan_.file_size;
    manifest_ = BuildManifest(facts_);
    if (undo_.size() != undo_size_ || manifest_.size() != anchor_.manifest_size)
      return {ErrorCode::kLimit, "internal: the manifest changed its size"};
    if (manifest_.size() > kMaxManifestSize)
      return {ErrorCode::kLimit, StrCat("manifest: found ", manifest_.size(), " bytes, expected at most ", kMaxManifestSize)};
    anchor_.manifest_sha256 = Sha256Of(ByteView(manifest_.data(), manifest_.size()));
    return {};
  }

  const EditPlan& plan() const { return plan_; }
  std::vector<PlannedSection> AllSections() const {
    std::vector<PlannedSection> all = {{std::string(kAnchorSection), 0, Anchor::kSize, kTensorAlignment}};
    all.insert(all.end(), layout_.sections.begin(), layout_.sections.end());
    all.push_back({std::string(kManifestSection), anchor_.manifest_offset, anchor_.manifest_size, 8});
    all.push_back({std::string(kSignatureSection), anchor_.signature_offset, anchor_.signature_size, 8});
    return all;
  }

  Status Write(OutputFile& out) const {
    auto write = [&](std::uint64_t payload_offset, const auto& bytes) {
      return out.WriteAt(placement_.anchor_offset + payload_offset, ByteView(bytes.data(), bytes.size()));
    };
    PANNIER_CHECK_OK(out.Truncate(plan_.file_size));
    for (const Edit& edit : plan_.edits) PANNIER_CHECK_OK(out.WriteAt(edit.offset, ByteView(edit.bytes.data(), edit.bytes.size())));
    PANNIER_CHECK_OK(write(0, EncodeAnchor(anchor_)));
    for (const MovedSection& section : placement_.moved)
      PANNIER_CHECK_OK(write(section.payload_offset, MovedBytes(host_, placement_, section)));
    PANNIER_CHECK_OK(write(layout_.sections[facts_.index_section].offset, layout_.index));
    PANNIER_CHECK_OK(write(layout_.sections[facts_.undo_section].offset, undo_));
    PANNIER_CHECK_OK(write(anchor_.manifest_offset, manifest_));
    return write(plan_.tail_offset - placement_.anchor_offset, plan_.tail);
  }

 private:
  // Host digests and image spans, behind what the artifacts put into the index.
  Status FillIndex() {
    layout_.index.resize(artifacts_index_size_);
    const EditedHost edited(host_.bytes, plan_.edits);
    PANNIER_TRY(const std::vector<std::uint8_t> digests, HostChunkDigests(edited, kHostChunkSize, threads_));
    facts_.host_chunks = layout_.AddToIndex(digests);
    PANNIER_TRY(const std::vector<std::uint8_t> spans,
                ElfImageSpans(edited, host_.header, plan_.segments, plan_.sections, placement_.anchor_address, threads_));
    facts_.image.spans = layout_.AddToIndex(spans);
    std::copy_n(host_.bytes.data(), facts_.image.identification.size(), facts_.image.identification.begin());
    facts_.image.header = host_.header;
    facts_.image.segments = plan_.segments;
    facts_.image.sha256 = ImageDigest(facts_.image, ByteView(spans.data(), spans.size()));
    return {};
  }

  void PlaceSections() {
    facts_.index_section = layout_.AddSection(std::string(kIndexSection), AlignUp(layout_.end, 8), layout_.index.size(), 8);
    undo_ = BuildUndoRecord(host_.bytes, host_sha256_, plan_.edits);
    undo_size_ = undo_.size();
    facts_.undo_section = layout_.AddSection(std::string(kUndoSection), AlignUp(layout_.end, 8), undo_size_, 8);
    facts_.is_mapped = placement_.is_mapped;
    facts_.anchor_file_offset = placement_.anchor_offset;
    facts_.sections = layout_.sections;
    facts_.artifacts = layout_.artifacts;
    facts_.host_size = host_.bytes.size();
    facts_.host_sha256 = host_sha256_;
    FillParts();
    anchor_.manifest_offset = AlignUp(layout_.end, 8);
    anchor_.manifest_size = BuildManifest(facts_).size();
    anchor_.signature_offset = AlignUp(anchor_.manifest_offset + anchor_.manifest_size, 8);
    anchor_.signature_size = kSignatureRoom;
    anchor_.payload_size = anchor_.signature_offset + anchor_.signature_size;
    facts_.payload_size = anchor_.payload_size;
  }

  void FillParts() {
    facts_.parts.clear();
    auto add = [&](std::string name, std::uint64_t offset, const std::vector<std::uint8_t>& bytes) {
      facts_.parts.push_back({std::move(name), offset, bytes.size(), Sha256Of(ByteView(bytes.data(), bytes.size()))});
    };
    for (const MovedSection& section : placement_.moved)
      add(section.name, section.payload_offset, MovedBytes(host_, placement_, section));
    add(std::string(kIndexSection), layout_.sections[facts_.index_section].offset, layout_.index);
    add(std::string(kUndoSection), layout_.sections[facts_.undo_section].offset, undo_);
    if (!plan_.tail.empty()) add("section headers", plan_.tail_offset - placement_.anchor_offset, plan_.tail);
  }

  const HostModel& host_;
  const ElfPlacement& placement_;
  Sha256Digest host_sha256_;
  unsigned threads_;
  Layout& layout_;
  std::size_t artifacts_index_size_ = 0;
  ManifestFacts facts_;
  Anchor anchor_;
  EditPlan plan_;
  std::vector<std::uint8_t> undo_;
  std::size_t undo_size_ = 0;
  std::vector<std::uint8_t> manifest_;
};

// The bundle as a loader will see it: structure, every digest, and compressed content decoded and compared with the input's digest.
Status ReadBack(const OutputFile& out, std::uint64_t file_size, const std::vector<std::string>& compressed, unsigned threads) {
  PANNIER_TRY(const MappedFile file, MappedFile::Map(out.fd(), 0, file_size));
  PANNIER_TRY(const Payload payload, FindPayload(file.bytes()));
  PANNIER_TRY(const BundleReader reader, BundleReader::Open(payload));
  PANNIER_TRY(const VerifyReport report, VerifyFile(file, reader, threads));
  if (!report.passed()) return {ErrorCode::kDigestMismatch, report.differences.front()};
  for (const std::string& name : compressed) {
    const auto index = reader.FindArtifact(name);
    if (!index) return {ErrorCode::kNotFound, StrCat("no artifact \"", Printable(name), "\"")};
    PANNIER_CHECK_OK(StreamArtifact(file, reader, reader.artifact(*index), threads, [](ByteView) { return Status(); }));
  }
  return {};
}

std::vector<ArtifactSummary> Summarize(const std::vector<ArtifactInput>& inputs, const Layout& layout) {
  std::vector<ArtifactSummary> summaries;
  for (const ArtifactFacts& facts : layout.artifacts) {
    const auto input =
        std::find_if(inputs.begin(), inputs.end(), [&](const ArtifactInput& other) { return other.name == facts.name; });
    summaries.push_back(
        {facts.name, facts.size, facts.stored_size, input->params ? input->params->tensors.size() : 0, input->why_opaque});
  }
  return summaries;
}

}  // namespace

Result<EmbedSummary> Embed(const std::string& host_path, const std::vector<NamedPath>& artifacts, const std::string& target,
                           const EmbedOptions& options) {
  // Everything is read and refused before anything is written.
  HostFile host;
  PANNIER_CHECK_OK(OpenHost(host_path, target, options.force, host).WithContext(Printable(host_path)));
  PANNIER_TRY(const HostModel model, ModelElfHost(host.source().path(), host.mapped.bytes()).WithContext(Printable(host_path)));
  PANNIER_TRY(const ElfPlacement placement, PlaceElfPayload(model).WithContext(Printable(host_path)));
  PANNIER_TRY(const std::vector<ArtifactInput> inputs, OpenArtifacts(artifacts));

  // The host's bytes, then the payload's, into a new file beside the target.
  std::optional<OutputFile> out;
  if (!options.dry_run) {
    PANNIER_TRY(OutputFile created, OutputFile::Create(target, &*host.original).WithContext(Printable(target)));
    out.emplace(std::move(created));
    PANNIER_CHECK_OK(out->CopyFrom(host.source(), 0, 0, host.source().size()).WithContext(Printable(target)));
  }
  Layout layout;
  layout.end = placement.content_offset;
  const PayloadTarget payload = {out ? &*out : nullptr, placement.anchor_offset, placement.anchor_address};
  PANNIER_CHECK_OK(EncodeArtifacts(inputs, payload, options.encode, layout));

  // What changes in the host, and what tells of it all.
  const Sha256Digest host_sha256 = Sha256Of(host.mapped.bytes());
  Finisher finisher(model, placement, host_sha256, options.encode.threads, layout);
  PANNIER_CHECK_OK(finisher.Run().WithContext(Printable(host_path)));
  PANNIER_CHECK_OK(host.original->CheckUnchanged().WithContext(Printable(host_path)));

  if (out) {
    const auto finish = [&]() -> Status {
      PANNIER_CHECK_OK(finisher.Write(*out));
      PANNIER_CHECK_OK(ReadBack(*out, finisher.plan().file_size, layout.compressed, options.encode.threads)
                           .WithContext("reading back what was written"));
      return out->Commit();
    };
    PANNIER_CHECK_OK(finish().WithContext(Printable(target)));
  }

  EmbedSummary summary;
  summary.host_size = model.bytes.size();
  summary.bundle_size = finisher.plan().file_size;
  summary.host_bytes_changed = CountChangedBytes(model.bytes, finisher.plan().edits);
  summary.is_mapped = placement.is_mapped;
  summary.why_not_mapped = placement.why_not_mapped;
  summary.artifacts = Summarize(inputs, layout);
  summary.moved = placement.moved;
  summary.sections = finisher.AllSections();
  summary.plan = finisher.plan();
  return summary;
}

}  // namespace pannier
