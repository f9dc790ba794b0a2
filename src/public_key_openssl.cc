// PublicKey by OpenSSL 3.
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <array>
#include <cstring>
#include <utility>

#include "src/public_key.h"
#include "src/sha256.h"
#include "src/text.h"

namespace pannier {
namespace {

// A key of the two kinds takes some 200 bytes.
constexpr std::size_t kLongestPem = 64 << 10;

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

Status NotAKey(const std::string& why) {
  ERR_clear_error();
  return {ErrorCode::kSignature, StrCat("public key: ", why)};
}

bool IsP256(EVP_PKEY* key) {
  std::array<char, 80> group{};
  return EVP_PKEY_is_a(key, "EC") == 1 && EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr) == 1 &&
         std::strcmp(group.data(), "prime256v1") == 0;
}

// One form of several that a curve's key may have: its digest is the key's name.
bool UseOneForm(EVP_PKEY* key) {
  return EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_ENCODING, OSSL_PKEY_EC_ENCODING_GROUP) == 1 &&
         EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                        OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_UNCOMPRESSED) == 1;
}

// Empty where OpenSSL has no memory.
std::string PemOf(EVP_PKEY* key) {
  const std::unique_ptr<BIO, FreeBio> bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || PEM_write_bio_PUBKEY(bio.get(), key) != 1) return {};
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

}  // namespace

Result<PublicKey> PublicKey::FromPem(std::string_view pem) {
  if (pem.size() > kLongestPem) return NotAKey(StrCat("found ", pem.size(), " bytes, expected at most ", kLongestPem));
  const std::unique_ptr<BIO, FreeBio> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (bio == nullptr) return {ErrorCode::kNoMemory, "public key: cannot allocate"};
  EVP_PKEY* const key = PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr);
  if (key == nullptr) return NotAKey("found no PEM text of one, expected -----BEGIN PUBLIC KEY-----");
  return FromKey(std::shared_ptr<EVP_PKEY>(key, &EVP_PKEY_free));
}

Result<PublicKey> PublicKey::FromKey(std::shared_ptr<EVP_PKEY> key) {
  PublicKey found;
  found.is_ed25519_ = EVP_PKEY_is_a(key.get(), "ED25519") == 1;
  if (!found.is_ed25519_ && !IsP256(key.get())) {
    const char* const type = EVP_PKEY_get0_type_name(key.get());
    return NotAKey(StrCat("found type ", type != nullptr ? type : "unknown", ", expected Ed25519 or ECDSA P-256"));
  }
  unsigned char* der = nullptr;
  const int size = found.is_ed25519_ || UseOneForm(key.get()) ? i2d_PUBKEY(key.get(), &der) : 0;
  if (size <= 0) return NotAKey("cannot be encoded");
  found.id_ = Sha256Of(ByteView(der, static_cast<std::size_t>(size))).Hex();
  OPENSSL_free(der);
  found.pem_ = PemOf(key.get());
  if (found.pem_.empty()) return NotAKey("cannot be encoded");
  found.key_ = std::move(key);
  return found;
}

bool PublicKey::IsSignatureOf(ByteView message, ByteView signature) const {
  const std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  const EVP_MD* const digest = is_ed25519_ ? nullptr : EVP_sha256();
  const bool is_right = context != nullptr && EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key_.get()) == 1 &&
                        EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(), message.size()) == 1;
  ERR_clear_error();
  return is_right;
}

}  // namespace pannier
