// OutputFile: old file or new file, never between; what the file had is kept or the work refused; nothing is left behind.
#include "embedder/output_file.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
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
#include <thread>
#include <tuple>
#include <utility>

#include "tests/file_fixture.h"

namespace pannier {
namespace {

constexpr const char* kAccessControlList = "system.posix_acl_access";

// Create, write, Commit; the message, or "done".
std::string Replace(const std::string& target, const std::string& bytes, const FileSource* metadata_from = nullptr) {
  auto output = OutputFile::Create(target, metadata_from);
  if (!output.ok()) return output.status().message();
  Status status = output->WriteAt(0, View(bytes));
  if (status.ok()) status = output->Commit();
  return status.ok() ? "done" : status.message();
}

mode_t ModeOf(const std::string& path) {
  struct stat found = {};
  REQUIRE(stat(path.c_str(), &found) == 0);
  return found.st_mode & 07777;
}

std::string AttributeOf(const std::string& path, const char* name) {
  std::string value(1'000, '\0');
  const ssize_t length = getxattr(path.c_str(), name, value.data(), value.size());
  return length < 0 ? "none" : value.substr(0, static_cast<std::size_t>(length));
}

bool SetAttribute(const std::string& path, const char* name, const std::string& value) {
  return setxattr(path.c_str(), name, value.data(), value.size(), 0) == 0;
}

// user::rw-, user:12345:r--, group::---, mask::r--, other::--- in the kernel's form (linux/posix_acl_xattr.h).
std::string AccessControlList() {
  std::string list = {2, 0, 0, 0};
  const auto entry = [&](int tag, int permissions, std::uint32_t id) {
    for (const int value : {tag, permissions}) list += {static_cast<char>(value), 0};
    for (int shift = 0; shift < 32; shift += 8) list += static_cast<char>(id >> shift);
  };
  entry(0x01, 6, UINT32_MAX);
  entry(0x02, 4, 12345);
  entry(0x04, 0, UINT32_MAX);
  entry(0x10, 4, UINT32_MAX);
  entry(0x20, 0, UINT32_MAX);
  return list;
}

// Both ways to write: files without a name until Commit, where this file system has them, and files with a temporary name.
std::vector<bool> WaysToWrite(const TemporaryDirectory& directory) {
  const FileHandle unnamed(open(directory.path().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (unnamed) return {true, false};
  WARN("no unnamed files in " << directory.path() << ": half of this test is left out");
  return {false};
}

// Makes the kernel refuse unnamed files, as many file systems do.
bool RefuseUnnamedFiles() { return FailCall(SYS_openat, EOPNOTSUPP, 2, O_TMPFILE); }

const std::string kOld = Pattern(70'000, 1);
const std::string kNew = Pattern(300'000, 2);

TEST_CASE("OutputFile replaces a file whose old bytes stay mapped") {
  const TemporaryDirectory directory;
  const std::string target = directory / "model.so";
  WriteFile(target, kOld);
  void* mapped = MAP_FAILED;
  {
    auto source = FileSource::Open(target);
    REQUIRE(source.ok());
    mapped = mmap(nullptr, kOld.size(), PROT_READ, MAP_SHARED, source->fd(), 0);
  }
  REQUIRE(mapped != MAP_FAILED);
  CHECK(Replace(target, kNew) == "done");
  CHECK((ReadFile(target) == kNew));
  CHECK((ByteView(mapped, kOld.size()) == View(kOld)));
  munmap(mapped, kOld.size());
  CHECK(directory.List() == Names{"model.so"});
}

TEST_CASE("OutputFile can be read back before Commit, and the target is the old one until then") {
  const TemporaryDirectory directory;
  const std::string target = directory / "model.so";
  WriteFile(target, kOld);
  auto created = OutputFile::Create(target, nullptr);
  REQUIRE(created.ok());
  OutputFile output = std::move(*created);
  REQUIRE(output.Truncate(kNew.size() + 10).ok());
  REQUIRE(output.WriteAt(100'000, View(kNew.substr(100'000))).ok());
  REQUIRE(output.WriteAt(0, View(kNew.substr(0, 100'000))).ok());
  output.StartWriteback(0, kNew.size());
  REQUIRE(output.Truncate(kNew.size()).ok());
  CHECK((ReadFile(output.path_for_reading()) == kNew));
  CHECK((fcntl(output.fd(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK((ReadFile(target) == kOld));
  REQUIRE(output.Commit().ok());
  CHECK((ReadFile(target) == kNew));
  CHECK(output.Commit().message() == "commit: found it done already");
}

TEST_CASE("OutputFile takes writes from several threads") {
  const TemporaryDirectory directory;
  auto output = OutputFile::Create(directory / "a", nullptr);
  REQUIRE(output.ok());
  constexpr std::size_t kPiece = 1'000;
  std::vector<std::thread> threads;
  for (std::size_t first = 0; first < 4; ++first) {
    threads.emplace_back([&output, first] {
      for (std::size_t at = first * kPiece; at < kNew.size(); at += 4 * kPiece) {
        if (!output->WriteAt(at, View(kNew.substr(at, kPiece))).ok()) std::abort();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(output->Commit().ok());
  CHECK((ReadFile(directory / "a") == kNew));
}

TEST_CASE("a replaced file keeps its mode, a new one takes it from the host or the umask") {
  const TemporaryDirectory directory;
  const std::string host = directory / "host";
  WriteFile(host, kOld);
  for (const mode_t mode : {0755U, 0640U, 0444U, 04711U}) {
    REQUIRE(chmod(host.c_str(), mode) == 0);
    CHECK(Replace(host, kNew) == "done");
    CHECK(ModeOf(host) == mode);
    auto source = FileSource::Open(host);
    REQUIRE(source.ok());
    std::filesystem::remove(directory / "new");
    CHECK(Replace(directory / "new", kNew, &*source) == "done");
    CHECK(ModeOf(directory / "new") == mode);
  }
  WriteFile(directory / "usual", "x");
  CHECK(Replace(directory / "plain", kNew) == "done");
  CHECK(ModeOf(directory / "plain") == ModeOf(directory / "usual"));
}

TEST_CASE("extended attributes are kept") {
  const TemporaryDirectory directory;
  const std::string target = directory / "model.so";
  WriteFile(target, kOld);
  const std::string value("a\0b\xFF", 4);
  if (!SetAttribute(target, "user.pannier.test", value)) SKIP("no user attributes on this file system");
  REQUIRE(SetAttribute(target, "user.empty", ""));
  CHECK(Replace(target, kNew) == "done");
  CHECK(AttributeOf(target, "user.pannier.test") == value);
  CHECK(AttributeOf(target, "user.empty").empty());
  auto source = FileSource::Open(target);
  REQUIRE(source.ok());
  CHECK(Replace(directory / "new", kNew, &*source) == "done");
  CHECK(AttributeOf(directory / "new", "user.pannier.test") == value);
}

TEST_CASE("an attribute that cannot be kept is refused by name, on a new file only if it grants access") {
  const TemporaryDirectory directory;
  const std::string target = directory / "model.so";
  WriteFile(target, kOld);
  if (!SetAttribute(target, "user.pannier.test", "x")) SKIP("no user attributes on this file system");
  const bool lists = SetAttribute(target, kAccessControlList, AccessControlList());
  const auto work = [&](const std::string& output) {
    return InChild([&]() -> std::string {
      auto source = FileSource::Open(target);
      if (!source.ok() || !FailCall(SYS_fsetxattr, ENOSPC)) return "no filter";
      return Replace(output, kNew, &*source);
    });
  };
  const std::string text = work(target).text;
  if (text == "no filter") SKIP("no system call filters here");
  CHECK(text == "extended attribute user.pannier.test cannot be kept: no space left on device");
  CHECK((ReadFile(target) == kOld));
  CHECK(work(directory / "new").text ==
        (lists ? "extended attribute system.posix_acl_access cannot be kept: no space left on device" : "done"));
  CHECK(directory.List() == (lists ? Names{"model.so"} : Names{"model.so", "new"}));
}

TEST_CASE("access control lists are kept, and the directory's default list does not creep in") {
  const TemporaryDirectory directory;
  WriteFile(directory / "with", kOld);
  WriteFile(directory / "without", kOld);
  const std::string list = AccessControlList();
  if (!SetAttribute(directory / "with", kAccessControlList, list)) SKIP("no access control lists on this file system");
  REQUIRE(SetAttribute(directory.path(), "system.posix_acl_default", list));
  const mode_t mode = ModeOf(directory / "with");
  CHECK(Replace(directory / "with", kNew) == "done");
  CHECK(AttributeOf(directory / "with", kAccessControlList) == list);
  CHECK(ModeOf(directory / "with") == mode);
  REQUIRE(chmod((directory / "without").c_str(), 0664) == 0);
  CHECK(Replace(directory / "without", kNew) == "done");
  CHECK(AttributeOf(directory / "without", kAccessControlList) == "none");
  CHECK(ModeOf(directory / "without") == 0664);
}

TEST_CASE("an owner that cannot be kept is refused when replacing, and not needed for a new file") {
  if (geteuid() != 0) SKIP("needs root to make another user's file");
  const TemporaryDirectory directory;
  WriteFile(directory / "model.so", kOld);
  REQUIRE(chmod((directory / "model.so").c_str(), 06755) == 0);
  REQUIRE(chmod(directory.path().c_str(), 0777) == 0);
  const auto work = [&](const std::string& output) {
    return InChild([&]() -> std::string {
      auto source = FileSource::Open(directory / "model.so");
      return source.ok() && BecomeNobody() ? Replace(output, kNew, &*source) : "no other user";
    });
  };
  CHECK(work(directory / "model.so").text == "owner 0:0 cannot be kept: operation not permitted");
  CHECK((ReadFile(directory / "model.so") == kOld));
  CHECK(work(directory / "new").text == "done");
  CHECK(ModeOf(directory / "new") == 0755);
  CHECK(directory.List() == Names{"model.so", "new"});

  REQUIRE(chown((directory / "new").c_str(), 65534, 65534) == 0);
  REQUIRE(chmod((directory / "new").c_str(), 06750) == 0);
  CHECK(Replace(directory / "new", kOld) == "done");
  struct stat found = {};
  REQUIRE(stat((directory / "new").c_str(), &found) == 0);
  CHECK(found.st_uid == 65534);
  CHECK(found.st_gid == 65534);
  CHECK(ModeOf(directory / "new") == 06750);
}

TEST_CASE("links stay, and the file behind them is replaced or made") {
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory / "real");
  WriteFile(directory / "real/model.so.1", kOld);
  std::filesystem::create_symlink("model.so.1", directory / "real/model.so");
  std::filesystem::create_symlink((directory / "real") + "/model.so", directory / "link");
  CHECK(Replace(directory / "link", kNew) == "done");
  CHECK((ReadFile(directory / "real/model.so.1") == kNew));
  CHECK(std::filesystem::is_symlink(directory / "real/model.so"));

  std::filesystem::create_symlink("real/made.so", directory / "dangling");
  CHECK(Replace(directory / "dangling", kNew) == "done");
  CHECK((ReadFile(directory / "real/made.so") == kNew));
  CHECK(std::filesystem::is_symlink(directory / "dangling"));

  std::filesystem::create_symlink("loop", directory / "loop");
  CHECK_FALSE(Replace(directory / "loop", kNew) == "done");
  CHECK(directory.List() == Names{"dangling", "link", "loop", "real"});
}

TEST_CASE("targets that cannot be replaced are refused before anything is written") {
  const TemporaryDirectory directory;
  WriteFile(directory / "one", kOld);
  std::filesystem::create_hard_link(directory / "one", directory / "two");
  CHECK(Replace(directory / "one", kNew) ==
        "hard links: found 2, expected 1; to replace one would split them, write elsewhere with -o");
  REQUIRE(mkfifo((directory / "fifo").c_str(), 0600) == 0);
  CHECK(Replace(directory / "fifo", kNew) == "file type: found a FIFO, expected a regular file");
  CHECK(Replace(directory.path(), kNew) == "file type: found a directory, expected a regular file");
  CHECK(Replace("/dev/null", kNew) == "file type: found a character device, expected a regular file");
  CHECK(Replace(directory / "new/", kNew) == "file type: found a directory's name, expected a file's");
  CHECK(Replace(directory / "no\nsuch/new", kNew) == "directory " + directory.path() + "/no\\x0asuch/: no such file or directory");
  CHECK(Replace(directory / "one/new", kNew) == "directory " + directory.path() + "/one/: not a directory");
  CHECK(directory.List() == Names{"fifo", "one", "two"});
  CHECK((ReadFile(directory / "two") == kOld));
}

TEST_CASE("a directory that may not be written to or searched is named") {
  const TemporaryDirectory directory;
  const std::string inner = directory / "inner";
  std::filesystem::create_directory(inner);
  WriteFile(inner + "/model.so", kOld);
  const auto work = [&](mode_t mode) {
    REQUIRE(chmod(inner.c_str(), mode) == 0);
    return InChild([&] { return BecomeNobody() ? Replace(inner + "/model.so", kNew) : "no other user"; }).text;
  };
  const std::string text = work(0555);
  if (text == "no other user") SKIP("cannot become another user");
  CHECK(text == "directory " + inner + "/: permission denied");
  CHECK(work(0444) == "directory " + inner + "/: permission denied");
  REQUIRE(chmod(inner.c_str(), 0755) == 0);
  CHECK((ReadFile(inner + "/model.so") == kOld));
}

TEST_CASE("any name will do") {
  const TemporaryDirectory directory;
  for (const std::string& name : {std::string("a b.so"), std::string("line\nbreak"), std::string("\xC3\xA4\xE6\xA8\xA1"),
                                  std::string("\xFF\xFE'\"$*"), std::string(255, 'n'), std::string("-o")}) {
    for (const bool unnamed : WaysToWrite(directory)) {
      std::filesystem::remove(directory / name);
      const ChildOutcome outcome = InChild([&]() -> std::string {
        if (!unnamed && !RefuseUnnamedFiles()) return "no filter";
        const std::string made = Replace(directory / name, kOld);
        return made == "done" ? Replace(directory / name, kNew) : made;
      });
      if (outcome.text == "no filter") continue;
      CHECK(outcome.text == "done");
      CHECK((ReadFile(directory / name) == kNew));
      CHECK(directory.List() == Names{name});
    }
    std::filesystem::remove(directory / name);
  }
}

TEST_CASE("a relative name is meant from the current directory") {
  const TemporaryDirectory directory;
  const ChildOutcome outcome = InChild([&]() -> std::string {
    if (chdir(directory.path().c_str()) != 0) return "no such directory";
    const std::string made = Replace("a", kOld);
    return made == "done" ? Replace("./a", kNew) : made;
  });
  CHECK(outcome.text == "done");
  CHECK((ReadFile(directory / "a") == kNew));
}

TEST_CASE("a target that changes while its successor is written is left alone") {
  const TemporaryDirectory directory;
  const std::string target = directory / "model.so";
  const auto commit_after = [&](bool exists, const auto& change) {
    std::filesystem::remove(target);
    if (exists) WriteFile(target, kOld);
    auto output = OutputFile::Create(target, nullptr);
    REQUIRE(output.ok());
    REQUIRE(output->WriteAt(0, View(kNew)).ok());
    change();
    const Status status = output->Commit();
    return status.message();
  };
  const std::string changed = "changed while it was being written: found ";
  const std::string end = "; nothing was replaced";
  CHECK(commit_after(true, [] {}).empty());
  CHECK(commit_after(true, [&] { CHECK(Replace(target, "other") == "done"); }) == changed + "another file" + end);
  CHECK(ReadFile(target) == "other");
  CHECK(commit_after(true, [&] { WriteFile(target, "short"); }) == changed + "another size, time, mode or owner" + end);
  CHECK(ReadFile(target) == "short");
  CHECK(commit_after(true, [&] { chmod(target.c_str(), 0700); }) == changed + "another size, time, mode or owner" + end);
  CHECK(commit_after(true, [&] { std::filesystem::remove(target); }) == changed + "no file" + end);
  CHECK(directory.List().empty());
  CHECK(commit_after(false, [&] { WriteFile(target, "made"); }) == changed + "a new file of that name" + end);
  CHECK(ReadFile(target) == "made");
  CHECK(directory.List() == Names{"model.so"});
}

TEST_CASE("a host that was replaced between reading and writing is noticed") {
  const TemporaryDirectory directory;
  WriteFile(directory / "model.so", kOld);
  auto source = FileSource::Open(directory / "model.so");
  REQUIRE(source.ok());
  CHECK(Replace(directory / "model.so", "other") == "done");
  CHECK(Replace(directory / "model.so", kNew, &*source) ==
        "changed while it was being written: found another file than was read; nothing was replaced");
  CHECK(ReadFile(directory / "model.so") == "other");
}

TEST_CASE("copied ranges are equal, by the kernel or by hand") {
  const TemporaryDirectory directory;
  const std::string bytes = Pattern(900'001, 3);
  WriteFile(directory / "from", bytes);
  for (const int error : {0, EXDEV, ENOSYS, EINVAL, EOPNOTSUPP, EPERM}) {
    const ChildOutcome outcome = InChild([&]() -> std::string {
      if (error != 0 && !FailCall(SYS_copy_file_range, error)) return "no filter";
      auto source = FileSource::Open(directory / "from");
      auto output = OutputFile::Create(directory / "to", nullptr);
      if (!source.ok() || !output.ok()) return "not opened";
      Status status = output->CopyFrom(*source, 17, 100'003, 700'000);
      if (status.ok()) status = output->CopyFrom(*source, bytes.size(), 0, 0);
      if (status.ok()) status = output->CopyFrom(*source, 800'000, 0, 100'001);
      if (status.ok()) status = output->WriteAt(100'001, View("xy"));
      if (status.ok()) status = output->Commit();
      return status.ok() ? "done" : status.message();
    });
    if (outcome.text == "no filter") continue;
    CHECK(outcome.text == "done");
    CHECK((ReadFile(directory / "to") == bytes.substr(800'000) + "xy" + bytes.substr(17, 700'000)));
    std::filesystem::remove(directory / "to");
  }
  // From another file system; /proc has files whose size cannot be known.
  auto source = FileSource::Open("/proc/self/exe");
  auto output = OutputFile::Create("/dev/shm/pannier-test-" + std::to_string(getpid()), nullptr);
  REQUIRE(source.ok());
  if (!output.ok()) SKIP("no /dev/shm");
  REQUIRE(output->CopyFrom(*source, 1, 0, source->size() - 1).ok());
  CHECK((ReadFile(output->path_for_reading()) == ReadFile("/proc/self/exe").substr(1)));
}

TEST_CASE("a source that shrinks, or a range beyond it, is an error") {
  const TemporaryDirectory directory;
  WriteFile(directory / "from", kOld);
  auto source = FileSource::Open(directory / "from");
  auto output = OutputFile::Create(directory / "to", nullptr);
  REQUIRE(source.ok());
  REQUIRE(output.ok());
  CHECK(output->CopyFrom(*source, 1, 0, kOld.size()).message() ==
        "copy of 70000 bytes at 0x1 of " + directory.path() + "/from: found 70000 bytes in all");
  CHECK(output->WriteAt(INT64_MAX, View("ab")).message() ==
        "write of 2 bytes at 0x7fffffffffffffff: beyond the largest file offset");
  REQUIRE(truncate((directory / "from").c_str(), 4'096) == 0);
  CHECK(output->CopyFrom(*source, 0, 0, kOld.size()).message() ==
        directory.path() + "/from: read at 0x1000: found the end of the file, expected 70000 bytes; it shrank meanwhile");
}

TEST_CASE("OutputFile writes beyond 4 GiB") {
  const TemporaryDirectory directory;
  const std::uint64_t far_offset = (std::uint64_t{5} << 30) + 77;
  auto output = OutputFile::Create(directory / "large", nullptr);
  REQUIRE(output.ok());
  WriteFile(directory / "from", kNew);
  auto source = FileSource::Open(directory / "from");
  REQUIRE(source.ok());
  if (!output->WriteAt(far_offset, View(kOld)).ok()) SKIP("this file system has no files of 5 GiB");
  REQUIRE(output->CopyFrom(*source, 0, far_offset + kOld.size(), kNew.size()).ok());
  REQUIRE(output->Commit().ok());
  auto large = FileSource::Open(directory / "large");
  REQUIRE(large.ok());
  REQUIRE(large->size() == far_offset + kOld.size() + kNew.size());
  std::string out(kOld.size() + kNew.size(), 'x');
  REQUIRE(large->ReadAt(far_offset, out.data(), out.size()).ok());
  CHECK((out == kOld + kNew));
}

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
