// Subcommands and options, as CLI11 has them.
#include "embedder/command_line/command_line.h"

#include <string>
#include <utility>
#include <vector>

#include "embedder/command_line/command_texts.h"
#include "embedder/near_miss.h"
#include "src/text.h"

namespace pannier {
namespace {

CLI::App& AddCommand(CLI::App& app, const char* name, const char* what, const char* text) {
  CLI::App& command = *app.add_subcommand(name, what);
  command.footer(StrCat(text, kExitStatusText));
  return command;
}

CLI::Option* AddArch(CLI::App& command, std::string& arch, const char* what) {
  return command.add_option("--arch", arch, what)->type_name("SLICE");
}

void AddStyle(CLI::App& command, OutputStyle& style) {
  command.add_flag("--json", style.json, "print one JSON object");
  command.add_flag("-q,--quiet", style.quiet, "print nothing but errors");
}

void AddThreads(CLI::App& command, unsigned& threads) {
  command.add_option("--threads", threads, "0 (default): one for each processor")
      ->type_name("N")
      ->check(CLI::Range(0U, 1024U).description(""));
}

// One of a few words. CLI11's own transformers tell users of the numbers behind them.
template <typename Enum>
CLI::Option* AddChoice(CLI::App& command, const char* name, Enum& field, const std::vector<std::pair<std::string, Enum>>& choices,
                       const char* what) {
  std::vector<std::string> words;
  std::string type;
  for (const auto& [word, value] : choices) {
    words.push_back(word);
    type += StrCat(type.empty() ? "" : "|", word);
  }
  const auto to_number = [choices, words, type](std::string& text) -> std::string {
    for (const auto& [word, value] : choices) {
      if (word != text) continue;
      text = std::to_string(static_cast<int>(value));
      return "";
    }
    return StrCat("found ", Printable(text), ", expected ", type, DidYouMean(text, words));
  };
  return command.add_option(name, field, what)->type_name(type)->transform(CLI::Validator(to_number, ""));
}

void AddEmbed(CLI::App& app, CommandLine& arguments) {
  CLI::App& command = AddCommand(app, "embed", "put graph, params and other files into a shared library", kEmbedText);
  command.add_option("HOST", arguments.embed.host, "the library, replaced unless -o is given")->type_name("FILE")->required();
  command.add_option("--graph", arguments.graph, "graph JSON")->type_name("FILE");
  command.add_option("--params", arguments.params, "TVM's .params")->type_name("FILE");
  command.add_option("--artifact", arguments.others, "another file, under a name (may be repeated)")->type_name("NAME=FILE");
  command.add_option("-o,--output", arguments.embed.output, "write the bundle here")->type_name("OUT");
  EncodeOptions& encode = arguments.embed.options.encode;
  arguments.codec = AddChoice<CodecChoice>(command, "--codec", encode.codec,
                                           {{"auto", CodecChoice::kAuto},
                                            {"store", CodecChoice::kStore},
                                            {"zstd", CodecChoice::kZstd},
                                            {"planes", CodecChoice::kPlanes}},
                                           "default: auto");
  command.add_option("--level", encode.level, "zstd's level, 1 to 22 (default 3)")
      ->type_name("N")
      ->check(CLI::Range(1, 22).description(""));
  AddThreads(command, encode.threads);
  command.add_option("--sign", arguments.embed.options.sign_key, "sign with this key: see `pannier sign`")->type_name("KEY.pem");
  command.add_flag("--strict", arguments.embed.strict, "refuse graph, params and library that are not of one model");
  command.add_flag("--force", arguments.embed.options.force, "HOST may be a bundle: what it carries is replaced");
  command.add_flag("--drop-signature", arguments.embed.options.drop_signature,
                   "HOST may be signed: leave its signature out, to be signed again afterwards");
  command.add_flag("--sectionless", arguments.embed.options.sectionless,
                   "Mach-O without room for a section header: do with a segment alone, which llvm-strip destroys");
  AddArch(command, arguments.embed.options.arch, "of a fat Mach-O file this slice alone (arm64, x86_64, ...)");
  CLI::Option* const as_factory =
      command.add_flag("--as-factory", arguments.as_factory,
                       "TVM 0.8 to 0.19 loads the bundle as an export of its own, without pannier; implies --codec store");
  as_factory->needs(command.get_option("--graph"));
  command
      .add_option("--tvm", arguments.tvm,
                  "with --as-factory: the version that will load it (0.7 wants another name; default: 0.8 or later)")
      ->type_name("VERSION")
      ->needs(as_factory);
  command.add_flag("--dry-run", arguments.embed.options.dry_run, "print what would change, write nothing");
  AddStyle(command, arguments.style);
}

void AddSigning(CLI::App& app, CommandLine& arguments) {
  CLI::App& sign = AddCommand(app, "sign", "sign all digests with a key", kSignText);
  sign.add_option("BUNDLE", arguments.sign.bundle, "replaced unless -o is given")->type_name("FILE")->required();
  auto* const key =
      sign.add_option("--key", arguments.sign.key, "an Ed25519 or P-256 key, as `openssl genpkey` makes it; - is stdin");
  key->type_name("KEY.pem");
  auto* const remove = sign.add_flag("--remove", arguments.sign.remove, "remove all signatures")->excludes(key);
  auto* const detached =
      sign.add_flag("--detached", arguments.sign.detached,
                    "leave BUNDLE as it is, and write a signature as OpenSSF model signing has it to BUNDLE.sig");
  detached->excludes(remove);
  sign.add_option("-o,--output", arguments.sign.output, "write the signed bundle (the detached signature; - is stdout) here")
      ->type_name("OUT");
  AddArch(sign, arguments.sign.arch, "of a fat file this slice alone")->excludes(detached);
  AddThreads(sign, arguments.sign.threads);
  AddStyle(sign, arguments.style);

  CLI::App& digest = AddCommand(app, "digest", "print the bytes to be signed by a key that is elsewhere", kDigestText);
  digest.add_option("BUNDLE", arguments.digest.bundle)->type_name("FILE")->required();
  auto* const statement = digest.add_flag("--statement", arguments.digest.statement, "print the in-toto statement in them");
  auto* const envelope =
      digest.add_flag("--envelope", arguments.digest.envelope, "print the DSSE envelope with the bundle's signatures");
  auto* const sha256 = digest.add_flag("--sha256", arguments.digest.sha256, "print their SHA-256, for what signs digests");
  statement->excludes(envelope)->excludes(sha256);
  envelope->excludes(sha256);
  AddArch(digest, arguments.digest.arch, "the slice of a fat file that is meant");

  CLI::App& attach = AddCommand(app, "attach", "put in a signature made elsewhere over what `digest` printed", kAttachText);
  attach.add_option("BUNDLE", arguments.attach.bundle, "replaced unless -o is given")->type_name("FILE")->required();
  attach.add_option("SIGNATURE", arguments.attach.signature, "raw, DER, base64 or a DSSE envelope; - is stdin")
      ->type_name("FILE")
      ->required();
  attach.add_option("--key", arguments.attach.key, "the public key that it was made by")->type_name("PUB.pem")->required();
  attach.add_option("-o,--output", arguments.attach.output, "write the signed bundle here")->type_name("OUT");
  AddArch(attach, arguments.attach.arch, "the slice of a fat file that was signed");
  AddThreads(attach, arguments.attach.threads);
  AddStyle(attach, arguments.style);
}

void AddColor(CLI::App& command, ColorChoice& color) {
  AddChoice<ColorChoice>(command, "--color", color,
                         {{"auto", ColorChoice::kAuto}, {"always", ColorChoice::kAlways}, {"never", ColorChoice::kNever}},
                         "default: auto, on a terminal unless NO_COLOR is set");
}

CLI::Option* AddCheckedKeys(CLI::App& command, std::vector<std::string>& keys) {
  return command.add_option("--key", keys, "a public key to check signatures with (may be repeated)")->type_name("PUB.pem");
}

void AddLooking(CLI::App& app, CommandLine& arguments) {
  CLI::App& inspect = AddCommand(app, "inspect", "show what is inside", kInspectText);
  inspect.add_option("BUNDLE", arguments.inspect.bundle)->type_name("FILE")->required();
  AddChoice<TensorOrder>(inspect, "--sort", arguments.inspect.order,
                         {{"file", TensorOrder::kFile},
                          {"name", TensorOrder::kName},
                          {"dtype", TensorOrder::kDtype},
                          {"size", TensorOrder::kBytes},
                          {"stored", TensorOrder::kStored},
                          {"ratio", TensorOrder::kRatio}},
                         "the order of tensors: default file; by numbers, the largest first");
  inspect.add_option("--filter", arguments.inspect.filters, "only tensors whose names match (*, ?, [a-z]; may be repeated)")
      ->type_name("GLOB");
  inspect
      .add_option("--top", arguments.inspect.top,
                  "so many rows of functions and tensors; 0: all (default: all, on a terminal 10 and 50)")
      ->type_name("N");
  AddCheckedKeys(inspect, arguments.inspect.keys);
  AddArch(inspect, arguments.inspect.arch, "the slice of a fat file to show");
  AddColor(inspect, arguments.inspect.color);
  AddStyle(inspect, arguments.style);

  CLI::App& view = AddCommand(app, "view", "make a page to look at: graph, tensors, where the bytes are", kViewText);
  view.add_option("BUNDLE", arguments.view.bundle)->type_name("FILE")->required();
  view.add_option("-o,--output", arguments.view.output, "the page; - is stdout")->type_name("REPORT.html")->required();
  view.add_flag("--no-statistics", arguments.view.no_statistics, "do not read the values of tensors");
  view.add_flag("--no-graphviz", arguments.view.no_graphviz, "place the graph's nodes by rank, which takes no time");
  AddCheckedKeys(view, arguments.view.keys);
  AddThreads(view, arguments.view.threads);
  AddArch(view, arguments.view.arch, "the slice of a fat file to show");
  AddStyle(view, arguments.style);

  CLI::App& diff = AddCommand(app, "diff", "show what differs between two bundles; exit status 1 when something does", kDiffText);
  diff.add_option("A", arguments.diff.a, "a bundle")->type_name("FILE")->required();
  diff.add_option("B", arguments.diff.b, "another one")->type_name("FILE")->required();
  diff.add_option("--html", arguments.diff.html, "also write a page; - is stdout, instead of the text")->type_name("REPORT.html");
  AddThreads(diff, arguments.diff.threads);
  AddArch(diff, arguments.diff.arch, "the slice of fat files to compare");
  AddColor(diff, arguments.diff.color);
  AddStyle(diff, arguments.style);
}

void AddOthers(CLI::App& app, CommandLine& arguments) {
  CLI::App& extract = AddCommand(app, "extract", "write artifacts as files, byte for byte", kExtractText);
  extract.add_option("BUNDLE", arguments.extract.bundle)->type_name("FILE")->required();
  extract.add_option("NAME", arguments.extract.names, "artifacts (default: all)")->type_name("ARTIFACT");
  extract.add_option("-o,--output", arguments.extract.output, "folder; - writes one artifact to stdout")
      ->type_name("DIR")
      ->required();
  AddChoice<ParamsFormat>(
      extract, "--as", arguments.extract.as,
      {{"params", ParamsFormat::kParams}, {"npz", ParamsFormat::kNpz}, {"safetensors", ParamsFormat::kSafetensors}},
      "what to make of params, for NumPy and others; default: params, TVM's own");
  AddArch(extract, arguments.extract.arch, "the slice of a fat file to extract from");
  AddStyle(extract, arguments.style);

  CLI::App& verify =
      AddCommand(app, "verify", "check every byte against the digests; exit status 1 on any difference", kVerifyText);
  verify.add_option("BUNDLE", arguments.verify.bundle)->type_name("FILE")->required();
  verify.add_flag("--image", arguments.verify.image, "check what the OS maps, and the artifacts: passes on a stripped bundle");
  AddThreads(verify, arguments.verify.threads);
  AddArch(verify, arguments.verify.arch, "of a fat file this slice alone");
  AddStyle(verify, arguments.style);

  auto* const keys = verify.add_option("--key", arguments.verify.keys, "a public key that must have signed (may be repeated)");
  keys->type_name("PUB.pem");
  verify.add_flag("--any-of", arguments.verify.any_of, "one of the keys is enough");
  verify.add_option("--signature", arguments.verify.signature, "a detached signature, which one of the keys must have made")
      ->type_name("FILE.sig")
      ->needs(keys);

  CLI::App& restore = AddCommand(app, "restore", "give back the original library, byte for byte", kRestoreText);
  restore.add_option("BUNDLE", arguments.bundle, "the bundle, replaced unless -o is given")->type_name("FILE")->required();
  restore.add_option("-o,--output", arguments.output, "write the library here")->type_name("OUT");
  AddArch(restore, arguments.arch, "of a fat file this slice alone");
  AddStyle(restore, arguments.style);

  CLI::App& completion =
      AddCommand(app, "completion", "print a script that completes what is typed after pannier", kCompletionText);
  AddChoice<Shell>(completion, "SHELL", arguments.shell, {{"bash", Shell::kBash}, {"zsh", Shell::kZsh}, {"fish", Shell::kFish}}, "")
      ->required();
}

std::vector<std::string> OptionNames(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

}  // namespace

CommandLine::CommandLine() : app("A TVM model's graph and parameters inside its compiled library: one file to ship.", "pannier") {
  app.set_version_flag("--version", "pannier " PANNIER_VERSION);
  app.require_subcommand(1);
  app.footer(StrCat(kPannierText, kExitStatusText));
  AddEmbed(app, *this);
  AddSigning(app, *this);
  AddLooking(app, *this);
  AddOthers(app, *this);
}

std::string CommandLine::Complaint(const CLI::ParseError& error) const {
  const std::vector<CLI::App*> parsed = app.get_subcommands();
  const CLI::App& command = parsed.empty() ? app : *parsed.front();
  for (const std::string& word : command.remaining()) {
    if (word.size() > 1 && word[0] == '-') {
      const std::string name = word.substr(0, word.find('='));
      return StrCat("unknown option ", Printable(name), DidYouMean(name, OptionNames(command)));
    }
    if (!parsed.empty()) continue;
    std::vector<std::string> commands;
    for (const CLI::App* one : app.get_subcommands({})) commands.push_back(one->get_name());
    return StrCat("unknown command ", Printable(word), DidYouMean(word, commands));
  }
  return error.what();
}

}  // namespace pannier
