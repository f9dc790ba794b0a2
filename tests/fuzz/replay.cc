// Replays inputs through a fuzz target, for any compiler: each file named, and each of every folder named, in memory of exactly its
// size.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "tests/file_fixture.h"
#include "tests/fuzz/fuzz_support.h"

namespace {

namespace fs = std::filesystem;

std::vector<std::string> FilesOf(const std::string& path) {
  if (!fs::is_directory(path)) return {path};
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (entry.is_regular_file()) files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// What no input of such a size may ask for at a time.
constexpr std::size_t kLargestAllocation = 128 << 20;

}  // namespace

void* operator new(std::size_t size) {
  pannier::Require(size <= kLargestAllocation, "a small file asks for little memory");
  void* const memory = std::malloc(std::max<std::size_t>(size, 1));
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
// The library's own would call AddressSanitizer's malloc, not the one above, and then the deletes below.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return std::malloc(std::max<std::size_t>(size, 1)); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

int main(int argc, char** argv) {
  std::size_t count = 0;
  for (int i = 1; i < argc; ++i) {
    for (const std::string& path : FilesOf(argv[i])) {
      const std::string bytes = pannier::ReadFile(path);
      const std::unique_ptr<std::uint8_t[]> exact(new std::uint8_t[bytes.size()]);
      std::memcpy(exact.get(), bytes.data(), bytes.size());
      std::fprintf(stderr, "%s\n", path.c_str());  // the last one named is the one that ended it
      LLVMFuzzerTestOneInput(exact.get(), bytes.size());
      ++count;
    }
  }
  std::fprintf(stderr, "%zu inputs replayed\n", count);
  return count == 0 ? 1 : 0;
}
