// Fuzz target: a Mach-O code signature, and what a bundle keeps of one.
#include <vector>

#include "src/code_signature.h"
#include "tests/fuzz/fuzz_support.h"

namespace pannier {
namespace {

void RequireSameAgain(const SignatureFacts& facts) {
  const std::vector<std::uint8_t> encoded = EncodeSignatureFacts(facts);
  const Result<SignatureFacts> decoded = DecodeSignatureFacts(View(encoded));
  Require(decoded.status(), "facts that were encoded decode");
  Require(EncodeSignatureFacts(*decoded) == encoded, "facts that were encoded decode to the same");
  const MemoryFile memory;
  const std::vector<std::uint8_t> code(5000);
  memory.Put(View(code));
  const GuardedMapping mapping(memory, code.size());
  const std::vector<std::uint8_t> signature = MakeCodeSignature(facts, mapping.file(), code.size(), 1);
  Require(signature.size() == CodeSignatureSize(facts, code.size()), "a signature has the size that was told");
  Require(ParseCodeSignature(View(signature)).status(), "a signature that was made is one");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  const Result<OldSignature> old = ParseCodeSignature(input);
  if (old.ok()) RequireSameAgain(old->facts);
  const Result<SignatureFacts> facts = DecodeSignatureFacts(input);
  if (facts.ok()) {
    const std::vector<std::uint8_t> encoded = EncodeSignatureFacts(*facts);
    Require(View(encoded) == input, "facts are encoded as they were");
    (void)CodeSignatureSize(*facts, 4096);
  }
  return 0;
}

}  // namespace pannier
