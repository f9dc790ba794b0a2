// Embed, pass by pass: open, model, place, stream the payload, plan the edits, write them, read back, commit.
#include "embedder/embed.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "embedder/content/artifact_stream.h"
#include "embedder/fat_bundle.h"
#include "embedder/finisher.h"
#include "embedder/formats/factory_layout.h"
#include "embedder/formats/fat_layout.h"
#include "embedder/host.h"
#include "embedder/layout.h"
#include "embedder/opened_bundle.h"
#include "embedder/output_file.h"
#include "embedder/restore.h"
#include "embedder/sign.h"
#include "src/exported_symbol.h"
#include "src/macho_file.h"
#include "src/mapped_file.h"
#include "src/module_blob.h"
#include "src/text.h"
#include "src/verify.h"

namespace pannier {
namespace {

// The host without a payload, in memory, and the file it is in.
struct HostFile {
  std::optional<OutputFile> scratch;   // what a bundle was restored into; never committed
  std::optional<FileSource> original;  // the file that the user named
  std::optional<FileSource> restored;
  MappedFile mapped;

  const FileSource& source() const { return restored ? *restored : *original; }

  // Windows replaces no file that is open or mapped.
  void Close() {
    mapped = MappedFile();
    restored.reset();
    original.reset();
  }
};

Status OpenHost(const std::string& path, const std::string& target, bool force, HostFile& host) {
  const std::string name = Printable(path);
  PANNIER_TRY(FileSource original, FileSource::Open(path).WithContext(name));
  host.original = std::move(original);
  PANNIER_TRY(host.mapped, MappedFile::Map(host.original->fd(), 0, host.original->size()).WithContext(name));
  Result<Payload> payload = FindPayload(host.mapped.bytes());
  if (payload.status().code() == ErrorCode::kNotABundle) return {};
  PANNIER_CHECK_OK(payload.TakeStatus().WithContext(name));
  if (!force)
    return {ErrorCode::kAlreadyBundle,
            StrCat(name, ": it is a bundle already; embed with --force to replace what it carries, or restore it first")};

  PANNIER_TRY(OutputFile scratch, OutputFile::Create(target, nullptr).WithContext(Printable(target)));
  PANNIER_CHECK_OK(RestoreFile(*host.original, {}, scratch).WithContext(name));
  host.scratch.emplace(std::move(scratch));
  PANNIER_TRY(FileSource restored, FileSource::Open(host.scratch->path_for_reading()).WithContext(Printable(target)));
  host.restored = std::move(restored);
  PANNIER_TRY(host.mapped, MappedFile::Map(host.restored->fd(), 0, host.restored->size()).WithContext(Printable(target)));
  return {};
}

std::uint64_t CountChangedBytes(ByteView host, const std::vector<Edit>& edits) {
  std::uint64_t changed = 0;
  for (const Edit& edit : edits) {
    for (std::size_t i = 0; i < edit.bytes.size(); ++i) changed += edit.bytes[i] != host.data()[edit.offset + i] ? 1U : 0U;
  }
  return changed;
}

// A library that gets a payload: the whole file, or a fat file's slice.
struct Part {
  std::string arch;          // of a slice
  std::size_t slice = 0;     // its number in the fat header
  std::uint64_t offset = 0;  // where it begins in the host's file
  std::unique_ptr<Host> host;
  std::optional<FactoryFacts> factory;  // that graph and params become a part of
};

// The host's file as a whole, where it is a fat one.
struct FatHost {
  macho::FatFile file;
  FatFacts facts;
};

Status OpenPart(Part part, ByteView bytes, const EmbedOptions& options, std::size_t artifacts, std::vector<Part>& parts) {
  HostOptions host_options;
  host_options.artifacts = artifacts;
  host_options.drop_signature = options.drop_signature;
  host_options.sectionless = options.sectionless;
  if (!options.factory_key.empty()) {
    host_options.exported = kBlobSymbol;
    part.factory = FactoryFacts{options.factory_key, {}};
    PANNIER_TRY(const std::optional<ByteView> own, FindExported(bytes, kBlobSymbol));
    if (own) {
      PANNIER_TRY(part.factory->imported, ParseModuleBlob(*own).WithContext(StrCat("symbol ", kBlobSymbol)));
    }
  }
  PANNIER_TRY(part.host, Host::Open(bytes, host_options));
  parts.push_back(std::move(part));
  return {};
}

// The slices that get a payload, in the file's order.
Status OpenFat(const HostFile& file, const EmbedOptions& options, std::size_t artifacts, FatHost& fat, std::vector<Part>& parts) {
  const ByteView bytes = file.mapped.bytes();
  PANNIER_TRY(fat.file, macho::ParseFat(bytes, bytes.size()));
  PANNIER_CHECK_OK(CheckGaps(bytes, fat.file));
  fat.facts = {bytes.size(), Sha256Of(bytes), *bytes.Slice(0, fat.file.header_size()), {}};
  for (std::size_t i = 0; i < fat.file.slices.size(); ++i) {
    const macho::Slice& slice = fat.file.slices[i];
    const ByteView library = *bytes.Slice(slice.offset, slice.size);
    fat.facts.slices.push_back(Sha256Of(library));
    const std::string name = macho::ArchName(slice.cpu_type, slice.cpu_subtype);
    if (!options.arch.empty() && options.arch != name) continue;
    PANNIER_CHECK_OK(
        OpenPart({name, i, slice.offset, nullptr, {}}, library, options, artifacts, parts).WithContext(StrCat("slice ", name)));
  }
  if (parts.empty())
    return {ErrorCode::kNotFound, StrCat("found no slice ", Printable(options.arch), DidYouMeanSlice(options.arch, fat.file))};
  std::stable_sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.offset < b.offset; });
  return {};
}

