// Decoding all of a bundle's params into fresh memory: the least of several runs, with one thread and with all, and the same tensor
// by tensor. Usage: decode_benchmark BUNDLE...
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "pannier/loader.h"

namespace {

constexpr int kRuns = 5;

double Seconds(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// In a process of its own, whose memory is fresh.
template <typename Function>
double SecondsInChild(const char* path, unsigned threads, const Function& function) {
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  const pid_t child = fork();
  if (child < 0) std::abort();
  if (child == 0) {
    pannier::LoadOptions options;
    options.threads = threads;
    const pannier::Bundle bundle = pannier::OpenBundle(path, options);
    (void)bundle.params().size();
    const auto start = std::chrono::steady_clock::now();
    function(bundle);
    const double seconds = Seconds(start);
    _exit(write(ends[1], &seconds, sizeof(seconds)) == sizeof(seconds) ? 0 : 1);
  }
  close(ends[1]);
  double seconds = 0;
  if (read(ends[0], &seconds, sizeof(seconds)) != sizeof(seconds)) std::abort();
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return seconds;
}

template <typename Function>
double LeastSeconds(const char* path, unsigned threads, const Function& function) {
  double least = 1e9;
  for (int run = 0; run < kRuns; ++run) least = std::min(least, SecondsInChild(path, threads, function));
  return least;
}

void Measure(const char* path) {
  double bytes = 0;
  const pannier::Bundle bundle = pannier::OpenBundle(path);
  for (const pannier::TensorView& tensor : bundle.params()) bytes += static_cast<double>(tensor.nbytes());
  for (const unsigned threads : {1U, 0U}) {
    const double all = LeastSeconds(path, threads, [](const pannier::Bundle& from) { from.DecodeAll(); });
    const double each = LeastSeconds(path, threads, [](const pannier::Bundle& from) {
      for (const pannier::TensorView& tensor : from.params()) (void)tensor.data();
    });
    std::printf("%s: %.0f MB, %s: DecodeAll %.3f s (%.2f GB/s), one after another %.3f s (%.2f GB/s)\n", path, bytes / 1e6,
                threads == 1 ? "one thread" : "all threads", all, bytes / all / 1e9, each, bytes / each / 1e9);
  }
}

}  // namespace

int main(int argc, char** argv) try {
  for (int i = 1; i < argc; ++i) Measure(argv[i]);
  return argc < 2 ? 2 : 0;
} catch (const std::exception& error) {
  return std::fprintf(stderr, "%s\n", error.what()), 1;
}
