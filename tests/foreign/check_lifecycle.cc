// check_lifecycle: bundles loaded twice and side by side, unloaded, by any name, from within other files; their memory given back,
// written to, kept for others; and files that must be refused.
//
// usage: check_lifecycle BUNDLE OTHER PLAIN FOREIGN FOLDER
//
// BUNDLE and OTHER: two bundles of mlp for this machine; PLAIN: its library without a payload; FOREIGN: its bundle for another
// machine; FOLDER: where to make files. Prints each thing that is wrong. Exit status: 0 nothing is; 1 something is; 2 anything
// else.
#include <fcntl.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#ifdef _WIN32
#include <io.h>
#else
#include <unistd.h>
#endif

#include "pannier/loader.h"
#include "src/bundle_reader.h"
#include "src/bytes.h"
#include "src/payload.h"
#include "tests/dynamic_loader.h"

namespace pannier::testing {
namespace {

namespace fs = std::filesystem;

constexpr char kFunction[] = "tvmgen_default_fused_nn_batch_flatten";

int failures = 0;

void Expect(bool is_right, const std::string& what) {
  if (is_right) return;
  ++failures;
  std::printf("wrong: %s\n", what.c_str());
}

std::string ReadAll(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path.u8string() + ": cannot open the file");
  return {std::istreambuf_iterator<char>(file), {}};
}

void WriteAll(const fs::path& path, const std::string& bytes, std::uint64_t at = 0) {
  std::ofstream file(path, std::ios::binary);
  file.seekp(static_cast<std::streamoff>(at));
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) throw std::runtime_error(path.u8string() + ": cannot write the file");
}

// The call fails with one of the codes, and says so with the file's name in front.
void ExpectError(const std::vector<ErrorCode>& codes, const std::string& what, const std::string& path,
                 const std::function<void()>& call) {
  try {
    call();
    Expect(false, what + ": no error");
  } catch (const Error& error) {
    Expect(std::find(codes.begin(), codes.end(), error.code()) != codes.end(),
           what + ": code " + std::to_string(static_cast<int>(error.code())) + ", " + error.what());
    Expect(path.empty() || std::string(error.what()).compare(0, path.size() + 2, path + ": ") == 0,
           what + ": the file's name is missing: " + error.what());
  }
}

bool SameTensors(const Bundle& a, const Bundle& b) {
  if (a.params().size() != b.params().size()) return false;
  for (const TensorView& tensor : a.params()) {
    const TensorView other = b.params().at(tensor.name());
    if (ByteView(tensor.data(), tensor.nbytes()) != ByteView(other.data(), other.nbytes())) return false;
  }
  return true;
}

void CheckSharing(const std::string& path, const std::string& other_path) {
  Expect(!IsLoaded(path) && !IsLoaded(other_path), "loaded before it was asked for");
  {
    std::optional<Bundle> first = LoadBundle(path);
    const Bundle second = LoadBundle(path);
    const Bundle other = LoadBundle(other_path);
    const void* code = first->FindSymbol(kFunction);
    Expect(code != nullptr && code == second.FindSymbol(kFunction), "loaded twice: two libraries");
    Expect(IsLoadedFrom(code, path), "the symbol is in another library");
    Expect(LibraryBase(other.FindSymbol(kFunction)) != LibraryBase(code), "side by side: one library");
    Expect(IsLoadedFrom(other.FindSymbol(kFunction), other_path), "the other symbol is in another library");
    Expect(SameTensors(*first, other) && first->graph_json() == other.graph_json(), "side by side: other content");
    Expect(first->path() == path && first->is_loaded(), "path, is_loaded");

    first.reset();
    Expect(IsLoaded(path), "unloaded although a handle is left");
    Expect(SameTensors(second, other), "content after one of two handles is gone");
    second.CheckDigests();
  }
  Expect(!IsLoaded(path) && !IsLoaded(other_path), "not unloaded with the last handle");

  std::optional<Bundle> bundle = LoadBundle(path);
  const Bundle found = FindBundle(bundle->FindSymbol(kFunction));
  Expect(fs::equivalent(fs::u8path(found.path()), fs::u8path(path)), "FindBundle: path: " + found.path());
  bundle.reset();
  Expect(IsLoaded(path), "unloaded although FindBundle's handle is left");
  found.CheckDigests();

  const int on_stack = 0;
  ExpectError({ErrorCode::kNotFound}, "FindBundle of the stack", "", [&] { FindBundle(&on_stack); });
  ExpectError({ErrorCode::kNotABundle}, "FindBundle of this program", "",
              [] { FindBundle(reinterpret_cast<const void*>(&CheckSharing)); });
}

