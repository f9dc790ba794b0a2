// `pannier embed` and `pannier restore`.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "embedder/command_line/command_output.h"
#include "embedder/command_line/commands.h"
#include "embedder/command_line/terminal.h"
#include "embedder/restore.h"
#include "embedder/utf8_path.h"
#include "embedder/view/misfits.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::size_t kMostTypes = 12;  // that people are shown

nlohmann::json ToJson(const std::string& target, const EmbedSummary& summary, bool dry_run) {
  nlohmann::json artifacts = nlohmann::json::array();
  for (const ArtifactSummary& artifact : summary.artifacts) {
    nlohmann::json entry = {{"name", artifact.name}, {"bytes", artifact.size}, {"stored_bytes", artifact.stored_size}};
    if (artifact.tensors != 0) entry["tensors"] = artifact.tensors;
    for (const TypeSummary& type : artifact.types) {
      entry["types"].push_back({{"dtype", DataTypeName(type.dtype)},
                                {"tensors", type.tensors},
                                {"bytes", type.size},
                                {"stored_bytes", type.stored_size},
                                {"encoding_seconds", static_cast<double>(type.encoding_time) / 1e9}});
    }
    if (!artifact.note.empty()) entry["note"] = artifact.note;
    artifacts.push_back(std::move(entry));
  }
  nlohmann::json edits = nlohmann::json::array();
  for (const Edit& edit : summary.plan.edits) {
    edits.push_back({{"offset", edit.offset}, {"bytes", HexBytes(edit.bytes.data(), edit.bytes.size())}});
  }
  nlohmann::json sections = nlohmann::json::array();
  for (const PlannedSection& section : summary.sections) {
    sections.push_back({{"name", section.name}, {"payload_offset", section.offset}, {"bytes", section.size}});
  }
  nlohmann::json slices = nlohmann::json::array();
  for (const EmbedSummary& slice : summary.slices) slices.push_back(ToJson(target, slice, dry_run));
  return {{"bundle", target},
          {"arch", summary.arch},
          {"slices", slices},
          {"written", !dry_run},
          {"host_bytes", summary.host_size},
          {"bundle_bytes", summary.bundle_size},
          {"host_bytes_changed", summary.host_bytes_changed},
          {"mapped", summary.is_mapped},
          {"why_not_mapped", summary.why_not_mapped},
          {"notes", summary.notes},
          {"artifacts", artifacts},
          {"sections", sections},
          {"edits", edits}};
}

void PrintPlan(const EmbedSummary& summary) {
  for (const MovedSection& section : summary.moved) {
    fmt::print("  move   {:<18} {:>8} bytes from {:#x} into the payload\n", section.name, section.size, section.old_offset);
  }
  for (const Edit& edit : summary.plan.edits) fmt::print("  change {:>5} bytes at {:#x}\n", edit.bytes.size(), edit.offset);
  for (const PlannedSection& section : summary.sections) {
    fmt::print("  add    {:<18} {:>8} bytes\n", Printable(section.name), section.size);
  }
}

// What was saved, and how fast one processor did it.
void PrintType(const TypeSummary& type) {
  const double saved = type.size == 0 ? 0 : 100 - 100 * static_cast<double>(type.stored_size) / static_cast<double>(type.size);
  fmt::print("    {:<10} {:>10} stored as {:>10}, {} tensors, saved {:.1f} %", DataTypeName(type.dtype), HumanSize(type.size),
             HumanSize(type.stored_size), type.tensors, saved);
  // Of little data the rate says nothing.
  if (type.encoding_time > 1'000'000)
    fmt::print(", {:.0f} MB/s a core", static_cast<double>(type.size) * 1e3 / static_cast<double>(type.encoding_time));
  fmt::print("\n");
}

