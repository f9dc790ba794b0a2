// Bundles that are loaded and opened only when a trusted key has signed them, whatever others do to their files meanwhile.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "loader/bundle_impl.h"
#include "pannier/loader.h"
#include "tests/signing_fixture.h"

namespace pannier {
namespace {

// A bundle of the library whose constructor leaves a mark.
void MakeModel(const std::string& host, const std::string& path) { MustEmbed(host, Artifacts(), path); }

class MarkFile {
 public:
  explicit MarkFile(const Folder& folder) : path_(folder / "mark") { setenv("PANNIER_TEST_MARK", path_.c_str(), 1); }
  MarkFile(const MarkFile&) = delete;
  MarkFile& operator=(const MarkFile&) = delete;
  ~MarkFile() { unsetenv("PANNIER_TEST_MARK"); }
  std::string text() const { return ReadFile(path_); }

 private:
  std::string path_;
};

int MarkOf(const Bundle& bundle) { return bundle.symbol<int()>("Mark")(); }

TEST_CASE("LoadBundle with trusted keys runs what they have signed, and nothing else") {
  const Folder folder;
  const MarkFile mark(folder);
  const Keys trusted(folder, "trusted", Kind::kEd25519);
  const Keys stranger(folder, "stranger", Kind::kP256);
  const LoadOptions options = Trusting({stranger.public_pem, trusted.public_pem});
  MakeModel(PANNIER_GOOD_HOST, folder / "model.so");
  const auto load = [&](const LoadOptions& with) { return CodeOf([&] { LoadBundle(folder / "model.so", with); }); };

  CHECK(load(options) == ErrorCode::kSignature);
  CHECK(load(Trusting({})) == ErrorCode::kInvalidArgument);
  CHECK(load(Trusting({"no key"})) == ErrorCode::kSignature);
  MustSign(folder / "model.so", stranger);
  CHECK(load(Trusting({trusted.public_pem})) == ErrorCode::kSignature);
  MustSign(folder / "model.so", trusted);
  LoadOptions cached = options;
  cached.cache_dir = folder / "cache";
  CHECK(load(cached) == ErrorCode::kInvalidArgument);
  const std::string good = ReadFile(folder / "model.so");
  // Damage of the code, the payload, the room.
  for (const std::size_t at : {std::size_t{0x40}, good.size() / 100, good.size() / 2, good.size() - 300}) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 4);
    WriteFile(folder / "model.so", bad);
    CHECK(load(options) != ErrorCode::kOk);
  }
  WriteFile(folder / "model.so", good.substr(0, good.size() - 1));
  CHECK(load(options) != ErrorCode::kOk);
  CHECK(mark.text().empty());

  WriteFile(folder / "model.so", good);
  {
    const Bundle bundle = LoadBundle(folder / "model.so", options);
    CHECK(mark.text() == "g");
    CHECK(bundle.path() == folder / "model.so");
    CHECK(bundle.library_path().substr(0, 14) == "/proc/self/fd/");
    // Whoever loads it by that name gets the same library.
    void* const again = dlopen(bundle.library_path().c_str(), RTLD_NOW);
    REQUIRE(again != nullptr);
    CHECK(dlsym(again, "Mark") == bundle.FindSymbol("Mark"));
    CHECK(mark.text() == "g");
    dlclose(again);
    CHECK(bundle.is_loaded());
    CHECK(MarkOf(bundle) == 'g');
    CHECK(bundle.params().size() == 6);
    for (const TensorView& tensor : bundle.params()) CHECK(tensor.is_zero_copy());
    CHECK(bundle.graph_json() == ReadFile((kData / "graph.json").string()));
    auto* const values = static_cast<char*>(bundle.params()[0].mutable_data());
    values[0] = static_cast<char>(values[0] + 1);
    CHECK(values[0] != static_cast<const char*>(bundle.params()[0].data())[0]);
    bundle.CheckDigests();
    bundle.Release();
    // Whatever becomes of the file.
    WriteFile(folder / "model.so", std::string(good.size(), 'x'));
    CHECK(MarkOf(bundle) == 'g');
    bundle.CheckDigests();
  }
  CHECK(CodeOf([&] { FindBundle(reinterpret_cast<const void*>(&MarkOf), options); }) == ErrorCode::kInvalidArgument);
}

