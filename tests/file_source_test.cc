// FileSource: what it opens, what it refuses, and files that change under it.
#include "embedder/file_source.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <cstring>

#include "tests/file_fixture.h"

namespace pannier {
namespace {

std::string OpenError(const std::string& path) {
  auto source = FileSource::Open(path);
  return source.ok() ? "opened" : source.status().message();
}

TEST_CASE("FileSource reads any range and knows the facts") {
  const TemporaryDirectory directory;
  const std::string path = directory / "model.so";
  const std::string bytes = Pattern(100'000, 1);
  WriteFile(path, bytes);
  REQUIRE(chmod(path.c_str(), 0640) == 0);

  auto source = FileSource::Open(path);
  REQUIRE(source.ok());
  CHECK(source->size() == bytes.size());
  CHECK(source->path() == path);
  CHECK(source->facts().mode == (S_IFREG | 0640));
  CHECK(source->facts().user == geteuid());
  CHECK(source->facts().link_count == 1);
  CHECK((fcntl(source->fd(), F_GETFD) & FD_CLOEXEC) != 0);
  const FileSource moved = std::move(*source);
  for (const std::size_t offset : std::array<std::size_t, 5>{0, 1, 4095, 99'999, 100'000}) {
    std::string part(bytes.size() - offset, 'x');
    REQUIRE(moved.ReadAt(offset, part.data(), part.size()).ok());
    CHECK((part == bytes.substr(offset)));
  }
  CHECK(moved.CheckUnchanged().ok());
}

TEST_CASE("FileSource refuses ranges beyond the end") {
  const TemporaryDirectory directory;
  WriteFile(directory / "a", Pattern(10, 2));
  auto source = FileSource::Open(directory / "a");
  REQUIRE(source.ok());
  char out[16] = {};
  CHECK(source->ReadAt(10, out, 0).ok());
  CHECK(source->ReadAt(3, out, 8).message() == "read of 8 bytes at 0x3: found 10 bytes in all");
  CHECK(source->ReadAt(UINT64_MAX, out, 2).message() == "read of 2 bytes at 0xffffffffffffffff: found 10 bytes in all");
}

TEST_CASE("FileSource refuses what is no regular file, without waiting for it") {
  const TemporaryDirectory directory;
  REQUIRE(mkfifo((directory / "fifo").c_str(), 0600) == 0);
  CHECK(OpenError(directory / "fifo") == "file type: found a FIFO, expected a regular file");
  CHECK(OpenError(directory.path()) == "file type: found a directory, expected a regular file");
  CHECK(OpenError("/dev/null") == "file type: found a character device, expected a regular file");

  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string name = directory / "socket";
  REQUIRE(name.size() < sizeof(address.sun_path));
  std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
  const FileHandle socket_handle(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(bind(socket_handle.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  CHECK(OpenError(name) == "file type: found a socket, expected a regular file");

  CHECK(OpenError(directory / "missing") == "open: no such file or directory");
  CHECK(OpenError("") == "open: no such file or directory");
  REQUIRE(symlink("loop", (directory / "loop").c_str()) == 0);
  CHECK(OpenError(directory / "loop").starts_with("open: "));
}

TEST_CASE("FileSource says that permission is missing") {
  const TemporaryDirectory directory;
  WriteFile(directory / "secret", Pattern(10, 3));
  REQUIRE(chmod((directory / "secret").c_str(), 0) == 0);
  const ChildOutcome outcome = InChild([&] { return BecomeNobody() ? OpenError(directory / "secret") : "no other user"; });
  if (outcome.text == "no other user") SKIP("cannot become another user");
  CHECK(outcome.text == "open: permission denied");
}

TEST_CASE("FileSource follows links and takes any name") {
  const TemporaryDirectory directory;
  const std::string name = directory / "a b\nc\xC3\xA4\xFF'\"$.so";
  WriteFile(name, Pattern(10, 4));
  REQUIRE(symlink(name.c_str(), (directory / "link").c_str()) == 0);
  for (const std::string& path : {name, directory / "link"}) {
    auto source = FileSource::Open(path);
    REQUIRE(source.ok());
    CHECK(source->size() == 10);
  }
}

TEST_CASE("a file that shrinks while it is read is an error with offset and size") {
  const TemporaryDirectory directory;
  WriteFile(directory / "a", Pattern(10'000, 5));
  auto source = FileSource::Open(directory / "a");
  REQUIRE(source.ok());
  REQUIRE(truncate((directory / "a").c_str(), 4'096) == 0);
  std::string out(10'000, 'x');
  CHECK(source->ReadAt(0, out.data(), 4'096).ok());
  CHECK(source->ReadAt(0, out.data(), out.size()).message() ==
        "read at 0x1000: found the end of the file, expected 10000 bytes; it shrank meanwhile");
  CHECK(source->CheckUnchanged().message() == "changed while it was being read: found 4096 bytes, expected 10000");
}

TEST_CASE("a file written to while it is read is noticed, one that is replaced is still the old one") {
  const TemporaryDirectory directory;
  const std::string old_bytes = Pattern(10, 6);
  WriteFile(directory / "a", old_bytes);
  auto source = FileSource::Open(directory / "a");
  REQUIRE(source.ok());
  WriteFile(directory / "b", Pattern(20, 7));
  std::filesystem::rename(directory / "b", directory / "a");
  std::string out(10, 'x');
  REQUIRE(source->ReadAt(0, out.data(), out.size()).ok());
  CHECK(out == old_bytes);
  CHECK(source->CheckUnchanged().ok());

  auto other = FileSource::Open(directory / "a");
  REQUIRE(other.ok());
  const timespec times[2] = {{1, 0}, {1, 5}};
  REQUIRE(utimensat(AT_FDCWD, (directory / "a").c_str(), times, 0) == 0);
  CHECK(other->CheckUnchanged().message() == "changed while it was being read: found another time of modification");
}

TEST_CASE("FileSource reads beyond 4 GiB") {
  const TemporaryDirectory directory;
  const std::uint64_t far_offset = (std::uint64_t{5} << 30) + 123;
  const std::string bytes = Pattern(1'000, 8);
  {
    std::ofstream file(directory / "sparse", std::ios::binary);
    file.seekp(static_cast<std::streamoff>(far_offset));
    file << bytes;
    if (!file.flush()) SKIP("this file system has no files of 5 GiB");
  }
  auto source = FileSource::Open(directory / "sparse");
  REQUIRE(source.ok());
  CHECK(source->size() == far_offset + bytes.size());
  std::string out(bytes.size(), 'x');
  REQUIRE(source->ReadAt(far_offset, out.data(), out.size()).ok());
  CHECK((out == bytes));
}

}  // namespace
}  // namespace pannier
