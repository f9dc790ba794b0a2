// Trust: what LoadOptions::trusted_keys asks for, checked on a bundle's bytes. trust_none.cc is for builds without OpenSSL.
#ifndef PANNIER_LOADER_TRUST_H_
#define PANNIER_LOADER_TRUST_H_

#include <string>

#include "loader/trusted_file.h"
#include "pannier/loader.h"
#include "src/bytes.h"
#include "src/payload.h"
#include "src/result.h"

namespace pannier {

// What is asked for makes sense; whether or not this build can do it.
inline Status CheckTrustOptions(const LoadOptions& options) {
  if (options.trusted_keys->empty()) return {ErrorCode::kInvalidArgument, "trusted keys: found none, expected at least one"};
  if (options.cache_dir.empty()) return {};
  return {ErrorCode::kInvalidArgument, "trusted keys: found a cache_dir beside them, expected none: nobody signs a cache"};
}

// Signed by one of the keys: a look at the manifest alone, before anything costs time or memory.
Status CheckSigners(const Payload& payload, const LoadOptions& options);

// The library that `payload` was found in, whose file's bytes are `library` (a slice's own, of a fat file): signed by one of the
// keys, and as it was signed.
Status CheckTrust(ByteView library, const Payload& payload, const LoadOptions& options);

// The file at `path`, checked, in the state in which it is to be loaded. Its signatures are looked at first, so that a file of a
// stranger costs nothing.
Result<TrustedFile> OpenTrustedFile(const std::string& path, const LoadOptions& options);

// FindBundle comes when the library's code has run: too late to ask for trust.
inline Status CheckNothingHasRun(const LoadOptions& options) {
  if (!options.trusted_keys) return {};
  return {ErrorCode::kInvalidArgument, "trusted keys: the library is loaded already; expected none, since its code has run"};
}

}  // namespace pannier

#endif  // PANNIER_LOADER_TRUST_H_
