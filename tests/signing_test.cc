// Signatures put in, attached, taken out and checked, whatever stands in the room for them.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

#include "embedder/fat_bundle.h"
#include "embedder/private_key.h"
#include "embedder/restore.h"
#include "embedder/sign.h"
#include "pannier/loader.h"
#include "src/base64.h"
#include "src/signature_check.h"
#include "src/signatures.h"
#include "tests/macho_builder.h"
#include "tests/signing_fixture.h"

namespace pannier {
namespace {

const std::vector<std::string> kOneOfEachFormat = {"linux-x86_64", "macos-arm64", "windows-x86_64"};

TEST_CASE("signing changes the signature room and what follows from it; without signatures the bundle is as it was") {
  const Folder folder;
  const Keys first(folder, "first", Kind::kEd25519);
  const Keys second(folder, "second", Kind::kP256);
  for (const std::string& platform : kOneOfEachFormat) {
    CAPTURE(platform);
    const EditPlan plan = MustEmbed(HostOf(platform), Artifacts(), folder / "model").plan;
    const std::string before = ReadFile(folder / "model");
    MustSign(folder / "model", first);
    MustSign(folder / "model", second);
    MustSign(folder / "model", second);  // in place of the first one by the same key
    CHECK(MustVerify(folder / "model").passed());
    const std::string after = ReadFile(folder / "model");
    REQUIRE(after.size() == before.size());
    {
      const Result<OpenedBundle> bundle = OpenedBundle::Open(folder / "model");
      REQUIRE(bundle.ok());
      const auto room = static_cast<std::size_t>(bundle->reader.signature_room().data() - bundle->file.bytes().data());
      std::size_t others = 0;
      for (std::size_t i = 0; i < after.size(); ++i) {
        const bool is_room = i >= room && i < room + bundle->reader.signature_room().size();
        const bool is_derived = std::any_of(plan.derived.begin(), plan.derived.end(),
                                            [i](const Derived& one) { return i >= one.offset && i < one.offset + one.size; });
        if (after[i] != before[i] && !is_room && !is_derived) ++others;
      }
      CHECK(others == 0);
    }
    const auto signatures = SignaturesOf(folder / "model", {first.public_key(), second.public_key()});
    REQUIRE(signatures.size() == 2);
    for (const CheckedSignature& signature : signatures) CHECK(signature.state == SignatureState::kRight);
    CHECK(Opened(folder / "model", Trusting({second.public_pem})) == ErrorCode::kOk);

    REQUIRE(Restore(folder / "model", folder / "lib").ok());
    CHECK(ReadFile(folder / "lib") == ReadFile(HostOf(platform)));
    REQUIRE(SignFile(folder / "model", folder / "model", "", SignerOfNone(), 1).ok());
    CHECK(ReadFile(folder / "model") == before);
  }
}

TEST_CASE("embedding signs, too; Ed25519 signatures are always the same") {
  const Folder folder;
  const Keys keys(folder, "key", Kind::kEd25519);
  for (const std::string& platform : kOneOfEachFormat) {
    CAPTURE(platform);
    EmbedOptions options;
    options.sign_key = keys.private_path;
    REQUIRE(Embed(HostOf(platform), Artifacts(), folder / "at once", options).ok());
    MustEmbed(HostOf(platform), Artifacts(), folder / "later", CodecChoice::kAuto);
    MustSign(folder / "later", keys);
    CHECK(ReadFile(folder / "at once") == ReadFile(folder / "later"));
  }
}

TEST_CASE("each slice of a fat file is signed, or the one that is asked for") {
  const Folder folder;
  const Keys keys(folder, "key", Kind::kP256);
  MachOSpec x86;
  x86.data_segments = 1;
  MachOSpec arm = x86;
  arm.cpu_type = macho::kCpuArm64;
  arm.cpu_subtype = 0;
  const Bytes fat = BuildFat({BuildMachO(x86), BuildMachO(arm)}, false, 14);
  WriteFile(folder / "lib", std::string(fat.begin(), fat.end()));
  MustEmbed(folder / "lib", Artifacts(), folder / "model");
  const Result<Signer> signer = SignerWithKey(keys.private_path);
  REQUIRE(signer.ok());
  const auto count = [&] {
    const Result<FileSource> source = FileSource::Open(folder / "model");
    REQUIRE(source.ok());
    const Result<FatBundle> bundle = FatBundle::Open(source->fd(), source->size());
    REQUIRE(bundle.ok());
    const Result<VerifyReport> report = VerifyFat(*bundle, 1);
    REQUIRE(report.ok());
    CHECK(report->passed());
    std::vector<std::size_t> counts;
    for (const auto& slice : bundle->bundles) counts.push_back(ReadSignatures(slice->reader)->size());
    return counts;
  };
  REQUIRE(SignFile(folder / "model", folder / "model", "arm64", *signer, 1).ok());
  CHECK(count() == std::vector<std::size_t>{0, 1});
  REQUIRE(SignFile(folder / "model", folder / "model", "", *signer, 1).ok());
  CHECK(count() == std::vector<std::size_t>{1, 1});
  CHECK(SignFile(folder / "model", folder / "model", "ppc", *signer, 1).code() == ErrorCode::kNotFound);
  CHECK(Opened(folder / "model", Trusting({keys.public_pem})) == ErrorCode::kOk);
}

TEST_CASE("a signature made elsewhere is attached in whatever form it comes") {
  const Folder folder;
  const Keys ed(folder, "ed", Kind::kEd25519);
  const Keys p256(folder, "p256", Kind::kP256);
  MustEmbed(HostOf("linux-x86_64"), Artifacts(), folder / "model");
  for (const Keys* keys : {&ed, &p256}) {
    const Result<PrivateKey> key = PrivateKey::Read(keys->private_path);
    REQUIRE(key.ok());
    std::vector<std::string> forms;
    {
      const Result<OpenedBundle> bundle = OpenedBundle::Open(folder / "model");
      const std::string statement = StatementOf(bundle->reader);
      const std::string message = SignedBytes(kStatementType, statement);
      const Result<std::vector<std::uint8_t>> signature = key->Sign(View(message));
      REQUIRE(signature.ok());
      forms.emplace_back(signature->begin(), signature->end());
      forms.push_back(EncodeBase64(View(*signature)) + "\n");
      forms.push_back(EnvelopeOf(statement, {{key->public_key().id(), *signature}}));
    }
    for (const std::string& form : forms) {
      REQUIRE(SignFile(folder / "model", folder / "model", "", SignerOfNone(), 1).ok());
      REQUIRE(SignFile(folder / "model", folder / "model", "", SignerWithSignature(form, keys->public_key()), 1).ok());
      CHECK(SignaturesOf(folder / "model", {keys->public_key()}).front().state == SignatureState::kRight);
    }
    const std::string before = ReadFile(folder / "model");
    for (const std::string& wrong : {std::string(), std::string("x"), std::string(64, 'x'),
                                     std::string("{\"signatures\": [{\"sig\": 1}]}"), forms[0] + "x", std::string(5000, '[')}) {
      const Status status = SignFile(folder / "model", folder / "model", "", SignerWithSignature(wrong, keys->public_key()), 1);
      CHECK(status.code() == ErrorCode::kSignature);
      CHECK(ReadFile(folder / "model") == before);
    }
    const Keys& other = keys == &ed ? p256 : ed;
    CHECK_FALSE(SignFile(folder / "model", folder / "model", "", SignerWithSignature(forms[0], other.public_key()), 1).ok());
  }
}

TEST_CASE("keys that are none, of other kinds or too large are refused") {
  const Folder folder;
  const Keys p384(folder, "p384", Kind::kP384);
  CHECK(SignerWithKey(p384.private_path).status().code() == ErrorCode::kSignature);
  CHECK(SignerWithKey(folder / "none").status().code() == ErrorCode::kIo);
  CHECK(SignerWithKey(folder.path()).status().code() != ErrorCode::kOk);
  WriteFile(folder / "large", std::string(1 << 20, 'x'));
  CHECK(SignerWithKey(folder / "large").status().code() == ErrorCode::kInvalidArgument);
  for (const std::string& pem : {std::string(), std::string("x"), std::string(100000, 'x'),
                                 std::string("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")}) {
    CHECK(PublicKey::FromPem(pem).status().code() == ErrorCode::kSignature);
  }
}

TEST_CASE("a key has one id, in whichever form it is written") {
  constexpr const char* kPlain =
      "-----BEGIN PUBLIC KEY-----\n"
      "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEBey35SCqX88vS5lcCgYDcM+77vsP\n"
      "GnbYT+PvKMCVJzvY7NQ/ATxZhXoKmhxjx2dBg/FjhY7Z4A/poYvZ1zbvQg==\n"
      "-----END PUBLIC KEY-----\n";
  constexpr const char* kCompressed =
      "-----BEGIN PUBLIC KEY-----\n"
      "MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgACBey35SCqX88vS5lcCgYDcM+77vsP\n"
      "GnbYT+PvKMCVJzs=\n"
      "-----END PUBLIC KEY-----\n";
  constexpr const char* kCurveSpelledOut =
      "-----BEGIN PUBLIC KEY-----\n"
      "MIIBSzCCAQMGByqGSM49AgEwgfcCAQEwLAYHKoZIzj0BAQIhAP////8AAAABAAAA\n"
      "AAAAAAAAAAAA////////////////MFsEIP////8AAAABAAAAAAAAAAAAAAAA////\n"
      "///////////8BCBaxjXYqjqT57PrvVV2mIa8ZR0GsMxTsPY7zjw+J9JgSwMVAMSd\n"
      "NgiG5wSTamZ44ROdJreBn36QBEEEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5\n"
      "RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9QIhAP////8AAAAA\n"
      "//////////+85vqtpxeehPO5ysL8YyVRAgEBA0IABAXst+Ugql/PL0uZXAoGA3DP\n"
      "u+77Dxp22E/j7yjAlSc72OzUPwE8WYV6CpocY8dnQYPxY4WO2eAP6aGL2dc270I=\n"
      "-----END PUBLIC KEY-----\n";
  for (const char* pem : {kPlain, kCompressed, kCurveSpelledOut}) {
    const Result<PublicKey> key = PublicKey::FromPem(pem);
    REQUIRE(key.ok());
    CHECK(key->id() == "5c288c66b4425fd43379205a436d5b1c3ad730242f781c6f8a3d798639446127");
    CHECK(key->pem() == kPlain);
  }
}

TEST_CASE("a damaged bundle is not signed, and stays as it is") {
  const Folder folder;
  const Keys keys(folder, "key", Kind::kEd25519);
  MustEmbed(HostOf("linux-x86_64"), Artifacts(), folder / "model");
  std::string bytes = ReadFile(folder / "model");
  bytes[5000] = static_cast<char>(bytes[5000] ^ 1);
  WriteFile(folder / "model", bytes);
  const Result<Signer> signer = SignerWithKey(keys.private_path);
  CHECK(SignFile(folder / "model", folder / "model", "", *signer, 1).code() == ErrorCode::kDigestMismatch);
  CHECK(ReadFile(folder / "model") == bytes);
}

// Only signatures by trusted keys over this very bundle count.
TEST_CASE("every flipped byte of a signed bundle is found by who trusts its key") {
  const Folder folder;
  const Keys keys(folder, "key", Kind::kEd25519);
  WriteFile(folder / "small.json", "{}");
  MustEmbed(HostOf("linux-i686"), {{"graph", folder / "small.json"}}, folder / "model");
  MustSign(folder / "model", keys);
  std::string bytes = ReadFile(folder / "model");
  const LoadOptions options = Trusting({keys.public_pem});
  const auto opened = [&] { return CodeOf([&] { OpenBundle(bytes.data(), bytes.size(), options); }); };
  REQUIRE(opened() == ErrorCode::kOk);
  std::size_t room = 0;
  std::size_t room_size = 0;
  {
    const Result<OpenedBundle> bundle = OpenedBundle::Open(folder / "model");
    room = static_cast<std::size_t>(bundle->reader.signature_room().data() - bundle->file.bytes().data());
    room_size = bundle->reader.signature_room().size();
  }
  std::size_t tried = 0;
  // Each byte of what is ours and of the envelope; in steps through the host and the room's zeroes.
  const auto step = [&](std::size_t at) -> std::size_t { return at < 30000 ? 29 : at > room + 1500 ? 11 : 1; };
  for (std::size_t at = 0; at < bytes.size(); at += step(at)) {
    const char before = bytes[at];
    bytes[at] = static_cast<char>(before ^ (1 << (at % 8)));
    CAPTURE(at, room, room_size);
    REQUIRE(opened() != ErrorCode::kOk);
    bytes[at] = before;
    ++tried;
  }
  CHECK(tried > 4000);
}

TEST_CASE("the room takes many signatures, and says when it is full") {
  const Folder folder;
  MustEmbed(HostOf("linux-x86_64"), Artifacts(), folder / "model");
  std::size_t count = 0;
  for (;; ++count) {
    const Keys keys(folder, "key", Kind::kP256);
    const Result<Signer> signer = SignerWithKey(keys.private_path);
    const std::string before = ReadFile(folder / "model");
    const Status status = SignFile(folder / "model", folder / "model", "", *signer, 1);
    if (status.ok()) continue;
    CHECK(status.code() == ErrorCode::kLimit);
    CHECK(ReadFile(folder / "model") == before);
    break;
  }
  CHECK(count >= 20);
  CHECK(SignaturesOf(folder / "model", {}).size() == count);
}

TEST_CASE("what stands in the room is checked to the last byte") {
  const Folder folder;
  const Keys keys(folder, "key", Kind::kEd25519);
  MustEmbed(HostOf("linux-x86_64"), Artifacts(), folder / "model");
  MustSign(folder / "model", keys);
  const std::string good = ReadFile(folder / "model");
  const Result<OpenedBundle> bundle = OpenedBundle::Open(folder / "model");
  REQUIRE(bundle.ok());
  const auto room = static_cast<std::size_t>(bundle->reader.signature_room().data() - bundle->file.bytes().data());
  const std::size_t envelope = good.find('{', room) - room;
  const std::size_t size = good.find('\0', room + envelope) - room - envelope;
  const std::string text = good.substr(room + envelope, size);
  const auto with = [&](const std::string& record_text, std::uint32_t type = 1, std::uint32_t stated = UINT32_MAX) {
    std::string bytes = good;
    std::string record(8, '\0');
    StoreInteger<std::uint32_t>(reinterpret_cast<std::uint8_t*>(record.data()), type, ByteOrder::kLittle);
    StoreInteger<std::uint32_t>(reinterpret_cast<std::uint8_t*>(record.data()) + 4,
                                stated != UINT32_MAX ? stated : static_cast<std::uint32_t>(record_text.size()), ByteOrder::kLittle);
    record += record_text;
    record.resize(AlignUp(record.size(), 8));
    record.resize(std::max<std::size_t>(record.size(), size + envelope + 16));
    bytes.replace(room, record.size(), record);
    WriteFile(folder / "bad", bytes);
    return CodeOf([&] { OpenBundle(folder / "bad", Trusting({keys.public_pem})); });
  };
  REQUIRE(with(text) == ErrorCode::kOk);
  CHECK(with("") == ErrorCode::kMalformed);
  CHECK(with("{}") == ErrorCode::kSignature);
  CHECK(with(text, 7) == ErrorCode::kSignature);  // a kind that is not known is skipped
  CHECK(with(text, 1, 9000) == ErrorCode::kMalformed);
  CHECK(with(text, 1, UINT32_MAX - 1) == ErrorCode::kMalformed);
  CHECK(with(text, 1, static_cast<std::uint32_t>(text.size() - 3)) == ErrorCode::kMalformed);
  CHECK(with(text + " ") == ErrorCode::kMalformed);
  CHECK(with(" " + text) == ErrorCode::kSignature);
  const std::string signature = text.substr(text.find("{\"keyid"), text.find("\"}]") + 2 - text.find("{\"keyid"));
  const std::string start = text.substr(0, text.find("{\"keyid"));
  CHECK(with(start + "]}") == ErrorCode::kMalformed);
  CHECK(with(start + signature + "," + signature + "]}") == ErrorCode::kOk);
  CHECK(with(start + signature + ",]}") == ErrorCode::kMalformed);
  CHECK(with(start + signature + ", " + signature + "]}") == ErrorCode::kMalformed);
  std::string no_base64 = signature;
  no_base64[no_base64.size() - 3] = '!';
  CHECK(with(start + no_base64 + "]}") == ErrorCode::kMalformed);
  for (std::size_t cut = 0; cut < text.size(); cut += cut + 200 < text.size() ? 7U : 1U)
    CHECK(with(text.substr(0, cut)) != ErrorCode::kOk);
  // Two envelopes.
  std::string twice = good;
  const std::size_t next = AlignUp(envelope + size, 8);
  twice.replace(room + next, next, good.substr(room, next));
  WriteFile(folder / "bad", twice);
  CHECK(Opened(folder / "bad", Trusting({keys.public_pem})) == ErrorCode::kMalformed);
  CHECK_FALSE(MustVerify(folder / "bad").passed());
}

TEST_CASE("a signature of another bundle counts nothing") {
  const Folder folder;
  const Keys keys(folder, "key", Kind::kEd25519);
  MustEmbed(HostOf("linux-x86_64"), Artifacts(), folder / "one");
  MustEmbed(HostOf("linux-x86_64"), {{"graph", (kData / "params.bin").string()}}, folder / "two");
  MustSign(folder / "one", keys);
  std::string two = ReadFile(folder / "two");
  const auto room_of = [](const std::string& path) {
    const Result<OpenedBundle> bundle = OpenedBundle::Open(path);
    REQUIRE(bundle.ok());
    return static_cast<std::size_t>(bundle->reader.signature_room().data() - bundle->file.bytes().data());
  };
  two.replace(room_of(folder / "two"), 8192, ReadFile(folder / "one").substr(room_of(folder / "one"), 8192));
  WriteFile(folder / "two", two);
  CHECK(Opened(folder / "two", Trusting({keys.public_pem})) == ErrorCode::kSignature);
  CHECK_FALSE(MustVerify(folder / "two").passed());
}

}  // namespace
}  // namespace pannier
