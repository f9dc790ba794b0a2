// PublicKey in a build without OpenSSL: none can be had, so that whoever asks for signatures is told, and never answered as if they
// were right.
#include "src/public_key.h"

namespace pannier {
namespace {

Status NoSignatures() {
  return {ErrorCode::kSignature, "this build of pannier cannot check signatures; build it with OpenSSL (PANNIER_SIGNATURES)"};
}

}  // namespace

Result<PublicKey> PublicKey::FromPem(std::string_view /*pem*/) { return NoSignatures(); }
Result<PublicKey> PublicKey::FromKey(std::shared_ptr<evp_pkey_st> /*key*/) { return NoSignatures(); }
bool PublicKey::IsSignatureOf(ByteView /*message*/, ByteView /*signature*/) const { return false; }

}  // namespace pannier
