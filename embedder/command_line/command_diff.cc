// `pannier diff`: what differs between two bundles.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "embedder/command_line/command_output.h"
#include "embedder/command_line/commands.h"
#include "embedder/command_line/styled_text.h"
#include "embedder/command_line/terminal.h"
#include "embedder/opened_bundle.h"
#include "embedder/utf8_path.h"
#include "embedder/view/bundle_diff.h"
#include "embedder/view/page.h"
#include "src/text.h"

namespace pannier {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostLines = 100;  // of each list

class DiffPrinter {
 public:
  DiffPrinter(const Json& json, const Display& display) : json_(json), display_(display) {}

  void Print() const {
    Minus(StrCat(ShownText(json_["a"]["bundle"]), ", ", ShownSize(json_["a"]["bytes"])));
    Plus(StrCat(ShownText(json_["b"]["bundle"]), ", ", ShownSize(json_["b"]["bytes"])));
    PrintLibrary();
    PrintGraph();
    PrintParams();
    PrintArtifacts();
    PrintSignatures();
    if (!json_["differ"].get<bool>()) fmt::print("no difference\n");
  }

 private:
  void Heading(std::string_view text) const { fmt::print("\n{}\n", display_.Styled(TextStyle::kHeading, text)); }
  void Minus(std::string_view text) const { fmt::print("{}\n", display_.Styled(TextStyle::kBad, StrCat("- ", text))); }
  void Plus(std::string_view text) const { fmt::print("{}\n", display_.Styled(TextStyle::kGood, StrCat("+ ", text))); }
  static void Change(std::string_view text) { fmt::print("~ {}\n", text); }

  // One line each, and how many were left out.
  template <typename Show>
  static void Each(const Json& list, const Show& show) {
    for (std::size_t i = 0; i < std::min(list.size(), kMostLines); ++i) show(list[i]);
    if (list.size() > kMostLines) fmt::print("  ... and {} more (--json has all)\n", list.size() - kMostLines);
  }

  void PrintLibrary() const {
    if (json_["library"].is_null()) {
      Heading("Host: the same");
      return;
    }
    const Json& library = json_["library"];
    const Json& functions = library["functions"];
    Heading(StrCat("Host: ", functions["changed"].size(), " functions changed, ", functions["added"].size(), " added, ",
                   functions["removed"].size(), " removed, ", functions["equal"].get<std::uint64_t>(), " equal, ",
                   functions["moved"].get<std::uint64_t>(), " equal but for addresses"));
    Each(library["facts"], [](const Json& fact) {
      Change(StrCat(ShownText(fact["name"]), ": ", ShownText(fact["a"]), " -> ", ShownText(fact["b"])));
    });
    Each(functions["removed"], [&](const Json& one) { Minus(StrCat(ShownText(one["name"]), ", ", ShownSize(one["bytes"]))); });
    Each(functions["added"], [&](const Json& one) { Plus(StrCat(ShownText(one["name"]), ", ", ShownSize(one["bytes"]))); });
    Each(functions["changed"], [](const Json& one) {
      Change(StrCat(ShownText(one["name"]), ": ", ShownSize(one["a_bytes"]),
                    one["a_bytes"] == one["b_bytes"] ? "" : " -> " + ShownSize(one["b_bytes"])));
    });
    Each(library["sections"], [](const Json& section) {
      Change(StrCat("section ", ShownText(section["name"]), ": ", ShownSize(section["a_bytes"]), " -> ",
                    ShownSize(section["b_bytes"])));
    });
  }

  void PrintGraph() const {
    const Json& graph = json_["graph"];
    if (graph.is_null()) return;
    if (graph.contains("note")) {
      Heading(StrCat("Graph: differs, cannot be compared by nodes: ", ShownText(graph["note"])));
      return;
    }
    Heading(StrCat("Graph: ", graph["changed"].size(), " nodes changed, ", graph["added"].size(), " added, ",
                   graph["removed"].size(), " removed, ", graph["equal"].get<std::uint64_t>(), " equal",
                   graph["heads_changed"].get<bool>() ? "; other results" : ""));
    Each(graph["removed"], [&](const Json& node) { Minus(ShownText(node["name"])); });
    Each(graph["added"], [&](const Json& node) { Plus(ShownText(node["name"])); });
    Each(graph["changed"], [](const Json& node) {
      Change(ShownText(node["name"]));
      for (const Json& change : node["changes"])
        fmt::print("    {}: {} -> {}\n", ShownText(change["what"]), ShownText(change["a"]), ShownText(change["b"]));
    });
    if (graph["storage_changed"] != 0)
      fmt::print("  {} nodes have other storages\n", graph["storage_changed"].get<std::uint64_t>());
  }

