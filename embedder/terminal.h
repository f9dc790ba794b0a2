// What people read at the terminal: sizes in units, and progress where there is a terminal to show it.
#ifndef PANNIER_EMBEDDER_TERMINAL_H_
#define PANNIER_EMBEDDER_TERMINAL_H_

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "src/result.h"

namespace pannier {

// "428 KiB", "1.5 GiB"; exact below 10,000 bytes: "4247 B".
std::string HumanSize(std::uint64_t bytes);

// To be called at the end: what was printed to stdout may be kept back until then, and not arrive.
Status FlushStdout();

// A line on stderr that overwrites itself: bytes done, of all, rate. Shows nothing for the first half second, and never when stderr
// is not a terminal. Advance may be called from several threads.
class Progress {
 public:
  Progress(std::string_view action, std::uint64_t total, bool wanted);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();  // removes the line

  void Advance(std::uint64_t bytes);

 private:
  std::string action_;
  std::uint64_t total_;
  bool visible_;
  std::mutex mutex_;
  std::uint64_t done_ = 0;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point next_;
};

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_TERMINAL_H_