// Beyond Windows' old limit of 260 characters its own calls need a prefix; ours must not.
fs::path ForOwnUse(const fs::path& path) {
#ifdef _WIN32
  return fs::path(LR"(\\?\)" + fs::absolute(path).make_preferred().wstring());
#else
  return path;
#endif
}

void CheckNames(const std::string& bytes, const fs::path& folder) {
  fs::path deep = folder;
  for (int i = 0; i < 3; ++i) deep /= std::string(100, static_cast<char>('a' + i));
  // Latin, Greek, Chinese, and one beyond UTF-16's 16 bits; blanks; no suffix, where LoadLibrary would look for one.
  for (const fs::path& path : {folder / fs::u8path("m\xC3\xB6\xC3\xB6\xCF\x80 \xE6\xA8\xA1\xE5\x9E\x8B \xF0\x9F\x90\x9F.dll"),
                               folder / "a b.so.1", folder / "no_suffix", deep / "model.dll"}) {
    const std::string name = path.u8string();
    fs::create_directories(ForOwnUse(path.parent_path()));
    WriteAll(ForOwnUse(path), bytes);
    {
      const Bundle loaded = LoadBundle(name);
      Expect(loaded.FindSymbol(kFunction) != nullptr && SameTensors(loaded, OpenBundle(name)), name + ": other content");
    }
    std::error_code error;
    Expect(fs::remove(ForOwnUse(path), error), name + ": cannot be removed afterwards: " + error.message());
  }
}

// Within another file: at offsets that are no multiple of a page or of 64 KiB, the last beyond 32 bits.
void CheckWithinFiles(const std::string& bytes, const Bundle& expected, const fs::path& folder) {
  for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{4160}, std::uint64_t{65537}, (std::uint64_t{5} << 30) + 64}) {
    const fs::path path = folder / "container";
    WriteAll(path, bytes, offset);
#ifdef _WIN32
    const int descriptor = _wopen(path.c_str(), _O_RDONLY | _O_BINARY);
#else
    const int descriptor = open(path.c_str(), O_RDONLY);
#endif
    const std::string what = "within a file, at " + std::to_string(offset);
    const auto open_at = [&](std::uint64_t at, std::uint64_t size) { return OpenBundle(descriptor, at, size); };
    ExpectError({ErrorCode::kMalformed}, what + ", too long", "", [&] { open_at(offset, bytes.size() + 1); });
    ExpectError({ErrorCode::kMalformed}, what + ", beyond 64 bits", "", [&] { open_at(UINT64_MAX, 2); });
    {
      const Bundle opened = open_at(offset, bytes.size());
      close(descriptor);
      Expect(SameTensors(opened, expected) && opened.path().empty(), what + ": other content");
    }
    fs::remove(path);
  }
  ExpectError({ErrorCode::kIo}, "descriptor -1", "", [] { OpenBundle(-1, 0, 1); });

  // Memory of any alignment.
  const std::string shifted = "x" + bytes;
  Expect(SameTensors(OpenBundle(shifted.data() + 1, bytes.size()), expected), "in memory: other content");
}

