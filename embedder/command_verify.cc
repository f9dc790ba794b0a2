// `pannier verify`.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "embedder/commands.h"
#include "embedder/fat_bundle.h"
#include "embedder/opened_bundle.h"
#include "embedder/terminal.h"
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

// A fat file as a whole, with the digest of the bundle that a loader would take.
Result<VerifyReport> CheckFat(const VerifyCommand& command) {
  PANNIER_TRY(const FileSource source, FileSource::Open(command.bundle));
  PANNIER_TRY(const FatBundle fat, FatBundle::Open(source.fd(), source.size()));
  return command.image ? VerifyFatImages(fat, command.threads) : VerifyFat(fat, command.threads);
}

Result<VerifyReport> Check(const VerifyCommand& command, std::string& digest) {
  PANNIER_TRY(const bool is_fat, IsFat(command.bundle));
  Result<OpenedBundle> bundle = OpenedBundle::Open(command.bundle, command.arch);
  Result<VerifyReport> report = [&]() -> Result<VerifyReport> {
    if (!bundle.ok()) return bundle.TakeStatus();
    digest = command.image ? ToDigest(*bundle->reader.manifest().image()->sha256()).Hex()
                           : bundle->reader.anchor().manifest_sha256.Hex();
    if (is_fat && command.arch.empty()) return CheckFat(command);
    return command.image ? VerifyImage(bundle->file, bundle->reader, command.threads)
                         : VerifyFile(bundle->file, bundle->reader, command.threads);
  }();
  if (report.ok() || !IsDamage(report.status().code())) return report;
  VerifyReport damage;
  damage.differences.push_back(report.status().message());
  return damage;
}

}  // namespace

Result<int> RunVerify(const VerifyCommand& command, const OutputStyle& style) {
  std::string digest;
  PANNIER_TRY(const VerifyReport report, Check(command, digest).WithContext(Printable(command.bundle)));
  if (style.json) {
    const nlohmann::json json = {
        {"bundle", command.bundle}, {"checked", command.image ? "image" : "file"}, {"passed", report.passed()},
        {"digest", digest},         {"bytes_checked", report.bytes_checked},       {"differences", report.differences},
        {"notes", report.notes}};
    fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    for (const std::string& line : report.differences) fmt::print(stderr, "pannier: {}: {}\n", Printable(command.bundle), line);
    if (!style.quiet) {
      for (const std::string& line : report.notes) fmt::print("note: {}\n", line);
      if (report.passed()) {
        fmt::print("{}: {} verified, {} checked\n  {} digest {}\n", Printable(command.bundle),
                   command.image ? "image and artifacts" : "every byte", HumanSize(report.bytes_checked),
                   command.image ? "image" : "file", digest);
      }
    }
  }
  return report.passed() ? kExitDone : kExitDiffers;
}

}  // namespace pannier
