// PrivateKey in a build without OpenSSL: there are none.
#include "embedder/private_key.h"

namespace pannier {
namespace {

Status NoSignatures() { return {ErrorCode::kSignature, "this build of pannier cannot sign; build it with OpenSSL"}; }

}  // namespace

Result<PrivateKey> PrivateKey::Read(const std::string& /*path*/) { return NoSignatures(); }
Result<std::vector<std::uint8_t>> PrivateKey::Sign(ByteView /*message*/) const { return NoSignatures(); }
Result<std::vector<std::uint8_t>> EcdsaDer(ByteView /*numbers*/) { return NoSignatures(); }

}  // namespace pannier
