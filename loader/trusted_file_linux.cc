// TrustedFile on Linux: a memfd that is sealed, so that neither this process nor another can change it.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "loader/trusted_file.h"
#include "src/text.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U  // Linux 6.3
#endif

namespace pannier {
namespace {

Status SystemError(const char* what) { return {ErrorCode::kIo, StrCat(what, ": ", std::strerror(errno))}; }

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  int get() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }
  int Take() { return std::exchange(number_, -1); }

 private:
  int number_;
};

std::string PathOf(int number) { return StrCat("/proc/self/fd/", number); }

bool IsLoaded(const std::string& path) {
  void* const handle = dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD);
  if (handle != nullptr) dlclose(handle);
  return handle != nullptr;
}

// glibc knows a library by the name it was loaded by: a number that is used again would give the first library back. So the number
// stays in use for as long as the library is loaded, which may be longer than its bundle's handle, and then for good, but leads
// nowhere: the memory goes.
class KeptNumber {
 public:
  KeptNumber(int number, const FileIdentity& memory) : number_(number), memory_(memory) {}
  KeptNumber(const KeptNumber&) = delete;
  KeptNumber& operator=(const KeptNumber&) = delete;
  ~KeptNumber() {
    if (!IsOurs()) return;  // somebody closed it
    if (!IsLoaded(path())) {
      close(number_);
      return;
    }
    const Descriptor nothing(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (nothing) dup3(nothing.get(), number_, O_CLOEXEC);
  }
  int get() const { return number_; }
  std::string path() const { return PathOf(number_); }

 private:
  bool IsOurs() const {
    struct stat facts {};
    return fstat(number_, &facts) == 0 && IdentityOf(facts) == memory_;
  }

  int number_;
  FileIdentity memory_;
};

// What people see of it in /proc/PID/maps: /memfd:NAME.
std::string NameOf(const std::string& path) {
  constexpr std::size_t kLongest = 200;  // of 249
  return path.substr(path.find_last_of('/') + 1).substr(0, kLongest);
}

Result<int> CreateMemory(const std::string& name) {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  // A kernel that does not know the second flag needs none.
  int memory = memfd_create(name.c_str(), kFlags | MFD_EXEC);
  if (memory < 0 && errno == EINVAL) memory = memfd_create(name.c_str(), kFlags);
  if (memory < 0) return SystemError("trusted keys: cannot make a file in memory (memfd_create)");
  return memory;
}

Status CopyAll(int from, int to, std::uint64_t size) {
  off_t at = 0;
  while (static_cast<std::uint64_t>(at) < size) {
    constexpr std::uint64_t kMost = 1 << 30;
    const ssize_t copied =
        sendfile(to, from, &at, static_cast<std::size_t>(std::min(kMost, size - static_cast<std::uint64_t>(at))));
    if (copied < 0 && errno == EINTR) continue;
    if (copied < 0) return SystemError("cannot copy into memory");
    if (copied == 0) return Malformed(StrCat("found ", at, " bytes, expected ", size, ": it is being written to"));
  }
  return {};
}

}  // namespace

Result<TrustedFile> TrustedFile::Open(const std::string& path) {
  const Descriptor source(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!source) return SystemError("cannot open");
  struct stat facts {};
  if (fstat(source.get(), &facts) != 0) return SystemError("cannot stat");
  if (!S_ISREG(facts.st_mode)) return {ErrorCode::kInvalidArgument, "not a regular file"};
  const auto size = static_cast<std::uint64_t>(facts.st_size);

  PANNIER_TRY(const int created, CreateMemory(NameOf(path)));
  Descriptor memory(created);
  PANNIER_CHECK_OK(CopyAll(source.get(), memory.get(), size));
  if (fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
    return SystemError("trusted keys: cannot seal a file in memory");

  TrustedFile trusted;
  PANNIER_TRY(trusted.file_, MappedFile::Map(memory.get(), 0, size));
  auto number = std::make_shared<const KeptNumber>(memory.Take(), trusted.file_.identity());
  // Somebody closed a number of ours, and now it was given out anew.
  while (IsLoaded(number->path())) {
    const int next = fcntl(number->get(), F_DUPFD_CLOEXEC, number->get() + 1);
    if (next < 0) return SystemError("trusted keys: cannot duplicate a descriptor");
    number = std::make_shared<const KeptNumber>(next, trusted.file_.identity());
  }
  trusted.load_path_ = number->path();
  if (access(trusted.load_path_.c_str(), R_OK) != 0) return SystemError("trusted keys: /proc/self/fd");
  trusted.hold_ = std::move(number);
  return trusted;
}

}  // namespace pannier
