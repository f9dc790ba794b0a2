// Fuzz target: a cache file of decoded tensors that is not as the loader wrote it. Values that are checked are those of the bundle.
//
// Input: u8 (low bits: how far digests are checked; 4: the file's own are made right), u16 the file's size, if not 0; then changes
// of the sound file: u16 offset, u8 width, that many bytes.
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "embedder/embed.h"
#include "pannier/loader.h"
#include "src/sha256.h"
#include "tests/file_fixture.h"
#include "tests/fuzz/fuzz_support.h"
#include "tests/params_builder.h"

namespace pannier {
namespace {

namespace fs = std::filesystem;

// A bundle whose params have to be decoded, and the cache of them.
class Fixture {
 public:
  Fixture() {
    WriteFile(folder_ / "params", BuildParams({{std::string(300, 'a')}, {std::string(5000, 'b')}, {"1234"}, {""}}));
    EmbedOptions embed;
    embed.encode.codec = CodecChoice::kZstd;
    const std::string host = PANNIER_TEST_DATA "/mlp/linux-x86_64/lib.so";
    Require(Embed(host, {{"params", folder_ / "params"}}, folder_ / "bundle", embed).status(), "a host can carry params");
    values_ = Values(OpenBundle(folder_ / "bundle"));
    (void)Values(Open(Check::kStructure));
    path_ = fs::directory_iterator(folder_ / "cache")->path().string();
    sound_ = ReadFile(path_);
  }

  const std::string& sound() const { return sound_; }
  const std::vector<std::string>& values() const { return values_; }
  void Put(const std::string& bytes) const { WriteFile(path_, bytes); }  // which keeps its mode

  Bundle Open(Check check) const {
    LoadOptions options;
    options.check = check;
    options.threads = 1;
    options.cache_dir = folder_ / "cache";
    return OpenBundle(folder_ / "bundle", options);
  }

  static std::vector<std::string> Values(const Bundle& bundle) {
    std::vector<std::string> values;
    for (const TensorView& tensor : bundle.params()) values.emplace_back(static_cast<const char*>(tensor.data()), tensor.nbytes());
    return values;
  }

 private:
  TemporaryDirectory folder_;
  std::vector<std::string> values_;
  std::string path_;
  std::string sound_;
};

// Where these are: loader/decoded_cache.h.
void Seal(std::string& file) {
  auto* const bytes = reinterpret_cast<std::uint8_t*>(file.data());
  constexpr std::size_t kRecords = 128;
  const std::size_t records_size = 4 * 48;
  if (file.size() < kRecords + records_size) return;
  auto digest = [bytes](std::size_t at, std::size_t offset, std::size_t size) {
    const Sha256Digest made = Sha256Of(ByteView(bytes + offset, size));
    std::memcpy(bytes + at, made.bytes.data(), made.bytes.size());
  };
  StoreInteger(bytes + 16, std::uint64_t{file.size()}, ByteOrder::kLittle);
  digest(64, kRecords, records_size);
  digest(96, 0, 96);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Fixture fixture;
  FuzzInput input(data, size);
  const unsigned mode = input.Take<std::uint8_t>();
  const std::size_t new_size = input.Take<std::uint16_t>();
  std::string file = fixture.sound();
  if (new_size != 0) file.resize(new_size);
  while (!input.rest().empty()) {
    const std::size_t offset = input.Take<std::uint16_t>() % file.size();
    const ByteView bytes = input.TakeBytes(input.Take<std::uint8_t>() % 16);
    std::memcpy(file.data() + offset, bytes.data(), std::min(bytes.size(), file.size() - offset));
  }
  if ((mode & 4) != 0) Seal(file);
  fixture.Put(file);
  constexpr Check kChecks[] = {Check::kStructure, Check::kLazy, Check::kFull, Check::kLazy};
  const Check check = kChecks[mode % 4];
  const Bundle bundle = fixture.Open(check);
  const std::vector<std::string> values = Fixture::Values(bundle);
  if (check != Check::kStructure) Require(values == fixture.values(), "values that are checked are the bundle's");
  bundle.Release();
  bundle.DecodeAll();
  return 0;
}

}  // namespace pannier
