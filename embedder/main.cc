// The pannier command: arguments parsed, a command run, errors to stderr, exit status 0, 1 or 2.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "embedder/commands.h"
#include "embedder/system.h"
#include "embedder/terminal.h"
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

struct Arguments {
  OutputStyle style;
  EmbedCommand embed;
  std::string graph;
  std::string params;
  std::vector<std::string> others;
  ExtractCommand extract;
  VerifyCommand verify;
  SignCommand sign;
  DigestCommand digest;
  AttachCommand attach;
  CLI::Option* codec = nullptr;
  bool as_factory = false;
  std::string tvm;
  std::string bundle;
  std::string output;
  std::string arch;
};

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

void AddEmbed(CLI::App& app, Arguments& arguments) {
  const std::map<std::string, CodecChoice> codecs = {
      {"auto", CodecChoice::kAuto}, {"store", CodecChoice::kStore}, {"zstd", CodecChoice::kZstd}, {"planes", CodecChoice::kPlanes}};
  CLI::App& command = *app.add_subcommand("embed", "put graph, params and other files into a shared library");
  command.add_option("HOST", arguments.embed.host, "the library, replaced unless -o is given")->required();
  command.add_option("--graph", arguments.graph, "graph JSON")->type_name("FILE");
  command.add_option("--params", arguments.params, "TVM's .params")->type_name("FILE");
  command.add_option("--artifact", arguments.others, "another file, under a name (may be repeated)")->type_name("NAME=FILE");
  command.add_option("-o,--output", arguments.embed.output, "write the bundle here")->type_name("OUT");
  EncodeOptions& encode = arguments.embed.options.encode;
  arguments.codec = command.add_option("--codec", encode.codec, "auto (default), store, zstd or planes")
                        ->type_name("CODEC")
                        ->transform(CLI::CheckedTransformer(codecs).description(""));
  command.add_option("--level", encode.level, "zstd's level, 1 to 22 (default 3)")
      ->type_name("N")
      ->check(CLI::Range(1, 22).description(""));
  AddThreads(command, encode.threads);
  command.add_option("--sign", arguments.embed.options.sign_key, "sign with this key: see `pannier sign`")->type_name("KEY.pem");
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

void AddSigning(CLI::App& app, Arguments& arguments) {
  CLI::App& sign = *app.add_subcommand("sign", "sign all digests with a key");
  sign.add_option("BUNDLE", arguments.sign.bundle, "replaced unless -o is given")->required();
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

  CLI::App& digest = *app.add_subcommand("digest", "print the bytes to be signed by a key that is elsewhere");
  digest.add_option("BUNDLE", arguments.digest.bundle)->required();
  auto* const statement = digest.add_flag("--statement", arguments.digest.statement, "print the in-toto statement in them");
  auto* const envelope =
      digest.add_flag("--envelope", arguments.digest.envelope, "print the DSSE envelope with the bundle's signatures");
  auto* const sha256 = digest.add_flag("--sha256", arguments.digest.sha256, "print their SHA-256, for what signs digests");
  statement->excludes(envelope)->excludes(sha256);
  envelope->excludes(sha256);
  AddArch(digest, arguments.digest.arch, "the slice of a fat file that is meant");

  CLI::App& attach = *app.add_subcommand("attach", "put in a signature made elsewhere over what `digest` printed");
  attach.add_option("BUNDLE", arguments.attach.bundle, "replaced unless -o is given")->required();
  attach.add_option("SIGNATURE", arguments.attach.signature, "raw, DER, base64 or a DSSE envelope; - is stdin")->required();
  attach.add_option("--key", arguments.attach.key, "the public key that it was made by")->type_name("PUB.pem")->required();
  attach.add_option("-o,--output", arguments.attach.output, "write the signed bundle here")->type_name("OUT");
  AddArch(attach, arguments.attach.arch, "the slice of a fat file that was signed");
  AddThreads(attach, arguments.attach.threads);
  AddStyle(attach, arguments.style);
}

void AddOthers(CLI::App& app, Arguments& arguments) {
  CLI::App& inspect = *app.add_subcommand("inspect", "show what is inside");
  inspect.add_option("BUNDLE", arguments.bundle)->required();
  AddArch(inspect, arguments.arch, "the slice of a fat file to show");
  AddStyle(inspect, arguments.style);

  CLI::App& extract = *app.add_subcommand("extract", "write artifacts as files, byte for byte");
  extract.add_option("BUNDLE", arguments.extract.bundle)->required();
  extract.add_option("NAME", arguments.extract.names, "artifacts (default: all)");
  extract.add_option("-o,--output", arguments.extract.output, "folder; - writes one artifact to stdout")
      ->type_name("DIR")
      ->required();
  AddArch(extract, arguments.extract.arch, "the slice of a fat file to extract from");
  AddStyle(extract, arguments.style);

  CLI::App& verify = *app.add_subcommand("verify", "check every byte against the digests; exit status 1 on any difference");
  verify.add_option("BUNDLE", arguments.verify.bundle)->required();
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

  CLI::App& restore = *app.add_subcommand("restore", "give back the original library, byte for byte");
  restore.add_option("BUNDLE", arguments.bundle, "the bundle, replaced unless -o is given")->required();
  restore.add_option("-o,--output", arguments.output, "write the library here")->type_name("OUT");
  AddArch(restore, arguments.arch, "of a fat file this slice alone");
  AddStyle(restore, arguments.style);
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

Status SetFactory(const Arguments& arguments, EmbedOptions& options) {
  if (!arguments.as_factory) return {};
  if (arguments.codec->count() != 0 && options.encode.codec != CodecChoice::kStore) {
    return {ErrorCode::kInvalidArgument, "--as-factory: TVM reads tensors as they are; leave --codec out, or give --codec store"};
  }
  options.encode.codec = CodecChoice::kStore;
  PANNIER_TRY(options.factory_key, FactoryKey(arguments.tvm));
  return {};
}

Result<int> Run(const CLI::App& app, Arguments& arguments) {
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
  if (app.got_subcommand("inspect")) return RunInspect(arguments.bundle, arguments.arch, arguments.style);
  if (app.got_subcommand("extract")) return RunExtract(arguments.extract, arguments.style);
  if (app.got_subcommand("verify")) return RunVerify(arguments.verify, arguments.style);
  if (app.got_subcommand("sign")) return RunSign(arguments.sign, arguments.style);
  if (app.got_subcommand("digest")) return RunDigest(arguments.digest, arguments.style);
  if (app.got_subcommand("attach")) return RunAttach(arguments.attach, arguments.style);
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
  CLI::App app("A TVM model's graph and parameters inside its compiled library: one file to ship.", "pannier");
  app.set_version_flag("--version", "pannier " PANNIER_VERSION);
  app.require_subcommand(1);
  Arguments arguments;
  AddEmbed(app, arguments);
  AddSigning(app, arguments);
  AddOthers(app, arguments);
  try {
    std::reverse(words.begin(), words.end());  // as CLI11 wants them, without the program's name
    if (!words.empty()) words.pop_back();
    app.parse(std::move(words));
  } catch (const CLI::Success& success) {
    return ExitStatus(app.exit(success));
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "pannier: {}; see `pannier --help`\n", error.what());
    return kExitRefused;
  }
  return ExitStatus(Run(app, arguments));
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
