// Signatures of a bundle checked with keys.
#ifndef PANNIER_SRC_SIGNATURE_CHECK_H_
#define PANNIER_SRC_SIGNATURE_CHECK_H_

#include <string>
#include <vector>

#include "src/bundle_reader.h"
#include "src/public_key.h"
#include "src/result.h"

namespace pannier {

enum class SignatureState {
  kRight,
  kWrong,      // not made by the key whose id it has, or not over this bundle
  kUnchecked,  // by none of the given keys
};

struct CheckedSignature {
  std::string key_id;
  SignatureState state = SignatureState::kUnchecked;
};

// All signatures of the bundle, in the signature room's order. Errors as of ReadSignatures.
Result<std::vector<CheckedSignature>> CheckSignatures(const BundleReader& reader, const std::vector<PublicKey>& keys);

enum class Signers { kAll, kAny };

// Each of the keys (kAny: one of them at least) has signed. kSignature says who has not.
Status RequireSigners(const std::vector<CheckedSignature>& signatures, const std::vector<PublicKey>& keys, Signers wanted);

}  // namespace pannier

#endif  // PANNIER_SRC_SIGNATURE_CHECK_H_
