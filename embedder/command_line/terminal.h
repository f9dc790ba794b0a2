// What people read at the terminal: sizes in units, and progress where there is a terminal to show it.
#ifndef PANNIER_EMBEDDER_COMMAND_LINE_TERMINAL_H_
#define PANNIER_EMBEDDER_COMMAND_LINE_TERMINAL_H_

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "src/effort.h"
#include "src/result.h"

namespace pannier {

// "428 KiB", "1.5 GiB"; exact below 10,000 bytes: "4247 B".
std::string HumanSize(std::uint64_t bytes);

// To be called at the end: what was printed to stdout may be kept back until then, and not arrive.
Status FlushStdout();

// "verifying 1.5 GiB of 3.0 GiB (50 %), 1.0 GiB/s, 2 s left"; where the total is not known (0), "laying out the graph, 3 s".
std::string ProgressText(std::string_view action, std::uint64_t done, std::uint64_t total, double seconds);

// A line on stderr that overwrites itself. Shows nothing for the first half second, and never when stderr is not a terminal.
class Progress : public ProgressSink {
 public:
  explicit Progress(bool wanted);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() override { Clear(); }

  void Begin(std::string_view action, std::uint64_t bytes) override;
  void Advance(std::uint64_t bytes) override;
  void Clear();  // before anything else is printed

 private:
  const bool visible_;
  std::mutex mutex_;
  std::string action_;
  std::uint64_t total_ = 0;
  std::uint64_t done_ = 0;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point start_;  // of this piece of work
  std::chrono::steady_clock::time_point next_;   // when the line is drawn again
};

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_COMMAND_LINE_TERMINAL_H_
