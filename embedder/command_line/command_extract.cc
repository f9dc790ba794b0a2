// `pannier extract`.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <vector>

#include "embedder/command_line/command_output.h"
#include "embedder/command_line/commands.h"
#include "embedder/command_line/system.h"
#include "embedder/command_line/terminal.h"
#include "embedder/content/artifact_stream.h"
#include "embedder/export_npz.h"
#include "embedder/export_safetensors.h"
#include "embedder/near_miss.h"
#include "embedder/opened_bundle.h"
#include "embedder/output_file.h"
#include "embedder/utf8_path.h"
#include "src/format.h"
#include "src/text.h"

namespace pannier {
namespace {

std::string_view Ending(ParamsFormat format) {
  if (format == ParamsFormat::kNpz) return ".npz";
  return format == ParamsFormat::kSafetensors ? ".safetensors" : ".params";
}

// graph as STEM.json, params as STEM.params, others under their names, which hold no slash (IsArtifactName).
std::string FileName(const ExtractCommand& command, std::string_view artifact) {
  const std::string stem = Utf8Name(Utf8Path(command.bundle).stem());
  if (artifact == kGraphArtifact) return stem + ".json";
  if (artifact == kParamsArtifact) return StrCat(stem, Ending(command.as));
  return std::string(artifact);
}

// Params in another format than TVM's; neither, where nothing is to be converted.
struct ConvertedParams {
  std::uint32_t artifact = 0;
  std::optional<NpzFile> npz;
  std::optional<SafetensorsFile> safetensors;

  bool Is(std::uint32_t i) const { return i == artifact && (npz || safetensors); }
  std::uint64_t size() const { return npz ? npz->size() : safetensors->size(); }
};

Result<ConvertedParams> Convert(ParamsFormat format, const BundleReader& reader, const std::vector<std::uint32_t>& selected) {
  ConvertedParams converted;
  if (format == ParamsFormat::kParams) return converted;
  const auto params = std::find_if(selected.begin(), selected.end(),
                                   [&](std::uint32_t i) { return ToText(reader.artifact(i).name()) == kParamsArtifact; });
  if (params == selected.end())
    return {ErrorCode::kInvalidArgument, "--as: found no params among the artifacts to extract; they are what it is about"};
  converted.artifact = *params;
  const format::Artifact& artifact = reader.artifact(*params);
  if (artifact.kind() != format::ArtifactKind::TvmParams)
    return Unsupported("--as: artifact \"params\": found a blob, expected tensors");
  PANNIER_TRY(const TensorReader tensors, reader.Tensors(artifact));
  if (format == ParamsFormat::kNpz) {
    PANNIER_TRY(converted.npz, NpzFile::Plan(tensors).WithContext("--as npz"));
  } else {
    PANNIER_TRY(converted.safetensors, SafetensorsFile::Plan(tensors).WithContext("--as safetensors"));
  }
  return converted;
}

// As TVM has it, or converted to what can be written in order.
Status WriteInOrder(const OpenedBundle& bundle, const ConvertedParams& converted, std::uint32_t i, const Effort& effort,
                    const std::function<Status(ByteView)>& sink) {
  if (!converted.Is(i)) return StreamArtifact(bundle.file, bundle.reader, bundle.reader.artifact(i), effort, sink);
  ContentStream stream(bundle.file, bundle.reader.has_digests(), effort);
  return converted.safetensors->Write(stream, sink);
}

Status WriteToFile(const OpenedBundle& bundle, const ConvertedParams& converted, std::uint32_t i, const Effort& effort,
                   const std::string& path) {
  PANNIER_TRY(OutputFile out, OutputFile::Create(path, nullptr).WithContext(Printable(path)));
  if (converted.Is(i) && converted.npz) {
    ContentStream stream(bundle.file, bundle.reader.has_digests(), effort);
    PANNIER_CHECK_OK(converted.npz->Write(stream, out));
  } else {
    std::uint64_t at = 0;
    PANNIER_CHECK_OK(WriteInOrder(bundle, converted, i, effort, [&](ByteView bytes) {
      const std::uint64_t begin = at;
      at += bytes.size();
      return out.WriteAt(begin, bytes).WithContext(Printable(path));
    }));
  }
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
    PANNIER_CHECK_OK(BundleReader::CheckKind(artifact).WithContext(Named(artifact)));
  }
  return selected;
}

// One for each artifact, fit to be a file's, and no two the same.
Result<std::vector<std::string>> FileNames(const ExtractCommand& command, const BundleReader& reader,
                                           const std::vector<std::uint32_t>& selected) {
  std::vector<std::string> names;
  std::set<std::string> different;
  for (const std::uint32_t i : selected) {
    const std::string name = FileName(command, ToText(reader.artifact(i).name()));
    PANNIER_CHECK_OK(CheckFileName(name));
    if (!different.insert(name).second)
      return {ErrorCode::kInvalidArgument, StrCat("two artifacts would become ", Printable(name), "; extract them one by one")};
    names.push_back(name);
  }
  return names;
}

}  // namespace

