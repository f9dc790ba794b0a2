// Keys parsed, signatures checked, then every byte.
#include "loader/trust.h"

#include <utility>
#include <vector>

#include "src/bundle_reader.h"
#include "src/factory_reader.h"
#include "src/macho_file.h"
#include "src/mapped_file.h"
#include "src/public_key.h"
#include "src/signature_check.h"
#include "src/text.h"
#include "src/verify.h"

namespace pannier {
namespace {

Result<std::vector<PublicKey>> TrustedKeys(const LoadOptions& options) {
  PANNIER_CHECK_OK(CheckTrustOptions(options));
  std::vector<PublicKey> keys;
  for (const std::string& pem : *options.trusted_keys) {
    PANNIER_TRY(PublicKey key, PublicKey::FromPem(pem).WithContext(StrCat("trusted key ", keys.size() + 1)));
    keys.push_back(std::move(key));
  }
  return keys;
}

Result<BundleReader> OpenSigned(const Payload& payload, const std::vector<PublicKey>& keys) {
  PANNIER_TRY(BundleReader reader, BundleReader::Open(payload));
  PANNIER_TRY(const std::vector<CheckedSignature> signatures, CheckSignatures(reader, keys));
  PANNIER_CHECK_OK(RequireSigners(signatures, keys, Signers::kAny));
  return reader;
}

Status CheckBytes(ByteView library, const BundleReader& reader, const LoadOptions& options) {
  const MappedFile file = MappedFile::Borrow(library);
  PANNIER_TRY(const VerifyReport report, options.trust == Trust::kImage ? VerifyImage(file, reader, options.threads)
                                                                        : VerifyFile(file, reader, options.threads));
  return report.passed() ? Status() : Status(ErrorCode::kDigestMismatch, report.differences.front());
}

struct Library {
  ByteView bytes;
  Payload payload;
};

// What the system may load of a file: of a fat one any slice for this machine.
Result<std::vector<Library>> LibrariesIn(ByteView file) {
  std::vector<Library> libraries;
  const auto add = [&](ByteView bytes) -> Status {
    PANNIER_TRY(Payload payload, FindPayloadWithDigests(bytes));
    libraries.push_back({bytes, std::move(payload)});
    return {};
  };
  if (!macho::HasFatMagic(file)) {
    PANNIER_CHECK_OK(add(file));
    return libraries;
  }
  PANNIER_TRY(const macho::FatFile fat, macho::ParseFat(file, file.size()));
  for (const macho::Slice& slice : fat.slices) {
    if (slice.cpu_type == macho::OwnCpuType()) PANNIER_CHECK_OK(add(*file.Slice(slice.offset, slice.size)));
  }
  if (libraries.empty()) return Unsupported("fat file: found no slice for this machine");
  return libraries;
}

}  // namespace

Status CheckSigners(const Payload& payload, const LoadOptions& options) {
  PANNIER_TRY(const std::vector<PublicKey> keys, TrustedKeys(options));
  return OpenSigned(payload, keys).TakeStatus();
}

Status CheckTrust(ByteView library, const Payload& payload, const LoadOptions& options) {
  PANNIER_TRY(const std::vector<PublicKey> keys, TrustedKeys(options));
  PANNIER_TRY(const BundleReader reader, OpenSigned(payload, keys));
  return CheckBytes(library, reader, options);
}

Result<TrustedFile> OpenTrustedFile(const std::string& path, const LoadOptions& options) {
  PANNIER_TRY(const std::vector<PublicKey> keys, TrustedKeys(options));
  {
    PANNIER_TRY(const MappedFile file, MappedFile::Open(path));
    PANNIER_TRY(const std::vector<Library> libraries, LibrariesIn(file.bytes()));
    for (const Library& library : libraries) PANNIER_CHECK_OK(OpenSigned(library.payload, keys).TakeStatus());
  }
  PANNIER_TRY(TrustedFile trusted, TrustedFile::Open(path));
  PANNIER_TRY(const std::vector<Library> libraries, LibrariesIn(trusted.file().bytes()));
  for (const Library& library : libraries) {
    PANNIER_TRY(const BundleReader reader, OpenSigned(library.payload, keys));
    PANNIER_CHECK_OK(CheckBytes(library.bytes, reader, options));
  }
  return trusted;
}

}  // namespace pannier
