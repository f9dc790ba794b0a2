// PrivateKey: makes signatures with a PEM key as `openssl genpkey` writes it.
#ifndef PANNIER_EMBEDDER_PRIVATE_KEY_H_
#define PANNIER_EMBEDDER_PRIVATE_KEY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "src/bytes.h"
#include "src/public_key.h"
#include "src/result.h"

namespace pannier {

class PrivateKey {
 public:
  // Ed25519 or ECDSA P-256, in PKCS #8 or SEC 1. The passphrase of an encrypted one is asked for at the terminal.
  static Result<PrivateKey> Read(const std::string& path);

  const PublicKey& public_key() const { return public_key_; }

  // ECDSA's are DER, and differ from call to call; Ed25519's are always the same.
  Result<std::vector<std::uint8_t>> Sign(ByteView message) const;

 private:
  PrivateKey(std::shared_ptr<evp_pkey_st> key, PublicKey public_key) : key_(std::move(key)), public_key_(std::move(public_key)) {}

  std::shared_ptr<evp_pkey_st> key_;
  PublicKey public_key_;
};

// An ECDSA P-256 signature as DER, from its two numbers side by side (32 bytes each, as JOSE and PKCS #11 have them).
Result<std::vector<std::uint8_t>> EcdsaDer(ByteView numbers);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_PRIVATE_KEY_H_
