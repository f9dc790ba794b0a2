// A bundle's signatures: what they are over, and how they stand in the signature room. docs/format.md, section 9.
//
// What is signed is a statement of all digests, in a form that follows from the manifest alone. So nobody has to understand a
// statement to check a signature: the one that the bundle must have is made again.
#ifndef PANNIER_SRC_SIGNATURES_H_
#define PANNIER_SRC_SIGNATURES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/bundle_reader.h"
#include "src/result.h"

namespace pannier {

struct BundleSignature {
  std::string key_id;  // PublicKey::id() of the key that made it: 64 hexadecimal digits
  std::vector<std::uint8_t> bytes;
};

// DSSE's payload type of in-toto statements.
inline constexpr std::string_view kStatementType = "application/vnd.in-toto+json";

// An in-toto statement (v1) of the bundle's digests, as canonical JSON (RFC 8785).
std::string StatementOf(const BundleReader& reader);

// The bytes that a key signs: DSSE's pre-authentication encoding of a payload.
std::string SignedBytes(std::string_view payload_type, std::string_view payload);

// A DSSE envelope of the statement with these signatures, as canonical JSON.
std::string EnvelopeOf(std::string_view statement, const std::vector<BundleSignature>& signatures);

// Those in the signature room; none is no error. Their form is checked, not what they say. kMalformed; kSignature when they are
// over another statement than this bundle's.
Result<std::vector<BundleSignature>> ReadSignatures(const BundleReader& reader);

// The signature room with these signatures in place of those that are there; records of other kinds stay. kLimit.
Result<std::vector<std::uint8_t>> SignatureRoomWith(const BundleReader& reader, const std::vector<BundleSignature>& signatures);

}  // namespace pannier

#endif  // PANNIER_SRC_SIGNATURES_H_
