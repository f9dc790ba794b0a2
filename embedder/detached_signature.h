// Detached signatures: files of OpenSSF model signing (v1.0) for one file, made with a key; what PyPI's model-signing writes and
// accepts. docs/signing.md.
//
// Such a file is a Sigstore bundle: a DSSE envelope around an in-toto statement, whose one resource is the signed file.
#ifndef PANNIER_EMBEDDER_DETACHED_SIGNATURE_H_
#define PANNIER_EMBEDDER_DETACHED_SIGNATURE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "embedder/file_source.h"
#include "embedder/private_key.h"
#include "src/effort.h"
#include "src/public_key.h"
#include "src/result.h"
#include "src/sha256.h"

namespace pannier {

// One for a file takes some 1500 bytes, for a folder 200 for each of its files.
inline constexpr std::size_t kLongestDetachedSignature = 4 << 20;

// Nothing in it is believed before IsSignatureOf.
struct DetachedSignature {
  std::string key_hint;  // SHA-256 of PublicKey::pem(), in hexadecimal; empty: not told, as before model-signing 1.1
  std::string payload;   // the statement
  std::vector<std::uint8_t> signature;
};

// kMalformed; kUnsupported where it was made with a certificate or an identity instead of a key.
Result<DetachedSignature> ParseDetachedSignature(std::string_view text);

// The key that made it. kSignature where none of these did; kInvalidArgument where none is of the one kind (P-256) that model
// signing and PublicKey have in common.
Result<PublicKey> FindSigner(const DetachedSignature& signature, const std::vector<PublicKey>& keys);

// SHA-256 of the whole file.
Result<Sha256Digest> DigestOf(const FileSource& source, const Effort& effort);

// Is the statement about this file? kSignature: about another one; kDigestMismatch: about other bytes; kMalformed; kUnsupported:
// about several files, or in a form with other digests than SHA-256 of the whole.
Status CheckModelStatement(std::string_view statement, std::string_view file_name, const Sha256Digest& file);

// The whole signature file, with a P-256 key. The file's name is for people: a renamed copy has the same signature.
Result<std::string> MakeDetachedSignature(const PrivateKey& key, std::string_view file_name, const Sha256Digest& file);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_DETACHED_SIGNATURE_H_
