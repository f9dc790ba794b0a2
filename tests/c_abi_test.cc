// The C interface beside the C++ one: the same answers, the same errors; what C alone has (counting, structs, cut messages).
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "pannier/loader.h"
#include "pannier/pannier.h"
#include "tests/file_fixture.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PANNIER_TEST_OWN_ALLOCATOR 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PANNIER_TEST_OWN_ALLOCATOR 1
#endif
#endif

namespace {

// Made by tests/CMakeLists.txt: mlp's graph and params and an artifact `labels`, by codec; `opaque` has no graph, and params that
// are not TVM's.
std::string BundlePath(const std::string& name) { return PANNIER_TEST_BUNDLES "/c_abi_" + name + ".so"; }

struct Free {
  void operator()(pannier_bundle* bundle) const { pannier_bundle_free(bundle); }
};
using Handle = std::unique_ptr<pannier_bundle, Free>;

Handle Open(const std::string& name) {
  pannier_bundle* bundle = nullptr;
  pannier_error error;
  const int code = pannier_open(BundlePath(name).c_str(), nullptr, &bundle, &error);
  INFO(error.message);
  REQUIRE(code == PANNIER_OK);
  return Handle(bundle);
}

// Where opening from memory uses the bytes in place.
struct alignas(64) Block {
  std::uint8_t bytes[64];
};

std::vector<Block> ToAligned(const std::string& bytes) {
  std::vector<Block> blocks(bytes.size() / sizeof(Block) + 1);
  std::memcpy(blocks.data(), bytes.data(), bytes.size());
  return blocks;
}

// Takes all blocks of this size that the heap has. Only for a child process: they are never given back.
void TakeHeap(std::size_t size) {
  static void* volatile taken = nullptr;
  do {
    taken = std::malloc(size);
  } while (taken != nullptr);
}

// The code and the message that C++ gives as an exception.
template <typename Function>
pannier::Error ErrorOf(const Function& function) {
  try {
    function();
  } catch (const pannier::Error& error) {
    return error;
  }
  FAIL("found no error");
  return {pannier::ErrorCode::kOk, ""};
}

void CheckSame(const pannier::Error& expected, int code, const pannier_error& error) {
  CHECK(code == static_cast<int>(expected.code()));
  CHECK(error.code == code);
  CHECK(std::string(error.message) == expected.what());
}

}  // namespace

TEST_CASE("the C interface gives what the C++ interface gives", "[c_abi]") {
  const std::string name = GENERATE("store", "zstd");
  const Handle c = Open(name);
  const pannier::Bundle cpp = pannier::OpenBundle(BundlePath(name));

  const char* text = nullptr;
  std::size_t size = 0;
  REQUIRE(pannier_graph_json(c.get(), &text, &size, nullptr) == PANNIER_OK);
  CHECK(std::string_view(text, size) == cpp.graph_json());
  REQUIRE(pannier_bundle_path(c.get(), &text, nullptr) == PANNIER_OK);
  CHECK(text == cpp.path());
  char digest[PANNIER_SHA256_TEXT_SIZE];
  REQUIRE(pannier_bundle_image_digest(c.get(), digest, nullptr) == PANNIER_OK);
  CHECK(digest == cpp.image_digest());

  std::size_t count = 0;
  REQUIRE(pannier_artifact_count(c.get(), &count, nullptr) == PANNIER_OK);
  REQUIRE(count == cpp.artifact_count());
  REQUIRE(count == 3);
  for (std::size_t i = 0; i < count; ++i) {
    const pannier::ArtifactView expected = cpp.artifact_at(i);
    pannier_artifact artifact;
    REQUIRE(pannier_artifact_by_name(c.get(), std::string(expected.name()).c_str(), &artifact, nullptr) == PANNIER_OK);
    CHECK(artifact.index == i);
    CHECK(std::string_view(artifact.name, artifact.name_length) == expected.name());
    CHECK(artifact.size == expected.size());
    CHECK(artifact.stored_bytes == expected.stored_bytes());
    CHECK(artifact.sha256 == expected.sha256());
    const std::uint8_t* data = nullptr;
    REQUIRE(pannier_artifact_bytes(c.get(), i, &data, &size, nullptr) == PANNIER_OK);
    CHECK(std::equal(data, data + size, expected.bytes().begin(), expected.bytes().end()));
  }

  REQUIRE(pannier_tensor_count(c.get(), &count, nullptr) == PANNIER_OK);
  REQUIRE(count == cpp.params().size());
  REQUIRE(count == 6);
  for (std::size_t i = 0; i < count; ++i) {
    const pannier::TensorView expected = cpp.params()[i];
    pannier_tensor tensor;
    REQUIRE(pannier_tensor_by_name(c.get(), std::string(expected.name()).c_str(), &tensor, nullptr) == PANNIER_OK);
    CHECK(tensor.index == i);
    CHECK(std::string_view(tensor.name, tensor.name_length) == expected.name());
    CHECK(pannier::DataType{tensor.dtype.code, tensor.dtype.bits, tensor.dtype.lanes} == expected.dtype());
    CHECK(tensor.device.device_type == expected.device().device_type);
    CHECK(std::equal(tensor.shape, tensor.shape + tensor.ndim, expected.shape().begin(), expected.shape().end()));
    CHECK(tensor.nbytes == expected.nbytes());
    CHECK(tensor.stored_bytes == expected.stored_bytes());
    CHECK((tensor.is_zero_copy != 0) == expected.is_zero_copy());
    const void* data = nullptr;
    REQUIRE(pannier_tensor_data(c.get(), i, &data, nullptr) == PANNIER_OK);
    CHECK(std::memcmp(data, expected.data(), tensor.nbytes) == 0);
  }
}

