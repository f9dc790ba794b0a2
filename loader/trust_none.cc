// Trust in a build without OpenSSL: asking for it is an error.
#include "loader/trust.h"

namespace pannier {
namespace {

Status NoSignatures() {
  return {ErrorCode::kSignature,
          "trusted keys: this build of pannier cannot check signatures; build it with -DPANNIER_SIGNATURES=ON"};
}

}  // namespace

Status CheckSigners(const Payload& /*payload*/, const LoadOptions& /*options*/) { return NoSignatures(); }
Status CheckTrust(ByteView /*library*/, const Payload& /*payload*/, const LoadOptions& /*options*/) { return NoSignatures(); }
Result<TrustedFile> OpenTrustedFile(const std::string& /*path*/, const LoadOptions& /*options*/) { return NoSignatures(); }

}  // namespace pannier
