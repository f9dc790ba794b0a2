// LoadOptions::cache_dir: what is written, who may have written it, what is made of a file that is not as it was written.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <catch2/generators/catch_generators.hpp>
#include <csignal>
#include <filesystem>
#include <functional>
#include <thread>

#include "src/bytes.h"
#include "src/sha256.h"
#include "tests/loading_fixture.h"

namespace pannier {
namespace {

namespace fs = std::filesystem;

LoadOptions Cached(const std::string& folder, Check check = Check::kStructure, unsigned threads = 0) {
  LoadOptions options;
  options.check = check;
  options.threads = threads;
  options.cache_dir = folder;
  return options;
}

Bundle OpenCached(const std::string& folder, Check check = Check::kStructure, const std::string& codec = "zstd") {
  return OpenBundle(LoadingBundle(codec), Cached(folder, check));
}

// A cache folder within a folder of the test's own.
struct CacheFixture {
  TemporaryDirectory parent;
  std::string folder = fs::canonical(parent.path()) / "cache";

  std::vector<std::string> List() const {
    std::vector<std::string> names;
    if (!fs::is_directory(folder)) return names;
    for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
    return names;
  }
  // The one file that is there.
  std::string File() const {
    const std::vector<std::string> names = List();
    REQUIRE(names.size() == 1);
    return folder + "/" + names.front();
  }
  // Its content when all is well.
  std::string Make() const {
    OpenCached(folder).DecodeAll();
    return ReadFile(File());
  }
};

bool IsMappedFrom(const Bundle& bundle, const std::string& file) { return MappingOf(bundle.params()[0].data()).path == file; }

unsigned ModeOf(const std::string& path) {
  struct stat facts {};
  REQUIRE(lstat(path.c_str(), &facts) == 0);
  return facts.st_mode & 07777U;
}

TEST_CASE("the first to ask writes the cache, all others map it", "[cache]") {
  const std::string codec = GENERATE("zstd", "planes");
  const Check check = GENERATE(Check::kStructure, Check::kLazy, Check::kFull);
  const int way = GENERATE(0, 1, 2);
  const CacheFixture cache;
  const Bundle first = OpenCached(cache.folder, check, codec);
  CHECK(cache.List().empty());
  first.Prefetch();
  std::string copy(first.params()[0].nbytes(), '?');
  first.params()[0].CopyTo(copy.data(), copy.size());
  CHECK(copy == ExpectedValues()[0]);
  CHECK(cache.List().empty());  // these two keep nothing
  if (way == 0) first.DecodeAll();
  if (way == 1) (void)first.params()[0].data();
  if (way == 2) (void)first.params()[0].mutable_data();
  const std::string file = cache.File();
  CHECK(ModeOf(file) == 0600);
  CHECK(ModeOf(cache.folder) == 0700);
  const std::string content = ReadFile(file);
  const Bundle second = OpenCached(cache.folder, check, codec);
  if (way == 0) second.DecodeAll();
  for (const Bundle& bundle : {first, second}) {
    CHECK(CountWrong(bundle) == 0);
    CHECK(IsMappedFrom(bundle, file));
    for (const TensorView& tensor : bundle.params()) {
      CHECK(reinterpret_cast<std::uintptr_t>(tensor.data()) % 64 == 0);
      std::memset(tensor.mutable_data(), 0x5A, tensor.nbytes());
      std::string other(tensor.nbytes(), '?');
      tensor.CopyTo(other.data(), other.size());
      CHECK(other == Values(tensor.data(), tensor));
    }
    bundle.Prefetch();
    const void* const data = bundle.params()[0].data();
    bundle.params()[0].Release();
    bundle.Release();
    CHECK(bundle.params()[0].data() == data);
    CHECK(CountWrong(bundle) == 0);
    CHECK(MappingOf(data).anonymous == 0);
    CHECK(MappingOf(data).private_dirty == 0);
  }
  CHECK(ReadFile(file) == content);
  CHECK(cache.List().size() == 1);
}

TEST_CASE("each bundle has a cache file of its own; one that needs no decoding has none", "[cache]") {
  const CacheFixture cache;
  OpenCached(cache.folder, Check::kStructure, "zstd").DecodeAll();
  OpenCached(cache.folder, Check::kStructure, "planes").DecodeAll();
  CHECK(cache.List().size() == 2);
  OpenBundle(PANNIER_TEST_BUNDLES "/mlp_zstd.so", Cached(cache.folder)).DecodeAll();
  CHECK(cache.List().size() == 3);
  if (kNativeOrder == ByteOrder::kBig) return;
  const Bundle stored = OpenCached(cache.folder, Check::kStructure, "store");
  stored.DecodeAll();
  CHECK(CountWrong(stored) == 0);
  CHECK(cache.List().size() == 3);
  const CacheFixture none;
  OpenCached(none.folder, Check::kStructure, "store").DecodeAll();
  CHECK_FALSE(fs::exists(none.folder));
}

// The first chunk record's tensor is the first one, so its record and its values are at known places.
constexpr std::size_t kRecords = 128;

void Reseal(std::string& file) {
  const auto put = [&file](std::size_t at, const Sha256Digest& digest) { std::memcpy(&file[at], digest.bytes.data(), 32); };
  put(64, Sha256Of(ByteView(&file[kRecords], ExpectedValues().size() * 48)));
  put(96, Sha256Of(ByteView(file.data(), 96)));
}

void Put64(std::string& file, std::size_t at, std::uint64_t value) {
  StoreInteger(reinterpret_cast<std::uint8_t*>(&file[at]), value, ByteOrder::kLittle);
}

std::uint64_t Get64(const std::string& file, std::size_t at) { return *View(file).Read<std::uint64_t>(at); }

struct HostileFile {
  const char* name;
  std::function<void(std::string&)> change;
};

const HostileFile kHostileFiles[] = {
    {"empty", [](std::string& f) { f.clear(); }},
    {"a byte", [](std::string& f) { f.resize(1); }},
    {"a header, cut", [](std::string& f) { f.resize(127); }},
    {"a header alone", [](std::string& f) { f.resize(128); }},
    {"records, cut", [](std::string& f) { f.resize(128 + 48); }},
    {"the last byte missing", [](std::string& f) { f.pop_back(); }},
    {"a byte more", [](std::string& f) { f.push_back('\0'); }},
    {"all zero", [](std::string& f) { f.assign(f.size(), '\0'); }},
    {"magic", [](std::string& f) { f[0] ^= 1; }},
    {"magic, resealed", [](std::string& f) { f[7] ^= 1, Reseal(f); }},
    {"version", [](std::string& f) { f[8] ^= 3, Reseal(f); }},
    {"byte order", [](std::string& f) { f[12] ^= 3, Reseal(f); }},
    {"file size", [](std::string& f) { Put64(f, 16, f.size() + 1), Reseal(f); }},
    {"count", [](std::string& f) { Put64(f, 24, 3), Reseal(f); }},
    {"a huge count", [](std::string& f) { Put64(f, 24, UINT64_MAX / 48 + 2), Reseal(f); }},
    {"key", [](std::string& f) { f[32 + 31] ^= 1, Reseal(f); }},
    {"records' digest", [](std::string& f) { f[64] ^= 1; }},
    {"header's digest", [](std::string& f) { f[127] ^= 1; }},
    {"a record", [](std::string& f) { f[kRecords] ^= 64; }},
    {"a record's offset beyond the end", [](std::string& f) { Put64(f, kRecords, AlignUp(f.size(), 4096)), Reseal(f); }},
    {"a record's end beyond the end", [](std::string& f) { Put64(f, kRecords, (f.size() - 64) / 64 * 64), Reseal(f); }},
    {"a record's end beyond all", [](std::string& f) { Put64(f, kRecords, UINT64_MAX - 63), Reseal(f); }},
    {"a record's offset misaligned", [](std::string& f) { Put64(f, kRecords, Get64(f, kRecords) + 4), Reseal(f); }},
    {"a tensor too large", [](std::string& f) { Put64(f, kRecords + 8, Get64(f, kRecords + 8) + 1), Reseal(f); }},
    {"a tensor too small", [](std::string& f) { Put64(f, kRecords + 8, 4), Reseal(f); }},
};

TEST_CASE("a cache file that is not sound is not used, and made anew", "[cache]") {
  const Check check = GENERATE(Check::kStructure, Check::kLazy, Check::kFull);
  const CacheFixture cache;
  const std::string good = cache.Make();
  const std::string file = cache.File();
  for (const HostileFile& hostile : kHostileFiles) {
    CAPTURE(hostile.name);
    std::string bytes = good;
    hostile.change(bytes);
    REQUIRE(bytes != good);
    WriteFile(file, bytes);
    {
      const Bundle reading = OpenCached(cache.folder, check);
      std::string copy(reading.params()[0].nbytes(), '?');
      reading.params()[0].CopyTo(copy.data(), copy.size());  // would read, does not write
      CHECK(copy == ExpectedValues()[0]);
    }
    CHECK(ReadFile(file) == bytes);
    const Bundle bundle = OpenCached(cache.folder, check);
    CHECK(CountWrong(bundle) == 0);
    CHECK(IsMappedFrom(bundle, file));
    CHECK(ReadFile(file) == good);
    CHECK(cache.List().size() == 1);
  }
}

TEST_CASE("every flipped byte of header and records is found", "[cache]") {
  const CacheFixture cache;
  const std::string good = cache.Make();
  const std::string file = cache.File();
  for (std::size_t i = 0; i < kRecords + ExpectedValues().size() * 48; i += 13) {
    CAPTURE(i);
    std::string bytes = good;
    bytes[i] ^= 0x10;
    WriteFile(file, bytes);
    const Bundle bundle = OpenCached(cache.folder);
    CHECK(CountWrong(bundle) == 0);
    CHECK(ReadFile(file) == good);
  }
}

TEST_CASE("values that were changed are found as far as digests are asked for", "[cache]") {
  const CacheFixture cache;
  const std::string good = cache.Make();
  const std::string file = cache.File();
  std::string bytes = good;
  bytes[Get64(good, kRecords) + ExpectedValues()[0].size() - 1] ^= 1;
  WriteFile(file, bytes);
  SECTION("structure: they are trusted") {
    const Bundle bundle = OpenCached(cache.folder, Check::kStructure);
    CHECK(CountWrong(bundle) == 1);
    CHECK(ReadFile(file) == bytes);
  }
  SECTION("lazy: when the tensor is asked for; the next handle makes the file anew") {
    const bool at_once = GENERATE(false, true);
    {
      const Bundle bundle = OpenCached(cache.folder, Check::kLazy);
      if (at_once) bundle.DecodeAll();
      CHECK(CountWrong(bundle) == 0);
      CHECK_FALSE(IsMappedFrom(bundle, file));
      CHECK(cache.List().empty());
    }
    const Bundle bundle = OpenCached(cache.folder, Check::kLazy);
    CHECK(CountWrong(bundle) == 0);
    CHECK(ReadFile(file) == good);
  }
  SECTION("full: at once, and made anew") {
    const Bundle bundle = OpenCached(cache.folder, Check::kFull);
    CHECK(CountWrong(bundle) == 0);
    CHECK(IsMappedFrom(bundle, file));
    CHECK(ReadFile(file) == good);
  }
}

TEST_CASE("a damaged bundle leaves no cache behind under a sound one's name", "[cache]") {
  const CacheFixture cache;
  const std::string good = cache.Make();
  const std::string file = cache.File();
  fs::remove(file);
  std::string bytes = ReadFile(LoadingBundle("zstd"));
  {
    const Bundle bundle = OpenBundle(LoadingBundle("zstd"));
    // Where params begin: the first chunk, found by its frame's content within the file.
    const std::size_t at = bytes.find("\x28\xB5\x2F\xFD");
    REQUIRE(at != std::string::npos);
    bytes[at + 1000] ^= 1;
  }
  WriteFile(cache.parent / "damaged.so", bytes);
  const Bundle damaged = OpenBundle(cache.parent / "damaged.so", Cached(cache.folder));
  try {
    (void)damaged.params()[0].data();  // zstd finds it, or gives other values
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kMalformed);
  }
  CHECK(cache.List().empty());
  const Bundle sound = OpenCached(cache.folder);
  CHECK(CountWrong(sound) == 0);
  CHECK(ReadFile(file) == good);
}

TEST_CASE("a folder or file that others could write to is not used", "[cache]") {
  const CacheFixture cache;
  const auto unused = [](const std::string& folder) {
    const Bundle bundle = OpenCached(folder);
    bundle.DecodeAll();
    CHECK(CountWrong(bundle) == 0);
    CHECK(MappingOf(bundle.params()[0].data()).path.empty());
  };
  SECTION("folders") {
    fs::create_directory(cache.folder);
    for (const unsigned mode : {0777U, 0770U, 01777U, 0720U}) {
      CAPTURE(mode);
      REQUIRE(chmod(cache.folder.c_str(), mode) == 0);
      unused(cache.folder);
      CHECK(cache.List().empty());
    }
    REQUIRE(chmod(cache.folder.c_str(), 0755) == 0);
    for (const std::string link : {"link", "link/", "link//"}) {
      if (!fs::is_symlink(cache.parent / "link")) fs::create_symlink(cache.folder, cache.parent / "link");
      unused(cache.parent / link);
      CHECK(cache.List().empty());
    }
    WriteFile(cache.parent / "file", "");
    unused(cache.parent / "file");
    unused(cache.parent / "file/below");
    if (geteuid() == 0) {
      REQUIRE(chown(cache.folder.c_str(), 65534, 65534) == 0);
      unused(cache.folder);
      CHECK(cache.List().empty());
      REQUIRE(chown(cache.folder.c_str(), 0, 0) == 0);
    }
    (void)cache.Make();
  }
  SECTION("files: replaced") {
    const std::string good = cache.Make();
    const std::string file = cache.File();
    const auto replaced = [&] {
      const Bundle bundle = OpenCached(cache.folder);
      CHECK(CountWrong(bundle) == 0);
      CHECK(IsMappedFrom(bundle, file));
      CHECK(ModeOf(file) == 0600);
      CHECK_FALSE(fs::is_symlink(file));
    };
    for (const unsigned mode : {0666U, 0660U, 0620U}) {
      REQUIRE(chmod(file.c_str(), mode) == 0);
      replaced();
    }
    fs::rename(file, cache.parent / "elsewhere");
    fs::create_symlink(cache.parent / "elsewhere", file);
    replaced();
    CHECK(ReadFile(cache.parent / "elsewhere") == good);
    fs::remove(file);
    REQUIRE(mkfifo(file.c_str(), 0600) == 0);
    replaced();
    if (geteuid() == 0) {
      REQUIRE(chown(file.c_str(), 65534, 65534) == 0);
      replaced();
    }
  }
  SECTION("a folder in the file's place") {
    (void)cache.Make();
    const std::string file = cache.File();
    fs::remove(file);
    fs::create_directory(file);
    unused(cache.folder);
    CHECK(cache.List().size() == 1);
  }
}

TEST_CASE("a cache that root made is read by others; where nothing can be written, all goes on", "[cache]") {
  if (geteuid() != 0) SKIP("needs root");
  const CacheFixture cache;
  fs::permissions(cache.parent.path(), fs::perms(0755));
  (void)cache.Make();
  const std::string file = cache.File();
  fs::permissions(cache.folder, fs::perms(0755));
  fs::permissions(file, fs::perms(0644));
  (void)ExpectedValues();
  const ChildOutcome outcome = InChild([&]() -> std::string {
    if (!BecomeNobody()) return "still root";
    const LoadOptions options = Cached(cache.folder, Check::kLazy, 1);
    const Bundle zstd = OpenBundle(LoadingBundle("zstd"), options);
    if (CountWrong(zstd) != 0 || !IsMappedFrom(zstd, file)) return "not mapped";
    const Bundle planes = OpenBundle(LoadingBundle("planes"), options);
    planes.DecodeAll();
    if (CountWrong(planes) != 0 || !MappingOf(planes.params()[0].data()).path.empty()) return "planes: not decoded";
    const Bundle missing = OpenBundle(LoadingBundle("zstd"), Cached(cache.parent / "new/folder", Check::kLazy, 1));
    missing.DecodeAll();
    return CountWrong(missing) == 0 ? "as it should be" : "missing: other values";
  });
  CHECK(outcome.text == "as it should be");
  CHECK(cache.List().size() == 1);
}

TEST_CASE("folders above are made, too, for the user alone", "[cache]") {
  const CacheFixture cache;
  const mode_t before = umask(0);
  OpenCached(cache.folder + "/a/b").DecodeAll();
  umask(before);
  CHECK(ModeOf(cache.folder) == 0700);
  CHECK(ModeOf(cache.folder + "/a/b") == 0700);
  CHECK(fs::exists(cache.folder + "/a/b"));
}

TEST_CASE("a writer that runs out of room or is killed leaves nothing that matters", "[cache]") {
  const CacheFixture cache;
  (void)ExpectedValues();
  const auto write_in_child = [&cache](bool dies) {
    return InChild([&, dies]() -> std::string {
      const rlimit limit = {1000000, 1000000};
      if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return "no limit";
      std::signal(SIGXFSZ, dies ? SIG_DFL : SIG_IGN);
      const Bundle bundle = OpenBundle(LoadingBundle("zstd"), Cached(cache.folder, Check::kStructure, 1));
      bundle.DecodeAll();
      return CountWrong(bundle) == 0 ? "decoded" : "other values";
    });
  };
  CHECK(write_in_child(false).text == "decoded");
  CHECK(cache.List().empty());
  CHECK(write_in_child(true).signal == SIGXFSZ);
  REQUIRE(cache.List().size() == 1);
  const std::string left = cache.List().front();
  CHECK(left.find(".unfinished") != std::string::npos);
  // One that is being written stays.
  const std::string live = cache.folder + "/pannier-x.cache.1.1.unfinished";
  const int writer = open(live.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  REQUIRE((writer >= 0 && flock(writer, LOCK_EX) == 0));
  const Bundle bundle = OpenCached(cache.folder);
  bundle.DecodeAll();
  CHECK(CountWrong(bundle) == 0);
  CHECK(cache.List().size() == 2);
  CHECK_FALSE(fs::exists(cache.folder + "/" + left));
  CHECK(fs::exists(live));
  close(writer);
}

TEST_CASE("several processes and threads make one cache at a time", "[cache]") {
  const CacheFixture cache;
  (void)ExpectedValues();
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      const Bundle bundle = OpenBundle(LoadingBundle("zstd"), Cached(cache.folder, Check::kLazy, 1));
      bundle.DecodeAll();
      _exit(CountWrong(bundle));
    }
    children.push_back(child);
  }
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  const Bundle shared = OpenCached(cache.folder, Check::kLazy);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      const Bundle bundle = i % 2 == 0 ? shared : OpenCached(cache.folder, Check::kLazy);
      if (i < 2) bundle.DecodeAll();
      wrong += CountWrong(bundle);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  for (const pid_t child : children) {
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  }
  CHECK(cache.List().size() == 1);
  CHECK(IsMappedFrom(OpenCached(cache.folder), cache.File()));
}

}  // namespace
}  // namespace pannier