  void PrintParams() const {
    const Json& params = json_["params"];
    if (params.is_null()) return;
    Heading(StrCat("Params: ", params["changed"].size(), " tensors changed, ", params["added"].size(), " added, ",
                   params["removed"].size(), " removed, ", params["equal"].get<std::uint64_t>(), " equal"));
    Each(params["removed"], [&](const Json& tensor) { Minus(TensorText(tensor)); });
    Each(params["added"], [&](const Json& tensor) { Plus(TensorText(tensor) + SameText(tensor)); });
    Each(params["changed"],
         [](const Json& tensor) { Change(StrCat(ShownText(tensor["name"]), ": ", ValueText(tensor), SameText(tensor))); });
    Each(params["recoded"], [](const Json& tensor) {
      Change(StrCat(ShownText(tensor["name"]), ": codec ", ShownText(tensor["a_codec"]), " -> ", ShownText(tensor["b_codec"])));
    });
  }

  static std::string TensorText(const Json& tensor) {
    return StrCat(ShownText(tensor["name"]), ": ", ShownText(tensor["dtype"]), " ", ShownShape(tensor["shape"]), ", ",
                  ShownSize(tensor["bytes"]));
  }
  static std::string SameText(const Json& tensor) {
    return tensor["same_as"].is_null() ? "" : StrCat("; the values that ", ShownText(tensor["same_as"]), " had");
  }
  static std::string ValueText(const Json& tensor) {
    if (tensor.contains("a_shape")) {
      return StrCat(ShownText(tensor["a_dtype"]), " ", ShownShape(tensor["a_shape"]), " -> ", ShownText(tensor["b_dtype"]), " ",
                    ShownShape(tensor["b_shape"]));
    }
    return StrCat(ShownText(tensor["differing"]), " of ", ShownText(tensor["elements"]), " values differ",
                  tensor["greatest"].is_null()
                      ? ""
                      : StrCat(", by at most ", ShownText(tensor["greatest"]), ", on average ", ShownText(tensor["mean"])));
  }

  void PrintArtifacts() const {
    if (json_["artifacts"].empty()) return;
    Heading("Artifacts with other bytes");
    Each(json_["artifacts"], [](const Json& artifact) {
      Change(StrCat(ShownText(artifact["name"]), ": ", ShownSize(artifact["a_bytes"]), " -> ", ShownSize(artifact["b_bytes"])));
    });
  }

  void PrintSignatures() const {
    const Json& signatures = json_["signatures"];
    if (signatures["added"].empty() && signatures["removed"].empty()) return;
    Heading("Signatures");
    for (const Json& signer : signatures["removed"]) Minus("key " + ShownText(signer));
    for (const Json& signer : signatures["added"]) Plus("key " + ShownText(signer));
  }

  const Json& json_;
  const Display& display_;
};

}  // namespace

Result<int> RunDiff(const DiffCommand& command, const OutputStyle& style) {
  const auto open = [&](const std::string& path) {
    return OpenedBundle::Open(path, command.arch, WithoutDigests::kRead).WithContext(Printable(path));
  };
  PANNIER_TRY(const OpenedBundle a, open(command.a));
  PANNIER_TRY(const OpenedBundle b, open(command.b));
  Progress progress(!style.quiet && !style.json);
  PANNIER_TRY(const Json json, CompareBundles({a, command.a}, {b, command.b}, {command.threads, &progress}));
  progress.Clear();
  if (!command.html.empty()) {
    Json shown = json;
    MakePrintable(shown);
    const auto name = [](const std::string& path) { return Utf8Name(Utf8Path(path).filename()); };
    const std::string page = MakePage(kDiffPage, StrCat(name(command.a), " -> ", name(command.b)), shown);
    PANNIER_CHECK_OK(WriteOutput(View(page), command.html));
  }
  if (command.html == "-") {
    // The page was written there.
  } else if (style.json) {
    PrintJson(json);
  } else if (!style.quiet) {
    DiffPrinter(json, Display::OfStdout(command.color)).Print();
  }
  return json["differ"].get<bool>() ? kExitDiffers : kExitDone;
}

}  // namespace pannier