void PrintSummary(const std::string& target, const EmbedSummary& summary, const std::vector<std::string>& misfits, bool dry_run) {
  fmt::print("{}{}: {} (host {}, {} of its bytes changed)\n", dry_run ? "would write " : "", Printable(target),
             HumanSize(summary.bundle_size), HumanSize(summary.host_size), summary.host_bytes_changed);
  for (const ArtifactSummary& artifact : summary.artifacts) {
    const std::string tensors = artifact.tensors != 0 ? fmt::format(", {} tensors", artifact.tensors) : "";
    fmt::print("  {:<12} {:>10} stored as {:>10}{}\n", Printable(artifact.name), HumanSize(artifact.size),
               HumanSize(artifact.stored_size), tensors);
    const std::size_t shown = std::min(artifact.types.size(), kMostTypes);
    for (std::size_t i = 0; i < shown; ++i) PrintType(artifact.types[i]);
    if (artifact.types.size() > shown) fmt::print("    and {} more types\n", artifact.types.size() - shown);
    if (!artifact.note.empty()) fmt::print("    kept as one blob, not per tensor: {}\n", artifact.note);
  }
  for (const std::string& misfit : misfits) fmt::print("  not of one model: {}\n", misfit);
  if (!summary.is_mapped) {
    fmt::print(
        "  in the file only, not mapped by the OS: {}\n  (the loader reads it from the file; llvm-strip and eu-strip remove it)\n",
        summary.why_not_mapped);
  }
  for (const EmbedSummary& slice : summary.slices) {
    fmt::print("  slice {:<8} {} (host {}, {} of its bytes changed)\n", Printable(slice.arch), HumanSize(slice.bundle_size),
               HumanSize(slice.host_size), slice.host_bytes_changed);
  }
  for (const std::string& note : summary.notes) fmt::print("  {}\n", note);
  if (dry_run) PrintPlan(summary);
}

}  // namespace

Result<int> RunEmbed(const EmbedCommand& command, const OutputStyle& style) {
  const std::string target = command.output.empty() ? command.host : command.output;
  std::uint64_t total = 0;
  for (const NamedPath& artifact : command.artifacts) {
    std::error_code ignored;
    const auto size = std::filesystem::file_size(Utf8Path(artifact.path), ignored);
    if (!ignored) total += size;
  }
  std::vector<std::string> misfits;  // of a fat host: of the first slice that has some
  const auto check = [&](ByteView library, const std::vector<ArtifactInput>& inputs) -> Status {
    if (!misfits.empty()) return {};
    PANNIER_TRY(misfits, FindMisfits(library, inputs));
    if (!command.strict || misfits.empty()) return {};
    return {ErrorCode::kInvalidArgument, StrCat(Printable(command.host), ": not of one model: ", misfits.front())};
  };
  Result<EmbedSummary> summary = [&] {
    Progress progress(!style.quiet && !style.json);
    progress.Begin("embedding", total);
    EmbedOptions options = command.options;
    options.encode.progress = &progress;
    options.check = check;
    return Embed(command.host, command.artifacts, target, options);
  }();
  if (!summary.ok()) return summary.TakeStatus();
  if (style.json) {
    nlohmann::json json = ToJson(target, *summary, command.options.dry_run);
    json["misfits"] = misfits;
    PrintJson(json);
  } else if (!style.quiet) {
    PrintSummary(target, *summary, misfits, command.options.dry_run);
  }
  return kExitDone;
}

Result<int> RunRestore(const std::string& bundle, const std::string& output, const std::string& arch, const OutputStyle& style) {
  const std::string target = output.empty() ? bundle : output;
  Progress progress(!style.quiet && !style.json);
  PANNIER_CHECK_OK(Restore(bundle, target, arch, {1, &progress}));
  progress.Clear();
  if (style.json) {
    PrintJson({{"restored", target}});
  } else if (!style.quiet) {
    fmt::print("{}: restored to the host as it was\n", Printable(target));
  }
  return kExitDone;
}

}  // namespace pannier
