// Tensors' values however they are asked for: decoded, released, prefetched, written to; and whose memory they take.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/generators/catch_generators.hpp>
#include <chrono>
#include <filesystem>
#include <thread>

#include "src/bytes.h"
#include "tests/loading_fixture.h"

namespace pannier {
namespace {

namespace fs = std::filesystem;

constexpr bool kIsLittle = kNativeOrder == ByteOrder::kLittle;

LoadOptions WithThreads(unsigned threads, Check check = Check::kStructure) {
  LoadOptions options;
  options.check = check;
  options.threads = threads;
  return options;
}

TEST_CASE("every way to a tensor's values gives the same", "[loading]") {
  const std::string codec = GENERATE("store", "zstd", "planes");
  const unsigned threads = GENERATE(1U, 5U);
  const Check check = GENERATE(Check::kStructure, Check::kLazy);
  const Bundle one_by_one = OpenBundle(LoadingBundle(codec), WithThreads(threads, check));
  const Bundle at_once = LoadBundle(LoadingBundle(codec), WithThreads(threads, check));
  at_once.DecodeAll();
  at_once.DecodeAll();
  CHECK(CountWrong(one_by_one) == 0);
  CHECK(CountWrong(at_once) == 0);
  std::size_t i = 0;
  for (const TensorView& tensor : at_once.params()) {
    CAPTURE(tensor.name());
    const std::string& expected = ExpectedValues()[i++];
    std::string copy(tensor.nbytes(), '?');
    tensor.CopyTo(copy.data(), copy.size());
    CHECK(copy == expected);
    CHECK(Values(tensor.mutable_data(), tensor) == expected);
    CHECK((expected.empty() || tensor.mutable_data() != tensor.data()));
    CHECK(tensor.mutable_dl_tensor().data == tensor.mutable_data());
    CHECK(reinterpret_cast<std::uintptr_t>(tensor.data()) % 64 == 0);
    CHECK(reinterpret_cast<std::uintptr_t>(tensor.mutable_data()) % 64 == 0);
    CHECK(Values(one_by_one.params()[i - 1].mutable_data(), tensor) == expected);
  }
}

TEST_CASE("many threads ask, decode, copy and release at a time", "[loading]") {
  const std::string codec = GENERATE("store", "zstd");
  const Bundle bundle = OpenBundle(LoadingBundle(codec), WithThreads(2));
  const std::size_t count = ExpectedValues().size();
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      for (unsigned round = 0; round < 4; ++round) {
        if (t % 3 == 0) bundle.DecodeAll();
        bundle.params()[t % count].Prefetch();
        for (std::size_t i = 0; i < count; ++i) {
          const TensorView tensor = bundle.params()[(i + t) % count];
          const std::string& expected = ExpectedValues()[(i + t) % count];
          std::string copy(tensor.nbytes(), '?');
          tensor.CopyTo(copy.data(), copy.size());
          wrong += copy == expected ? 0 : 1;
          wrong += Values(tensor.mutable_data(), tensor) == expected ? 0 : 1;
          (void)tensor.data();  // may go at once: another thread releases
          if (t % 2 == 0) tensor.Release();
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(CountWrong(bundle) == 0);
}

TEST_CASE("what was decoded is freed by Release and decoded again", "[loading]") {
  const bool at_once = GENERATE(false, true);
  const Bundle bundle = OpenBundle(LoadingBundle("zstd"));
  const TensorView large = bundle.params()[0];
  if (at_once) bundle.DecodeAll();
  const void* const before = large.data();
  CHECK(MappingOf(before).rss >= 2500);
  large.Release();
  CHECK(MappingOf(before).rss <= 100);  // its neighbours in the block
  large.Release();
  CHECK(CountWrong(bundle) == 0);
  bundle.Release();
  CHECK(CountWrong(bundle) == 0);
  bundle.DecodeAll();
  CHECK(CountWrong(bundle) == 0);
}

TEST_CASE("a stored tensor's pages leave the process and come back", "[loading]") {
  if (!kIsLittle) SKIP("no tensor is used in place on a big-endian machine");
  const bool is_loaded = GENERATE(false, true);
  const bool all = GENERATE(false, true);
  const Bundle bundle = is_loaded ? LoadBundle(LoadingBundle("store")) : OpenBundle(LoadingBundle("store"));
  CHECK(CountWrong(bundle) == 0);
  const TensorView large = bundle.params()[0];
  const void* const data = large.data();
  REQUIRE(MappingOf(data).rss >= 2500);
  all ? bundle.Release() : large.Release();
  CHECK(MappingOf(data).rss <= 200);
  CHECK(large.data() == data);
  CHECK(CountWrong(bundle) == 0);
  CHECK(MappingOf(data).rss >= 2500);
}

TEST_CASE("memory that a bundle was opened from is never dropped", "[loading]") {
  const std::string file = ReadFile(LoadingBundle("store"));
  void* const memory = mmap(nullptr, file.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  std::memcpy(memory, file.data(), file.size());
  REQUIRE(mprotect(memory, file.size(), PROT_READ) == 0);
  {
    const Bundle bundle = OpenBundle(memory, file.size());
    bundle.Prefetch();
    CHECK(CountWrong(bundle) == 0);
    bundle.Release();
    for (const TensorView& tensor : bundle.params()) tensor.Release();
    CHECK(CountWrong(bundle) == 0);
    CHECK(Values(bundle.params()[0].mutable_data(), bundle.params()[0]) == ExpectedValues()[0]);
  }
  CHECK(std::memcmp(memory, file.data(), file.size()) == 0);
  munmap(memory, file.size());
}

bool IsInMemory(const void* data, std::size_t size) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const auto address = reinterpret_cast<std::uintptr_t>(data);
  const std::uintptr_t begin = address - address % page;
  std::vector<unsigned char> pages((address + size - begin + page - 1) / page);
  if (mincore(reinterpret_cast<void*>(begin), address + size - begin, pages.data()) != 0) return false;
  return std::all_of(pages.begin(), pages.end(), [](unsigned char in_memory) { return (in_memory & 1) != 0; });
}

TEST_CASE("Prefetch reads ahead", "[loading]") {
  if (!kIsLittle) SKIP("no tensor is used in place on a big-endian machine");
  const TemporaryDirectory folder;
  const bool all = GENERATE(false, true);
  WriteFile(folder / "model.so", ReadFile(LoadingBundle("store")));
  const Bundle bundle = OpenBundle(folder / "model.so");
  const TensorView large = bundle.params()[0];
  const void* const data = large.data();
  // What opening has read ahead goes again.
  bundle.Release();
  const int file = open((folder / "model.so").c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(file >= 0);
  fsync(file);
  posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  close(file);
  if (IsInMemory(data, large.nbytes())) SKIP("this file system keeps all in memory");
  all ? bundle.Prefetch() : large.Prefetch();
  for (int i = 0; i < 500 && !IsInMemory(data, large.nbytes()); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  CHECK(IsInMemory(data, large.nbytes()));
}

TEST_CASE("Prefetch and Release of params that are not TVM's, and of compressed ones", "[loading]") {
  const Bundle opaque = OpenBundle(PANNIER_TEST_BUNDLES "/c_abi_opaque.so");
  CHECK_NOTHROW(opaque.Prefetch());
  CHECK_NOTHROW(opaque.Release());
  const Bundle bundle = OpenBundle(LoadingBundle("planes"));
  bundle.Prefetch();
  for (const TensorView& tensor : bundle.params()) tensor.Prefetch();
  bundle.Release();
  CHECK(CountWrong(bundle) == 0);
}

TEST_CASE("what is written to mutable_data stays there", "[loading]") {
  const std::string codec = GENERATE("store", "zstd");
  const bool is_loaded = GENERATE(false, true);
  const TemporaryDirectory folder;
  const std::string path = folder / "model.so";
  const std::string file = ReadFile(LoadingBundle(codec));
  WriteFile(path, file);
  {
    const Bundle bundle = is_loaded ? LoadBundle(path) : OpenBundle(path);
    const Bundle copy(bundle);  // NOLINT(performance-unnecessary-copy-initialization): copies share what is written
    const Bundle other = OpenBundle(path);
    for (const TensorView& tensor : bundle.params()) std::memset(tensor.mutable_data(), 0xA5, tensor.nbytes());
    CHECK(CountWrong(bundle) == 0);
    CHECK(CountWrong(other) == 0);
    for (const TensorView& tensor : copy.params())
      CHECK(Values(tensor.mutable_data(), tensor) == std::string(tensor.nbytes(), '\xA5'));
    bundle.Release();
    CHECK(Values(copy.params()[0].mutable_data(), copy.params()[0])[0] == '\xA5');
    for (const TensorView& tensor : bundle.params()) tensor.ReleaseMutable();
    std::size_t i = 0;
    for (const TensorView& tensor : bundle.params()) CHECK(Values(tensor.mutable_data(), tensor) == ExpectedValues()[i++]);
  }
  CHECK(ReadFile(path) == file);
}

TEST_CASE("pages that are not written to stay the file's", "[loading]") {
  if (!kIsLittle) SKIP("no tensor is used in place on a big-endian machine");
  const bool is_loaded = GENERATE(false, true);
  const std::string path = fs::canonical(LoadingBundle("store"));
  const Bundle bundle = is_loaded ? LoadBundle(path) : OpenBundle(path);
  const TensorView large = bundle.params()[0];
  auto* const data = static_cast<char*>(large.mutable_data());
  CHECK(Values(data, large) == ExpectedValues()[0]);
  CHECK(MappingOf(data).path == path);
  CHECK(MappingOf(data).anonymous == 0);
  data[large.nbytes() / 2] = 1;
  CHECK(MappingOf(data).anonymous == static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) / 1024);
  // Small ones are copied: no mapping for each.
  CHECK(MappingOf(bundle.params()[4].mutable_data()).path != path);
}

TEST_CASE("a file that is no longer the bundle's is not mapped into it", "[loading]") {
  if (!kIsLittle) SKIP("no tensor is used in place on a big-endian machine");
  const TemporaryDirectory folder;
  const std::string path = fs::canonical(folder.path()) / "model.so";
  const std::string file = ReadFile(LoadingBundle("store"));
  WriteFile(path, file);
  const bool is_loaded = GENERATE(false, true);
  const Bundle bundle = is_loaded ? LoadBundle(path) : OpenBundle(path);
  const TensorView large = bundle.params()[0];
  const void* const found = memmem(file.data(), file.size(), ExpectedValues()[0].data(), 4096);
  REQUIRE(found != nullptr);
  const auto at = static_cast<std::size_t>(static_cast<const char*>(found) - file.data());
  std::string damaged = file;
  damaged[at + large.nbytes() / 2] ^= 1;

  struct Replacement {
    const char* name;
    std::string content;
    bool is_mapped;
  };
  const std::size_t replacement = GENERATE(0U, 1U, 2U, 3U, 4U, 5U);
  const Replacement replacements[] = {
      {"the same bytes", file, true},
      {"one value differs", damaged, false},
      {"cut off", file.substr(0, at + 100), false},
      {"another bundle", ReadFile(LoadingBundle("planes")), false},
      {"no bundle", "text", false},
      {"nothing", "", false},
  };
  const Replacement& chosen = replacements[replacement];
  CAPTURE(chosen.name);
  fs::remove(path);
  WriteFile(path, chosen.content);
  void* const data = large.mutable_data();
  CHECK(Values(data, large) == ExpectedValues()[0]);
  CHECK((MappingOf(data).path == path) == chosen.is_mapped);
}

TEST_CASE("a removed file, and one opened by descriptor, are copied from", "[loading]") {
  const TemporaryDirectory folder;
  WriteFile(folder / "model.so", ReadFile(LoadingBundle("store")));
  const int file = open((folder / "model.so").c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(file >= 0);
  const Bundle by_path = OpenBundle(folder / "model.so");
  const Bundle by_descriptor = OpenBundle(file, 0, fs::file_size(folder / "model.so"));
  close(file);
  fs::remove(folder / "model.so");
  for (const Bundle& bundle : {by_path, by_descriptor}) {
    const TensorView large = bundle.params()[0];
    CHECK(Values(large.mutable_data(), large) == ExpectedValues()[0]);
    CHECK(MappingOf(large.mutable_data()).path.empty());
  }
}

TEST_CASE("processes share a stored bundle's pages", "[loading]") {
  if (!kIsLittle) SKIP("no tensor is used in place on a big-endian machine");
  const bool is_loaded = GENERATE(false, true);
  const auto open_bundle = [is_loaded] {
    return is_loaded ? LoadBundle(LoadingBundle("store")) : OpenBundle(LoadingBundle("store"));
  };
  (void)ExpectedValues();
  // Not inherited: each process maps the file by itself.
  const ChildOutcome outcome = InChild([&]() -> std::string {
    const Bundle bundle = open_bundle();
    if (CountWrong(bundle) != 0) return "other values";
    const ChildOutcome inner = InChild([&]() -> std::string {
      const Bundle second = open_bundle();
      if (CountWrong(second) != 0) return "other values in the second process";
      const Mapping mapping = MappingOf(second.params()[0].data());
      if (mapping.private_dirty != 0 || mapping.anonymous != 0) return "memory of its own";
      if (mapping.rss < 2500) return "not read";
      if (mapping.pss > mapping.rss * 6 / 10) return "not shared";
      return "shared";
    });
    return inner.text;
  });
  CHECK(outcome.text == "shared");
}

}  // namespace
}  // namespace pannier
