// `pannier inspect`: what is inside, section by section, tensor by tensor.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "embedder/command_line/command_output.h"
#include "embedder/command_line/commands.h"
#include "embedder/command_line/read_keys.h"
#include "embedder/command_line/styled_text.h"
#include "embedder/command_line/terminal.h"
#include "embedder/opened_bundle.h"
#include "embedder/view/description.h"
#include "src/text.h"

namespace pannier {
namespace {

using Json = nlohmann::json;

// Of the long tables; 0: all.
struct MostRows {
  std::size_t functions = 0;
  std::size_t tensors = 0;
};
constexpr MostRows kMostOnTerminal = {10, 50};

std::uint64_t Number(const Json& value) { return value.get<std::uint64_t>(); }

double RatioOf(const Json& entry) {
  return Number(entry["bytes"]) == 0
             ? 1
             : static_cast<double>(Number(entry["stored_bytes"])) / static_cast<double>(Number(entry["bytes"]));
}

std::string Ratio(const Json& entry) { return fmt::format("{:.1f} %", 100 * RatioOf(entry)); }

// Names of other tensors are left out, of every artifact; the rest in order.
void SelectTensors(const InspectCommand& command, Json& artifacts) {
  const auto is_out = [&](const Json& tensor) {
    const auto& name = tensor["name"].get_ref<const std::string&>();
    return !command.filters.empty() && std::none_of(command.filters.begin(), command.filters.end(),
                                                    [&](const std::string& glob) { return MatchesGlob(glob, name); });
  };
  // What is large, or saves little, comes first.
  const auto is_before = [&](const Json& a, const Json& b) {
    switch (command.order) {
      case TensorOrder::kName:
        return a["name"] < b["name"];
      case TensorOrder::kDtype:
        return a["dtype"] < b["dtype"];
      case TensorOrder::kBytes:
        return Number(a["bytes"]) > Number(b["bytes"]);
      case TensorOrder::kStored:
        return Number(a["stored_bytes"]) > Number(b["stored_bytes"]);
      case TensorOrder::kRatio:
        return RatioOf(a) > RatioOf(b);
      default:
        return false;
    }
  };
  for (Json& artifact : artifacts) {
    if (!artifact.contains("tensors")) continue;
    auto& tensors = artifact["tensors"].get_ref<Json::array_t&>();
    tensors.erase(std::remove_if(tensors.begin(), tensors.end(), is_out), tensors.end());
    std::stable_sort(tensors.begin(), tensors.end(), is_before);
  }
}

class BundlePrinter {
 public:
  BundlePrinter(const Json& json, const Display& display, MostRows most) : json_(json), display_(display), most_(most) {}

  void Print() const {
    PrintTitle();
    PrintLibrary();
    PrintPayload();
    PrintMisfits();
    PrintSignatures();
    PrintFunctions();
    PrintArtifacts();
    for (const Json& artifact : json_["artifacts"]) {
      if (artifact.contains("tensors")) PrintTensors(artifact);
    }
  }

 private:
  void Line(std::string_view label, const std::string& text, TextStyle style = TextStyle::kPlain) const {
    fmt::print("  {}  {}\n", display_.Styled(TextStyle::kFaint, fmt::format("{:<12}", label)), display_.Styled(style, text));
  }

  bool has_digests() const { return !json_["file_digest"].is_null(); }

  void PrintTitle() const {
    const std::string sizes =
        has_digests()
            ? StrCat("host ", ShownSize(json_["host_bytes"]), ", payload ", ShownSize(json_["payload_bytes"]), " at ",
                     Hex(Number(json_["payload_offset"])), json_["mapped"].get<bool>() ? ", mapped" : ", in the file only")
            : StrCat("TVM's blob of modules, ", ShownSize(json_["payload_bytes"]), " at ", Hex(Number(json_["payload_offset"])));
    fmt::print("{}: {} ({})\n", display_.Styled(TextStyle::kHeading, ShownText(json_["bundle"])), ShownSize(json_["bytes"]), sizes);
  }

