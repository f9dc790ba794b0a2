// Sign: signatures put into a bundle's signature room, or taken out; nothing else of the bundle changes but what follows from its
// bytes (a checksum, an ad-hoc code signature).
#ifndef PANNIER_EMBEDDER_SIGN_H_
#define PANNIER_EMBEDDER_SIGN_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "embedder/output_file.h"
#include "src/bundle_reader.h"
#include "src/effort.h"
#include "src/public_key.h"
#include "src/result.h"
#include "src/signatures.h"

namespace pannier {

// The signatures that a bundle shall have, from those it has. Called once for each slice of a fat file.
using Signer =
    std::function<Result<std::vector<BundleSignature>>(const BundleReader& reader, std::vector<BundleSignature> present)>;

// Signs with the key at `key_path`, in place of a signature that this key made before.
Result<Signer> SignerWithKey(const std::string& key_path);
// Adds a signature made elsewhere, over what `pannier digest` gives, in place of one by the same key: raw, DER, base64 of these, or
// a DSSE envelope. It must be right.
Signer SignerWithSignature(std::string signature, PublicKey key);
// Removes all signatures.
Signer SignerOfNone();

// The bundle of `size` bytes that was written at `base`.
Status SignWritten(OutputFile& out, std::uint64_t base, std::uint64_t size, const Signer& signer);

// All bundles in the file at `path` (slices of a fat one; `arch`: that one alone), which must be whole, to the last byte. Replaces
// `target`, or makes it, in one step.
Status SignFile(const std::string& path, const std::string& target, std::string_view arch, const Signer& signer,
                const Effort& effort);

// What a detached signature (detached_signature.h) of the file at `path` holds, made with the key at `key_path`. All bundles in the
// file must be whole; it is not changed.
Result<std::string> SignDetached(const std::string& path, const std::string& key_path, const Effort& effort);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_SIGN_H_
