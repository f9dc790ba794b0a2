// A child process with two pipes; both are waited for at once, so that neither side can block the other for good.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "embedder/file_source.h"
#include "embedder/run_program.h"
#include "embedder/system_error.h"
#include "src/text.h"

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX has no header for it

namespace pannier {
namespace {

using Clock = std::chrono::steady_clock;

struct Pipe {
  FileHandle read;
  FileHandle write;
};

Result<Pipe> MakePipe() {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return SystemError("pipe", errno);
  Pipe made{FileHandle(ends[0]), FileHandle(ends[1])};
  for (const int end : ends) fcntl(end, F_SETFD, FD_CLOEXEC);
  return made;
}

// Ended and waited for, whatever happens.
class Child {
 public:
  explicit Child(pid_t process) : process_(process) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (process_ <= 0) return;
    kill(process_, SIGKILL);
    Wait();
  }

  int Wait() {
    int status = 0;
    while (waitpid(process_, &status, 0) < 0 && errno == EINTR) {
    }
    process_ = 0;
    return status;
  }

 private:
  pid_t process_;
};

Result<pid_t> Spawn(const std::vector<std::string>& command, const Pipe& input, const Pipe& output) {
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input.read.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output.write.get(), STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t process = 0;
  const int error = posix_spawnp(&process, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error == ENOENT) return {ErrorCode::kNotFound, StrCat(command[0], " is not installed")};
  if (error != 0) return SystemError(command[0], error);
  return process;
}

// A program that ends without reading all its input must not end this one.
class IgnoredBrokenPipe {
 public:
  IgnoredBrokenPipe() : old_(signal(SIGPIPE, SIG_IGN)) {}
  IgnoredBrokenPipe(const IgnoredBrokenPipe&) = delete;
  IgnoredBrokenPipe& operator=(const IgnoredBrokenPipe&) = delete;
  ~IgnoredBrokenPipe() { signal(SIGPIPE, old_); }

 private:
  void (*old_)(int);
};

Result<std::string> Exchange(FileHandle to, const FileHandle& from, std::string_view input, std::uint64_t most,
                             Clock::time_point end, const Effort& effort) {
  fcntl(to.get(), F_SETFL, O_NONBLOCK);
  std::string output;
  std::array<char, 65536> buffer;
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    if (left <= 0) return {ErrorCode::kIo, "it took too long"};
    if (input.empty()) to = FileHandle();
    std::array<pollfd, 2> waits = {pollfd{from.get(), POLLIN, 0}, pollfd{to.get(), POLLOUT, 0}};
    const int ready = poll(waits.data(), input.empty() ? 1 : 2, static_cast<int>(std::min<std::int64_t>(left, 100)));
    effort.Advance(0);
    if (ready < 0 && errno != EINTR) return SystemError("poll", errno);
    if (ready <= 0) continue;
    if (!input.empty() && waits[1].revents != 0) {
      const ssize_t written = write(to.get(), input.data(), input.size());
      if (written < 0 && errno != EAGAIN && errno != EINTR) input = {};  // it wants no more
      if (written > 0) input.remove_prefix(static_cast<std::size_t>(written));
    }
    if (waits[0].revents == 0) continue;
    const ssize_t got = Uninterrupted([&] { return read(from.get(), buffer.data(), buffer.size()); });
    if (got < 0) return SystemError("read", errno);
    if (got == 0) return output;
    if (output.size() + static_cast<std::size_t>(got) > most)
      return {ErrorCode::kIo, StrCat("it wrote more than ", most, " bytes")};
    output.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace

Result<std::string> Filter(const std::vector<std::string>& command, std::string_view input, std::uint64_t most,
                           std::chrono::milliseconds patience, const Effort& effort) {
  const Clock::time_point end = Clock::now() + patience;
  const IgnoredBrokenPipe ignored;
  PANNIER_TRY(Pipe to, MakePipe());
  PANNIER_TRY(Pipe from, MakePipe());
  PANNIER_TRY(const pid_t process, Spawn(command, to, from));
  Child child(process);
  to.read = FileHandle();
  from.write = FileHandle();
  PANNIER_TRY(std::string output, Exchange(std::move(to.write), from.read, input, most, end, effort).WithContext(command[0]));
  const int status = child.Wait();
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return {ErrorCode::kIo,
            StrCat(command[0], ": ended with status ", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status))};
  return output;
}

}  // namespace pannier