// A part's artifacts as they were stored, for reading them back.
struct Embedded {
  EmbedSummary summary;
  std::vector<std::string> compressed;  // names of artifacts
};

// The bundle as a loader will see it: structure, every digest, and compressed content decoded and compared with the input's digest.
Status ReadBack(const OpenedBundle& bundle, const std::vector<std::string>& compressed, const Effort& effort) {
  for (const std::string& name : compressed) {
    const auto index = bundle.reader.FindArtifact(name);
    if (!index) return {ErrorCode::kNotFound, StrCat("no artifact \"", Printable(name), "\"")};
    effort.Begin("decoding", bundle.reader.artifact(*index).size());
    PANNIER_CHECK_OK(
        StreamArtifact(bundle.file, bundle.reader, bundle.reader.artifact(*index), effort, [](ByteView) { return Status(); }));
  }
  return {};
}

Status Passed(const VerifyReport& report) {
  return report.passed() ? Status() : Status(ErrorCode::kDigestMismatch, report.differences.front());
}

Status ReadBackFile(const OutputFile& out, const Embedded& embedded, const Effort& effort) {
  PANNIER_TRY(const OpenedBundle bundle, OpenedBundle::OpenRange(out.fd(), 0, embedded.summary.bundle_size));
  PANNIER_TRY(const VerifyReport report, VerifyFile(bundle.file, bundle.reader, effort));
  PANNIER_CHECK_OK(Passed(report));
  return ReadBack(bundle, embedded.compressed, effort);
}

Status ReadBackFat(const OutputFile& out, std::uint64_t size, const std::vector<Embedded>& embedded, const Effort& effort) {
  PANNIER_TRY(const FatBundle bundle, FatBundle::Open(out.fd(), size));
  PANNIER_TRY(const VerifyReport report, VerifyFat(bundle, effort));
  PANNIER_CHECK_OK(Passed(report));
  for (const std::optional<OpenedBundle>& slice : bundle.bundles) {
    if (slice) PANNIER_CHECK_OK(ReadBack(*slice, embedded.front().compressed, effort));  // the same artifacts in each
  }
  return {};
}