TEST_CASE("the C interface gives the C++ interface's errors, code and message", "[c_abi]") {
  const Handle c = Open("opaque");
  const pannier::Bundle cpp = pannier::OpenBundle(BundlePath("opaque"));
  pannier_error error;
  const char* text = nullptr;
  std::size_t size = 0;
  void* address = nullptr;
  pannier_artifact artifact;
  pannier_tensor tensor;

  CheckSame(ErrorOf([&] { (void)cpp.graph_json(); }), pannier_graph_json(c.get(), &text, &size, &error), error);
  CHECK(error.code == PANNIER_ERROR_NOT_FOUND);
  CheckSame(ErrorOf([&] { (void)cpp.params(); }), pannier_tensor_count(c.get(), &size, &error), error);
  CHECK(error.code == PANNIER_ERROR_UNSUPPORTED);
  CheckSame(ErrorOf([&] { (void)cpp.params(); }), pannier_tensor_by_index(c.get(), 0, &tensor, &error), error);
  CheckSame(ErrorOf([&] { (void)cpp.params(); }), pannier_tensor_by_name(c.get(), "p0", &tensor, &error), error);
  CheckSame(ErrorOf([&] { (void)cpp.artifact("grph"); }), pannier_artifact_by_name(c.get(), "grph", &artifact, &error), error);
  CHECK(error.code == PANNIER_ERROR_NOT_FOUND);
  CheckSame(ErrorOf([&] { (void)cpp.symbol<void>("x"); }), pannier_bundle_symbol(c.get(), "x", &address, &error), error);
  CHECK(error.code == PANNIER_ERROR_INVALID_ARGUMENT);
  CHECK((text == nullptr && size == 0 && address == nullptr));

  pannier_bundle* none = c.get();
  const std::string missing = BundlePath("missing");
  CheckSame(ErrorOf([&] { pannier::LoadBundle(missing); }), pannier_load(missing.c_str(), nullptr, &none, &error), error);
  CHECK(none == nullptr);
  CHECK(error.code == PANNIER_ERROR_IO);
  const char junk[] = "neither a library nor a bundle";
  CheckSame(ErrorOf([&] { pannier::OpenBundle(junk, sizeof(junk)); }),
            pannier_open_memory(junk, sizeof(junk), nullptr, &none, &error), error);
}

