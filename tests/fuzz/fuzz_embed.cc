// Fuzz target: any host through all of embed, LIEF's parsers included; what succeeds verifies, and is restored byte for byte.
#include <string>

#include "embedder/embed.h"
#include "embedder/restore.h"
#include "tests/file_fixture.h"
#include "tests/fuzz/fuzz_support.h"
#include "tests/fuzz/host_target.h"

namespace pannier {

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const MemoryFile memory;
  static const TemporaryDirectory folder;
  static const std::vector<NamedPath> artifacts = [] {
    std::vector<NamedPath> paths;
    for (const ArtifactInput& input : SmallArtifacts()) paths.push_back({input.name, input.file->path()});
    return paths;
  }();
  const ByteView host(data, size);
  memory.Put(host);
  EmbedOptions options;
  options.encode.codec = CodecChoice::kZstd;
  options.encode.threads = 1;
  options.drop_signature = true;
  options.sectionless = true;
  const Result<EmbedSummary> summary = Embed(memory.path(), artifacts, folder / "bundle", options);
  if (!summary.ok()) {
    const std::string& message = summary.status().message();
    if (message.find("reading back") != std::string::npos) std::fprintf(stderr, "%s\n", message.c_str());
    Require(message.find("reading back") == std::string::npos, "what is written is what was planned");
    return 0;
  }
  Require(Restore(folder / "bundle", folder / "restored"), "a bundle can be restored");
  const std::string restored = ReadFile(folder / "restored");
  Require(View(restored) == host, "a bundle is restored byte for byte");
  return 0;
}

}  // namespace pannier
