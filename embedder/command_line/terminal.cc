// Sizes in units; progress on stderr.
#include "embedder/command_line/terminal.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "embedder/command_line/system.h"
#include "embedder/system_error.h"

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

std::string ProgressText(std::string_view action, std::uint64_t done, std::uint64_t total, double seconds) {
  if (total == 0) return fmt::format("{}, {:.0f} s", action, seconds);
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  std::string text = fmt::format("{} {} of {} ({:.0f} %)", action, HumanSize(done), HumanSize(total),
                                 100 * static_cast<double>(done) / static_cast<double>(total));
  if (rate < 1) return text;
  const double left = total > done ? static_cast<double>(total - done) / rate : 0;
  text += fmt::format(", {}/s, ", HumanSize(static_cast<std::uint64_t>(rate)));
  return text + (left < 100 ? fmt::format("{:.0f} s left", left) : fmt::format("{:.0f} min left", left / 60));
}

Progress::Progress(bool wanted)
    : visible_(wanted && StderrIsTerminal()),
      start_(std::chrono::steady_clock::now()),
      next_(start_ + std::chrono::milliseconds(500)) {}

void Progress::Clear() {
  if (std::exchange(drawn_, false)) std::fputs("\r\033[K", stderr);
}

void Progress::Begin(std::string_view action, std::uint64_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  action_ = action;
  total_ = bytes;
  done_ = 0;
  start_ = std::chrono::steady_clock::now();
}

void Progress::Advance(std::uint64_t bytes) {
  if (!visible_) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  done_ += bytes;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) return;
  next_ = now + std::chrono::milliseconds(100);
  drawn_ = true;
  fmt::print(stderr, "\r\033[K{}", ProgressText(action_, done_, total_, std::chrono::duration<double>(now - start_).count()));
  std::fflush(stderr);
}

}  // namespace pannier