std::vector<ArtifactSummary> Summarize(const std::vector<ArtifactInput>& inputs, const Layout& layout) {
  std::vector<ArtifactSummary> summaries;
  for (const ArtifactFacts& facts : layout.artifacts) {
    const auto input =
        std::find_if(inputs.begin(), inputs.end(), [&](const ArtifactInput& other) { return other.name == facts.name; });
    ArtifactSummary summary = {facts.name, facts.size, facts.stored_size, 0, {}, input->why_opaque};
    if (input->params) {
      summary.tensors = input->params->tensors.size();
      summary.types = layout.types;
    }
    summaries.push_back(std::move(summary));
  }
  return summaries;
}

// What all parts have in common.
struct Job {
  const std::string& host_path;
  const std::string& target;
  const HostFile& file;
  const std::vector<ArtifactInput>& inputs;
  const EncodeOptions& options;
  const Signer& signer;       // empty: nobody signs
  OutputFile* out = nullptr;  // null: a dry run
};

// One library through all passes; what it writes begins at `base`.
Result<Embedded> EmbedPart(const Job& job, const Part& part, const FatHost* fat, std::uint64_t base) {
  const Host& host = *part.host;
  const Placement& placement = host.placement();
  const PayloadTarget payload = {job.out, base + placement.anchor_offset, placement.anchor_address};
  PANNIER_TRY(Layout layout, EncodeArtifacts(job.inputs, part.factory ? &*part.factory : nullptr, placement, payload, job.options));
  Finisher finisher(host, Sha256Of(host.bytes()), fat != nullptr ? &fat->facts : nullptr, job.options.threads, layout);
  PANNIER_CHECK_OK(finisher.Run().WithContext(Printable(job.host_path)));
  if (job.out != nullptr) {
    PANNIER_CHECK_OK(finisher.Write(job.file.source(), part.offset, *job.out, base).WithContext(Printable(job.target)));
    if (job.signer)
      PANNIER_CHECK_OK(SignWritten(*job.out, base, finisher.plan().file_size, job.signer).WithContext(Printable(job.target)));
  }

  Embedded embedded;
  embedded.compressed = layout.compressed;
  EmbedSummary& summary = embedded.summary;
  summary.arch = part.arch;
  summary.host_size = host.bytes().size();
  summary.bundle_size = finisher.plan().file_size;
  summary.host_bytes_changed = CountChangedBytes(host.bytes(), finisher.plan().edits);
  summary.is_mapped = placement.is_mapped;
  summary.why_not_mapped = placement.why_not_mapped;
  summary.notes = placement.notes;
  summary.artifacts = Summarize(job.inputs, layout);
  summary.moved = placement.moved;
  summary.sections = finisher.AllSections();
  summary.plan = finisher.plan();
  return embedded;
}

// Each slice alone, then the others where they now have their place, then the header.
Result<std::uint64_t> EmbedFat(const Job& job, const FatHost& fat, const std::vector<Part>& parts,
                               std::vector<Embedded>& embedded) {
  std::vector<std::uint64_t> sizes;
  for (const macho::Slice& slice : fat.file.slices) sizes.push_back(slice.size);
  std::vector<bool> is_embedded(sizes.size());
  FatLayout layout;
  for (const Part& part : parts) {
    // Its place depends on the sizes of those before it alone.
    PANNIER_TRY(layout, LayOutSlices(fat.file, sizes).WithContext(Printable(job.host_path)));
    PANNIER_TRY(Embedded one, EmbedPart(job, part, &fat, layout.slices[part.slice].offset));
    sizes[part.slice] = one.summary.bundle_size;
    is_embedded[part.slice] = true;
    embedded.push_back(std::move(one));
  }
  PANNIER_TRY(layout, LayOutSlices(fat.file, sizes).WithContext(Printable(job.host_path)));
  if (job.out == nullptr) return layout.file_size;
  const auto write_rest = [&]() -> Status {
    PANNIER_CHECK_OK(job.out->Truncate(layout.file_size));
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      if (is_embedded[i]) continue;
      PANNIER_CHECK_OK(job.out->CopyFrom(job.file.source(), fat.file.slices[i].offset, layout.slices[i].offset, sizes[i]));
    }
    const std::vector<std::uint8_t> header = EncodeFatHeader(fat.file, fat.facts.header, layout);
    return job.out->WriteAt(0, View(header));
  };
  PANNIER_CHECK_OK(write_rest().WithContext(Printable(job.target)));
  return layout.file_size;
}

