// TrustedFile on systems that have dlopen but no sealed memory: a copy in a new folder that is the user's alone. Another process of
// the same user could still write to it between check and load.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "loader/trusted_file.h"
#include "src/text.h"

namespace pannier {
namespace {

Status SystemError(const char* what) { return {ErrorCode::kIo, StrCat(what, ": ", std::strerror(errno))}; }

// Goes with the library; a mapped file may be removed.
struct PrivateCopy {
  PrivateCopy() = default;
  PrivateCopy(const PrivateCopy&) = delete;
  PrivateCopy& operator=(const PrivateCopy&) = delete;
  ~PrivateCopy() {
    if (!file.empty()) unlink(file.c_str());
    if (!folder.empty()) rmdir(folder.c_str());
  }
  std::string folder;
  std::string file;
};

Status WriteAll(int to, ByteView bytes) {
  while (!bytes.empty()) {
    constexpr std::size_t kMost = std::size_t{1} << 30;
    const ssize_t written = write(to, bytes.data(), bytes.size() < kMost ? bytes.size() : kMost);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return SystemError("trusted keys: cannot write a copy");
    bytes = ByteView(bytes.data() + written, bytes.size() - static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

Result<TrustedFile> TrustedFile::Open(const std::string& path) {
  PANNIER_TRY(const MappedFile source, MappedFile::Open(path));
  const auto copy = std::make_shared<PrivateCopy>();
  const char* const temporary = std::getenv("TMPDIR");
  std::string folder = StrCat(temporary != nullptr && *temporary != '\0' ? temporary : "/tmp", "/pannier-XXXXXX");
  if (mkdtemp(folder.data()) == nullptr) return SystemError("trusted keys: cannot make a folder");
  copy->folder = folder;
  const std::string file = StrCat(folder, "/", path.substr(path.find_last_of('/') + 1));
  const int descriptor = open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) return SystemError("trusted keys: cannot make a copy");
  copy->file = file;
  TrustedFile trusted;
  const Status written = [&]() -> Status {
    PANNIER_CHECK_OK(WriteAll(descriptor, source.bytes()));
    if (fchmod(descriptor, 0500) != 0) return SystemError("trusted keys: cannot protect a copy");
    PANNIER_TRY(trusted.file_, MappedFile::Map(descriptor, 0, source.bytes().size()));
    return {};
  }();
  close(descriptor);
  PANNIER_CHECK_OK(written);
  trusted.load_path_ = file;
  trusted.hold_ = copy;
  return trusted;
}

}  // namespace pannier
