// Fuzz target: a signature room, in an otherwise sound and signed bundle. What is read of it is written again as it was.
#include <algorithm>
#include <string>
#include <vector>

#include "src/signature_check.h"
#include "src/signatures.h"
#include "tests/file_fixture.h"
#include "tests/fuzz/fuzz_support.h"

namespace pannier {
namespace {

struct Signed {
  std::string bytes = ReadFile(PANNIER_TEST_DATA "/../golden/v1-signed.so");
  std::vector<PublicKey> keys;
  std::uint64_t room = 0;
  std::uint64_t room_size = 0;

  Signed() {
    for (const char* const kind : {"ed25519", "p256"}) {
      Result<PublicKey> key = PublicKey::FromPem(ReadFile(std::string(PANNIER_TEST_DATA "/../golden/signed-") + kind + ".pub.pem"));
      if (key.ok()) keys.push_back(std::move(*key));  // a build without OpenSSL has none
    }
    const BundleReader reader = Read();
    room = static_cast<std::uint64_t>(reader.signature_room().data() - reinterpret_cast<const std::uint8_t*>(bytes.data()));
    room_size = reader.signature_room().size();
  }
  BundleReader Read() const {
    const Result<Payload> payload = FindPayload(View(bytes));
    Require(payload.status(), "the golden bundle is one");
    Result<BundleReader> reader = BundleReader::Open(*payload);
    Require(reader.status(), "the golden bundle can be read");
    return std::move(*reader);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Signed bundle;
  const std::size_t filled = std::min<std::size_t>(size, bundle.room_size);
  std::fill_n(bundle.bytes.begin() + static_cast<std::ptrdiff_t>(bundle.room), bundle.room_size, '\0');
  std::copy_n(data, filled, bundle.bytes.begin() + static_cast<std::ptrdiff_t>(bundle.room));
  const BundleReader reader = bundle.Read();
  const Result<std::vector<BundleSignature>> signatures = ReadSignatures(reader);
  if (!signatures.ok()) return 0;
  const Result<std::vector<CheckedSignature>> checked = CheckSignatures(reader, bundle.keys);
  Require(checked.ok() && checked->size() == signatures->size(), "each signature is checked");
  const Result<std::vector<std::uint8_t>> room = SignatureRoomWith(reader, *signatures);
  Require(room.status(), "signatures that were in the room fit into it");
  std::copy(room->begin(), room->end(), bundle.bytes.begin() + static_cast<std::ptrdiff_t>(bundle.room));
  const Result<std::vector<BundleSignature>> again = ReadSignatures(bundle.Read());
  Require(again.ok() && again->size() == signatures->size(), "the room is read as it was written");
  for (std::size_t i = 0; i < again->size(); ++i)
    Require((*again)[i].key_id == (*signatures)[i].key_id && (*again)[i].bytes == (*signatures)[i].bytes,
            "signatures stay as they are");
  return 0;
}

}  // namespace pannier
