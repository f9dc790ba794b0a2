// Fuzz target: a detached signature's file, and the statement in it.
#include "embedder/detached_signature.h"
#include "src/sha256.h"
#include "tests/fuzz/fuzz_support.h"

namespace pannier {
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  const Sha256Digest digest = Sha256Of(input);
  (void)CheckModelStatement(input.text(), "model.so", digest);
  const Result<DetachedSignature> signature = ParseDetachedSignature(input.text());
  if (!signature.ok()) return 0;
  (void)CheckModelStatement(signature->payload, "model.so", digest);
  (void)FindSigner(*signature, {});
  return 0;
}

}  // namespace pannier
