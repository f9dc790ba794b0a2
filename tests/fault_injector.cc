// fault_injector: runs a command and makes one of its system calls on a folder's files fail, fall short, or be its last.
//
// usage: fault_injector FOLDER REPORT ACTION NUMBER COMMAND...
//
// FOLDER is an absolute path without links. All system calls that name a file in it, or use a descriptor of one, are counted, of
// all threads; the NUMBER-th (from 0) is acted upon:
//   count        not at all: REPORT gets a line for each call, `NAME<tab>FILE<tab>DETAIL`, else one line for the one acted upon
//   error=N      it is not made, and returns error number N
//   short        it reads or writes one byte at most
//   kill-before  the process is killed before it is made, or
//   kill-after   when it was made
//   signal=N     the process gets signal N before it is made
//   cut=FILE     before it is made, a file in the folder loses all behind its first page
// An action after `plain:` takes place on a file system without unnamed files (O_TMPFILE) and copies within the kernel.
//
// By ptrace, so that no call goes unseen, whoever makes it. Exit status: the command's; 128 and the signal that ended it; 250
// something is wrong with the arguments or with tracing.
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>

namespace {

constexpr int kOwnTrouble = 250;

// Where a call has its file, as the number of an argument; -1: nowhere.
struct Shape {
  const char* name;
  int descriptor = -1;  // or the folder that `path` is relative to
  int path = -1;
  int other_descriptor = -1;
  int other_path = -1;
  int count = -1;  // how many bytes to read or write
  int flags = -1;  // worth reporting
};

const std::map<std::uint64_t, Shape>& Shapes() {
  static const std::map<std::uint64_t, Shape> shapes = {
      {SYS_open, {.name = "open", .path = 0, .flags = 1}},
      {SYS_openat, {.name = "openat", .descriptor = 0, .path = 1, .flags = 2}},
      {SYS_close, {.name = "close", .descriptor = 0}},
      {SYS_read, {.name = "read", .descriptor = 0, .count = 2}},
      {SYS_write, {.name = "write", .descriptor = 0, .count = 2}},
      {SYS_pread64, {.name = "pread64", .descriptor = 0, .count = 2}},
      {SYS_pwrite64, {.name = "pwrite64", .descriptor = 0, .count = 2}},
      {SYS_readv, {.name = "readv", .descriptor = 0}},
      {SYS_writev, {.name = "writev", .descriptor = 0}},
      {SYS_preadv, {.name = "preadv", .descriptor = 0}},
      {SYS_pwritev, {.name = "pwritev", .descriptor = 0}},
      {SYS_copy_file_range, {.name = "copy_file_range", .descriptor = 0, .other_descriptor = 2, .count = 4}},
      {SYS_sendfile, {.name = "sendfile", .descriptor = 0, .other_descriptor = 1, .count = 3}},
      {SYS_mmap, {.name = "mmap", .descriptor = 4, .flags = 3}},
      {SYS_lseek, {.name = "lseek", .descriptor = 0}},
      {SYS_stat, {.name = "stat", .path = 0}},
      {SYS_lstat, {.name = "lstat", .path = 0}},
      {SYS_fstat, {.name = "fstat", .descriptor = 0}},
      {SYS_newfstatat, {.name = "newfstatat", .descriptor = 0, .path = 1}},
      {SYS_statx, {.name = "statx", .descriptor = 0, .path = 1}},
      {SYS_access, {.name = "access", .path = 0}},
      {SYS_faccessat, {.name = "faccessat", .descriptor = 0, .path = 1}},
      {SYS_faccessat2, {.name = "faccessat2", .descriptor = 0, .path = 1}},
      {SYS_readlink, {.name = "readlink", .path = 0}},
      {SYS_readlinkat, {.name = "readlinkat", .descriptor = 0, .path = 1}},
      {SYS_getdents64, {.name = "getdents64", .descriptor = 0}},
      {SYS_mkdir, {.name = "mkdir", .path = 0}},
      {SYS_mkdirat, {.name = "mkdirat", .descriptor = 0, .path = 1}},
      {SYS_fcntl, {.name = "fcntl", .descriptor = 0, .flags = 1}},
      {SYS_flock, {.name = "flock", .descriptor = 0}},
      {SYS_fadvise64, {.name = "fadvise64", .descriptor = 0}},
      {SYS_sync_file_range, {.name = "sync_file_range", .descriptor = 0}},
      {SYS_fsync, {.name = "fsync", .descriptor = 0}},
      {SYS_fdatasync, {.name = "fdatasync", .descriptor = 0}},
      {SYS_syncfs, {.name = "syncfs", .descriptor = 0}},
      {SYS_truncate, {.name = "truncate", .path = 0}},
      {SYS_ftruncate, {.name = "ftruncate", .descriptor = 0}},
      {SYS_fallocate, {.name = "fallocate", .descriptor = 0}},
      {SYS_ioctl, {.name = "ioctl", .descriptor = 0}},
      {SYS_chmod, {.name = "chmod", .path = 0}},
      {SYS_fchmod, {.name = "fchmod", .descriptor = 0}},
      {SYS_fchmodat, {.name = "fchmodat", .descriptor = 0, .path = 1}},
      {SYS_chown, {.name = "chown", .path = 0}},
      {SYS_fchown, {.name = "fchown", .descriptor = 0}},
      {SYS_fchownat, {.name = "fchownat", .descriptor = 0, .path = 1}},
      {SYS_utimensat, {.name = "utimensat", .descriptor = 0, .path = 1}},
      {SYS_fgetxattr, {.name = "fgetxattr", .descriptor = 0}},
      {SYS_fsetxattr, {.name = "fsetxattr", .descriptor = 0}},
      {SYS_flistxattr, {.name = "flistxattr", .descriptor = 0}},
      {SYS_fremovexattr, {.name = "fremovexattr", .descriptor = 0}},
      {SYS_link, {.name = "link", .path = 0, .other_path = 1}},
      {SYS_linkat, {.name = "linkat", .descriptor = 0, .path = 1, .other_descriptor = 2, .other_path = 3}},
      {SYS_symlinkat, {.name = "symlinkat", .descriptor = 1, .path = 2}},
      {SYS_rename, {.name = "rename", .path = 0, .other_path = 1}},
      {SYS_renameat, {.name = "renameat", .descriptor = 0, .path = 1, .other_descriptor = 2, .other_path = 3}},
      {SYS_renameat2, {.name = "renameat2", .descriptor = 0, .path = 1, .other_descriptor = 2, .other_path = 3}},
      {SYS_unlink, {.name = "unlink", .path = 0}},
      {SYS_unlinkat, {.name = "unlinkat", .descriptor = 0, .path = 1}},
      {SYS_rmdir, {.name = "rmdir", .path = 0}},
  };
  return shapes;
}

using Registers = user_regs_struct;
__extension__ using Word = unsigned long long;  // the type of all registers

Word& Argument(Registers& registers, int number) {
  const std::array<Word*, 6> all = {&registers.rdi, &registers.rsi, &registers.rdx, &registers.r10, &registers.r8, &registers.r9};
  return *all.at(static_cast<std::size_t>(number));
}

std::string ReadLink(const std::string& path) {
  std::string link(PATH_MAX, '\0');
  const ssize_t length = readlink(path.c_str(), link.data(), link.size());
  link.resize(length < 0 ? 0 : static_cast<std::size_t>(length));
  return link;
}

// A string in the traced process. Page by page, since the next one may not be mapped.
std::string ReadString(pid_t thread, std::uint64_t address) {
  std::string text;
  while (text.size() < PATH_MAX) {
    std::array<char, 4096> page{};
    const std::size_t step = page.size() - static_cast<std::size_t>((address + text.size()) % page.size());
    const iovec local = {page.data(), step};
    const iovec remote = {reinterpret_cast<void*>(address + text.size()), step};
    const ssize_t got = process_vm_readv(thread, &local, 1, &remote, 1, 0);
    if (got <= 0) break;
    const std::string_view piece(page.data(), static_cast<std::size_t>(got));
    const std::size_t end = piece.find('\0');
    text += piece.substr(0, end);
    if (end != std::string_view::npos) break;
  }
  return text;
}

struct Action {
  enum class Kind { kCount, kError, kShort, kKillBefore, kKillAfter, kSignal, kCut };
  Kind kind = Kind::kCount;
  int number = 0;    // the error or the signal
  std::string file;  // to cut off
  bool plain = false;
};

bool ParseAction(std::string_view text, Action& action) {
  constexpr std::string_view kPlain = "plain:";
  if (text.starts_with(kPlain)) {
    action.plain = true;
    text.remove_prefix(kPlain.size());
  }
  const std::size_t equals = text.find('=');
  const std::string_view name = text.substr(0, equals);
  if (equals != std::string_view::npos) action.file = text.substr(equals + 1);
  action.number = std::atoi(action.file.c_str());
  const std::map<std::string_view, Action::Kind> kinds = {{"count", Action::Kind::kCount},
                                                          {"error", Action::Kind::kError},
                                                          {"short", Action::Kind::kShort},
                                                          {"kill-before", Action::Kind::kKillBefore},
                                                          {"kill-after", Action::Kind::kKillAfter},
                                                          {"signal", Action::Kind::kSignal},
                                                          {"cut", Action::Kind::kCut}};
  const auto found = kinds.find(name);
  if (found == kinds.end()) return false;
  action.kind = found->second;
  return true;
}

class Injector {
 public:
  Injector(std::string folder, const std::string& report, const Action& action, int number)
      : folder_(std::move(folder)), report_(report), action_(action), number_(number) {}

