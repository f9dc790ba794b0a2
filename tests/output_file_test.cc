// OutputFile: old file or new file, never between; what the file had is kept or the work refused; nothing is left behind.
#include "embedder/output_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <cerrno>
#include <thread>
#include <utility>

#include "tests/output_file_fixture.h"

namespace pannier {
namespace {

constexpr const char* kAccessControlList = "system.posix_acl_access";

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

}  // namespace
}  // namespace pannier
