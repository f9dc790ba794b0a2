// CacheFolder on systems with owners and modes: all by the folder's descriptor, so that no name is looked up twice.
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <string_view>
#include <utility>

#include "loader/cache_folder.h"
#include "src/text.h"

namespace pannier {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  Descriptor(Descriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (descriptor_ >= 0) close(descriptor_);
  }

  int get() const { return descriptor_; }
  explicit operator bool() const { return descriptor_ >= 0; }

 private:
  int descriptor_;
};

// Only this user and root can have made it what it is.
bool IsTrusted(const struct stat& facts) {
  return (facts.st_uid == geteuid() || facts.st_uid == 0) && (facts.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

void MakeFolders(const std::string& path) {
  for (std::size_t end = path.find('/', 1); end != std::string::npos; end = path.find('/', end + 1))
    mkdir(path.substr(0, end).c_str(), S_IRWXU);
  mkdir(path.c_str(), S_IRWXU);
}

class NewFile : public NewCacheFile {
 public:
  NewFile(int folder, std::string name, std::string unfinished_name, Descriptor file)
      : folder_(folder), name_(std::move(name)), unfinished_name_(std::move(unfinished_name)), file_(std::move(file)) {}
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  ~NewFile() override {
    if (!is_committed_) unlinkat(folder_, unfinished_name_.c_str(), 0);
  }

  bool WriteAt(std::uint64_t offset, ByteView bytes) override {
    for (std::size_t done = 0; done < bytes.size();) {
      const ssize_t written = pwrite(file_.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return false;
      done += static_cast<std::size_t>(written);
    }
    return true;
  }

  std::optional<MappedFile> Commit() override {
    struct stat facts {};
    if (fsync(file_.get()) != 0 || fstat(file_.get(), &facts) != 0) return std::nullopt;
    Result<MappedFile> mapped = MappedFile::Map(file_.get(), 0, static_cast<std::uint64_t>(facts.st_size));
    if (!mapped.ok() || renameat(folder_, unfinished_name_.c_str(), folder_, name_.c_str()) != 0) return std::nullopt;
    is_committed_ = true;
    return std::move(*mapped);
  }

 private:
  int folder_;
  std::string name_;
  std::string unfinished_name_;
  Descriptor file_;  // locked
  bool is_committed_ = false;
};

class Folder : public CacheFolder {
 public:
  explicit Folder(Descriptor folder) : folder_(std::move(folder)) {}

  std::optional<MappedFile> Find(const std::string& name) override {
    const Descriptor file(openat(folder_.get(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    struct stat facts {};
    if (!file || fstat(file.get(), &facts) != 0 || !IsTrusted(facts)) return std::nullopt;
    Result<MappedFile> mapped = MappedFile::Map(file.get(), 0, static_cast<std::uint64_t>(facts.st_size));
    if (!mapped.ok()) return std::nullopt;
    return std::move(*mapped);
  }

  std::unique_ptr<NewCacheFile> Create(const std::string& name) override {
    RemoveUnfinished();
    // Unlike any other's at this time; if not, there is no cache for once.
    const auto now = std::chrono::system_clock::now().time_since_epoch().count();
    std::string unfinished_name = StrCat(name, ".", getpid(), ".", now, kUnfinishedSuffix);
    Descriptor file(
        openat(folder_.get(), unfinished_name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
    // The lock says that its writer lives.
    if (!file || flock(file.get(), LOCK_EX | LOCK_NB) != 0) return nullptr;
    return std::make_unique<NewFile>(folder_.get(), name, std::move(unfinished_name), std::move(file));
  }

  void Remove(const std::string& name) override { unlinkat(folder_.get(), name.c_str(), 0); }

 private:
  void RemoveUnfinished() {
    const int own = openat(folder_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR* const folder = own >= 0 ? fdopendir(own) : nullptr;
    if (folder == nullptr) {
      if (own >= 0) close(own);
      return;
    }
    while (const dirent* entry = readdir(folder)) {  // NOLINT(concurrency-mt-unsafe): the stream is this function's own
      const std::string_view name = entry->d_name;
      constexpr std::string_view kSuffix = kUnfinishedSuffix;
      if (name.size() < kSuffix.size() || name.substr(name.size() - kSuffix.size()) != kSuffix) continue;
      const Descriptor file(openat(folder_.get(), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
      if (file && flock(file.get(), LOCK_EX | LOCK_NB) == 0) unlinkat(folder_.get(), entry->d_name, 0);
    }
    closedir(folder);
  }

  Descriptor folder_;
};

}  // namespace

std::unique_ptr<CacheFolder> CacheFolder::Open(const std::string& path, Missing missing) {
  std::string name = path;
  // With a slash behind it a symbolic link would be followed.
  while (name.size() > 1 && name.back() == '/') name.pop_back();
  if (missing == Missing::kIsMade) MakeFolders(name);
  Descriptor folder(open(name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat facts {};
  if (!folder || fstat(folder.get(), &facts) != 0 || !IsTrusted(facts)) return nullptr;
  return std::make_unique<Folder>(std::move(folder));
}

}  // namespace pannier
