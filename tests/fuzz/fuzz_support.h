// What fuzz targets share: numbers from an input's first bytes, promises that end the program when broken, files in memory.
#ifndef PANNIER_TESTS_FUZZ_FUZZ_SUPPORT_H_
#define PANNIER_TESTS_FUZZ_FUZZ_SUPPORT_H_

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "src/bytes.h"
#include "src/mapped_file.h"
#include "src/result.h"

// libFuzzer's, or replay.cc's, to be defined by each target.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

#if defined(__SANITIZE_ADDRESS__)
#define PANNIER_HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PANNIER_HAS_ASAN 1
#endif
#endif
#ifdef PANNIER_HAS_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace pannier {

inline void Require(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

inline void Require(const Status& status, const char* promise) {
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.message().c_str());
  Require(status.ok(), promise);
}

// Takes numbers off the front; zero where there are no bytes left.
class FuzzInput {
 public:
  FuzzInput(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

  template <typename T>
  T Take() {
    const T value = rest_.Read<T>(0).value_or(0);
    const std::size_t taken = std::min(sizeof(T), rest_.size());
    rest_ = ByteView(rest_.data() + taken, rest_.size() - taken);
    return value;
  }
  // As many bytes as there are, if fewer.
  ByteView TakeBytes(std::size_t size) {
    const ByteView bytes(rest_.data(), std::min(size, rest_.size()));
    rest_ = ByteView(rest_.data() + bytes.size(), rest_.size() - bytes.size());
    return bytes;
  }
  ByteView rest() const { return rest_; }

 private:
  ByteView rest_;
};

// A file that is in no folder, for what takes descriptors and paths. One for the whole run: its content is replaced.
class MemoryFile {
 public:
  MemoryFile() : fd_(memfd_create("fuzz", MFD_CLOEXEC)) { Require(fd_ >= 0, "memfd_create"); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { close(fd_); }

  void Put(ByteView bytes) const {
    Require(ftruncate(fd_, 0) == 0, "ftruncate");
    Require(pwrite(fd_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()), "pwrite");
  }
  int fd() const { return fd_; }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

// A mapped file with what lies behind its end in its last page made untouchable, where sanitizers can do so.
class GuardedMapping {
 public:
  explicit GuardedMapping(const MemoryFile& memory, std::uint64_t size) {
    Result<MappedFile> mapped = MappedFile::Map(memory.fd(), 0, size);
    Require(mapped.status(), "a file in memory can be mapped");
    file_ = std::move(*mapped);
    constexpr std::size_t kPageSize = 4096;
    rest_ = (kPageSize - size % kPageSize) % kPageSize;
#ifdef PANNIER_HAS_ASAN
    if (size != 0) __asan_poison_memory_region(file_.bytes().end(), rest_);
#endif
  }
  GuardedMapping(const GuardedMapping&) = delete;
  GuardedMapping& operator=(const GuardedMapping&) = delete;
  ~GuardedMapping() {
#ifdef PANNIER_HAS_ASAN
    if (!file_.bytes().empty()) __asan_unpoison_memory_region(file_.bytes().end(), rest_);
#endif
  }

  const MappedFile& file() const { return file_; }

 private:
  MappedFile file_;
  std::size_t rest_ = 0;
};

}  // namespace pannier

#endif  // PANNIER_TESTS_FUZZ_FUZZ_SUPPORT_H_
