// Commands: what each subcommand of `pannier` does once its arguments are known; text or JSON goes to stdout.
#ifndef PANNIER_EMBEDDER_COMMAND_LINE_COMMANDS_H_
#define PANNIER_EMBEDDER_COMMAND_LINE_COMMANDS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "embedder/command_line/styled_text.h"
#include "embedder/embed.h"
#include "src/result.h"

namespace pannier {

struct OutputStyle {
  bool json = false;
  bool quiet = false;
};

// Exit statuses, for all commands.
inline constexpr int kExitDone = 0;
inline constexpr int kExitDiffers = 1;  // the check failed
inline constexpr int kExitRefused = 2;  // bad usage or bad input, nothing written; or stdout failed

struct EmbedCommand {
  std::string host;
  std::string output;  // empty: replaces the host
  std::vector<NamedPath> artifacts;
  bool strict = false;  // what is not of one model is refused
  EmbedOptions options;
};
Result<int> RunEmbed(const EmbedCommand& command, const OutputStyle& style);

enum class TensorOrder : std::uint8_t { kFile, kName, kDtype, kBytes, kStored, kRatio };

struct InspectCommand {
  std::string bundle;
  std::string arch;                  // of a fat file that slice; empty: what LoadBundle would take
  std::vector<std::string> keys;     // files with public keys that signatures are checked with
  std::vector<std::string> filters;  // globs: tensors with other names are left out; empty: none is
  TensorOrder order = TensorOrder::kFile;
  std::optional<std::size_t> top;  // so many rows of each table; none: all, on a terminal 10 functions and 50 tensors; 0: all
  ColorChoice color = ColorChoice::kAuto;
};
Result<int> RunInspect(const InspectCommand& command, const OutputStyle& style);

struct ViewCommand {
  std::string bundle;
  std::string output;  // the page; "-" is stdout
  std::string arch;    // as for inspect
  std::vector<std::string> keys;
  bool no_statistics = false;
  bool no_graphviz = false;
  unsigned threads = 0;
};
Result<int> RunView(const ViewCommand& command, const OutputStyle& style);

struct DiffCommand {
  std::string a;
  std::string b;
  std::string html;  // also write a page here
  std::string arch;  // of both, as for inspect
  ColorChoice color = ColorChoice::kAuto;
  unsigned threads = 0;
};
// kExitDiffers where they differ.
Result<int> RunDiff(const DiffCommand& command, const OutputStyle& style);

enum class ParamsFormat : std::uint8_t { kParams, kNpz, kSafetensors };  // of the file that becomes of params

struct ExtractCommand {
  std::string bundle;
  std::vector<std::string> names;  // empty: all
  std::string output;              // a folder, or "-" for stdout
  std::string arch;                // as for inspect
  ParamsFormat as = ParamsFormat::kParams;
};
Result<int> RunExtract(const ExtractCommand& command, const OutputStyle& style);

struct VerifyCommand {
  std::string bundle;
  bool image = false;
  std::vector<std::string> keys;  // files with public keys; each must have signed
  bool any_of = false;            // one of them is enough
  std::string signature;          // a file with a detached signature, which one of the keys must have made
  std::string arch;               // of a fat file that slice; empty: all, and the fat file itself
  unsigned threads = 0;
};
Result<int> RunVerify(const VerifyCommand& command, const OutputStyle& style);

struct SignCommand {
  std::string bundle;
  std::string key;  // a file with a private key; empty: with `remove`
  bool remove = false;
  bool detached = false;  // the signature becomes a file of its own
  std::string output;     // empty: replaces the bundle; detached: BUNDLE.sig; "-": stdout
  std::string arch;       // of a fat file that slice; empty: all that carry a payload
  unsigned threads = 0;
};
Result<int> RunSign(const SignCommand& command, const OutputStyle& style);

// The bytes that a key elsewhere has to sign, to stdout.
struct DigestCommand {
  std::string bundle;
  std::string arch;
  bool statement = false;  // the in-toto statement alone
  bool envelope = false;   // the DSSE envelope with all signatures
  bool sha256 = false;     // of the bytes, in hexadecimal, for who signs digests
};
Result<int> RunDigest(const DigestCommand& command);

struct AttachCommand {
  std::string bundle;
  std::string signature;  // a file; "-": stdin
  std::string key;        // a file with the public key
  std::string output;
  std::string arch;
  unsigned threads = 0;
};
Result<int> RunAttach(const AttachCommand& command, const OutputStyle& style);

// Empty output: replaces the bundle. `arch`: of a fat file that slice alone.
Result<int> RunRestore(const std::string& bundle, const std::string& output, const std::string& arch, const OutputStyle& style);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_COMMAND_LINE_COMMANDS_H_
