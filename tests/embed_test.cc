// The embedder against the loader: what is in memory, inputs that fail, names of artifacts, handles and views of loaded bundles.
#include "embedder/embed.h"

#include <sys/resource.h>

#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "embedder/opened_bundle.h"
#include "pannier/loader.h"
#include "tests/embed_fixture.h"
#include "tests/params_builder.h"

namespace pannier {
namespace {

// A params file of float32 tensors of the given sizes in bytes, with names of a given length. Every third tensor compresses.
std::string ParamsFile(const std::vector<std::size_t>& sizes, std::size_t name_length) {
  std::vector<TensorParts> tensors;
  std::uint32_t state = 1;
  for (const std::size_t size : sizes) {
    std::string data;
    for (std::size_t at = 0; at < size; at += 4) {
      state = state * 1664525U + 1013904223U;
      const std::uint32_t value = tensors.size() % 3 == 0 ? state >> 28 : state ^ state >> 15;
      for (int i = 0; i < 4; ++i) data.push_back(static_cast<char>(value >> (8 * i)));
    }
    tensors.push_back({std::move(data)});
  }
  return BuildParams(tensors, name_length);
}

TEST_CASE("params longer than what is in memory at a time come back, with the digests of their file") {
  const Folder folder;
  constexpr std::size_t kMiB = 1 << 20;
  std::vector<std::size_t> sizes(5000, 8);  // many small ones, then all lengths around chunks and windows
  for (const std::size_t size : {4 * kMiB, 3 * kMiB - 4, std::size_t{0}, kMiB / 4 + 4, kMiB / 4, std::size_t{4}})
    sizes.push_back(size);
  sizes.push_back(0);
  // The second file's names alone are longer than what is in memory.
  const std::vector<std::string> files = {ParamsFile(sizes, 6), ParamsFile(std::vector<std::size_t>(900, 4), 4000)};
  for (const std::string& file : files) {
    WriteFile(folder / "p.params", file);
    const std::vector<NamedPath> artifacts = {{"params", folder / "p.params"}, {"blob", folder / "p.params"}};
    for (const CodecChoice codec : {CodecChoice::kStore, CodecChoice::kZstd, CodecChoice::kAuto}) {
      CAPTURE(file.size(), static_cast<int>(codec));
      MustEmbed(HostOf("linux-x86_64"), artifacts, folder / "model.so", codec, 1);
      MustEmbed(HostOf("linux-x86_64"), artifacts, folder / "again.so", codec, 5);
      CHECK(ReadFile(folder / "model.so") == ReadFile(folder / "again.so"));
      CHECK(MustVerify(folder / "model.so").passed());
      const Result<OpenedBundle> opened = OpenedBundle::Open(folder / "model.so");
      REQUIRE(opened.ok());
      for (std::uint32_t i = 0; i < 2; ++i) CHECK(ToDigest(*opened->reader.artifact(i).sha256()) == Sha256Of(View(file)));
      const Bundle bundle = OpenBundle(folder / "model.so");
      for (const char* name : {"params", "blob"}) {
        const auto bytes = bundle.artifact(name).bytes();
        CHECK(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()) == file);
      }
      CHECK(bundle.params().size() == (file.size() == files[0].size() ? sizes.size() : 900));
    }
  }
}

TEST_CASE("an input that shrinks, and an output that must not grow, are errors wherever it happens") {
  const Folder folder;
  const std::string input(20 << 20, 'x');
  WriteFile(folder / "blob", input);
  EmbedOptions options;
  options.encode.codec = CodecChoice::kStore;
  const Result<EncodedArtifact> shrunk = [&]() -> Result<EncodedArtifact> {
    PANNIER_TRY(const std::vector<ArtifactInput> inputs, OpenArtifacts({{"blob", folder / "blob"}}));
    fs::resize_file(folder / "blob", (15 << 20) + 5);
    return EncodeArtifact(inputs.front(), 0, {}, options.encode);
  }();
  REQUIRE_FALSE(shrunk.ok());
  CHECK(shrunk.status().message() == (folder / "blob") +
                                         ": read at 0xf00005: found the end of the file, expected 20971520 bytes; it shrank "
                                         "meanwhile");

  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto old_action = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit = {10000000, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  const Result<EmbedSummary> full = Embed(HostOf("linux-x86_64"), {{"blob", folder / "blob"}}, folder / "model.so", options);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, old_action);
  REQUIRE_FALSE(full.ok());
  CHECK(full.status().message() ==
        (folder / "model.so") + ": file too large for the file system or the limit of this process after 10000000 bytes");
  CHECK(folder.List().size() == 1);
}

TEST_CASE("other artifacts keep their names; unusual ones share a section") {
  const Folder folder;
  WriteFile(folder / "a", "first");
  WriteFile(folder / "b", "");
  WriteFile(folder / "c", std::string(700000, 'x'));
  MustEmbed(HostOf("linux-x86_64"),
            {{"labels", folder / "a"},
             {"with space", folder / "a"},
             {"index", folder / "c"},
             {"empty", folder / "b"},
             {"größe", folder / "c"}},
            folder / "model.so", CodecChoice::kAuto);
  CHECK(MustVerify(folder / "model.so").passed());
  const Bundle bundle = OpenBundle(folder / "model.so");
  CHECK(bundle.artifact_count() == 5);
  CHECK(bundle.artifact("with space").bytes().size() == 5);
  CHECK(bundle.artifact("empty").bytes().empty());
  CHECK(bundle.artifact("größe").bytes().size() == 700000);
  CHECK(bundle.artifact("index").stored_bytes() < 1000);
  CHECK_THROWS_AS(bundle.artifact("label"), Error);
  CHECK_THROWS_AS(bundle.graph_json(), Error);
  CHECK_THROWS_AS(bundle.params(), Error);
  for (const std::string name : {"", "a/b", "..", "new\nline", "\xff"}) {
    CHECK(Embed(HostOf("linux-x86_64"), {{name, folder / "a"}}, folder / "x.so", {}).status().code() ==
          ErrorCode::kInvalidArgument);
  }
}

TEST_CASE("params in an unknown format are kept as one blob") {
  const Folder folder;
  WriteFile(folder / "odd.params", "not TVM's");
  const EmbedSummary summary = MustEmbed(HostOf("linux-x86_64"), {{"params", folder / "odd.params"}}, folder / "model.so");
  CHECK_FALSE(summary.artifacts.front().note.empty());
  const Bundle bundle = OpenBundle(folder / "model.so");
  CHECK(bundle.artifact("params").bytes().size() == 9);
  CHECK_THROWS_AS(bundle.params(), Error);
}

TEST_CASE("loaded: tensors in place, symbols, two bundles, twice, many threads, unloaded") {
  const Folder folder;
  MustEmbed(HostOf("linux-x86_64"), Artifacts(), folder / "store.so", CodecChoice::kStore);
  MustEmbed(HostOf("linux-x86_64"), Artifacts(), folder / "zstd.so", CodecChoice::kZstd);
  {
    const Bundle store = LoadBundle(folder / "store.so", {Check::kFull, 0, false});
    const Bundle again = LoadBundle(folder / "store.so");
    const Bundle zstd = LoadBundle(folder / "zstd.so", {Check::kLazy, 3, false});
    CHECK(store.params().at("p0").data() == again.params().at("p0").data());
    CHECK(store.graph_json() == zstd.graph_json());
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) threads.emplace_back([&] { zstd.DecodeAll(); });
    for (std::thread& thread : threads) thread.join();
    for (const TensorView& tensor : store.params()) {
      CAPTURE(tensor.name());
      CHECK(tensor.is_zero_copy());
      CHECK(reinterpret_cast<std::uintptr_t>(tensor.data()) % 64 == 0);
      const TensorView other = zstd.params().at(tensor.name());
      CHECK(other.dtype() == tensor.dtype());
      CHECK(std::memcmp(other.data(), tensor.data(), tensor.nbytes()) == 0);
      std::vector<char> copy(tensor.nbytes());
      other.CopyTo(copy.data(), copy.size());
      CHECK(std::memcmp(copy.data(), tensor.data(), copy.size()) == 0);
      CHECK_THROWS_AS(other.CopyTo(copy.data(), copy.size() + 1), Error);
    }
    void* function = store.FindSymbol("tvmgen_default_fused_nn_softmax");
    REQUIRE(function != nullptr);
    CHECK(FindBundle(function).params().at("p0").data() == store.params().at("p0").data());
    CHECK(store.FindSymbol("no_such_function") == nullptr);
    CHECK_THROWS_AS(OpenBundle(folder / "store.so").FindSymbol("x"), Error);
    CHECK_THROWS_AS(FindBundle(&folder), Error);
  }
  // Unloaded: a new file under the same name is what the next load gives.
  MustEmbed(HostOf("linux-x86_64"), {{"labels", (kData / "graph.json").string()}}, folder / "store.so");
  CHECK(LoadBundle(folder / "store.so").has_artifact("labels"));
  CHECK_THROWS_AS(LoadBundle(HostOf("linux-x86_64")), Error);
}

TEST_CASE("opened from memory, also at an odd address, and from a descriptor at an odd offset") {
  const Folder folder;
  MustEmbed(HostOf("linux-x86_64"), Artifacts(), folder / "model.so");
  const std::string bytes = ReadFile(folder / "model.so");
  const std::string shifted = "odd" + bytes + "rest";
  const Bundle odd = OpenBundle(shifted.data() + 3, bytes.size());
  CHECK(reinterpret_cast<std::uintptr_t>(odd.params().at("p0").data()) % 64 == 0);
  CHECK(odd.graph_json() == ReadFile((kData / "graph.json").string()));
  WriteFile(folder / "archive", shifted);
  const Result<FileSource> archive = FileSource::Open(folder / "archive");
  REQUIRE(archive.ok());
  const Bundle inside = OpenBundle(archive->fd(), 3, bytes.size());
  inside.CheckDigests();
  CHECK(inside.graph_json() == odd.graph_json());
  CHECK_THROWS_AS(OpenBundle(archive->fd(), 3, bytes.size() + 100), Error);
}

}  // namespace
}  // namespace pannier