void CheckRefusals(const std::string& bytes, const std::string& plain, const std::string& foreign, const fs::path& folder) {
  const std::string missing = (folder / "missing.dll").u8string();
  const std::string here = folder.u8string();
  ExpectError({ErrorCode::kIo}, "load: no such file", missing, [&] { LoadBundle(missing); });
  ExpectError({ErrorCode::kIo}, "open: no such file", missing, [&] { OpenBundle(missing); });
  ExpectError({ErrorCode::kInvalidArgument}, "load: a folder", here, [&] { LoadBundle(here); });
  ExpectError({ErrorCode::kInvalidArgument}, "open: a folder", here, [&] { OpenBundle(here); });
  ExpectError({ErrorCode::kIo}, "load: no name", "", [] { LoadBundle(""); });
  ExpectError({ErrorCode::kNotABundle}, "load: no payload", plain, [&] { LoadBundle(plain); });
  Expect(!IsLoaded(plain), "no payload: still loaded");
  // Where both are ELF, it is the dynamic loader that refuses.
  ExpectError({ErrorCode::kUnsupported, ErrorCode::kLoadFailed}, "load: another machine's bundle", foreign,
              [&] { LoadBundle(foreign); });
  OpenBundle(foreign).CheckDigests();

  const fs::path path = folder / "changed.dll";
  const std::string name = path.u8string();
  auto expect_refused = [&](const std::vector<ErrorCode>& codes, const std::string& what, const std::string& changed) {
    WriteAll(path, changed);
    ExpectError(codes, "load: " + what, name, [&] { LoadBundle(name); });
    ExpectError(codes, "open: " + what, name, [&] { OpenBundle(name); });
    Expect(!IsLoaded(name), what + ": still loaded");
    fs::remove(path);
  };
  expect_refused({ErrorCode::kUnsupported}, "an empty file", "");
  expect_refused({ErrorCode::kUnsupported}, "text", "This is no library.\n");
  for (std::size_t i = 1; i < 16; ++i)
    expect_refused({ErrorCode::kMalformed}, "cut off at " + std::to_string(i) + "/16", bytes.substr(0, bytes.size() * i / 16));
  expect_refused({ErrorCode::kMalformed}, "cut off within the headers", bytes.substr(0, 70));

  const Result<Payload> payload = FindPayload(ByteView(bytes.data(), bytes.size()));
  if (!payload.ok()) throw std::runtime_error(payload.status().message());
  const Result<BundleReader> reader = BundleReader::Open(*payload);
  if (!reader.ok()) throw std::runtime_error(reader.status().message());
  const auto offset_of = [&](ByteView part) {
    return static_cast<std::size_t>(part.data() - reinterpret_cast<const std::uint8_t*>(bytes.data()));
  };
  const auto with_changed = [&](std::size_t offset) {
    std::string changed = bytes;
    changed[offset] = static_cast<char>(changed[offset] ^ 1);
    return changed;
  };
  // In ELF, a section of the anchor's name is left.
  expect_refused({ErrorCode::kNotABundle, ErrorCode::kMalformed}, "without the magic", with_changed(offset_of(payload->anchor)));
  expect_refused({ErrorCode::kDigestMismatch}, "a byte of the manifest",
                 with_changed(offset_of(reader->manifest_bytes()) + reader->manifest_bytes().size() / 2));

  // A byte of the content is found by whoever asks for it.
  WriteAll(path, with_changed(offset_of(reader->section(reader->artifact(0).section())) + 100));
  ExpectError({ErrorCode::kDigestMismatch}, "load: a byte of the content", name, [&] {
    LoadOptions options;
    options.check = Check::kFull;
    LoadBundle(name, options);
  });
  ExpectError({ErrorCode::kDigestMismatch}, "CheckDigests: a byte of the content", name, [&] { LoadBundle(name).CheckDigests(); });
  fs::remove(path);
}

