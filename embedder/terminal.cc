// Sizes in units; progress on stderr.
#include "embedder/terminal.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstdio>

#include "embedder/file_source.h"
#include "embedder/system.h"

namespace pannier {

std::string HumanSize(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 10000) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return value < 100 ? fmt::format("{:.1f} {}", value, kUnits[unit]) : fmt::format("{:.0f} {}", value, kUnits[unit]);
}

Status FlushStdout() {
  if (std::fflush(stdout) != 0) return SystemError("stdout", errno);
  return std::ferror(stdout) == 0 ? Status() : SystemError("stdout", EIO);
}

Progress::Progress(std::string_view action, std::uint64_t total, bool wanted)
    : action_(action),
      total_(total),
      visible_(wanted && StderrIsTerminal()),
      start_(std::chrono::steady_clock::now()),
      next_(start_ + std::chrono::milliseconds(500)) {}

Progress::~Progress() {
  if (drawn_) std::fputs("\r\033[K", stderr);
}

void Progress::Advance(std::uint64_t bytes) {
  if (!visible_) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  done_ += bytes;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) return;
  next_ = now + std::chrono::milliseconds(100);
  drawn_ = true;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const auto rate = static_cast<std::uint64_t>(static_cast<double>(done_) / seconds);
  const std::uint64_t percent = total_ != 0 ? done_ * 100 / total_ : 100;
  const std::uint64_t left = rate != 0 && total_ > done_ ? (total_ - done_) / rate : 0;
  fmt::print(stderr, "\r\033[K{} {} of {} ({} %), {}/s, {} s left", action_, HumanSize(done_), HumanSize(total_), percent,
             HumanSize(rate), left);
  std::fflush(stderr);
}

}  // namespace pannier
