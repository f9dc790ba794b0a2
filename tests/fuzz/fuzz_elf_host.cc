// Fuzz target: an ELF library as a host, by our own reader and planner.
#include "tests/fuzz/host_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return pannier::FuzzHost(pannier::FileFormat::kElf, data, size);
}