TEST_CASE("after strip the image is still as it was signed, the file is not") {
  const Folder folder;
  const MarkFile mark(folder);
  const Keys keys(folder, "key", Kind::kEd25519);
  MakeModel(PANNIER_GOOD_HOST, folder / "model.so");
  MustSign(folder / "model.so", keys);
  REQUIRE(std::system(("strip " + folder / "model.so").c_str()) == 0);
  CHECK(CodeOf([&] { LoadBundle(folder / "model.so", Trusting({keys.public_pem})); }) == ErrorCode::kDigestMismatch);
  CHECK(mark.text().empty());
  const Bundle bundle = LoadBundle(folder / "model.so", Trusting({keys.public_pem}, Trust::kImage));
  CHECK(MarkOf(bundle) == 'g');
}

std::size_t OpenDescriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

TEST_CASE("trusted bundles in turn are never taken for one another") {
  const Folder folder;
  const Keys keys(folder, "key", Kind::kEd25519);
  const LoadOptions options = Trusting({keys.public_pem});
  MakeModel(PANNIER_GOOD_HOST, folder / "good.so");
  MakeModel(PANNIER_BAD_HOST, folder / "other.so");
  MustSign(folder / "good.so", keys);
  MustSign(folder / "other.so", keys);
  const std::size_t before = OpenDescriptors();
  for (int i = 0; i < 20; ++i) {
    CHECK(MarkOf(LoadBundle(folder / "good.so", options)) == 'g');
    CHECK(MarkOf(LoadBundle(folder / "other.so", options)) == 'b');
  }
  CHECK(OpenDescriptors() == before);
  {
    const Bundle good = LoadBundle(folder / "good.so", options);
    const Bundle other = LoadBundle(folder / "other.so", options);
    CHECK(MarkOf(good) == 'g');
    CHECK(MarkOf(other) == 'b');
  }
  // A library that stays when its bundle goes keeps its name.
  void* kept = nullptr;
  {
    const Bundle good = LoadBundle(folder / "good.so", options);
    Dl_info info{};
    REQUIRE(dladdr(good.FindSymbol("Mark"), &info) != 0);
    kept = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    REQUIRE(kept != nullptr);
  }
  CHECK(MarkOf(LoadBundle(folder / "other.so", options)) == 'b');
  dlclose(kept);
}

// As /proc/self/maps has it: "r--p" and so on.
std::string RightsAt(const void* address) {
  std::ifstream maps("/proc/self/maps");
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    char rights[8] = {};
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " %7s", &begin, &end, rights) == 3 && wanted >= begin && wanted < end)
      return rights;
  }
  return "";
}

TEST_CASE("payload and manifest are mapped for reading alone") {
  const Folder folder;
  const Keys keys(folder, "key", Kind::kEd25519);
  MakeModel(PANNIER_GOOD_HOST, folder / "model.so");
  MustSign(folder / "model.so", keys);
  for (const LoadOptions& options : {LoadOptions{}, Trusting({keys.public_pem})}) {
    const Bundle bundle = LoadBundle(folder / "model.so", options);
    const BundleReader& reader = bundle.impl()->reader();
    for (const void* const address :
         {static_cast<const void*>(bundle.graph_json().data()), bundle.params()[0].data(),
          static_cast<const void*>(reader.manifest_bytes().data()), static_cast<const void*>(reader.signature_room().data())}) {
      CHECK(RightsAt(address) == "r--p");
    }
  }
}

