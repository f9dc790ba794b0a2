// The command line's system calls on Linux.
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <string_view>

#include "embedder/command_line/commands.h"
#include "embedder/command_line/system.h"
#include "embedder/file_source.h"
#include "embedder/system_error.h"
#include "embedder/temporary_names_unix.h"

namespace pannier {
namespace {

void Handle(int number, int flags, void (*handler)(int, siginfo_t*, void*)) {
  struct sigaction action = {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | flags;
  struct sigaction old = {};
  // What the parent process had ignored (nohup) stays so.
  if (sigaction(number, nullptr, &old) == 0 && old.sa_handler != SIG_IGN) sigaction(number, &action, nullptr);
}

void EndBySignal(int number, siginfo_t* /*info*/, void* /*context*/) {
  RemoveTemporaryFiles();
  raise(number);  // SA_RESETHAND: as if there were no handler
}

// No more than a signal's handler may do.
void WriteToStderr(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

// The file's name, if this line of /proc/self/maps (`from-to rwxp offset device inode  /path`) is about the address.
std::string_view MappedAt(std::string_view line, std::uintptr_t address) {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  const char* const stop = line.data() + line.size();
  const auto first = std::from_chars(line.data(), stop, begin, 16);
  if (first.ptr == stop || std::from_chars(first.ptr + 1, stop, end, 16).ptr == stop) return {};
  const std::size_t slash = line.find('/');
  return begin <= address && address < end && slash != std::string_view::npos ? line.substr(slash) : std::string_view();
}

// Where a read would have given an error, a mapping gives SIGBUS.
void RefuseUnreadable(int number, siginfo_t* info, void* /*context*/) {
  static std::atomic_flag is_told;
  while (is_told.test_and_set()) pause();  // another thread is about to end the process
  std::array<char, PATH_MAX + 100> line;
  std::array<char, 4096> buffer;
  std::size_t length = 0;
  const FileHandle maps(open("/proc/self/maps", O_RDONLY | O_CLOEXEC));
  for (ssize_t got = 0; (got = read(maps.get(), buffer.data(), buffer.size())) > 0;) {
    for (const char byte : std::string_view(buffer.data(), static_cast<std::size_t>(got))) {
      if (byte != '\n') {
        if (length < line.size()) line[length++] = byte;
        continue;
      }
      const std::string_view file = MappedAt({line.data(), length}, reinterpret_cast<std::uintptr_t>(info->si_addr));
      length = 0;
      if (file.empty()) continue;
      RemoveTemporaryFiles();
      for (const std::string_view text :
           {std::string_view("pannier: "), file, std::string_view(": cannot be read: cut off, or a disk error\n")})
        WriteToStderr(text);
      _exit(kExitRefused);
    }
  }
  signal(number, SIG_DFL);  // no file: the program's own fault, which comes again now
}

}  // namespace

void PrepareProcess() {
  signal(SIGXFSZ, SIG_IGN);
  Handle(SIGBUS, 0, &RefuseUnreadable);
  for (const int number : {SIGHUP, SIGINT, SIGTERM}) Handle(number, static_cast<int>(SA_RESETHAND | SA_NODEFER), &EndBySignal);
  // Else a file would be opened under the number of a closed stream, and overwritten by what is printed. To these, printing fails.
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) < 0 && open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) _exit(kExitRefused);
  }
}

std::vector<std::string> Arguments(int argc, char** argv) { return {argv, argv + argc}; }

bool StderrIsTerminal() { return isatty(STDERR_FILENO) != 0; }

std::optional<std::size_t> StdoutWidth() {
  if (isatty(STDOUT_FILENO) == 0) return std::nullopt;
  winsize size{};
  const bool is_known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col != 0;
  return is_known ? size.ws_col : 80;
}

Status WriteToStdout(ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t written = Uninterrupted([&] { return write(STDOUT_FILENO, bytes.data(), bytes.size()); });
    if (written < 0) return SystemError("stdout", errno);
    bytes = ByteView(bytes.data() + written, bytes.size() - static_cast<std::size_t>(written));
  }
  return {};
}

// IsArtifactName has seen to the slash.
Status CheckFileName(std::string_view /*name*/) { return {}; }

}  // namespace pannier
