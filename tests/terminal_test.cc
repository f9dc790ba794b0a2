// What people read at the terminal: sizes and progress.
#include "embedder/command_line/terminal.h"

#include <catch2/catch_test_macros.hpp>

namespace pannier {
namespace {

TEST_CASE("sizes in units") {
  CHECK(HumanSize(0) == "0 B");
  CHECK(HumanSize(9999) == "9999 B");
  CHECK(HumanSize(10000) == "9.8 KiB");
  CHECK(HumanSize(428 << 10) == "428 KiB");
  CHECK(HumanSize(std::uint64_t{3} << 29) == "1.5 GiB");
  CHECK(HumanSize(UINT64_MAX) == "16384 PiB");
}

TEST_CASE("progress: how far, how fast, how long still") {
  constexpr std::uint64_t kGiB = 1 << 30;
  CHECK(ProgressText("verifying", 3 * kGiB, 12 * kGiB, 2) == "verifying 3.0 GiB of 12.0 GiB (25 %), 1.5 GiB/s, 6 s left");
  CHECK(ProgressText("copying", kGiB, 1024 * kGiB, 1) == "copying 1.0 GiB of 1.0 TiB (0 %), 1.0 GiB/s, 17 min left");
  CHECK(ProgressText("reading", 5000, 5000, 0.5) == "reading 5000 B of 5000 B (100 %), 9.8 KiB/s, 0 s left");
  CHECK(ProgressText("reading", 6000, 5000, 0.5) == "reading 6000 B of 5000 B (120 %), 11.7 KiB/s, 0 s left");  // it grew
  CHECK(ProgressText("reading", 0, 5000, 1) == "reading 0 B of 5000 B (0 %)");
  CHECK(ProgressText("laying out the graph", 0, 0, 3.4) == "laying out the graph, 3 s");
}

}  // namespace
}  // namespace pannier