// Swapped, or written to in place, at any moment: what runs is what was signed, or nothing.
TEST_CASE("a file that changes between check and use is caught") {
  const Folder folder;
  const MarkFile mark(folder);
  const Keys keys(folder, "key", Kind::kEd25519);
  const LoadOptions options = Trusting({keys.public_pem});
  MakeModel(PANNIER_GOOD_HOST, folder / "good.so");
  MustSign(folder / "good.so", keys);
  MakeModel(PANNIER_BAD_HOST, folder / "bad.so");
  const std::string good = ReadFile(folder / "good.so");
  const std::string bad = ReadFile(folder / "bad.so");
  REQUIRE(good.size() == bad.size());
  const std::string model = folder / "model.so";
  WriteFile(model, good);
  const auto disturb = [&](int round) {
    const std::string& next = round % 2 == 0 ? bad : good;
    if (round % 4 < 2) {  // another file
      WriteFile(folder / "next", next);
      fs::rename(folder / "next", model);
      return;
    }
    const int file = open(model.c_str(), O_WRONLY | O_CLOEXEC);  // the same one
    for (std::size_t at = 0; at < next.size(); at += 65536) {
      if (pwrite(file, next.data() + at, std::min<std::size_t>(65536, next.size() - at), static_cast<off_t>(at)) < 0) std::abort();
    }
    close(file);
  };
  std::size_t loaded = 0;
  std::size_t refused = 0;
  const auto load_often = [&] {
    for (int i = 0; i < 150; ++i) {
      try {
        const Bundle bundle = LoadBundle(model, options);
        REQUIRE(MarkOf(bundle) == 'g');
        bundle.CheckDigests();
        ++loaded;
      } catch (const Error&) {
        ++refused;
      }
    }
  };
  {
    std::atomic<bool> ends{false};
    std::thread thread([&] {
      for (int round = 0; !ends.load(); ++round) disturb(round);
    });
    load_often();
    ends.store(true);
    thread.join();
  }
  WriteFile(model, good);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    for (int round = 0;; ++round) disturb(round);
  }
  load_often();
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  CAPTURE(loaded, refused);
  CHECK(loaded > 0);
  CHECK(refused > 0);
  CHECK(mark.text().find('b') == std::string::npos);
}

TEST_CASE("a library needed from the bundle's own folder has to be loaded before") {
  const Folder folder;
  const Keys keys(folder, "key", Kind::kEd25519);
  const LoadOptions options = Trusting({keys.public_pem});
  fs::copy_file(PANNIER_ORIGIN_DEPENDENCY, folder / "libpannier_origin_dependency.so");
  MakeModel(PANNIER_ORIGIN_HOST, folder / "model.so");
  MustSign(folder / "model.so", keys);
  CHECK(CodeOf([&] { LoadBundle(folder / "model.so", options); }) == ErrorCode::kUnsupported);
  void* const dependency = dlopen((folder / "libpannier_origin_dependency.so").c_str(), RTLD_NOW | RTLD_LOCAL);
  REQUIRE(dependency != nullptr);
  CHECK(CodeOf([&] { LoadBundle(folder / "model.so", options); }) == ErrorCode::kOk);
  dlclose(dependency);
}

TEST_CASE("OpenBundle with trusted keys reads a copy") {
  const Folder folder;
  const Keys keys(folder, "key", Kind::kP256);
  MustEmbed(HostOf("macos-arm64"), Artifacts(), folder / "model");
  CHECK(Opened(folder / "model", Trusting({keys.public_pem})) == ErrorCode::kSignature);
  MustSign(folder / "model", keys);
  const Bundle bundle = OpenBundle(folder / "model", Trusting({keys.public_pem}));
  WriteFile(folder / "model", std::string(fs::file_size(folder / "model"), 'x'));
  CHECK(bundle.graph_json() == ReadFile((kData / "graph.json").string()));
  bundle.CheckDigests();
  bundle.Release();
  bundle.CheckDigests();
}

TEST_CASE("check off looks at no digest, and still at every bound") {
  const Folder folder;
  MustEmbed(HostOf("linux-x86_64"), Artifacts(), folder / "model", CodecChoice::kZstd);
  std::string bytes = ReadFile(folder / "model");
  LoadOptions off;
  off.check = Check::kOff;
  const auto opened = [&](const LoadOptions& options) {
    return CodeOf([&] {
      const Bundle bundle = OpenBundle(bytes.data(), bytes.size(), options);
      for (const TensorView& tensor : bundle.params()) static_cast<void>(tensor.data());
    });
  };
  CHECK(opened(off) == ErrorCode::kOk);
  const std::size_t producer = bytes.find("pannier 0.");  // in the manifest
  REQUIRE(producer != std::string::npos);
  bytes[producer] = 'P';
  CHECK(opened({}) == ErrorCode::kDigestMismatch);
  CHECK(opened(off) == ErrorCode::kOk);
}

}  // namespace
}  // namespace pannier