TEST_CASE("a changed byte is answered with a code where digests are asked for", "[c_abi]") {
  const std::string file = pannier::ReadFile(BundlePath("store"));
  const std::size_t size = file.size();
  const std::vector<Block> bytes = ToAligned(file);
  pannier_bundle* bundle = nullptr;
  pannier_error error;
  REQUIRE(pannier_open_memory(bytes.data(), size, nullptr, &bundle, &error) == PANNIER_OK);
  pannier_artifact graph;
  const std::uint8_t* data = nullptr;
  std::size_t data_size = 0;
  REQUIRE(pannier_artifact_by_name(bundle, "graph", &graph, &error) == PANNIER_OK);
  REQUIRE(pannier_artifact_bytes(bundle, graph.index, &data, &data_size, &error) == PANNIER_OK);
  const auto offset = static_cast<std::size_t>(data - reinterpret_cast<const std::uint8_t*>(bytes.data()));
  REQUIRE(offset < size);
  REQUIRE(pannier_bundle_check_digests(bundle, &error) == PANNIER_OK);
  pannier_bundle_free(bundle);

  std::vector<Block> changed = bytes;
  reinterpret_cast<std::uint8_t*>(changed.data())[offset + data_size / 2] ^= 1;
  pannier_load_options options = PANNIER_LOAD_OPTIONS_INIT;
  options.check = PANNIER_CHECK_FULL;
  CHECK(pannier_open_memory(changed.data(), size, &options, &bundle, &error) == PANNIER_ERROR_DIGEST_MISMATCH);
  CHECK(bundle == nullptr);

  options.check = PANNIER_CHECK_LAZY;
  REQUIRE(pannier_open_memory(changed.data(), size, &options, &bundle, &error) == PANNIER_OK);
  CHECK(pannier_artifact_bytes(bundle, graph.index, &data, &data_size, &error) == PANNIER_ERROR_DIGEST_MISMATCH);
  CHECK(std::string(error.message).find("graph") != std::string::npos);
  pannier_bundle_free(bundle);

  options.check = PANNIER_CHECK_STRUCTURE;
  REQUIRE(pannier_open_memory(changed.data(), size, &options, &bundle, &error) == PANNIER_OK);
  CHECK(pannier_bundle_check_digests(bundle, &error) == PANNIER_ERROR_DIGEST_MISMATCH);
  pannier_bundle_free(bundle);
}

// Messages of pannier's own are short; the dynamic loader's words carry the path as it is.
TEST_CASE("a long message is cut between characters", "[c_abi]") {
  std::string library = pannier::ReadFile(PANNIER_TEST_HOST);
  library.at(7) = '\xFE';  // EI_OSABI: what no system has
  const pannier::TemporaryDirectory directory;
  int cut_within_character = 0;
  for (const std::size_t lead : {std::size_t{0}, std::size_t{1}}) {  // one of the two has the limit within a character
    std::filesystem::path path = directory.path();
    for (int i = 0; i < 3; ++i) {
      std::string name(lead, 'x');
      while (name.size() < 240) name += "\xC3\xA9";
      path /= name;
    }
    std::filesystem::create_directories(path.parent_path());
    pannier::WriteFile(path.string(), library);
    const std::string whole = ErrorOf([&] { pannier::LoadBundle(path.string()); }).what();
    if (whole.size() < PANNIER_ERROR_MESSAGE_SIZE) SKIP("this system's dynamic loader does not name the file: " << whole);

    pannier_error error;
    pannier_bundle* bundle = nullptr;
    CHECK(pannier_load(path.c_str(), nullptr, &bundle, &error) == PANNIER_ERROR_LOAD_FAILED);
    const std::string found = error.message;
    CHECK(found == whole.substr(0, found.size()));
    CHECK(found.size() >= PANNIER_ERROR_MESSAGE_SIZE - 2);
    CHECK((static_cast<unsigned char>(whole[found.size()]) & 0xC0) != 0x80);
    if (found.size() == PANNIER_ERROR_MESSAGE_SIZE - 2) ++cut_within_character;
  }
  CHECK(cut_within_character != 0);
}

TEST_CASE("the C interface keeps decoded params where it is told to", "[c_abi]") {
  const pannier::TemporaryDirectory directory;
  const std::string folder = directory / "cache";
  pannier_load_options options = PANNIER_LOAD_OPTIONS_INIT;
  options.cache_dir = folder.c_str();
  for (int round = 0; round < 2; ++round) {
    pannier_bundle* bundle = nullptr;
    pannier_error error;
    REQUIRE(pannier_open(BundlePath("zstd").c_str(), &options, &bundle, &error) == PANNIER_OK);
    CHECK(std::filesystem::exists(folder) == (round == 1));
    CHECK(pannier_decode_all(bundle, &error) == PANNIER_OK);
    const auto files = std::filesystem::directory_iterator(folder);
    CHECK(std::distance(begin(files), end(files)) == 1);
    const pannier::Bundle expected = pannier::OpenBundle(BundlePath("store"));
    for (std::size_t i = 0; i < expected.params().size(); ++i) {
      const void* data = nullptr;
      REQUIRE(pannier_tensor_data(bundle, i, &data, &error) == PANNIER_OK);
      CHECK(std::memcmp(data, expected.params()[i].data(), expected.params()[i].nbytes()) == 0);
    }
    pannier_bundle_free(bundle);
  }
}

