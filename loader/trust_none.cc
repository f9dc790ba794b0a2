// Trust in a build without OpenSSL: asking for it is an error.
#include "loader/trust.h"

namespace pannier {
namespace {

Status NoSignatures(const LoadOptions& options) {
  PANNIER_CHECK_OK(CheckTrustOptions(options));
  return {ErrorCode::kSignature,
          "trusted keys: this build of pannier cannot check signatures; build it with -DPANNIER_SIGNATURES=ON"};
}

}  // namespace

Status CheckSigners(const Payload& /*payload*/, const LoadOptions& options) { return NoSignatures(options); }
Status CheckTrust(ByteView /*library*/, const Payload& /*payload*/, const LoadOptions& options) { return NoSignatures(options); }
Result<TrustedFile> OpenTrustedFile(const std::string& /*path*/, const LoadOptions& options) { return NoSignatures(options); }

}  // namespace pannier