// A bundle that stores its tensors as they are, or compresses them, must have the values of `expected`, whatever is done to its
// memory.
void CheckMemory(const std::string& path, const Bundle& expected, const fs::path& folder) {
  const std::string bytes = ReadAll(path);
  for (const bool is_loaded : {false, true}) {
    const std::string what = path + (is_loaded ? ", loaded" : ", opened");
    const Bundle bundle = is_loaded ? LoadBundle(path) : OpenBundle(path);
    bundle.Prefetch();
    bundle.DecodeAll();
    for (const TensorView& tensor : bundle.params()) {
      Expect(ByteView(tensor.mutable_data(), tensor.nbytes()) == ByteView(tensor.data(), tensor.nbytes()), what + ": mutable_data");
      std::memset(tensor.mutable_data(), 0x5A, tensor.nbytes());
      tensor.Prefetch();
      tensor.Release();
    }
    Expect(SameTensors(bundle, expected), what + ": content after Release");
    bundle.Release();
    Expect(SameTensors(bundle, expected), what + ": content after Release of all");
    for (const TensorView& tensor : bundle.params()) {
      const std::string written(tensor.nbytes(), 0x5A);
      Expect(ByteView(tensor.mutable_data(), tensor.nbytes()) == ByteView(written.data(), written.size()),
             what + ": what was written");
      tensor.ReleaseMutable();
      Expect(ByteView(tensor.mutable_data(), tensor.nbytes()) == ByteView(tensor.data(), tensor.nbytes()), what + ": made again");
    }
  }
  Expect(ReadAll(path) == bytes, path + ": the file was written to");

  LoadOptions options;
  options.cache_dir = (folder / "cache" / "of params").u8string();
  fs::remove_all(folder / "cache");
  for (const Check check : {Check::kStructure, Check::kLazy, Check::kFull}) {
    options.check = check;
    const Bundle bundle = OpenBundle(path, options);
    Expect(SameTensors(bundle, expected), path + ": content from the cache");
    bundle.Release();
    bundle.DecodeAll();
    Expect(SameTensors(LoadBundle(path, options), expected), path + ": content from the cache, loaded");
  }
  // One that is not sound is made anew, also by way of a name that is in use.
  const bool has_cache = fs::exists(folder / "cache");
  Expect(has_cache == !OpenBundle(path).params()[0].is_zero_copy(), path + ": the cache is there, or not, against expectation");
  if (!has_cache) return;
  std::vector<fs::path> files(fs::directory_iterator(folder / "cache" / "of params"), {});
  Expect(files.size() == 1, path + ": files in the cache: " + std::to_string(files.size()));
  const std::string good = ReadAll(files.front());
  WriteAll(files.front(), good.substr(0, good.size() / 2));
  WriteAll(folder / "cache" / "of params" / "left.unfinished", "by a killed writer");
  Expect(SameTensors(OpenBundle(path, options), expected), path + ": content with a damaged cache");
  files.assign(fs::directory_iterator(folder / "cache" / "of params"), {});
  Expect(files.size() == 1 && ReadAll(files.front()) == good, path + ": the cache was not made anew");
  fs::remove_all(folder / "cache");
}

int Main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: check_lifecycle BUNDLE OTHER PLAIN FOREIGN FOLDER\n");
    return 2;
  }
  const std::string bytes = ReadAll(argv[1]);
  const fs::path folder = fs::absolute(argv[5]);
  CheckSharing(argv[1], argv[2]);
  for (const char* path : {argv[1], argv[2]}) CheckMemory(path, OpenBundle(argv[1]), folder);
  CheckNames(bytes, folder);
  CheckWithinFiles(bytes, OpenBundle(argv[2]), folder);
  CheckRefusals(bytes, argv[3], argv[4], folder);
  std::printf("lifecycle: %d wrong\n", failures);
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace pannier::testing

int main(int argc, char** argv) {
  try {
    return pannier::testing::Main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "check_lifecycle: %s\n", error.what());
    return 2;
  }
}
