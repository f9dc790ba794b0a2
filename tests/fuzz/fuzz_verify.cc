// Fuzz target: the verification of a bundle's file and image, of a fat file's slices each as a file of its own.
#include "src/bundle_reader.h"
#include "src/macho_file.h"
#include "src/verify.h"
#include "tests/fuzz/fuzz_support.h"

namespace pannier {
namespace {

void VerifyLibrary(ByteView bytes) {
  const MemoryFile memory;
  memory.Put(bytes);
  const GuardedMapping mapping(memory, bytes.size());
  const Result<Payload> payload = FindPayload(mapping.file().bytes());
  if (!payload.ok()) return;
  const Result<BundleReader> reader = BundleReader::Open(*payload);
  if (!reader.ok()) return;
  const Result<VerifyReport> file = VerifyFile(mapping.file(), *reader, 1);
  const Result<VerifyReport> image = VerifyImage(mapping.file(), *reader, 1);
  Require(!file.ok() || file->passed() || !file->differences.front().empty(), "a difference is told");
  (void)image.ok();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes(data, size);
  if (!macho::HasFatMagic(bytes)) {
    VerifyLibrary(bytes);
    return 0;
  }
  const Result<macho::FatFile> fat = macho::ParseFat(bytes, size);
  if (!fat.ok()) return 0;
  for (const macho::Slice& slice : fat->slices) VerifyLibrary(*bytes.Slice(slice.offset, slice.size));
  return 0;
}

}  // namespace pannier