  void PrintLibrary() const {
    const Json& library = json_["library"];
    const std::string format = ShownText(library["format"]);
    const std::string_view format_name = format == "macho" ? "Mach-O" : (format == "pe" ? "PE" : "ELF");
    Line("library", StrCat(format_name, ", ", ShownText(library["machine"]), ", ", Number(library["bits"]), " bits, ",
                           ShownText(library["byte_order"]), "-endian"));
    if (!library["name"].is_null()) Line("name", ShownText(library["name"]));
    Line("build id", ShownText(library["build_id"]));
    if (!library["linker"].is_null()) Line("linker", ShownText(library["linker"]));
    if (!library["compilers"].empty()) Line("compiler", ShownText(library["compilers"]));
    if (!library["needed"].empty()) Line("needs", ShownText(library["needed"]));
    Line("functions", StrCat(Number(library["function_count"]), ", exported ", Number(library["exported_count"])));
    const Json& changes = json_["changes"];
    if (changes.is_null()) return;
    std::string names;
    for (const Json& part : changes["added"]) names += (names.empty() ? "" : ", ") + ShownText(part["name"]);
    Line("changed", StrCat(ChangesText(changes), names.empty() ? "" : "; anew: ", names));
  }

  void PrintPayload() const {
    Line("made by", has_digests() ? StrCat(ShownText(json_["producer"]), ", format ", ShownText(json_["format_version"]))
                                  : ShownText(json_["producer"]));
    if (!has_digests()) {
      Line("digests", "no digests");
      return;
    }
    Line("file digest", ShownText(json_["file_digest"]));
    Line("image digest", ShownText(json_["image_digest"]));
    Line("host sha-256", ShownText(json_["host_sha256"]));
  }

  void PrintMisfits() const {
    for (const Json& misfit : json_["misfits"]) Line("not one model", ShownText(misfit), TextStyle::kBad);
  }

  void PrintSignatures() const {
    if (json_.contains("signature_error")) {
      Line("signatures", ShownText(json_["signature_error"]), TextStyle::kBad);
      return;
    }
    if (json_["signatures"].empty() && has_digests()) Line("signatures", "not signed");
    for (const Json& signature : json_["signatures"]) {
      const std::string state = ShownText(signature["state"]);
      const TextStyle style = state == "right" ? TextStyle::kGood : (state == "wrong" ? TextStyle::kBad : TextStyle::kPlain);
      Line("signatures",
           StrCat("signed by key ", ShownText(signature["key_id"]), ", ", state == "unchecked" ? "not checked" : state), style);
    }
  }

  // Prints no more rows than wanted, and what the others come to.
  template <typename AddRow>
  void PrintRows(Table& table, const Json& entries, std::size_t most, std::string_view what, const AddRow& add_row) const {
    const std::size_t shown = most == 0 ? entries.size() : std::min(most, entries.size());
    std::uint64_t rest = 0;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (i < shown) {
        add_row(table, entries[i]);
      } else {
        rest += Number(entries[i]["bytes"]);
      }
    }
    fmt::print("{}", table.Text(display_, 0));
    if (shown < entries.size()) {
      const std::string text =
          StrCat("... and ", entries.size() - shown, " more ", what, ", ", HumanSize(rest), " (--top 0 shows all)");
      fmt::print("{}\n", display_.Styled(TextStyle::kFaint, text));
    }
  }

  void PrintFunctions() const {
    Json exported = Json::array();
    for (const Json& function : json_["library"]["functions"]) {
      if (function["exported"].get<bool>()) exported.push_back(function);
    }
    if (exported.empty()) return;
    auto& list = exported.get_ref<Json::array_t&>();
    std::stable_sort(list.begin(), list.end(),
                     [](const Json& a, const Json& b) { return Number(a["bytes"]) > Number(b["bytes"]); });
    fmt::print("\n");
    Table table({{"EXPORTED FUNCTION"}, {"SIZE", Table::Side::kRight}, {"ADDRESS", Table::Side::kRight}});
    PrintRows(table, exported, most_.functions, "functions", [](Table& rows, const Json& function) {
      rows.Add({ShownText(function["name"]), ShownSize(function["bytes"]), Hex(Number(function["address"]))});
    });
  }

