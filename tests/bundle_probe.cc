// bundle_probe: what the dynamic loader and LoadBundle make of one library. tests/sweep.py and tests/elf_hosts_test.py run it.
//
// usage: bundle_probe dlopen LIBRARY                               dlopen and dlclose, nothing of ours
//        bundle_probe symbol BUNDLE NAME                           stdout says how far behind the library's start it leads
//        bundle_probe mapped|file|open BUNDLE GRAPH PARAMS         the payload is that of the two files, byte for byte, and
//                                                                  mapped with the library | read from its file | looked at without
//                                                                  loading it (a library of another machine)
//
// Exit status: 0 as expected; 1 not, and stdout says what; 2 the dynamic loader refused the library, and stdout says why.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

#include "pannier/loader.h"
#include "src/byte_source.h"
#include "src/bytes.h"
#include "src/tvm_params.h"
#include "tests/dynamic_loader.h"

namespace pannier::testing {
namespace {

constexpr unsigned kTimeLimit = 60;  // seconds, for a library whose constructors wait for something

int Wrong(const std::string& what) {
  std::printf("wrong: %s\n", what.c_str());
  return 1;
}

std::string ReadAll(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(std::string(path) + ": cannot open the file");
  return {std::istreambuf_iterator<char>(file), {}};
}

int Dlopen(const char* path) {
  const std::string words = LoadAndUnload(path);
  if (words.empty()) return 0;
  std::printf("%s\n", words.c_str());
  return 2;
}

int Compare(const Bundle& bundle, const char* path, const std::string& placement, const std::string& graph,
            const std::string& params) {
  if (bundle.graph_json() != graph) return Wrong("the graph differs");
  const auto bytes = bundle.artifact("params").bytes();
  if (ByteView(bytes.data(), bytes.size()) != View(params)) return Wrong("params, put together again, differ");

  const ByteView expected(params.data(), params.size());
  const Result<ParamsFile> file = ParseParams(MemorySource(expected));
  if (!file.ok()) return Wrong(file.status().message());
  if (bundle.params().size() != file->tensors.size()) return Wrong("the number of tensors differs");
  for (const ParamsTensor& tensor : file->tensors) {
    const TensorView view = bundle.params().at(tensor.name);
    if (!(ByteView(view.data(), view.nbytes()) == *expected.Slice(tensor.data_offset, tensor.data_size))) {
      return Wrong("tensor " + tensor.name + " differs");
    }
    if (tensor.data_size == 0 || !view.is_zero_copy() || placement == "open") continue;
    if (IsLoadedFrom(view.data(), path) != (placement == "mapped"))
      return Wrong("tensor " + tensor.name + " is not where it should be");
  }
  bundle.CheckDigests();
  return 0;
}

int Symbol(const char* path, const char* name) {
  const Bundle bundle = LoadBundle(path);
  const char* const address = bundle.symbol<const char>(name);
  std::printf("%td\n", address - static_cast<const char*>(LibraryBase(address)));
  return 0;
}

int Main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "dlopen") == 0) return Dlopen(argv[2]);
  const bool asks_symbol = argc == 4 && std::strcmp(argv[1], "symbol") == 0;
  if (argc != 5 && !asks_symbol) {
    std::fprintf(stderr, "usage: bundle_probe dlopen LIBRARY | symbol BUNDLE NAME | mapped|file|open BUNDLE GRAPH PARAMS\n");
    return 3;
  }
  const std::string placement = argv[1];
  try {
    if (asks_symbol) return Symbol(argv[2], argv[3]);
    const Bundle bundle = placement == "open" ? OpenBundle(argv[2]) : LoadBundle(argv[2]);
    return Compare(bundle, argv[2], placement, ReadAll(argv[3]), ReadAll(argv[4]));
  } catch (const Error& error) {
    std::printf("%s\n", error.what());
    return error.code() == ErrorCode::kLoadFailed ? 2 : 1;
  }
}

}  // namespace
}  // namespace pannier::testing

int main(int argc, char** argv) {
  pannier::testing::EndAfter(pannier::testing::kTimeLimit);
  int status = 3;
  try {
    status = pannier::testing::Main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bundle_probe: %s\n", error.what());
  }
  std::fflush(stdout);
  // What a strange library registered with atexit is not our subject.
  std::_Exit(status);
}
