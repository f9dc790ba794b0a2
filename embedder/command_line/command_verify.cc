// `pannier verify`.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "embedder/command_line/command_output.h"
#include "embedder/command_line/commands.h"
#include "embedder/command_line/read_keys.h"
#include "embedder/command_line/terminal.h"
#include "embedder/detached_signature.h"
#include "embedder/fat_bundle.h"
#include "embedder/opened_bundle.h"
#include "embedder/small_file.h"
#include "embedder/utf8_path.h"
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

// A detached signature, checked.
struct Detached {
  std::optional<PublicKey> signer;
  std::string difference;  // why there is none

  const char* state() const { return signer ? "right" : "wrong"; }
};

Result<Detached> CheckDetached(const VerifyCommand& command, const std::vector<PublicKey>& keys, const Effort& effort) {
  PANNIER_TRY(const std::string text, ReadSmallFile(command.signature, kLongestDetachedSignature));
  PANNIER_TRY(const DetachedSignature signature, ParseDetachedSignature(text).WithContext(Printable(command.signature)));
  PANNIER_TRY(const FileSource source, FileSource::Open(command.bundle));
  Detached detached;
  const auto check = [&]() -> Status {
    PANNIER_TRY(PublicKey signer, FindSigner(signature, keys));
    PANNIER_TRY(const Sha256Digest digest, DigestOf(source, effort));
    PANNIER_CHECK_OK(CheckModelStatement(signature.payload, Utf8Name(Utf8Path(command.bundle).filename()), digest));
    detached.signer = std::move(signer);
    return {};
  };
  Status status = check().WithContext(StrCat("signature ", Printable(command.signature)));
  if (status.ok()) return detached;
  if (status.code() != ErrorCode::kSignature && status.code() != ErrorCode::kDigestMismatch) return status;
  detached.difference = status.message();
  return detached;
}

struct Trust {
  std::vector<PublicKey> keys;
  Signers wanted = Signers::kAll;
  std::optional<Detached> detached;  // counts for each slice of a fat file, as it is over the whole
};

// What of the room cannot be read is a difference already.
void CheckSignaturesOf(const BundleReader& reader, const std::string& slice, const Trust& trust, CheckedBundle& checked) {
  Result<std::vector<CheckedSignature>> found = CheckSignatures(reader, trust.keys);
  if (!found.ok()) return;
  const auto differ = [&](std::string line) {
    checked.report.differences.push_back(slice.empty() ? std::move(line) : StrCat("slice ", slice, ": ", line));
  };
  for (const CheckedSignature& signature : *found) {
    if (signature.state == SignatureState::kWrong) differ(StrCat("signature: found a wrong one by key ", signature.key_id));
  }
  checked.signatures.insert(checked.signatures.end(), found->begin(), found->end());
  if (trust.detached && trust.detached->signer) found->push_back({trust.detached->signer->id(), SignatureState::kRight});
  // A detached signature that is wrong is a difference of its own.
  if (trust.keys.empty() || (trust.detached && !trust.detached->signer)) return;
  const Status status = RequireSigners(*found, trust.keys, trust.wanted);
  if (!status.ok()) differ(status.message());
}

Result<CheckedBundle> CheckWhole(const VerifyCommand& command, const Trust& trust, const Effort& effort) {
  CheckedBundle checked;
  PANNIER_TRY(const bool is_fat, IsFat(command.bundle));
  PANNIER_TRY(const OpenedBundle bundle, OpenedBundle::Open(command.bundle, command.arch));
  checked.digest =
      command.image ? ToDigest(*bundle.reader.manifest().image()->sha256()).Hex() : bundle.reader.anchor().manifest_sha256.Hex();
  if (!is_fat || !command.arch.empty()) {
    PANNIER_TRY(checked.report,
                command.image ? VerifyImage(bundle.file, bundle.reader, effort) : VerifyFile(bundle.file, bundle.reader, effort));
    CheckSignaturesOf(bundle.reader, "", trust, checked);
    return checked;
  }
  PANNIER_TRY(const FileSource source, FileSource::Open(command.bundle));
  PANNIER_TRY(const FatBundle fat, FatBundle::Open(source.fd(), source.size()));
  PANNIER_TRY(checked.report, command.image ? VerifyFatImages(fat, effort) : VerifyFat(fat, effort));
  for (std::size_t i = 0; i < fat.bundles.size(); ++i) {
    const macho::Slice& slice = fat.fat.slices[i];
    if (fat.bundles[i])
      CheckSignaturesOf(fat.bundles[i]->reader, macho::ArchName(slice.cpu_type, slice.cpu_subtype), trust, checked);
  }
  return checked;
}

Result<CheckedBundle> Check(const VerifyCommand& command, const Trust& trust, const Effort& effort) {
  Result<CheckedBundle> checked = CheckWhole(command, trust, effort);
  if (!checked.ok()) {
    if (!IsDamage(checked.status().code())) return checked;
    CheckedBundle damaged;
    damaged.report.differences.push_back(checked.status().message());
    checked = std::move(damaged);
  }
  if (trust.detached && !trust.detached->signer) checked->report.differences.push_back(trust.detached->difference);
  return checked;
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

nlohmann::json ToJson(const std::string& file, const Detached& detached) {
  nlohmann::json json = {{"file", file}, {"state", detached.state()}};
  if (detached.signer) json["key"] = detached.signer->id();
  return json;
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
  Progress progress(!style.quiet && !style.json);
  const Effort effort(command.threads, &progress);
  Trust trust;
  PANNIER_TRY(trust.keys, ReadKeys(command.keys));
  trust.wanted = command.any_of ? Signers::kAny : Signers::kAll;
  if (!command.signature.empty()) {
    PANNIER_TRY(trust.detached, CheckDetached(command, trust.keys, effort).WithContext(Printable(command.bundle)));
  }
  PANNIER_TRY(const CheckedBundle checked, Check(command, trust, effort).WithContext(Printable(command.bundle)));
  progress.Clear();
  const VerifyReport& report = checked.report;
  if (style.json) {
    nlohmann::json json = {{"bundle", command.bundle},
                           {"checked", command.image ? "image" : "file"},
                           {"passed", report.passed()},
                           {"digest", checked.digest},
                           {"bytes_checked", report.bytes_checked},
                           {"differences", report.differences},
                           {"signatures", ToJson(checked.signatures)},
                           {"notes", report.notes}};
    if (trust.detached) json["detached_signature"] = ToJson(command.signature, *trust.detached);
    PrintJson(json);
  } else {
    for (const std::string& line : report.differences) fmt::print(stderr, "pannier: {}: {}\n", Printable(command.bundle), line);
    if (!style.quiet) {
      for (const std::string& line : report.notes) fmt::print("note: {}\n", line);
      if (report.passed()) {
        fmt::print("{}: {} verified, {} checked\n  {} digest {}\n", Printable(command.bundle),
                   command.image ? "image and artifacts" : "every byte", HumanSize(report.bytes_checked),
                   command.image ? "image" : "file", checked.digest);
        if (!trust.detached || !checked.signatures.empty()) PrintSignatures(checked.signatures);
        if (trust.detached)
          fmt::print("  signature {} by key {}: {}\n", Printable(command.signature), trust.detached->signer->id(),
                     trust.detached->state());
      }
    }
  }
  return report.passed() ? kExitDone : kExitDiffers;
}

}  // namespace pannier