Result<int> RunExtract(const ExtractCommand& command, const OutputStyle& style) {
  PANNIER_TRY(const OpenedBundle bundle,
              OpenedBundle::Open(command.bundle, command.arch, WithoutDigests::kRead).WithContext(Printable(command.bundle)));
  PANNIER_TRY(const std::vector<std::uint32_t> selected,
              SelectArtifacts(command, bundle.reader).WithContext(Printable(command.bundle)));
  PANNIER_TRY(const ConvertedParams converted, Convert(command.as, bundle.reader, selected).WithContext(Printable(command.bundle)));
  std::uint64_t total = 0;
  for (const std::uint32_t i : selected) total += bundle.reader.artifact(i).size();
  Progress progress(!style.quiet && !style.json);
  progress.Begin("extracting", total);
  const Effort effort(0, &progress);
  if (command.output == "-") {
    if (selected.size() != 1)
      return {ErrorCode::kInvalidArgument, StrCat("`-o -` takes one artifact: found ", selected.size(), "; name the one to write")};
    if (converted.npz)
      return {ErrorCode::kInvalidArgument, "`-o -` with --as npz: found stdout, expected a folder: npz is not written in order"};
    PANNIER_CHECK_OK(
        WriteInOrder(bundle, converted, selected.front(), effort, &WriteToStdout).WithContext(Printable(command.bundle)));
    return kExitDone;
  }
  PANNIER_TRY(const std::vector<std::string> names,
              FileNames(command, bundle.reader, selected).WithContext(Printable(command.bundle)));
  std::error_code error;
  std::filesystem::create_directories(Utf8Path(command.output), error);
  if (error) return {ErrorCode::kIo, StrCat(Printable(command.output), ": cannot make the folder: ", error.message())};
  nlohmann::json files = nlohmann::json::array();
  for (std::size_t n = 0; n < selected.size(); ++n) {
    const format::Artifact& artifact = bundle.reader.artifact(selected[n]);
    const std::string path = Utf8Name(Utf8Path(command.output) / Utf8Path(names[n]));
    const bool is_converted = converted.Is(selected[n]);
    const std::uint64_t size = is_converted ? converted.size() : artifact.size();
    files.push_back({{"artifact", ToText(artifact.name())},
                     {"file", path},
                     {"bytes", size},
                     {"sha256", bundle.reader.has_digests() && !is_converted ? nlohmann::json(ToDigest(*artifact.sha256()).Hex())
                                                                             : nlohmann::json()}});
    // The last that is read of the bundle for this file: one that is cut off later is no reason to refuse what is written.
    PANNIER_CHECK_OK(WriteToFile(bundle, converted, selected[n], effort, path).WithContext(Printable(command.bundle)));
    if (!style.json && !style.quiet) {
      progress.Clear();
      fmt::print("{}: {}\n", Printable(path), HumanSize(size));
    }
  }
  if (style.json) PrintJson({{"files", files}});
  return kExitDone;
}

}  // namespace pannier