  // What the process ended with, as a shell has it.
  int Run(pid_t process);

 private:
  struct Thread {
    bool is_in_call = false;
    bool is_last = false;  // the process is to be killed at the end of the call
    bool is_changed = false;
    Registers before{};  // as the process set them, if they were changed
    int error = 0;       // to be returned; 0: what the kernel returned
  };

  bool IsInFolder(const std::string& path) const {
    return path == folder_ || (path.starts_with(folder_) && path[folder_.size()] == '/');
  }
  std::string FileOf(pid_t thread, Registers& registers, int descriptor, int path) const;
  std::string FileOf(pid_t thread, Registers& registers, const Shape& shape) const;
  void Enter(pid_t id, Thread& thread);
  void Leave(pid_t id, Thread& thread);
  void Replace(pid_t id, Thread& thread, Registers& registers);
  void Act(pid_t id, Thread& thread, const Shape& shape, Registers& registers);

  std::string folder_;
  std::ofstream report_;
  Action action_;
  int number_;
  pid_t process_ = 0;
  int calls_ = 0;
  std::map<pid_t, Thread> threads_;
};

std::string Injector::FileOf(pid_t thread, Registers& registers, int descriptor, int path) const {
  const std::string of_thread = "/proc/" + std::to_string(thread);
  const int number = descriptor < 0 ? AT_FDCWD : static_cast<int>(Argument(registers, descriptor));
  const std::string base = of_thread + (number == AT_FDCWD ? "/cwd" : "/fd/" + std::to_string(number));
  const std::string text = path < 0 ? "" : ReadString(thread, Argument(registers, path));
  if (text.empty()) return number == AT_FDCWD ? "" : ReadLink(base);
  constexpr std::string_view kDescriptors = "/proc/self/fd/";
  if (text.starts_with(kDescriptors)) return ReadLink(of_thread + "/fd/" + text.substr(kDescriptors.size()));
  std::filesystem::path whole = text;
  if (whole.is_relative()) whole = ReadLink(base) / whole;
  std::string file = whole.lexically_normal().string();
  if (file.size() > 1 && file.back() == '/') file.pop_back();
  return file;
}

std::string Injector::FileOf(pid_t thread, Registers& registers, const Shape& shape) const {
  const std::string file = FileOf(thread, registers, shape.descriptor, shape.path);
  if (shape.other_descriptor < 0 && shape.other_path < 0) return IsInFolder(file) ? file : "";
  // What is written to, if that is one of ours.
  std::string other = FileOf(thread, registers, shape.other_descriptor, shape.other_path);
  if (IsInFolder(other)) return other;
  return IsInFolder(file) ? file : "";
}

void Injector::Replace(pid_t id, Thread& thread, Registers& registers) {
  ptrace(PTRACE_GETREGS, id, nullptr, &thread.before);
  thread.is_changed = true;
  ptrace(PTRACE_SETREGS, id, nullptr, &registers);
}

void Injector::Act(pid_t id, Thread& thread, const Shape& shape, Registers& registers) {
  switch (action_.kind) {
    case Action::Kind::kCount:
      break;
    case Action::Kind::kError:
      thread.error = action_.number;
      registers.orig_rax = static_cast<Word>(-1);  // no such call
      Replace(id, thread, registers);
      break;
    case Action::Kind::kShort:
      if (shape.count < 0) break;
      Argument(registers, shape.count) = std::min<Word>(Argument(registers, shape.count), 1);
      Replace(id, thread, registers);
      break;
    case Action::Kind::kKillBefore:
      kill(process_, SIGKILL);
      break;
    case Action::Kind::kKillAfter:
      thread.is_last = true;
      break;
    case Action::Kind::kSignal:
      kill(process_, action_.number);
      break;
    case Action::Kind::kCut:
      if (truncate((folder_ + "/" + action_.file).c_str(), 4096) != 0) std::perror("fault_injector: truncate");
      break;
  }
}

void Injector::Enter(pid_t id, Thread& thread) {
  Registers registers{};
  if (ptrace(PTRACE_GETREGS, id, nullptr, &registers) != 0) return;
  const auto found = Shapes().find(registers.orig_rax);
  if (found == Shapes().end()) return;
  const Shape& shape = found->second;
  const std::string file = FileOf(id, registers, shape);
  if (file.empty()) return;
  const Word flags = shape.flags < 0 ? 0 : Argument(registers, shape.flags);
  const bool is_unnamed = registers.orig_rax == SYS_openat && (flags & O_TMPFILE) == O_TMPFILE;
  if (action_.plain && (is_unnamed || registers.orig_rax == SYS_copy_file_range)) {
    thread.error = is_unnamed ? EOPNOTSUPP : EXDEV;
    registers.orig_rax = static_cast<Word>(-1);
    Replace(id, thread, registers);
    return;
  }
  const bool is_it = calls_++ == number_;
  if (!is_it && action_.kind != Action::Kind::kCount) return;
  std::array<char, 20> detail{};
  std::snprintf(detail.data(), detail.size(), "%#llx", flags);
  report_ << shape.name << '\t' << file << '\t' << detail.data() << '\n' << std::flush;
  if (is_it) Act(id, thread, shape, registers);
}

void Injector::Leave(pid_t id, Thread& thread) {
  if (thread.is_changed) {
    Registers registers{};
    ptrace(PTRACE_GETREGS, id, nullptr, &registers);
    thread.before.rax = thread.error != 0 ? static_cast<Word>(-thread.error) : registers.rax;
    thread.before.rip = registers.rip;
    thread.before.rcx = registers.rcx;  // that the processor changes, with r11
    thread.before.r11 = registers.r11;
    ptrace(PTRACE_SETREGS, id, nullptr, &thread.before);
    thread.is_changed = false;
    thread.error = 0;
  }
  if (thread.is_last) kill(process_, SIGKILL);
}

int Injector::Run(pid_t process) {
  process_ = process;
  int outcome = kOwnTrouble;
  for (;;) {
    int status = 0;
    const pid_t id = waitpid(-1, &status, __WALL);
    if (id < 0) return outcome;  // nobody is left
    if (!WIFSTOPPED(status)) {
      threads_.erase(id);
      if (id == process_) outcome = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      continue;
    }
    const bool is_new = threads_.find(id) == threads_.end();
    Thread& thread = threads_[id];
    int pass_on = 0;
    if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
      thread.is_in_call = !thread.is_in_call;
      if (thread.is_in_call)
        Enter(id, thread);
      else
        Leave(id, thread);
    } else if (is_new && id == process_) {  // execve is done
      constexpr long kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
      if (ptrace(PTRACE_SETOPTIONS, id, nullptr, kOptions) != 0) {
        kill(process_, SIGKILL);
        return kOwnTrouble;
      }
    } else if (!(is_new && WSTOPSIG(status) == SIGSTOP) && status >> 16 == 0) {
      pass_on = WSTOPSIG(status);  // neither a new thread's first stop nor the news of one
    }
    ptrace(PTRACE_SYSCALL, id, nullptr, pass_on);
  }
}

}  // namespace

int main(int argc, char** argv) {
  Action action;
  if (argc < 6 || !ParseAction(argv[3], action)) {
    std::fprintf(stderr, "usage: fault_injector FOLDER REPORT ACTION NUMBER COMMAND...\n");
    return kOwnTrouble;
  }
  Injector injector(argv[1], argv[2], action, action.kind == Action::Kind::kCount ? -1 : std::atoi(argv[4]));
  const pid_t process = fork();
  if (process == 0) {
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0) execv(argv[5], argv + 5);
    _exit(kOwnTrouble);
  }
  return process < 0 ? kOwnTrouble : injector.Run(process);
}
