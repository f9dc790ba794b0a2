// LoadBundle of a bundle against dlopen of its bare host and of the bundle itself, in turn, in one process: medians in
// microseconds. Usage: load_benchmark HOST BUNDLE...
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "pannier/loader.h"

namespace {

double Microseconds(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  constexpr int kRuns = 1001;
  if (argc < 3) return std::fprintf(stderr, "usage: load_benchmark HOST BUNDLE...\n"), 2;
  for (int i = 2; i < argc; ++i) {
    std::vector<double> bare;
    std::vector<double> self;  // what the system takes for a library of this size and these segments
    std::vector<double> bundle;
    std::vector<double> tensors;
    for (int run = 0; run < kRuns; ++run) {
      for (const auto& [path, times] : {std::pair(std::string(argv[1]), &bare), std::pair(std::string(argv[i]), &self)}) {
        const auto start = std::chrono::steady_clock::now();
        void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        times->push_back(Microseconds(start));
        if (handle == nullptr) return std::fprintf(stderr, "%s\n", dlerror()), 1;
        dlclose(handle);
      }
      auto start = std::chrono::steady_clock::now();
      const pannier::Bundle loaded = pannier::LoadBundle(argv[i]);
      bundle.push_back(Microseconds(start));
      start = std::chrono::steady_clock::now();
      if (loaded.has_artifact("params") && loaded.params().empty()) return 1;
      tensors.push_back(Microseconds(start));
    }
    std::printf("%s: dlopen of the host %.1f us, of the bundle %.1f us, LoadBundle %.1f us (+%.1f), then params() %.1f us\n",
                argv[i], Median(bare), Median(self), Median(bundle), Median(bundle) - Median(bare), Median(tensors));
  }
  return 0;
}
