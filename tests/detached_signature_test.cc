// Detached signatures as others might write them: whatever is in such a file, it is read, or refused with a message.
//
// Whether a signature is right needs keys, and the tool that writes such files: model_signing_test.py.
#include "embedder/detached_signature.h"

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "embedder/content/strict_json.h"
#include "src/base64.h"
#include "tests/file_fixture.h"

namespace pannier {
namespace {

using Json = nlohmann::json;

const std::string kBytes = Pattern(1000, 1);
const Sha256Digest kFile = Sha256Of(View(kBytes));

// As model-signing 1.1.1 writes it.
Json Statement() {
  const std::string root = Sha256Of(View(kFile.bytes)).Hex();
  return {{"_type", "https://in-toto.io/Statement/v1"},
          {"subject", Json::array({{{"name", "model.so"}, {"digest", {{"sha256", root}}}}})},
          {"predicateType", "https://model_signing/signature/v1.0"},
          {"predicate",
           {{"serialization", {{"method", "files"}, {"hash_type", "sha256"}, {"allow_symlinks", false}}},
            {"resources", Json::array({{{"name", "."}, {"algorithm", "sha256"}, {"digest", kFile.Hex()}}})}}}};
}

Json SignatureFile() {
  const std::string statement = Statement().dump();
  const Json signature = {{"sig", "MAA="}, {"keyid", ""}};
  return {{"mediaType", "application/vnd.dev.sigstore.bundle.v0.3+json"},
          {"verificationMaterial", {{"publicKey", {{"hint", std::string(64, 'a')}}}, {"tlogEntries", Json::array()}}},
          {"dsseEnvelope",
           {{"payload", EncodeBase64(View(statement))},
            {"payloadType", "application/vnd.in-toto+json"},
            {"signatures", Json::array({signature})}}}};
}

struct Outcome {
  ErrorCode code;
  std::string message;

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome Parse(std::string_view text) {
  const Result<DetachedSignature> signature = ParseDetachedSignature(text);
  return {signature.status().code(), signature.status().message()};
}

Outcome Check(std::string_view statement) {
  const Status status = CheckModelStatement(statement, "model.so", kFile);
  return {status.code(), status.message()};
}

Json With(Json json, const char* pointer, Json value) {
  json[Json::json_pointer(pointer)] = std::move(value);
  return json;
}

const Outcome kRight = {ErrorCode::kOk, ""};

TEST_CASE("strict JSON: nothing that readers take for different things") {
  CHECK(ParseStrictJson(R"({"a":[1,{"a":2}],"b":{"a":3}})").ok());
  CHECK(ParseStrictJson(std::string(32, '[') + std::string(32, ']')).ok());
  const auto refusal = [](const std::string& text) { return ParseStrictJson(text).status().message(); };
  CHECK(refusal(std::string(33, '[') + std::string(33, ']')) == "found it nested deeper than 32");
  CHECK(refusal(std::string(1 << 20, '[')) == "found it nested deeper than 32");
  CHECK(refusal(R"({"a":{"b":1,"\u0062":2}})") == "found \"b\" twice in one object");
  for (const char* text : {"", " ", "{", "{}{}", "[1,]", "nul", "\"\xff\"", "\"\x01\"", "{\"a\":1e999}", "// x\n1"})
    CHECK(refusal(text) == "found something else, expected JSON");
}

TEST_CASE("strict JSON: time grows with the text, not with its square") {
  std::string text = "[";
  for (int i = 0; i < 500'000; ++i) text += "{},";
  CHECK(ParseStrictJson(text + "0]").ok());
}

TEST_CASE("detached signatures: what is in them") {
  const Result<DetachedSignature> signature = ParseDetachedSignature(SignatureFile().dump(1));
  INFO(signature.status().message());
  REQUIRE(signature.ok());
  CHECK(signature->key_hint == std::string(64, 'a'));
  CHECK(signature->payload == Statement().dump());
  CHECK(signature->signature == std::vector<std::uint8_t>{0x30, 0});
  CHECK(Parse(With(SignatureFile(), "/verificationMaterial/publicKey", {{"rawBytes", "MAA="}}).dump()) == kRight);
  CHECK(Parse(With(SignatureFile(), "/new", {{"a", 1}}).dump()) == kRight);
}

TEST_CASE("detached signatures: refused") {
  struct Case {
    const char* pointer;
    Json value;
    ErrorCode code;
    std::string message;
  };
  const std::vector<Case> cases = {
      {"/mediaType", "x", ErrorCode::kUnsupported,
       R"(mediaType: found "x", expected "application/vnd.dev.sigstore.bundle.v0.3+json")"},
      {"/mediaType", 7, ErrorCode::kMalformed, "mediaType: found number, expected a string"},
      {"/verificationMaterial", 7, ErrorCode::kMalformed, "verificationMaterial: found number, expected an object"},
      {"/verificationMaterial/publicKey", Json(), ErrorCode::kMalformed, "verificationMaterial.publicKey: found nothing"},
      {"/verificationMaterial/publicKey", "x", ErrorCode::kMalformed,
       "verificationMaterial.publicKey: found string, expected an object"},
      {"/verificationMaterial/certificate",
       {{"rawBytes", "MAA="}},
       ErrorCode::kUnsupported,
       "verificationMaterial: found a certificate, expected a public key: only what `model_signing sign key` makes is checked"},
      {"/dsseEnvelope/payload", "x", ErrorCode::kMalformed, "dsseEnvelope.payload: found something else, expected base64"},
      {"/dsseEnvelope/payloadType", "x", ErrorCode::kUnsupported,
       R"(dsseEnvelope.payloadType: found "x", expected "application/vnd.in-toto+json")"},
      {"/dsseEnvelope/signatures", Json::array(), ErrorCode::kMalformed, "dsseEnvelope.signatures: found 0, expected one"},
      {"/dsseEnvelope/signatures/1", {{"sig", "MAA="}}, ErrorCode::kUnsupported, "dsseEnvelope.signatures: found 2, expected one"},
      {"/dsseEnvelope/signatures/0", "x", ErrorCode::kMalformed, "dsseEnvelope.signatures: found string, expected an object"},
  };
  for (const Case& one : cases)
    CHECK(Parse(With(SignatureFile(), one.pointer, one.value).dump()) == Outcome{one.code, one.message});
  CHECK(Parse("[]") == Outcome{ErrorCode::kMalformed, "found array, expected an object"});
}

TEST_CASE("detached signatures: the statement is about this file") {
  CHECK(Check(Statement().dump()) == kRight);
  const auto changed = [](const char* pointer, const Json& value) { return Check(With(Statement(), pointer, value).dump()); };
  CHECK(changed("/predicate/resources/0/name", "model.so") == kRight);  // as the specification has it
  CHECK(changed("/predicate/resources/0/name", "\x1b") ==
        Outcome{ErrorCode::kSignature, "found one of file \\x1b, expected one of model.so"});
  CHECK(changed("/predicate/resources/0/digest", std::string(64, '0')) ==
        Outcome{ErrorCode::kDigestMismatch, "file: found SHA-256 " + kFile.Hex() + ", expected " + std::string(64, '0')});
  CHECK(changed("/subject/0/digest/sha256", "0").code == ErrorCode::kDigestMismatch);
  CHECK(changed("/predicate/serialization/method", "shards") ==
        Outcome{ErrorCode::kUnsupported, R"(predicate.serialization.method: found "shards", expected "files")"});
  CHECK(changed("/predicate/serialization/hash_type", "blake3").code == ErrorCode::kUnsupported);
  CHECK(changed("/predicate/resources/0/algorithm", "blake2b").code == ErrorCode::kUnsupported);
  CHECK(changed("/predicate/resources/1", Json::object()) ==
        Outcome{ErrorCode::kUnsupported, "predicate.resources: found 2, expected one"});
  CHECK(changed("/predicateType", "https://model_signing/Digests/v0.1").code == ErrorCode::kUnsupported);
  CHECK(changed("/_type", "x").code == ErrorCode::kUnsupported);
  CHECK(Check("{").message == "statement: found something else, expected JSON");
}

TEST_CASE("detached signatures: cut off or changed at any byte") {
  const std::string file = SignatureFile().dump();
  const std::string statement = Statement().dump();
  for (std::size_t size = 0; size < file.size(); ++size) CHECK(Parse(file.substr(0, size)).code == ErrorCode::kMalformed);
  for (std::size_t size = 0; size < statement.size(); ++size) CHECK(Check(statement.substr(0, size)).code == ErrorCode::kMalformed);
  const auto flipped = [](std::string text, std::size_t bit) {
    text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << bit % 8));
    return text;
  };
  for (std::size_t bit = 0; bit < file.size() * 8; ++bit) {
    const Outcome outcome = Parse(flipped(file, bit));
    CHECK((outcome.code == ErrorCode::kOk) == outcome.message.empty());
  }
  const std::string digest = kFile.Hex();
  for (std::size_t bit = 0; bit < statement.size() * 8; ++bit) {
    const std::string text = flipped(statement, bit);
    const Outcome outcome = Check(text);
    CHECK((outcome.code == ErrorCode::kOk) == outcome.message.empty());
    if (outcome.code == ErrorCode::kOk) CHECK(text.find(digest) != std::string::npos);
  }
}

}  // namespace
}  // namespace pannier
