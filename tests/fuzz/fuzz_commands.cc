// Fuzz target: a bundle, or a fat file of bundles, inspected, looked at, compared, verified, extracted and restored as the command
// line does it.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "embedder/command_line/commands.h"
#include "embedder/content/artifact_stream.h"
#include "embedder/export_npz.h"
#include "embedder/export_safetensors.h"
#include "embedder/opened_bundle.h"
#include "embedder/output_file.h"
#include "embedder/restore.h"
#include "embedder/view/page.h"
#include "embedder/view/report.h"
#include "src/macho_file.h"
#include "tests/file_fixture.h"
#include "tests/fuzz/fuzz_support.h"

namespace pannier {
namespace {

// As in fuzz_bundle.cc.
constexpr std::uint64_t kLargest = 4 << 20;

// Params as other formats have them: as long as planned, or not at all.
void Export(const OpenedBundle& bundle, const format::Artifact& artifact, const TemporaryDirectory& folder) {
  const Result<TensorReader> tensors = bundle.reader.Tensors(artifact);
  if (!tensors.ok()) return;
  ContentStream stream(bundle.file, bundle.reader.has_digests(), 1);
  if (const Result<SafetensorsFile> file = SafetensorsFile::Plan(*tensors); file.ok()) {
    std::uint64_t written = 0;
    const Status status = file->Write(stream, [&written](ByteView bytes) {
      written += bytes.size();
      return Status();
    });
    Require(!status.ok() || written == file->size(), "a safetensors file is as long as planned");
  }
  if (const Result<NpzFile> file = NpzFile::Plan(*tensors); file.ok()) {
    Result<OutputFile> out = OutputFile::Create(folder / "params.npz", nullptr);
    Require(out.status(), "a file can be made");
    const Status status = file->Write(stream, *out);
    if (!status.ok()) return;
    const Result<FileSource> written = FileSource::Open(out->path_for_reading());
    Require(written.status(), "what was written can be opened");
    Require(written->size() == file->size(), "an npz file is as long as planned");
  }
}

void Extract(const std::string& path, const std::string& arch, const TemporaryDirectory& folder) {
  const Result<OpenedBundle> bundle = OpenedBundle::Open(path, arch);
  if (!bundle.ok()) return;
  for (std::uint32_t i = 0; i < bundle->reader.artifact_count(); ++i) {
    const format::Artifact& artifact = bundle->reader.artifact(i);
    if (artifact.size() > kLargest) continue;
    std::uint64_t streamed = 0;
    const Status status = StreamArtifact(bundle->file, bundle->reader, artifact, 1, [&streamed](ByteView bytes) {
      streamed += bytes.size();
      return Status();
    });
    Require(!status.ok() || streamed == artifact.size(), "an artifact is as long as the manifest says");
    if (artifact.kind() == format::ArtifactKind::TvmParams) Export(*bundle, artifact, folder);
  }
}

// A page of it, and how it differs from itself.
void Look(const std::string& path, const std::string& arch) {
  const Result<OpenedBundle> bundle = OpenedBundle::Open(path, arch, WithoutDigests::kRead);
  if (!bundle.ok()) return;
  for (std::uint32_t i = 0; i < bundle->reader.artifact_count(); ++i) {
    if (bundle->reader.artifact(i).size() > kLargest) return;
  }
  ReportOptions options;
  options.placing = Placing::kRank;
  options.effort = 1;
  const Result<nlohmann::json> report = MakeReport(*bundle, "bundle", options);
  if (report.ok()) (void)MakePage(kReportPage, "bundle", *report);
  DiffCommand diff;
  diff.a = diff.b = path;
  diff.arch = arch;
  diff.threads = 1;
  const Result<int> differs = RunDiff(diff, {false, false});
  Require(!differs.ok() || *differs == kExitDone, "a bundle does not differ from itself");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const MemoryFile memory;
  static const TemporaryDirectory folder;
  // What commands print is not looked at.
  static const bool is_quiet = std::freopen("/dev/null", "w", stdout) != nullptr;
  Require(is_quiet, "freopen");
  memory.Put(ByteView(data, size));
  const Result<FileSource> source = FileSource::Open(memory.path());
  Require(source.status(), "a file in memory can be opened");
  for (const std::string arch : {"", "arm64"}) {
    if (!arch.empty() && !macho::HasFatMagic(ByteView(data, size))) break;
    InspectCommand inspect;
    inspect.bundle = memory.path();
    inspect.arch = arch;
    for (const bool json : {false, true}) (void)RunInspect(inspect, {json, false});
    Look(memory.path(), arch);
    for (const bool image : {false, true}) {
      VerifyCommand verify;
      verify.bundle = memory.path();
      verify.image = image;
      verify.arch = arch;
      verify.threads = 1;
      (void)RunVerify(verify, {true, true});
    }
    Extract(memory.path(), arch, folder);
    Result<OutputFile> out = OutputFile::Create(folder / "restored", nullptr);
    Require(out.status(), "a file can be made");
    (void)RestoreFile(*source, arch, *out);  // and not committed
  }
  return 0;
}

}  // namespace pannier
