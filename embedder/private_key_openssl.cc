// PrivateKey by OpenSSL 3.
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <memory>
#include <utility>

#include "embedder/private_key.h"
#include "embedder/small_file.h"
#include "src/text.h"

namespace pannier {
namespace {

template <auto kFree>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using Bio = std::unique_ptr<BIO, Free<BIO_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Free<EVP_MD_CTX_free>>;
using EcdsaSignature = std::unique_ptr<ECDSA_SIG, Free<ECDSA_SIG_free>>;

// OpenSSL's own words for the last error.
Status OpensslError(std::string_view what) {
  const unsigned long error = ERR_get_error();
  const char* const words = ERR_reason_error_string(error);
  ERR_clear_error();
  return {ErrorCode::kSignature, StrCat(what, ": ", words != nullptr ? words : "OpenSSL refused")};
}

}  // namespace

Result<PrivateKey> PrivateKey::Read(const std::string& path) {
  PANNIER_TRY(std::string pem, ReadSmallFile(path));
  const auto parse = [&]() -> Result<PrivateKey> {
    const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    std::shared_ptr<EVP_PKEY> key;
    if (bio != nullptr) key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr), &EVP_PKEY_free);
    OPENSSL_cleanse(pem.data(), pem.size());
    if (key == nullptr) return OpensslError("private key: found no PEM text of one, or the wrong passphrase");
    PANNIER_TRY(PublicKey public_key, PublicKey::FromKey(key));
    return PrivateKey(std::move(key), std::move(public_key));
  };
  return parse().WithContext(Printable(path));
}

Result<std::vector<std::uint8_t>> PrivateKey::Sign(ByteView message) const {
  const DigestContext context(EVP_MD_CTX_new());
  const EVP_MD* const digest = public_key_.is_ed25519() ? nullptr : EVP_sha256();
  std::size_t size = 0;
  if (context == nullptr || EVP_DigestSignInit(context.get(), nullptr, digest, nullptr, key_.get()) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &size, message.data(), message.size()) != 1) {
    return OpensslError("sign");
  }
  std::vector<std::uint8_t> signature(size);
  if (EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()) != 1) return OpensslError("sign");
  signature.resize(size);
  return signature;
}

Result<std::vector<std::uint8_t>> EcdsaDer(ByteView numbers) {
  constexpr int kNumber = 32;
  if (numbers.size() != 2 * kNumber) return {ErrorCode::kInvalidArgument, "signature: expected 64 bytes"};
  const EcdsaSignature signature(ECDSA_SIG_new());
  BIGNUM* const r = BN_bin2bn(numbers.data(), kNumber, nullptr);
  BIGNUM* const s = BN_bin2bn(numbers.data() + kNumber, kNumber, nullptr);
  if (signature == nullptr || ECDSA_SIG_set0(signature.get(), r, s) != 1) {
    BN_free(r);
    BN_free(s);
    return OpensslError("signature");
  }
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(signature.get(), &der);
  if (size <= 0) return OpensslError("signature");
  std::vector<std::uint8_t> bytes(der, der + size);
  OPENSSL_free(der);
  return bytes;
}

}  // namespace pannier
