// A Relax model run from its bundle alone, through the adapter to today's TVM: usage run_relax BUNDLE INPUT OUTPUT (raw float32).
// Exit status 1 when the output is not the same, bit for bit.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

#include "pannier/loader.h"
#include "pannier/tvm_ffi.h"

namespace {

std::vector<char> ReadAll(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

int Run(const char* path, std::vector<char> input, const std::vector<char>& expected) {
  // From here on TVM's references keep what they need of the bundle.
  const auto [machine, params] = [&] {
    const pannier::Bundle bundle = pannier::LoadBundle(path);
    return std::make_pair(pannier::RelaxVirtualMachine(bundle), pannier::RelaxParams(bundle, "forward"));
  }();
  std::int64_t shape[] = {1, static_cast<std::int64_t>(input.size() / sizeof(float))};
  DLManagedTensor values{{input.data(), {kDLCPU, 0}, 2, {kDLFloat, 32, 1}, shape, nullptr, 0}, nullptr, nullptr};
  const tvm::ffi::Tensor first = tvm::ffi::Tensor::FromDLPack(&values);
  std::vector<tvm::ffi::AnyView> arguments = {first};
  for (const tvm::ffi::Tensor& param : params) arguments.emplace_back(param);
  tvm::ffi::Any result;
  machine->GetFunction("forward").value().CallPacked(arguments.data(), static_cast<int>(arguments.size()), &result);
  const auto output = result.cast<tvm::ffi::Tensor>();
  std::printf("%zu params\n", params.size());
  return std::memcmp(output.data_ptr(), expected.data(), expected.size()) == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  try {
    return Run(argv[1], ReadAll(argv[2]), ReadAll(argv[3]));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "run_relax: %s\n", error.what());
    return 1;
  }
}