EmbedSummary SummarizeFat(std::vector<Embedded> embedded, std::uint64_t host_size, std::uint64_t bundle_size) {
  EmbedSummary whole = embedded.front().summary;
  whole.arch.clear();
  whole.host_size = host_size;
  whole.bundle_size = bundle_size;
  whole.host_bytes_changed = 0;
  whole.notes.clear();
  for (Embedded& one : embedded) {
    whole.host_bytes_changed += one.summary.host_bytes_changed;
    for (const std::string& note : one.summary.notes) whole.notes.push_back(StrCat("slice ", one.summary.arch, ": ", note));
    whole.slices.push_back(std::move(one.summary));
  }
  return whole;
}

}  // namespace

Result<EmbedSummary> Embed(const std::string& host_path, const std::vector<NamedPath>& artifacts, const std::string& target,
                           const EmbedOptions& options) {
  // Everything is read and refused before anything is written.
  HostFile file;
  PANNIER_CHECK_OK(OpenHost(host_path, target, options.force, file));
  const ByteView bytes = file.mapped.bytes();
  const bool is_fat = macho::HasFatMagic(bytes);
  FatHost fat;
  std::vector<Part> parts;
  if (!is_fat && !options.arch.empty())
    return {ErrorCode::kInvalidArgument,
            StrCat(Printable(host_path), ": --arch: found a file of one architecture, expected a fat one")};
  PANNIER_CHECK_OK(
      (is_fat ? OpenFat(file, options, artifacts.size(), fat, parts) : OpenPart({}, bytes, options, artifacts.size(), parts))
          .WithContext(Printable(host_path)));
  PANNIER_TRY(const std::vector<ArtifactInput> inputs, OpenArtifacts(artifacts));
  for (const Part& part : parts) {
    if (options.check) PANNIER_CHECK_OK(options.check(part.host->bytes(), inputs));
  }

  Signer signer;
  if (!options.sign_key.empty()) {
    PANNIER_TRY(signer, SignerWithKey(options.sign_key));
  }

  // Artifacts, what tells of them and the host's changes go into a new file beside the target.
  std::optional<OutputFile> out;
  if (!options.dry_run) {
    PANNIER_TRY(OutputFile created, OutputFile::Create(target, &*file.original).WithContext(Printable(target)));
    out.emplace(std::move(created));
  }
  const Job job = {host_path, target, file, inputs, options.encode, signer, out ? &*out : nullptr};
  std::vector<Embedded> embedded;
  std::uint64_t bundle_size = 0;
  if (is_fat) {
    PANNIER_TRY(bundle_size, EmbedFat(job, fat, parts, embedded));
  } else {
    PANNIER_TRY(Embedded one, EmbedPart(job, parts.front(), nullptr, 0));
    bundle_size = one.summary.bundle_size;
    embedded.push_back(std::move(one));
  }
  if (out) {
    const Effort effort(options.encode.threads, options.encode.progress);
    const auto finish = [&]() -> Status {
      PANNIER_CHECK_OK(file.original->CheckUnchanged().WithContext(Printable(host_path)));
      Status read = is_fat ? ReadBackFat(*out, bundle_size, embedded, effort) : ReadBackFile(*out, embedded.front(), effort);
      PANNIER_CHECK_OK(std::move(read).WithContext("reading back what was written"));
      file.Close();
      return out->Commit();
    };
    PANNIER_CHECK_OK(finish().WithContext(Printable(target)));
  }
  if (is_fat) return SummarizeFat(std::move(embedded), bytes.size(), bundle_size);
  return std::move(embedded.front().summary);
}

}  // namespace pannier
