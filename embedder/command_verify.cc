// `pannier verify`.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "embedder/commands.h"
#include "embedder/fat_bundle.h"
#include "embedder/opened_bundle.h"
#include "embedder/small_file.h"
#include "embedder/terminal.h"
#include "src/macho_file.h"
#include "src/public_key.h"
#include "src/signature_check.h"
#include "src/text.h"
#include "src/verify.h"

namespace pannier {
namespace {

// Damage that stops the bundle from being opened at all fails the check, too; a file that never was one is bad input.
bool IsDamage(ErrorCode code) { return code == ErrorCode::kMalformed || code == ErrorCode::kDigestMismatch; }

Result<bool> IsFat(const std::string& path) {
  PANNIER_TRY(const FileSource source, FileSource::Open(path));
  PANNIER_TRY(const MappedFile file, MappedFile::Map(source.fd(), 0, source.size()));
  return macho::HasFatMagic(file.bytes());
}

struct CheckedBundle {
  std::string digest;
  VerifyReport report;
  std::vector<CheckedSignature> signatures;
};

Result<std::vector<PublicKey>> ReadKeys(const std::vector<std::string>& paths) {
  std::vector<PublicKey> keys;
  for (const std::string& path : paths) {
    PANNIER_TRY(const std::string pem, ReadSmallFile(path));
    PANNIER_TRY(PublicKey key, PublicKey::FromPem(pem).WithContext(Printable(path)));
    keys.push_back(std::move(key));
  }
  return keys;
}

// What of the room cannot be read is a difference already.
void CheckSignaturesOf(const BundleReader& reader, const std::string& slice, const std::vector<PublicKey>& keys, bool any_of,
                       CheckedBundle& checked) {
  const Result<std::vector<CheckedSignature>> found = CheckSignatures(reader, keys);
  if (!found.ok()) return;
  const auto differ = [&](std::string line) {
    checked.report.differences.push_back(slice.empty() ? std::move(line) : StrCat("slice ", slice, ": ", line));
  };
  for (const CheckedSignature& signature : *found) {
    if (signature.state == SignatureState::kWrong) differ(StrCat("signature: found a wrong one by key ", signature.key_id));
  }
  checked.signatures.insert(checked.signatures.end(), found->begin(), found->end());
  if (keys.empty()) return;
  const Status status = RequireSigners(*found, keys, any_of ? Signers::kAny : Signers::kAll);
  if (!status.ok()) differ(status.message());
}

Result<CheckedBundle> CheckWhole(const VerifyCommand& command, const std::vector<PublicKey>& keys) {
  CheckedBundle checked;
  PANNIER_TRY(const bool is_fat, IsFat(command.bundle));
  PANNIER_TRY(const OpenedBundle bundle, OpenedBundle::Open(command.bundle, command.arch));
  checked.digest =
      command.image ? ToDigest(*bundle.reader.manifest().image()->sha256()).Hex() : bundle.reader.anchor().manifest_sha256.Hex();
  if (!is_fat || !command.arch.empty()) {
    PANNIER_TRY(checked.report, command.image ? VerifyImage(bundle.file, bundle.reader, command.threads)
                                              : VerifyFile(bundle.file, bundle.reader, command.threads));
    CheckSignaturesOf(bundle.reader, "", keys, command.any_of, checked);
    return checked;
  }
  PANNIER_TRY(const FileSource source, FileSource::Open(command.bundle));
  PANNIER_TRY(const FatBundle fat, FatBundle::Open(source.fd(), source.size()));
  PANNIER_TRY(checked.report, command.image ? VerifyFatImages(fat, command.threads) : VerifyFat(fat, command.threads));
  for (std::size_t i = 0; i < fat.bundles.size(); ++i) {
    const macho::Slice& slice = fat.fat.slices[i];
    if (fat.bundles[i])
      CheckSignaturesOf(fat.bundles[i]->reader, macho::ArchName(slice.cpu_type, slice.cpu_subtype), keys, command.any_of, checked);
  }
  return checked;
}

Result<CheckedBundle> Check(const VerifyCommand& command, const std::vector<PublicKey>& keys) {
  Result<CheckedBundle> checked = CheckWhole(command, keys);
  if (checked.ok() || !IsDamage(checked.status().code())) return checked;
  CheckedBundle damaged;
  damaged.report.differences.push_back(checked.status().message());
  return damaged;
}

const char* StateText(SignatureState state) {
  if (state == SignatureState::kRight) return "right";
  return state == SignatureState::kWrong ? "wrong" : "not checked";
}

nlohmann::json ToJson(const std::vector<CheckedSignature>& signatures) {
  nlohmann::json list = nlohmann::json::array();
  for (const CheckedSignature& signature : signatures)
    list.push_back({{"key", signature.key_id}, {"state", StateText(signature.state)}});
  return list;
}

void PrintSignatures(const std::vector<CheckedSignature>& signatures) {
  if (signatures.empty()) fmt::print("  not signed\n");
  for (const CheckedSignature& signature : signatures) {
    fmt::print("  signature by key {}: {}\n", signature.key_id,
               signature.state == SignatureState::kUnchecked ? "not checked (--key)" : StateText(signature.state));
  }
}

}  // namespace

Result<int> RunVerify(const VerifyCommand& command, const OutputStyle& style) {
  PANNIER_TRY(const std::vector<PublicKey> keys, ReadKeys(command.keys));
  PANNIER_TRY(const CheckedBundle checked, Check(command, keys).WithContext(Printable(command.bundle)));
  const VerifyReport& report = checked.report;
  if (style.json) {
    const nlohmann::json json = {{"bundle", command.bundle},
                                 {"checked", command.image ? "image" : "file"},
                                 {"passed", report.passed()},
                                 {"digest", checked.digest},
                                 {"bytes_checked", report.bytes_checked},
                                 {"differences", report.differences},
                                 {"signatures", ToJson(checked.signatures)},
                                 {"notes", report.notes}};
    fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    for (const std::string& line : report.differences) fmt::print(stderr, "pannier: {}: {}\n", Printable(command.bundle), line);
    if (!style.quiet) {
      for (const std::string& line : report.notes) fmt::print("note: {}\n", line);
      if (report.passed()) {
        fmt::print("{}: {} verified, {} checked\n  {} digest {}\n", Printable(command.bundle),
                   command.image ? "image and artifacts" : "every byte", HumanSize(report.bytes_checked),
                   command.image ? "image" : "file", checked.digest);
        PrintSignatures(checked.signatures);
      }
    }
  }
  return report.passed() ? kExitDone : kExitDiffers;
}

}  // namespace pannier
