// Fuzz target: what a library, of any format, says of itself, and how it differs from itself.
#include <nlohmann/json.hpp>

#include "embedder/view/code_diff.h"
#include "embedder/view/library_facts.h"
#include "tests/fuzz/fuzz_support.h"

namespace pannier {

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes(data, size);
  const Result<LibraryFacts> facts = ReadLibraryFacts(bytes);
  if (!facts.ok()) return 0;
  for (const LibrarySection& section : facts->sections)
    Require(bytes.Contains(section.offset, section.size), "sections are in the file");
  for (const LibraryFunction& function : facts->functions) {
    Require(function.bytes.size() <= function.size, "a function's bytes are its own");
    Require(function.bytes.empty() || (function.bytes.begin() >= bytes.begin() && function.bytes.end() <= bytes.end()),
            "in the file");
  }
  const nlohmann::json diff = CompareLibraries(*facts, bytes, *facts, bytes);
  Require(diff["functions"]["changed"].empty() && diff["sections"].empty(), "a library does not differ from itself");
  return 0;
}

}  // namespace pannier
