// Each signature with the key whose id it has.
#include "src/signature_check.h"

#include <algorithm>

#include "src/signatures.h"
#include "src/text.h"

namespace pannier {

Result<std::vector<CheckedSignature>> CheckSignatures(const BundleReader& reader, const std::vector<PublicKey>& keys) {
  PANNIER_TRY(const std::vector<BundleSignature> signatures, ReadSignatures(reader));
  const std::string message = SignedBytes(kStatementType, StatementOf(reader));
  std::vector<CheckedSignature> checked;
  for (const BundleSignature& signature : signatures) {
    CheckedSignature result{signature.key_id, SignatureState::kUnchecked};
    const auto key = std::find_if(keys.begin(), keys.end(), [&](const PublicKey& one) { return one.id() == signature.key_id; });
    if (key != keys.end()) {
      const bool is_right = key->IsSignatureOf(View(message), View(signature.bytes));
      result.state = is_right ? SignatureState::kRight : SignatureState::kWrong;
    }
    checked.push_back(std::move(result));
  }
  return checked;
}

Status RequireSigners(const std::vector<CheckedSignature>& signatures, const std::vector<PublicKey>& keys, Signers wanted) {
  const auto has = [&](const PublicKey& key, SignatureState state) {
    return std::any_of(signatures.begin(), signatures.end(),
                       [&](const CheckedSignature& one) { return one.key_id == key.id() && one.state == state; });
  };
  std::string missing;
  for (const PublicKey& key : keys) {
    const bool is_right = has(key, SignatureState::kRight);
    if (is_right && wanted == Signers::kAny) return {};
    if (!is_right)
      missing += StrCat(missing.empty() ? "" : "; ", has(key, SignatureState::kWrong) ? "wrong one" : "none", " by key ", key.id());
  }
  if (missing.empty() && !keys.empty()) return {};
  return {ErrorCode::kSignature,
          StrCat("signatures: found ", signatures.size(), ", but ", keys.empty() ? "no key to trust" : missing)};
}

}  // namespace pannier
