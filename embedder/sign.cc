// The file copied, its signature room filled, derived bytes made again, and all of it checked before it takes the target's place.
#include "embedder/sign.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "embedder/derived_bytes.h"
#include "embedder/detached_signature.h"
#include "embedder/fat_bundle.h"
#include "embedder/opened_bundle.h"
#include "embedder/private_key.h"
#include "embedder/restore.h"
#include "embedder/utf8_path.h"
#include "src/base64.h"
#include "src/macho_file.h"
#include "src/text.h"
#include "src/verify.h"

namespace pannier {
namespace {

std::vector<BundleSignature> With(std::vector<BundleSignature> signatures, BundleSignature signature) {
  const auto same = std::find_if(signatures.begin(), signatures.end(),
                                 [&](const BundleSignature& other) { return other.key_id == signature.key_id; });
  if (same != signatures.end()) {
    *same = std::move(signature);
  } else {
    signatures.push_back(std::move(signature));
  }
  return signatures;
}

// All bytes that the given one may stand for.
std::vector<std::vector<std::uint8_t>> Readings(std::string_view text, const PublicKey& key) {
  std::vector<std::vector<std::uint8_t>> readings;
  const auto add = [&](std::vector<std::uint8_t> bytes) {
    if (!key.is_ed25519()) {
      Result<std::vector<std::uint8_t>> der = EcdsaDer(View(bytes));
      if (der.ok()) readings.push_back(std::move(*der));
    }
    readings.push_back(std::move(bytes));
  };
  add({text.begin(), text.end()});
  std::string stripped(text);
  stripped.erase(std::remove_if(stripped.begin(), stripped.end(), [](char c) { return c == '\n' || c == '\r' || c == ' '; }),
                 stripped.end());
  if (auto bytes = DecodeBase64(stripped)) add(std::move(*bytes));
  const auto json = nlohmann::json::parse(text.begin(), text.end(), nullptr, false);
  if (!json.is_object() || !json.contains("signatures") || !json["signatures"].is_array()) return readings;
  for (const auto& entry : json["signatures"]) {
    if (!entry.is_object() || !entry.contains("sig") || !entry["sig"].is_string()) continue;
    if (auto bytes = DecodeBase64(entry["sig"].get<std::string>())) add(std::move(*bytes));
  }
  return readings;
}

Status Passed(const VerifyReport& report) {
  return report.passed() ? Status() : Status(ErrorCode::kDigestMismatch, report.differences.front());
}

struct Range {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

// Where the bundles are that shall be signed.
Result<std::vector<Range>> BundlesIn(const FileSource& source, std::string_view arch) {
  PANNIER_TRY(const MappedFile file, MappedFile::Map(source.fd(), 0, source.size()));
  if (!macho::HasFatMagic(file.bytes())) return std::vector<Range>{{0, source.size()}};
  PANNIER_TRY(const FatBundle fat, FatBundle::Open(source.fd(), source.size()));
  std::vector<Range> ranges;
  for (std::size_t i = 0; i < fat.bundles.size(); ++i) {
    const macho::Slice& slice = fat.fat.slices[i];
    if (fat.bundles[i] && (arch.empty() || macho::ArchName(slice.cpu_type, slice.cpu_subtype) == arch))
      ranges.push_back({slice.offset, slice.size});
  }
  if (ranges.empty() && !arch.empty())
    return {ErrorCode::kNotFound, StrCat("no slice ", Printable(arch), " that carries a payload", DidYouMeanSlice(arch, fat.fat))};
  if (ranges.empty()) return NoPayload();
  return ranges;
}

Status CheckWhole(int file_descriptor, std::uint64_t size, const Effort& effort) {
  PANNIER_TRY(const MappedFile file, MappedFile::Map(file_descriptor, 0, size));
  if (macho::HasFatMagic(file.bytes())) {
    PANNIER_TRY(const FatBundle fat, FatBundle::Open(file_descriptor, size));
    PANNIER_TRY(const VerifyReport report, VerifyFat(fat, effort));
    return Passed(report);
  }
  PANNIER_TRY(const OpenedBundle bundle, OpenedBundle::OpenRange(file_descriptor, 0, size));
  PANNIER_TRY(const VerifyReport report, VerifyFile(bundle.file, bundle.reader, effort));
  return Passed(report);
}

}  // namespace

Result<Signer> SignerWithKey(const std::string& key_path) {
  PANNIER_TRY(PrivateKey key, PrivateKey::Read(key_path));
  return Signer([key = std::move(key)](const BundleReader& reader,
                                       std::vector<BundleSignature> present) -> Result<std::vector<BundleSignature>> {
    const std::string message = SignedBytes(kStatementType, StatementOf(reader));
    PANNIER_TRY(std::vector<std::uint8_t> signature, key.Sign(View(message)));
    return With(std::move(present), {key.public_key().id(), std::move(signature)});
  });
}

Signer SignerWithSignature(std::string signature, PublicKey key) {
  return [signature = std::move(signature), key = std::move(key)](
             const BundleReader& reader, std::vector<BundleSignature> present) -> Result<std::vector<BundleSignature>> {
    const std::string message = SignedBytes(kStatementType, StatementOf(reader));
    for (std::vector<std::uint8_t>& reading : Readings(signature, key)) {
      if (key.IsSignatureOf(View(message), View(reading))) return With(std::move(present), {key.id(), std::move(reading)});
    }
    return {ErrorCode::kSignature,
            StrCat("signature: found none by key ", key.id(), " over what `pannier digest` gives for this bundle")};
  };
}

Signer SignerOfNone() {
  return [](const BundleReader&, const std::vector<BundleSignature>&) -> Result<std::vector<BundleSignature>> {
    return std::vector<BundleSignature>();
  };
}

Status SignWritten(OutputFile& out, std::uint64_t base, std::uint64_t size, const Signer& signer) {
  std::vector<std::uint8_t> room;
  std::uint64_t room_offset = 0;
  std::vector<Derived> derived;
  {
    PANNIER_TRY(const OpenedBundle bundle, OpenedBundle::OpenRange(out.fd(), base, size));
    // What stands there but is over another statement, or none at all, would be lost: so it is refused.
    PANNIER_TRY(std::vector<BundleSignature> present, ReadSignatures(bundle.reader));
    PANNIER_TRY(const std::vector<BundleSignature> wanted, signer(bundle.reader, std::move(present)));
    PANNIER_TRY(room, SignatureRoomWith(bundle.reader, wanted));
    room_offset = static_cast<std::uint64_t>(bundle.reader.signature_room().data() - bundle.file.bytes().data());
    derived = DerivedOf(bundle.reader);
  }
  PANNIER_CHECK_OK(out.WriteAt(base + room_offset, View(room)));
  return WriteDerived(out, base, size, derived);
}

Status SignFile(const std::string& path, const std::string& target, std::string_view arch, const Signer& signer,
                const Effort& effort) {
  const auto sign = [&]() -> Result<OutputFile> {
    const std::string name = Printable(path);
    PANNIER_TRY(const FileSource source, FileSource::Open(path).WithContext(name));
    PANNIER_TRY(const std::vector<Range> bundles, BundlesIn(source, arch).WithContext(name));
    PANNIER_TRY(OutputFile out, OutputFile::Create(target, &source).WithContext(Printable(target)));
    const auto write = [&]() -> Status {
      PANNIER_CHECK_OK(out.Truncate(source.size()));
      effort.Begin("copying", source.size());
      PANNIER_CHECK_OK(out.CopyFrom(source, 0, 0, source.size(), effort));
      for (const Range& bundle : bundles) PANNIER_CHECK_OK(SignWritten(out, bundle.offset, bundle.size, signer));
      return {};
    };
    PANNIER_CHECK_OK(NamingTarget(write(), source, out).WithContext(name));
    PANNIER_CHECK_OK(source.CheckUnchanged().WithContext(name));
    // What is copied is what was there: damage in the bundle shows here, too.
    PANNIER_CHECK_OK(NamingTarget(CheckWhole(out.fd(), source.size(), effort), source, out).WithContext(name));
    return out;
  };
  PANNIER_TRY(OutputFile out, sign());
  // Now that the bundle is closed: Windows replaces no file that is open or mapped.
  return out.Commit().WithContext(Printable(target));
}

Result<std::string> SignDetached(const std::string& path, const std::string& key_path, const Effort& effort) {
  PANNIER_TRY(const PrivateKey key, PrivateKey::Read(key_path));
  const auto sign = [&]() -> Result<Sha256Digest> {
    PANNIER_TRY(const FileSource source, FileSource::Open(path));
    PANNIER_CHECK_OK(CheckWhole(source.fd(), source.size(), effort));
    PANNIER_TRY(Sha256Digest digest, DigestOf(source, effort));
    PANNIER_CHECK_OK(source.CheckUnchanged());
    return digest;
  };
  PANNIER_TRY(const Sha256Digest digest, sign().WithContext(Printable(path)));
  return MakeDetachedSignature(key, Utf8Name(Utf8Path(path).filename()), digest).WithContext(Printable(key_path));
}

}  // namespace pannier