TEST_CASE("memory that runs out is a code", "[c_abi]") {
#ifdef PANNIER_TEST_OWN_ALLOCATOR
  SKIP("a sanitizer's allocator ends the program instead");
#endif
  const pannier::ChildOutcome outcome = pannier::InChild([]() -> std::string {
    pannier_bundle* bundle = nullptr;
    pannier_artifact params;
    const std::uint8_t* data = nullptr;
    std::size_t size = 0;
    pannier_error error;
    if (pannier_open(BundlePath("zstd").c_str(), nullptr, &bundle, &error) != PANNIER_OK) return error.message;
    if (pannier_artifact_by_name(bundle, "params", &params, &error) != PANNIER_OK) return error.message;
    rlimit none{};
    if (setrlimit(RLIMIT_AS, &none) != 0) return "no limit";
    // What earlier tests gave back to the heap would do for this one, too.
    TakeHeap(std::size_t{1} << 16);
    const int code = pannier_artifact_bytes(bundle, params.index, &data, &size, &error);
    if (code != PANNIER_ERROR_NO_MEMORY || error.code != code || data != nullptr) return "artifact: found another answer";
    // Not even a copy of the path: std::bad_alloc.
    static char path[4096];
    std::memset(path, 'x', sizeof(path) - 1);
    for (std::size_t bytes = std::size_t{1} << 15; bytes >= 16; bytes /= 2) TakeHeap(bytes);
    bundle = nullptr;
    return pannier_open(path, nullptr, &bundle, &error) == PANNIER_ERROR_NO_MEMORY ? "both" : "open: another";  // short: no heap
  });
  CHECK(outcome.signal == 0);
  CHECK(outcome.text == "both");
}

TEST_CASE("references are counted across threads", "[c_abi]") {
  pannier_bundle* bundle = nullptr;
  pannier_error error;
  REQUIRE(pannier_load(BundlePath("zstd").c_str(), nullptr, &bundle, &error) == PANNIER_OK);
  CHECK(pannier_bundle_retain(bundle) == bundle);
  pannier_bundle_free(bundle);

  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&failures, own = pannier_bundle_retain(bundle)] {
      for (int round = 0; round < 200; ++round) pannier_bundle_free(pannier_bundle_retain(own));
      const void* data = nullptr;
      for (std::size_t t = 0; t < 6; ++t) failures += pannier_tensor_data(own, t, &data, nullptr) != PANNIER_OK ? 1 : 0;
      pannier_bundle_free(own);
    });
  }
  pannier_bundle_free(bundle);
  for (std::thread& thread : threads) thread.join();
  CHECK(failures == 0);
}

TEST_CASE("every code has words, known or not", "[c_abi]") {
  for (int code = PANNIER_OK; code <= PANNIER_ERROR_SIGNATURE; ++code) {
    CHECK(std::string(pannier_error_text(code)) == pannier::ErrorCodeText(static_cast<pannier::ErrorCode>(code)));
    for (int other = PANNIER_OK; other < code; ++other) CHECK(std::string(pannier_error_text(code)) != pannier_error_text(other));
  }
  CHECK(std::strlen(pannier_error_text(-1)) != 0);
  CHECK(std::strlen(pannier_error_text(PANNIER_ERROR_SIGNATURE + 1)) != 0);
}

TEST_CASE("data types have TVM's names in C", "[c_abi]") {
  char text[PANNIER_DATA_TYPE_NAME_SIZE];
  for (const pannier_data_type dtype : {pannier_data_type{2, 32, 1}, pannier_data_type{0, 8, 1}, pannier_data_type{2, 16, 4},
                                        pannier_data_type{4, 16, 1}, pannier_data_type{255, 255, 65535}}) {
    REQUIRE(pannier_data_type_name(dtype, text, nullptr) == PANNIER_OK);
    CHECK(text == pannier::DataTypeName({dtype.code, dtype.bits, dtype.lanes}));
  }
}

TEST_CASE("header and library have one version", "[c_abi]") {
  CHECK(std::string(pannier_version()) == PANNIER_VERSION_STRING);
  CHECK(std::string(PANNIER_VERSION) == PANNIER_VERSION_STRING);
  const std::string parts = std::to_string(PANNIER_VERSION_MAJOR) + "." + std::to_string(PANNIER_VERSION_MINOR) + "." +
                            std::to_string(PANNIER_VERSION_PATCH);
  CHECK(parts == PANNIER_VERSION_STRING);
}
