// `pannier view`: a bundle as a page to look at.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "embedder/command_line/command_output.h"
#include "embedder/command_line/commands.h"
#include "embedder/command_line/read_keys.h"
#include "embedder/command_line/terminal.h"
#include "embedder/opened_bundle.h"
#include "embedder/utf8_path.h"
#include "embedder/view/page.h"
#include "embedder/view/report.h"
#include "src/text.h"

namespace pannier {

Result<int> RunView(const ViewCommand& command, const OutputStyle& style) {
  ReportOptions options;
  PANNIER_TRY(options.keys, ReadKeys(command.keys));
  options.statistics = !command.no_statistics;
  options.placing = command.no_graphviz ? Placing::kRank : Placing::kGraphviz;
  Progress progress(!style.quiet && !style.json);
  options.effort = {command.threads, &progress};
  PANNIER_TRY(const OpenedBundle bundle,
              OpenedBundle::Open(command.bundle, command.arch, WithoutDigests::kRead).WithContext(Printable(command.bundle)));
  PANNIER_TRY(const nlohmann::json report,
              MakeReport(bundle, Utf8Name(Utf8Path(command.bundle).filename()), options).WithContext(Printable(command.bundle)));
  progress.Clear();
  const std::string page = MakePage(kReportPage, report["bundle"].get<std::string>(), report);
  PANNIER_CHECK_OK(WriteOutput(View(page), command.output));
  if (command.output == "-") return kExitDone;
  if (style.json) {
    PrintJson({{"file", command.output}, {"bytes", page.size()}, {"notes", report["notes"]}, {"problems", report["problems"]}});
  } else if (!style.quiet) {
    fmt::print("{}: {}\n", Printable(command.output), HumanSize(page.size()));
    for (const nlohmann::json& problem : report["problems"]) fmt::print("  {}\n", problem.get<std::string>());
    const nlohmann::json& graph = report["graph"];
    if (!graph.is_null() && !graph["layout_note"].is_null()) fmt::print("  {}\n", graph["layout_note"].get<std::string>());
  }
  return kExitDone;
}

}  // namespace pannier
