// Embed, pass by pass: open, model, place, stream the payload, plan the edits, write them, read back, commit.
#include "embedder/embed.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "embedder/artifact_stream.h"
#include "embedder/finisher.h"
#include "embedder/host.h"
#include "embedder/layout.h"
#include "embedder/output_file.h"
#include "embedder/restore.h"
#include "embedder/verify.h"
#include "src/format.h"
#include "src/mapped_file.h"
#include "src/text.h"

namespace pannier {
namespace {

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

std::uint64_t CountChangedBytes(ByteView host, const std::vector<Edit>& edits) {
  std::uint64_t changed = 0;
  for (const Edit& edit : edits) {
    for (std::size_t i = 0; i < edit.bytes.size(); ++i) changed += edit.bytes[i] != host.data()[edit.offset + i] ? 1U : 0U;
  }
  return changed;
}

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
  HostFile file;
  PANNIER_CHECK_OK(OpenHost(host_path, target, options.force, file).WithContext(Printable(host_path)));
  HostOptions host_options;
  host_options.artifacts = artifacts.size();
  host_options.drop_signature = options.drop_signature;
  PANNIER_TRY(const std::unique_ptr<Host> host,
              Host::Open(file.source().path(), file.mapped.bytes(), host_options).WithContext(Printable(host_path)));
  const Placement& placement = host->placement();
  PANNIER_TRY(const std::vector<ArtifactInput> inputs, OpenArtifacts(artifacts));

  // The artifacts, into a new file beside the target.
  std::optional<OutputFile> out;
  if (!options.dry_run) {
    PANNIER_TRY(OutputFile created, OutputFile::Create(target, &*file.original).WithContext(Printable(target)));
    out.emplace(std::move(created));
  }
  const PayloadTarget payload = {out ? &*out : nullptr, placement.anchor_offset, placement.anchor_address};
  PANNIER_TRY(Layout layout, EncodeArtifacts(inputs, placement, payload, options.encode));

  // What changes in the host, and what tells of it all.
  const Sha256Digest host_sha256 = Sha256Of(host->bytes());
  Finisher finisher(*host, host_sha256, options.encode.threads, layout);
  PANNIER_CHECK_OK(finisher.Run().WithContext(Printable(host_path)));

  if (out) {
    const auto finish = [&]() -> Status {
      PANNIER_CHECK_OK(finisher.Write(file.source(), 0, *out, 0));
      PANNIER_CHECK_OK(file.original->CheckUnchanged().WithContext(Printable(host_path)));
      PANNIER_CHECK_OK(ReadBack(*out, finisher.plan().file_size, layout.compressed, options.encode.threads)
                           .WithContext("reading back what was written"));
      return out->Commit();
    };
    PANNIER_CHECK_OK(finish().WithContext(Printable(target)));
  }

  EmbedSummary summary;
  summary.host_size = host->bytes().size();
  summary.bundle_size = finisher.plan().file_size;
  summary.host_bytes_changed = CountChangedBytes(host->bytes(), finisher.plan().edits);
  summary.is_mapped = placement.is_mapped;
  summary.why_not_mapped = placement.why_not_mapped;
  summary.notes = placement.notes;
  summary.artifacts = Summarize(inputs, layout);
  summary.moved = placement.moved;
  summary.sections = finisher.AllSections();
  summary.plan = finisher.plan();
  return summary;
}

}  // namespace pannier
