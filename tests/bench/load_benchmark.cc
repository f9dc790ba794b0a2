// What loading costs, as lines of JSON; times in microseconds, memory in KiB.
//
//   load_benchmark HOST BUNDLE...   for each bundle, in turn and in one process: dlopen of the bare host and of the bundle itself,
//                                   LoadBundle, and then params(); [minimum, median] of each
//   load_benchmark --once WAY FILE  one way in a process of its own: until it is ready, until one byte of every page was read, and
//                                   what memory that took. Ways: dlopen; load (a bundle); decode (a bundle, all its tensors);
//                                   cached (the same, with a cache of decoded params in FILE.cache); read (any file, into memory);
//                                   map (any file)
//   load_benchmark --ready WAY BUNDLE [KEY]
//                                   loads, prints nothing: full (every chunk is checked); trusted (every byte, and that KEY, a PEM
//                                   file, signed it)
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "pannier/loader.h"

namespace {

constexpr std::size_t kPage = 4096;

double MicrosecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

void PrintTimes(const char* name, std::vector<double> values, const char* separator) {
  std::sort(values.begin(), values.end());
  std::printf(R"("%s": [%.2f, %.2f]%s)", name, values.front(), values[values.size() / 2], separator);
}

int CompareInTurns(const std::string& host, const std::string& path) {
  constexpr int kRuns = 301;
  std::vector<double> bare;
  std::vector<double> self;  // what the system takes for a library of this size and these segments
  std::vector<double> bundle;
  std::vector<double> params;
  for (int run = 0; run < kRuns; ++run) {
    for (const auto& [library, times] : {std::pair(&host, &bare), std::pair(&path, &self)}) {
      const auto start = std::chrono::steady_clock::now();
      void* handle = dlopen(library->c_str(), RTLD_NOW | RTLD_LOCAL);
      times->push_back(MicrosecondsSince(start));
      if (handle == nullptr) return std::fprintf(stderr, "%s\n", dlerror()), 1;
      dlclose(handle);
    }
    auto start = std::chrono::steady_clock::now();
    const pannier::Bundle loaded = pannier::LoadBundle(path);
    bundle.push_back(MicrosecondsSince(start));
    start = std::chrono::steady_clock::now();
    if (loaded.params().empty()) return 1;
    params.push_back(MicrosecondsSince(start));
  }
  std::printf("{");
  PrintTimes("dlopen_host", bare, ", ");
  PrintTimes("dlopen_bundle", self, ", ");
  PrintTimes("load_bundle", bundle, ", ");
  PrintTimes("params", params, "}\n");
  return 0;
}

// A number from one of /proc/self's files: the one behind `label`.
long FromProc(const char* file, const std::string& label) {
  std::ifstream lines(std::string("/proc/self/") + file);
  for (std::string line; std::getline(lines, line);) {
    if (line.compare(0, label.size(), label) == 0) return std::strtol(line.c_str() + label.size(), nullptr, 10);
  }
  return -1;
}

std::uint64_t ReadOneBytePerPage(const void* data, std::size_t size) {
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at < size; at += kPage) sum += static_cast<const volatile std::uint8_t*>(data)[at];
  return sum;
}

// What was loaded, and how to read all of it.
struct Loaded {
  std::optional<pannier::Bundle> bundle;
  std::unique_ptr<std::uint8_t[]> owned;
  const void* bytes = nullptr;
  std::size_t size = 0;
};

bool ReadOrMap(const char* path, bool map, Loaded& loaded) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  struct stat facts {};
  if (file < 0 || fstat(file, &facts) != 0) return false;
  loaded.size = static_cast<std::size_t>(facts.st_size);
  if (map) {
    loaded.bytes = mmap(nullptr, loaded.size, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    return loaded.bytes != MAP_FAILED;
  }
  loaded.owned.reset(new std::uint8_t[loaded.size]);
  loaded.bytes = loaded.owned.get();
  std::size_t done = 0;
  while (done < loaded.size) {
    const ssize_t count = read(file, loaded.owned.get() + done, loaded.size - done);
    if (count <= 0) break;
    done += static_cast<std::size_t>(count);
  }
  close(file);
  return done == loaded.size;
}

std::string TextOf(const char* path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

bool LoadBy(const std::string& way, const char* path, Loaded& loaded, const char* key = nullptr) {
  if (way == "dlopen") return dlopen(path, RTLD_NOW | RTLD_LOCAL) != nullptr;
  if (way == "read" || way == "map") return ReadOrMap(path, way == "map", loaded);
  pannier::LoadOptions options;
  if (way == "cached") options.cache_dir = std::string(path) + ".cache";
  if (way == "full") options.check = pannier::Check::kFull;
  if (way == "trusted") options.trusted_keys = {TextOf(key)};
  loaded.bundle = pannier::LoadBundle(path, options);
  if (loaded.bundle->params().empty()) return false;
  if (way == "decode" || way == "cached") loaded.bundle->DecodeAll();
  return way == "decode" || way == "cached" || way == "load" || way == "full" || way == "trusted";
}

int LoadOnce(const std::string& way, const char* path) {
  const long anonymous = FromProc("smaps_rollup", "Anonymous:");
  const long from_disk = FromProc("io", "read_bytes:");
  const auto start = std::chrono::steady_clock::now();
  Loaded loaded;
  if (!LoadBy(way, path, loaded)) return std::fprintf(stderr, "cannot %s %s\n", way.c_str(), path), 1;
  const double ready = MicrosecondsSince(start);
  std::uint64_t sum = ReadOneBytePerPage(loaded.bytes, loaded.size);
  if (loaded.bundle) {
    for (const pannier::TensorView& tensor : loaded.bundle->params()) sum += ReadOneBytePerPage(tensor.data(), tensor.nbytes());
  }
  const double all = MicrosecondsSince(start);
  std::printf(R"({"ready": %.1f, "all": %.1f, "peak": %ld, "anonymous": %ld, "from_disk": %ld, "sum": %llu})"
              "\n",
              ready, all, FromProc("status", "VmHWM:"), FromProc("smaps_rollup", "Anonymous:") - anonymous,
              (FromProc("io", "read_bytes:") - from_disk) / 1024, static_cast<unsigned long long>(sum));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3)
    return std::fprintf(stderr, "usage: load_benchmark HOST BUNDLE... | --once WAY FILE | --ready WAY BUNDLE [KEY]\n"), 2;
  try {
    if (std::strcmp(argv[1], "--once") == 0) return argc == 4 ? LoadOnce(argv[2], argv[3]) : 2;
    if (std::strcmp(argv[1], "--ready") == 0) {
      Loaded loaded;
      return argc >= 4 && LoadBy(argv[2], argv[3], loaded, argc > 4 ? argv[4] : "") ? 0 : 1;
    }
    for (int i = 2; i < argc; ++i) {
      if (const int status = CompareInTurns(argv[1], argv[i]); status != 0) return status;
    }
  } catch (const std::exception& error) {
    return std::fprintf(stderr, "load_benchmark: %s\n", error.what()), 1;
  }
  return 0;
}
