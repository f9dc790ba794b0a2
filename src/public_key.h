// PublicKey: checks signatures of the two kinds that bundles have, Ed25519 (RFC 8032) and ECDSA over P-256 with SHA-256 (FIPS
// 186-5).
#ifndef PANNIER_SRC_PUBLIC_KEY_H_
#define PANNIER_SRC_PUBLIC_KEY_H_

#include <memory>
#include <string>
#include <string_view>

#include "src/bytes.h"
#include "src/result.h"

struct evp_pkey_st;

namespace pannier {

// Made by OpenSSL; in a build without it (public_key_none.cc) there are none.
class PublicKey {
 public:
  // A PEM text ("BEGIN PUBLIC KEY", RFC 7468), as `openssl pkey -pubout` writes it. kSignature when it is none, of another kind, or
  // when this build has no OpenSSL.
  static Result<PublicKey> FromPem(std::string_view pem);
  // Of the same kinds; shares it.
  static Result<PublicKey> FromKey(std::shared_ptr<evp_pkey_st> key);

  // SHA-256 of the DER form of SubjectPublicKeyInfo, 64 hexadecimal digits: `openssl pkey -pubin -outform DER | sha256sum`. The
  // same in whichever form the key was given (a curve's point may be compressed).
  const std::string& id() const { return id_; }
  // As `openssl pkey -pubin` writes it.
  const std::string& pem() const { return pem_; }
  std::string_view algorithm() const { return is_ed25519_ ? "Ed25519" : "ECDSA P-256"; }
  bool is_ed25519() const { return is_ed25519_; }

  // Did this key sign the message? An ECDSA signature is DER (RFC 3279).
  bool IsSignatureOf(ByteView message, ByteView signature) const;

 private:
  PublicKey() = default;

  std::shared_ptr<evp_pkey_st> key_;
  std::string id_;
  std::string pem_;
  bool is_ed25519_ = false;
};

}  // namespace pannier

#endif  // PANNIER_SRC_PUBLIC_KEY_H_
