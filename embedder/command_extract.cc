// `pannier extract`.
#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "embedder/artifact_stream.h"
#include "embedder/commands.h"
#include "embedder/near_miss.h"
#include "embedder/opened_bundle.h"
#include "embedder/output_file.h"
#include "embedder/system.h"
#include "embedder/terminal.h"
#include "src/format.h"
#include "src/text.h"

namespace pannier {
namespace {

// graph as STEM.json, params as STEM.params, others under their names, which hold no slash (IsArtifactName).
std::string FileName(const std::string& bundle, std::string_view artifact) {
  const std::string stem = Utf8Name(Utf8Path(bundle).stem());
  if (artifact == kGraphArtifact) return stem + ".json";
  if (artifact == kParamsArtifact) return stem + ".params";
  return std::string(artifact);
}

Status ExtractToFile(const OpenedBundle& bundle, const format::Artifact& artifact, const std::string& path, const Effort& effort) {
  PANNIER_TRY(OutputFile out, OutputFile::Create(path, nullptr).WithContext(Printable(path)));
  std::uint64_t at = 0;
  PANNIER_CHECK_OK(StreamArtifact(bundle.file, bundle.reader, artifact, effort, [&](ByteView bytes) {
    const std::uint64_t begin = at;
    at += bytes.size();
    return out.WriteAt(begin, bytes).WithContext(Printable(path));
  }));
  return out.Commit().WithContext(Printable(path));
}

Result<std::vector<std::uint32_t>> SelectArtifacts(const ExtractCommand& command, const BundleReader& reader) {
  std::vector<std::uint32_t> selected;
  for (const std::string& name : command.names) {
    const auto index = reader.FindArtifact(name);
    if (index) {
      selected.push_back(*index);
      continue;
    }
    std::vector<std::string> names;
    std::string known;
    for (std::uint32_t i = 0; i < reader.artifact_count(); ++i) {
      names.emplace_back(ToText(reader.artifact(i).name()));
      known += StrCat(known.empty() ? "" : ", ", "\"", Printable(names.back()), "\"");
    }
    return {ErrorCode::kNotFound, StrCat("no artifact \"", Printable(name), "\"", DidYouMean(name, names, "\""), "; it has ",
                                         known.empty() ? "none" : known)};
  }
  for (std::uint32_t i = 0; command.names.empty() && i < reader.artifact_count(); ++i) selected.push_back(i);
  for (const std::uint32_t i : selected) {
    const format::Artifact& artifact = reader.artifact(i);
    PANNIER_CHECK_OK(
        BundleReader::CheckKind(artifact).WithContext(StrCat("artifact \"", Printable(ToText(artifact.name())), "\"")));
  }
  return selected;
}

}  // namespace

Result<int> RunExtract(const ExtractCommand& command, const OutputStyle& style) {
  PANNIER_TRY(const OpenedBundle bundle,
              OpenedBundle::Open(command.bundle, command.arch, WithoutDigests::kRead).WithContext(Printable(command.bundle)));
  PANNIER_TRY(const std::vector<std::uint32_t> selected,
              SelectArtifacts(command, bundle.reader).WithContext(Printable(command.bundle)));
  std::uint64_t total = 0;
  for (const std::uint32_t i : selected) total += bundle.reader.artifact(i).size();
  Progress progress(!style.quiet && !style.json);
  progress.Begin("extracting", total);
  const Effort effort(0, &progress);
  if (command.output == "-") {
    if (selected.size() != 1)
      return {ErrorCode::kInvalidArgument, StrCat("`-o -` takes one artifact: found ", selected.size(), "; name the one to write")};
    PANNIER_CHECK_OK(StreamArtifact(bundle.file, bundle.reader, bundle.reader.artifact(selected.front()), effort, &WriteToStdout)
                         .WithContext(Printable(command.bundle)));
    return kExitDone;
  }
  std::set<std::string> file_names;
  for (const std::uint32_t i : selected) {
    const std::string name = FileName(command.bundle, ToText(bundle.reader.artifact(i).name()));
    PANNIER_CHECK_OK(CheckFileName(name).WithContext(Printable(command.bundle)));
    if (!file_names.insert(name).second) {
      return {ErrorCode::kInvalidArgument,
              StrCat(Printable(command.bundle), ": two artifacts would become ", Printable(name), "; extract them one by one")};
    }
  }
  std::error_code error;
  std::filesystem::create_directories(Utf8Path(command.output), error);
  if (error) return {ErrorCode::kIo, StrCat(Printable(command.output), ": cannot make the folder: ", error.message())};
  nlohmann::json files = nlohmann::json::array();
  for (const std::uint32_t i : selected) {
    const format::Artifact& artifact = bundle.reader.artifact(i);
    const std::string path = Utf8Name(Utf8Path(command.output) / Utf8Path(FileName(command.bundle, ToText(artifact.name()))));
    PANNIER_CHECK_OK(ExtractToFile(bundle, artifact, path, effort).WithContext(Printable(command.bundle)));
    if (style.json) {
      files.push_back(
          {{"artifact", ToText(artifact.name())},
           {"file", path},
           {"bytes", artifact.size()},
           {"sha256", bundle.reader.has_digests() ? nlohmann::json(ToDigest(*artifact.sha256()).Hex()) : nlohmann::json()}});
    } else if (!style.quiet) {
      progress.Clear();
      fmt::print("{}: {}\n", Printable(path), HumanSize(artifact.size()));
    }
  }
  if (style.json)
    fmt::print("{}\n", nlohmann::json{{"files", files}}.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  return kExitDone;
}

}  // namespace pannier
