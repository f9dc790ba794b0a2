// `pannier sign`, `pannier digest` and `pannier attach`.
#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "embedder/command_line/command_output.h"
#include "embedder/command_line/commands.h"
#include "embedder/command_line/system.h"
#include "embedder/command_line/terminal.h"
#include "embedder/opened_bundle.h"
#include "embedder/sign.h"
#include "embedder/small_file.h"
#include "embedder/utf8_path.h"
#include "src/public_key.h"
#include "src/sha256.h"
#include "src/signatures.h"
#include "src/text.h"

namespace pannier {
namespace {

const std::string& Target(const std::string& bundle, const std::string& output) { return output.empty() ? bundle : output; }

void Print(const std::string& target, const char* done, const OutputStyle& style) {
  if (style.json) {
    PrintJson({{"bundle", target}, {"done", done}});
  } else if (!style.quiet) {
    fmt::print("{}: {}\n", Printable(target), done);
  }
}

Result<int> RunSignDetached(const SignCommand& command, const OutputStyle& style) {
  const std::string target = command.output.empty() ? command.bundle + ".sig" : command.output;
  std::error_code error;
  if (std::filesystem::equivalent(Utf8Path(target), Utf8Path(command.bundle), error))
    return {ErrorCode::kInvalidArgument, StrCat(Printable(target), ": found the bundle, expected another place for its signature")};
  if (error && error != std::errc::no_such_file_or_directory)
    return {ErrorCode::kIo, StrCat(Printable(target), ": ", error.message())};
  Progress progress(!style.quiet && !style.json);
  PANNIER_TRY(const std::string signature, SignDetached(command.bundle, command.key, {command.threads, &progress}));
  progress.Clear();
  PANNIER_CHECK_OK(WriteOutput(View(signature), target));
  if (target == "-") return kExitDone;
  if (style.json) {
    PrintJson({{"bundle", command.bundle}, {"signature", target}, {"done", "signed"}});
  } else if (!style.quiet) {
    fmt::print("{}: signed, in {}\n", Printable(command.bundle), Printable(target));
  }
  return kExitDone;
}

Result<std::string> WhatToPrint(const DigestCommand& command) {
  PANNIER_TRY(const OpenedBundle bundle, OpenedBundle::Open(command.bundle, command.arch));
  const std::string statement = StatementOf(bundle.reader);
  if (command.statement) return statement;
  if (command.envelope) {
    PANNIER_TRY(const std::vector<BundleSignature> signatures, ReadSignatures(bundle.reader));
    return EnvelopeOf(statement, signatures);
  }
  const std::string bytes = SignedBytes(kStatementType, statement);
  return command.sha256 ? Sha256Of(View(bytes)).Hex() + "\n" : bytes;
}

}  // namespace

Result<int> RunSign(const SignCommand& command, const OutputStyle& style) {
  if (command.remove == !command.key.empty())
    return {ErrorCode::kInvalidArgument, StrCat(Printable(command.bundle), ": sign: expected --key or --remove")};
  if (command.detached) return RunSignDetached(command, style);
  Signer signer = SignerOfNone();
  if (!command.remove) {
    PANNIER_TRY(signer, SignerWithKey(command.key));
  }
  const std::string& target = Target(command.bundle, command.output);
  Progress progress(!style.quiet && !style.json);
  PANNIER_CHECK_OK(SignFile(command.bundle, target, command.arch, signer, {command.threads, &progress}));
  progress.Clear();
  Print(target, command.remove ? "signatures removed" : "signed", style);
  return kExitDone;
}

Result<int> RunDigest(const DigestCommand& command) {
  PANNIER_TRY(const std::string text, WhatToPrint(command).WithContext(Printable(command.bundle)));
  PANNIER_CHECK_OK(WriteToStdout(View(text)));
  return kExitDone;
}

Result<int> RunAttach(const AttachCommand& command, const OutputStyle& style) {
  PANNIER_TRY(const std::string pem, ReadSmallFile(command.key));
  PANNIER_TRY(PublicKey key, PublicKey::FromPem(pem).WithContext(Printable(command.key)));
  PANNIER_TRY(std::string signature, ReadSmallFile(command.signature));
  const std::string& target = Target(command.bundle, command.output);
  Progress progress(!style.quiet && !style.json);
  PANNIER_CHECK_OK(SignFile(command.bundle, target, command.arch, SignerWithSignature(std::move(signature), std::move(key)),
                            {command.threads, &progress}));
  progress.Clear();
  Print(target, "signature attached", style);
  return kExitDone;
}

}  // namespace pannier
