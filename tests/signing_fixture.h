// What tests of signatures share: fresh keys, bundles signed with them, loaders that trust them.
#ifndef PANNIER_TESTS_SIGNING_FIXTURE_H_
#define PANNIER_TESTS_SIGNING_FIXTURE_H_

#include <openssl/evp.h>
#include <openssl/pem.h>

#include <catch2/catch_test_macros.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "embedder/opened_bundle.h"
#include "embedder/private_key.h"
#include "embedder/sign.h"
#include "pannier/loader.h"
#include "src/signature_check.h"
#include "tests/embed_fixture.h"

namespace pannier {

enum class Kind { kEd25519, kP256, kP384 };

// A fresh key pair as files, and the public half as text.
class Keys {
 public:
  Keys(const Folder& folder, const std::string& name, Kind kind) : private_path(folder / (name + ".pem")) {
    EVP_PKEY* const key = kind == Kind::kEd25519 ? EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")
                          : kind == Kind::kP256  ? EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256")
                                                 : EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-384");
    REQUIRE(key != nullptr);
    std::FILE* const file = std::fopen(private_path.c_str(), "w");
    REQUIRE(file != nullptr);
    REQUIRE(PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
    std::fclose(file);
    EVP_PKEY_free(key);
    if (kind == Kind::kP384) return;
    const Result<PrivateKey> read = PrivateKey::Read(private_path);
    REQUIRE(read.ok());
    public_pem = read->public_key().pem();
  }

  PublicKey public_key() const {
    const Result<PublicKey> key = PublicKey::FromPem(public_pem);
    REQUIRE(key.ok());
    return *key;
  }

  std::string private_path;
  std::string public_pem;
};

inline void MustSign(const std::string& path, const Keys& keys) {
  const Result<Signer> signer = SignerWithKey(keys.private_path);
  REQUIRE(signer.ok());
  const Status status = SignFile(path, path, "", *signer, 1);
  INFO(status.message());
  REQUIRE(status.ok());
}

inline LoadOptions Trusting(const std::vector<std::string>& keys, Trust trust = Trust::kFile) {
  LoadOptions options;
  options.trusted_keys = keys;
  options.trust = trust;
  return options;
}

// The code that `function` throws, or kOk.
template <typename Function>
ErrorCode CodeOf(const Function& function) {
  try {
    function();
    return ErrorCode::kOk;
  } catch (const Error& error) {
    UNSCOPED_INFO(error.what());
    return error.code();
  }
}

inline ErrorCode Opened(const std::string& path, const LoadOptions& options) {
  return CodeOf([&] { OpenBundle(path, options).CheckDigests(); });
}

inline std::vector<CheckedSignature> SignaturesOf(const std::string& path, const std::vector<PublicKey>& keys) {
  const Result<OpenedBundle> bundle = OpenedBundle::Open(path);
  REQUIRE(bundle.ok());
  const Result<std::vector<CheckedSignature>> signatures = CheckSignatures(bundle->reader, keys);
  INFO(signatures.status().message());
  REQUIRE(signatures.ok());
  return *signatures;
}

}  // namespace pannier

#endif  // PANNIER_TESTS_SIGNING_FIXTURE_H_
