// OutputFile where the system fails, the disk is full or the process is killed: the old file or the new one, and nothing left
// behind.
#include <malloc.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <tuple>
#include <utility>

#include "embedder/output_file.h"
#include "tests/output_file_fixture.h"

namespace pannier {
namespace {

TEST_CASE("what is abandoned leaves nothing, and does not touch the target") {
  const TemporaryDirectory directory;
  WriteFile(directory / "model.so", kOld);
  for (const std::string& name : {directory / "model.so", directory / "new"}) {
    for (const bool unnamed : WaysToWrite(directory)) {
      const ChildOutcome outcome = InChild([&]() -> std::string {
        if (!unnamed && !RefuseUnnamedFiles()) return "no filter";
        auto output = OutputFile::Create(name, nullptr);
        if (!output.ok() || !output->WriteAt(0, View(kNew)).ok()) return "not written";
        const OutputFile moved = std::move(*output);
        return ReadFile(moved.path_for_reading()) == kNew ? std::to_string(directory.List().size()) : "other bytes";
      });
      if (outcome.text == "no filter") continue;
      CHECK(outcome.text == (unnamed ? "1" : "2"));
      CHECK(directory.List() == Names{"model.so"});
      CHECK((ReadFile(directory / "model.so") == kOld));
    }
  }
}

TEST_CASE("each system call that fails on the way leaves the old file, and nothing else") {
  const TemporaryDirectory directory;
  WriteFile(directory / "model.so", kOld);
  struct Fault {
    long call;
    const char* message;
  };
  const Fault faults[] = {
      {SYS_pwrite64, "write at 0x0: input/output error"},       {SYS_fsync, "sync: input/output error"},
      {SYS_fchmod, "mode cannot be kept: input/output error"},  {SYS_flistxattr, "list of extended attributes: input/output error"},
#ifdef SYS_renameat
      {SYS_renameat, "cannot be replaced: input/output error"},
#else
      {SYS_renameat2, "cannot be replaced: input/output error"},
#endif
  };
  for (const Fault& fault : faults) {
    for (const bool unnamed : WaysToWrite(directory)) {
      const ChildOutcome outcome = InChild([&]() -> std::string {
        if ((!unnamed && !RefuseUnnamedFiles()) || !FailCall(fault.call, EIO)) return "no filter";
        return Replace(directory / "model.so", kNew);
      });
      if (outcome.text == "no filter") SKIP("no system call filters here");
      CHECK(outcome.text == fault.message);
      CHECK((ReadFile(directory / "model.so") == kOld));
      CHECK(directory.List() == Names{"model.so"});
    }
  }
  const ChildOutcome outcome = InChild([&]() -> std::string {
    return FailCall(SYS_linkat, EIO) ? Replace(directory / "model.so", kNew) + "|" + Replace(directory / "new", kNew) : "no filter";
  });
  CHECK(outcome.text == "directory " + directory.path() + "/: input/output error|cannot be created: input/output error");
  CHECK(directory.List() == Names{"model.so"});
}

TEST_CASE("without RENAME_NOREPLACE a new file still replaces nothing") {
  const TemporaryDirectory directory;
  const ChildOutcome outcome = InChild([&]() -> std::string {
    if (!RefuseUnnamedFiles() || !FailCall(SYS_renameat2, EINVAL, 4, 1)) return "no filter";  // flags: RENAME_NOREPLACE
    auto output = OutputFile::Create(directory / "b", nullptr);
    if (!output.ok()) return "not created";
    WriteFile(directory / "b", kOld);
    const Status status = output->Commit();
    return Replace(directory / "a", kNew) + "|" + status.message();
  });
  if (outcome.text == "no filter") SKIP("no system call filters here");
  CHECK(outcome.text == "done|changed while it was being written: found a new file of that name; nothing was replaced");
  CHECK((ReadFile(directory / "a") == kNew));
  CHECK((ReadFile(directory / "b") == kOld));
  CHECK(directory.List() == Names{"a", "b"});
}

TEST_CASE("a file too large for the process's limit says how far it came") {
  const TemporaryDirectory directory;
  WriteFile(directory / "model.so", kOld);
  WriteFile(directory / "from", kNew);
  const ChildOutcome outcome = InChild([&]() -> std::string {
    const rlimit limit = {123'456, 123'456};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0 || std::signal(SIGXFSZ, SIG_IGN) == SIG_ERR) return "no limit";
    auto source = FileSource::Open(directory / "from");
    auto output = OutputFile::Create(directory / "model.so", nullptr);
    if (!source.ok() || !output.ok()) return "not opened";
    return output->CopyFrom(*source, 0, 0, kNew.size()).message() + "|" + Replace(directory / "model.so", kNew);
  });
  const std::string message = "file too large for the file system or the limit of this process after 123456 bytes";
  CHECK(outcome.text == message + "|" + message);
  CHECK((ReadFile(directory / "model.so") == kOld));
  CHECK(directory.List() == Names{"from", "model.so"});
}

// A file system of 1 MiB on `path`, for this process and until its end. False: not allowed here.
bool MountSmall(const std::string& path) {
  if (geteuid() == 0) {
    if (unshare(CLONE_NEWNS) != 0) return false;
  } else {
    const std::string user_map = "0 " + std::to_string(geteuid()) + " 1";
    const std::string group_map = "0 " + std::to_string(getegid()) + " 1";
    if (unshare(CLONE_NEWNS | CLONE_NEWUSER) != 0) return false;
    const auto put = [](const char* name, const std::string& text) { return bool((std::ofstream(name) << text).flush()); };
    if (!put("/proc/self/setgroups", "deny") || !put("/proc/self/uid_map", user_map) || !put("/proc/self/gid_map", group_map)) {
      return false;
    }
  }
  return mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         mount("small", path.c_str(), "tmpfs", 0, "size=1m") == 0;
}

TEST_CASE("a full disk says how far it came, and leaves the old file") {
  const TemporaryDirectory directory;
  const std::string large = Pattern(3'000'000, 4);
  WriteFile(directory / "from", large);
  std::filesystem::create_directory(directory / "small");
  for (const bool unnamed : WaysToWrite(directory)) {
    const ChildOutcome outcome = InChild([&]() -> std::string {
      if (!MountSmall(directory / "small") || (!unnamed && !RefuseUnnamedFiles())) return "no mount";
      const std::string target = directory / "small/model.so";
      WriteFile(target, kOld);
      std::string text = Replace(target, large);
      {
        auto source = FileSource::Open(directory / "from");
        auto output = OutputFile::Create(target, nullptr);
        if (!source.ok() || !output.ok()) return "not opened";
        text += "|" + output->CopyFrom(*source, 0, 0, large.size()).message();
      }
      const auto left = std::distance(std::filesystem::directory_iterator(directory / "small"), {});
      text += "|" + std::to_string(left) + "|" + (ReadFile(target) == kOld ? "old" : "damaged");
      return text + "|" + Replace(target, kNew);
    });
    if (outcome.text == "no mount") SKIP("may not mount a small file system here");
    const std::size_t rest = outcome.text.find("|1|old|done");
    CHECK(rest != std::string::npos);
    const std::string errors = outcome.text.substr(0, rest);
    const std::size_t bar = errors.find('|');
    for (const std::string& error : {errors.substr(0, bar), errors.substr(bar + 1)}) {
      INFO(error);
      CHECK(error.starts_with("no space left on device after "));
      const int bytes = std::atoi(error.c_str() + std::string("no space left on device after ").size());
      CHECK(bytes > 900'000);
      CHECK(bytes <= 1'048'576 - 70'000);
    }
  }
}

// From here on glibc's allocator asks the system for nothing and gives it nothing back: whether it would depends on what this
// process did before, so that the same stop would be another call from one child to the next.
void KeepAllocatorStill() {
  constexpr int kRoom = 1 << 24;
  mallopt(M_MMAP_THRESHOLD, kRoom);
  mallopt(M_TRIM_THRESHOLD, 4 * kRoom);
  mallopt(M_TOP_PAD, kRoom);
  void* volatile room = malloc(kRoom / 2);  // volatile: a pair of calls that does nothing else is left out
  free(room);
}

// Kills the writer at each stop before and after each of its system calls in turn.
TEST_CASE("a killed writer leaves the old file or the new one") {
  for (const bool exists : {true, false}) {
    const TemporaryDirectory directory;
    for (const bool unnamed : WaysToWrite(directory)) {
      const std::string target = directory / "model.so";
      // Memory that a sanitizer's allocator maps is mapped here and for all children, not by some of them: their system calls would
      // shift from one stop to the next, and stops would be left out.
      REQUIRE(Replace(target, kNew) == "done");
      int old_ones = 0;
      int new_ones = 0;
      int littered = 0;
      // Kills a writer at its stop of that number; answers with its stops, and whether it ended before.
      const auto kill_at = [&](int point) -> std::pair<int, bool> {
        std::filesystem::remove(target);
        if (exists) WriteFile(target, kOld);
        const pid_t child = fork();
        REQUIRE(child >= 0);
        if (child == 0) {
          if (!unnamed && !RefuseUnnamedFiles()) _exit(3);
          KeepAllocatorStill();
          if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(3);
          raise(SIGSTOP);
          _exit(Replace(target, kNew) == "done" ? 0 : 1);
        }
        int status = 0;
        REQUIRE(waitpid(child, &status, 0) == child);
        if (WIFEXITED(status)) SKIP("no tracing or no system call filters here");
        int stop = 0;
        for (; WIFSTOPPED(status); ++stop) {
          if (stop == point) kill(child, SIGKILL);
          ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
          REQUIRE(waitpid(child, &status, 0) == child);
        }
        const bool ended = WIFEXITED(status);
        INFO("stop " << point);
        if (ended) REQUIRE(WEXITSTATUS(status) == 0);
        const bool is_new = std::filesystem::exists(target) && ReadFile(target) == kNew;
        if (!is_new && exists) REQUIRE((ReadFile(target) == kOld));
        if (!is_new && !exists) REQUIRE_FALSE(std::filesystem::exists(target));
        if (!ended) (is_new ? new_ones : old_ones)++;
        const std::size_t whole = is_new || exists ? 1 : 0;
        if (directory.List().size() != whole) {
          ++littered;
          REQUIRE(directory.List().size() == whole + 1);
          { REQUIRE(OutputFile::Create(target, nullptr).ok()); }  // cleans up
          REQUIRE(directory.List().size() == whole);
        }
        return {stop, ended};
      };
      int points = 0;
      int stops = 0;
      for (bool ended = false; !ended; ++points) std::tie(stops, ended) = kill_at(points);
      // A sanitizer's allocator may have saved the last writers some calls: so the last stops of those that end, once more.
      const int littered_first = littered;
      for (int point = std::max(0, stops - 20); point < stops; ++point) kill_at(point);
      INFO("points " << points << ", with a file left behind " << littered_first);
      CHECK(old_ones > 20);
      CHECK(new_ones > 1);
      // Without a name there is nothing to leave, but for the instant between linkat and renameat.
      const int most = exists ? 2 : 0;
      if (unnamed) CHECK(littered_first <= most);
      if (!unnamed) CHECK(littered_first > 2);
    }
  }
}

TEST_CASE("only what nobody uses is cleaned up") {
  const TemporaryDirectory directory;
  const std::string stays[] = {".a.pannier-abcdefg", ".a.pannier-ABCDEF", ".b.pannier-abcdef", "a.pannier-abcdef"};
  for (const std::string& name : stays) WriteFile(directory / name, "mine");
  WriteFile(directory / ".a.pannier-abcdef", "left by a killed process");
  std::filesystem::create_directory(directory / ".a.pannier-bcdefg");
  const ChildOutcome outcome = InChild([&]() -> std::string {
    if (!RefuseUnnamedFiles()) return "no filter";
    auto first = OutputFile::Create(directory / "a", nullptr);
    if (!first.ok() || !first->WriteAt(0, View(kOld)).ok()) return "not created";
    auto second = OutputFile::Create(directory / "a", nullptr);
    if (!second.ok() || !second->WriteAt(0, View(kNew)).ok()) return "not created";
    const Status kept = first->Commit();
    return kept.message() + "|" + second->Commit().message();
  });
  if (outcome.text == "no filter") SKIP("no system call filters here");
  CHECK(outcome.text == "|changed while it was being written: found a new file of that name; nothing was replaced");
  CHECK((ReadFile(directory / "a") == kOld));
  CHECK(directory.List() ==
        Names{".a.pannier-ABCDEF", ".a.pannier-abcdefg", ".a.pannier-bcdefg", ".b.pannier-abcdef", "a", "a.pannier-abcdef"});
}

}  // namespace
}  // namespace pannier
