// `pannier sign`, `pannier digest` and `pannier attach`.
#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "embedder/commands.h"
#include "embedder/opened_bundle.h"
#include "embedder/output_file.h"
#include "embedder/sign.h"
#include "embedder/small_file.h"
#include "embedder/system.h"
#include "embedder/terminal.h"
#include "src/public_key.h"
#include "src/sha256.h"
#include "src/signatures.h"
#include "src/text.h"

namespace pannier {
namespace {

const std::string& Target(const std::string& bundle, const std::string& output) { return output.empty() ? bundle : output; }

void Print(const std::string& target, const char* done, const OutputStyle& style) {
  if (style.json) {
    fmt::print("{}\n",
               nlohmann::json{{"bundle", target}, {"done", done}}.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
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
  const ByteView bytes(signature.data(), signature.size());
  if (target == "-") {
    PANNIER_CHECK_OK(WriteToStdout(bytes));
    return kExitDone;
  }
  const auto write = [&]() -> Status {
    PANNIER_TRY(OutputFile out, OutputFile::Create(target, nullptr));
    PANNIER_CHECK_OK(out.WriteAt(0, bytes));
    return out.Commit();
  };
  PANNIER_CHECK_OK(write().WithContext(Printable(target)));
  if (style.json) {
    fmt::print("{}\n", nlohmann::json{{"bundle", command.bundle}, {"signature", target}, {"done", "signed"}}.dump(
                           2, ' ', false, nlohmann::json::error_handler_t::replace));
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
  return command.sha256 ? Sha256Of(ByteView(bytes.data(), bytes.size())).Hex() + "\n" : bytes;
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

Result<int> RunDigest(const DigestCommand& command, const OutputStyle& /*style*/) {
  PANNIER_TRY(const std::string text, WhatToPrint(command).WithContext(Printable(command.bundle)));
  PANNIER_CHECK_OK(WriteToStdout(ByteView(text.data(), text.size())));
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
