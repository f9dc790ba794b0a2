// The pannier command: arguments parsed, a command run, errors to stderr, exit status 0, 1 or 2.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "embedder/command_line/command_line.h"
#include "embedder/command_line/commands.h"
#include "embedder/command_line/system.h"
#include "embedder/command_line/terminal.h"
#include "src/module_blob.h"
#include "src/text.h"

namespace pannier {
namespace {

// "NAME=FILE" cut in two; the file may hold further equals signs.
Result<NamedPath> ParseArtifact(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    return {ErrorCode::kInvalidArgument, StrCat("--artifact: found \"", Printable(text), "\", expected NAME=FILE")};
  }
  return NamedPath{text.substr(0, equals), text.substr(equals + 1)};
}

// What TVM of a version calls a graph executor's factory.
Result<std::string_view> FactoryKey(const std::string& version) {
  if (version.empty()) return kFactoryKey;
  unsigned minor = 0;
  char end = '\0';
  const int fields = std::sscanf(version.c_str(), "0.%3u%c", &minor, &end);
  if (fields < 1 || (fields == 2 && end != '.') || minor < 7 || minor > 19) {
    return {ErrorCode::kInvalidArgument,
            StrCat("--tvm: found ", Printable(version), ", expected 0.7 to 0.19, the versions with a graph executor's factory")};
  }
  return minor == 7 ? kFactoryKey07 : kFactoryKey;
}

Status SetFactory(const CommandLine& arguments, EmbedOptions& options) {
  if (!arguments.as_factory) return {};
  if (arguments.codec->count() != 0 && options.encode.codec != CodecChoice::kStore) {
    return {ErrorCode::kInvalidArgument, "--as-factory: TVM reads tensors as they are; leave --codec out, or give --codec store"};
  }
  options.encode.codec = CodecChoice::kStore;
  PANNIER_TRY(options.factory_key, FactoryKey(arguments.tvm));
  return {};
}

Result<int> Run(CommandLine& arguments) {
  const CLI::App& app = arguments.app;
  if (app.got_subcommand("embed")) {
    std::vector<NamedPath>& artifacts = arguments.embed.artifacts;
    if (!arguments.graph.empty()) artifacts.push_back({"graph", arguments.graph});
    if (!arguments.params.empty()) artifacts.push_back({"params", arguments.params});
    for (const std::string& text : arguments.others) {
      PANNIER_TRY(NamedPath artifact, ParseArtifact(text));
      artifacts.push_back(std::move(artifact));
    }
    if (artifacts.empty()) return {ErrorCode::kInvalidArgument, "nothing to embed; give --graph, --params or --artifact"};
    PANNIER_CHECK_OK(SetFactory(arguments, arguments.embed.options));
    return RunEmbed(arguments.embed, arguments.style);
  }
  if (app.got_subcommand("inspect")) return RunInspect(arguments.inspect, arguments.style);
  if (app.got_subcommand("view")) return RunView(arguments.view, arguments.style);
  if (app.got_subcommand("diff")) return RunDiff(arguments.diff, arguments.style);
  if (app.got_subcommand("extract")) return RunExtract(arguments.extract, arguments.style);
  if (app.got_subcommand("verify")) return RunVerify(arguments.verify, arguments.style);
  if (app.got_subcommand("sign")) return RunSign(arguments.sign, arguments.style);
  if (app.got_subcommand("digest")) return RunDigest(arguments.digest);
  if (app.got_subcommand("attach")) return RunAttach(arguments.attach, arguments.style);
  if (app.got_subcommand("completion")) {
    fmt::print("{}", CompletionScript(app, arguments.shell));
    return kExitDone;
  }
  return RunRestore(arguments.bundle, arguments.output, arguments.arch, arguments.style);
}

// Of a command that is done. What could not be printed is an error all the same.
int ExitStatus(Result<int> status) {
  if (status.ok()) {
    const Status printed = FlushStdout();
    if (printed.ok()) return *status;
    status = printed;
  }
  fmt::print(stderr, "pannier: {}\n", status.status().message());
  return kExitRefused;
}

int Main(std::vector<std::string> words) {
  CommandLine arguments;
  CLI::App& app = arguments.app;
  try {
    std::reverse(words.begin(), words.end());  // as CLI11 wants them, without the program's name
    if (!words.empty()) words.pop_back();
    app.parse(std::move(words));
  } catch (const CLI::Success& success) {
    return ExitStatus(app.exit(success));
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "pannier: {}; see `pannier --help`\n", arguments.Complaint(error));
    return kExitRefused;
  }
  return ExitStatus(Run(arguments));
}

}  // namespace
}  // namespace pannier

int main(int argc, char** argv) {
  try {
    pannier::PrepareProcess();
    return pannier::Main(pannier::Arguments(argc, argv));
  } catch (const std::exception& error) {  // out of memory, for one, or stdout is full
    std::fprintf(stderr, "pannier: %s%s\n", std::ferror(stdout) != 0 ? "stdout: " : "", error.what());
    return pannier::kExitRefused;
  }
}