  void PrintArtifacts() const {
    fmt::print("\n");
    Table table({{"ARTIFACT"},
                 {"SIZE", Table::Side::kRight},
                 {"STORED", Table::Side::kRight},
                 {"RATIO", Table::Side::kRight},
                 {"CODEC"},
                 {"SECTION"},
                 {"SHA-256"}});
    for (const Json& artifact : json_["artifacts"]) {
      const std::string kind = ShownText(artifact["kind"]);
      const std::string codec =
          artifact.contains("codec") ? ShownText(artifact["codec"]) : (kind == "params" ? "by tensor" : "kind " + kind);
      table.Add({ShownText(artifact["name"]), ShownSize(artifact["bytes"]), ShownSize(artifact["stored_bytes"]), Ratio(artifact),
                 codec, ShownText(artifact["section"]),
                 artifact["sha256"].is_null() ? "not known" : ShownText(artifact["sha256"]).substr(0, 16)});
    }
    fmt::print("{}", table.Text(display_, 0));
  }

  void PrintTensors(const Json& artifact) const {
    const Json& tensors = artifact["tensors"];
    PrintTypes(tensors);
    fmt::print("\n");
    Table table({{"TENSOR"},
                 {"DTYPE"},
                 {"SHAPE"},
                 {"SIZE", Table::Side::kRight},
                 {"STORED", Table::Side::kRight},
                 {"RATIO", Table::Side::kRight},
                 {"CODEC"}});
    PrintRows(table, tensors, most_.tensors, "tensors", [](Table& rows, const Json& tensor) {
      rows.Add({ShownText(tensor["name"]), ShownText(tensor["dtype"]), ShownShape(tensor["shape"]), ShownSize(tensor["bytes"]),
                ShownSize(tensor["stored_bytes"]), Ratio(tensor), ShownText(tensor["codec"])});
    });
  }

  void PrintTypes(const Json& tensors) const {
    struct Sum {
      std::uint64_t count = 0;
      std::uint64_t bytes = 0;
      std::uint64_t stored = 0;
    };
    std::map<std::string, Sum> sums;
    for (const Json& tensor : tensors) {
      Sum& sum = sums[ShownText(tensor["dtype"])];
      ++sum.count;
      sum.bytes += Number(tensor["bytes"]);
      sum.stored += Number(tensor["stored_bytes"]);
    }
    fmt::print("\n");
    Table table({{"DTYPE"},
                 {"TENSORS", Table::Side::kRight},
                 {"SIZE", Table::Side::kRight},
                 {"STORED", Table::Side::kRight},
                 {"RATIO", Table::Side::kRight}});
    for (const auto& [dtype, sum] : sums) {
      table.Add({dtype, std::to_string(sum.count), HumanSize(sum.bytes), HumanSize(sum.stored),
                 Ratio({{"bytes", sum.bytes}, {"stored_bytes", sum.stored}})});
    }
    fmt::print("{}", table.Text(display_, 0));
  }

  const Json& json_;
  const Display& display_;
  const MostRows most_;
};

}  // namespace

Result<int> RunInspect(const InspectCommand& command, const OutputStyle& style) {
  const auto describe = [&]() -> Result<Json> {
    PANNIER_TRY(const std::vector<PublicKey> keys, ReadKeys(command.keys));
    PANNIER_TRY(const OpenedBundle bundle,
                OpenedBundle::Open(command.bundle, command.arch, WithoutDigests::kRead).WithContext(Printable(command.bundle)));
    PANNIER_TRY(const LibraryFacts library, ReadLibraryFacts(bundle.file.bytes()).WithContext(Printable(command.bundle)));
    return Describe(bundle, command.bundle, library, keys).WithContext(Printable(command.bundle));
  };
  PANNIER_TRY(Json json, describe());
  SelectTensors(command, json["artifacts"]);
  if (style.json) {
    PrintJson(json);
    return kExitDone;
  }
  if (style.quiet) return kExitDone;
  const Display display = Display::OfStdout(command.color);
  const MostRows most = command.top ? MostRows{*command.top, *command.top} : (display.width ? kMostOnTerminal : MostRows());
  BundlePrinter(json, display, most).Print();
  return kExitDone;
}

}  // namespace pannier
