// Fuzz target: a bundle of any format in memory and in a file, and all that the loader's users can ask of it.
#include <cstring>
#include <memory>

#include "pannier/loader.h"
#include "src/payload.h"
#include "tests/fuzz/fuzz_support.h"

namespace pannier {
namespace {

// What decodes to more than this is left alone, as docs/format.md advises readers of strangers' bundles.
constexpr std::size_t kLargest = 4 << 20;

// Runs what may throw pannier's own error; any other exception ends the program.
template <typename Function>
void Try(const Function& function) {
  try {
    function();
  } catch (const Error&) {
  }
}

volatile std::uint8_t touched;

void Touch(const void* data, std::size_t size) {
  const auto* const bytes = static_cast<const std::uint8_t*>(data);
  std::uint8_t sum = 0;
  for (std::size_t i = 0; i < size; ++i) sum = static_cast<std::uint8_t>(sum + bytes[i]);
  touched = sum;
}

void UseTensors(const Bundle& bundle) {
  const TensorList params = bundle.params();
  std::size_t total = 0;
  for (const TensorView& tensor : params) {
    Require(params.contains(tensor.name()), "every tensor is found by its name");
    Touch(tensor.shape().data(), tensor.shape().size() * sizeof(std::int64_t));
    total += std::min(tensor.nbytes(), kLargest + 1);
    if (tensor.nbytes() > kLargest) continue;
    Try([&tensor] { (void)tensor.stored_bytes(); });
    Try([&tensor] { Touch(tensor.data(), tensor.nbytes()); });
    Try([&tensor] { (void)tensor.is_zero_copy(); });
    Try([&tensor] {
      const std::unique_ptr<std::uint8_t[]> copy(new std::uint8_t[tensor.nbytes()]);
      tensor.CopyTo(copy.get(), tensor.nbytes());
      Touch(copy.get(), tensor.nbytes());
    });
    Try([&tensor] {
      if (tensor.nbytes() != 0) std::memset(tensor.mutable_data(), 1, tensor.nbytes());
      tensor.ReleaseMutable();
    });
    Try([&tensor] { tensor.Prefetch(); });
    Try([&tensor] { tensor.Release(); });
  }
  if (total <= kLargest) Try([&bundle] { bundle.DecodeAll(); });
  bundle.Release();
}

void Use(const Bundle& bundle) {
  for (std::size_t i = 0; i < bundle.artifact_count(); ++i) {
    const ArtifactView artifact = bundle.artifact_at(i);
    Require(bundle.has_artifact(artifact.name()), "every artifact is found by its name");
    (void)artifact.sha256();
    (void)artifact.stored_bytes();
    if (artifact.size() > kLargest) continue;
    Try([&artifact] { Touch(artifact.bytes().data(), artifact.bytes().size()); });
  }
  Try([&bundle] { Touch(bundle.graph_json().data(), bundle.graph_json().size()); });
  Try([&bundle] { UseTensors(bundle); });
  Try([&bundle] { bundle.CheckDigests(); });
  (void)bundle.image_digest();
  Require(bundle.FindSymbol("main") == nullptr, "a bundle that was opened has no symbols");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const MemoryFile memory;
  memory.Put(ByteView(data, size));
  Try([&] { Use(OpenBundle(data, size, {Check::kLazy, 1})); });
  Try([&] { Use(OpenBundle(memory.path(), {Check::kStructure, 1})); });
  Try([&] { (void)OpenBundle(data, size, {Check::kFull, 1}); });
  const ByteView bytes(data, size);
  if (DetectFormat(bytes) == FileFormat::kPe) (void)FindMappedPe(bytes);
  return 0;
}

}  // namespace pannier
