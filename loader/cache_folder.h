// CacheFolder: files in a folder of the user's own that may be lost at any time, and appear whole or not at all.
//
// Whatever fails here only means that there is no such file. Nothing is taken from others, who could put values of their choice
// into a model: folder and files must belong to the user that this process runs as, or to root, and nobody else may write to them;
// the last component of the folder's name, and files, must not be symbolic links. On Windows it is the folder's access control list
// that keeps others out, as for any other of the user's files.
#ifndef PANNIER_LOADER_CACHE_FOLDER_H_
#define PANNIER_LOADER_CACHE_FOLDER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "src/bytes.h"
#include "src/mapped_file.h"

namespace pannier {

// A file that is being written, under a name of its own; gone with this object unless Commit succeeded. A writer that is killed
// leaves it behind: it is removed when the next one starts.
class NewCacheFile {
 public:
  virtual ~NewCacheFile() = default;
  // May be called from several threads at a time.
  virtual bool WriteAt(std::uint64_t offset, ByteView bytes) = 0;
  // Waits until all is on the disk, then gives the file its name, in place of an older one.
  virtual std::optional<MappedFile> Commit() = 0;
};

class CacheFolder {
 public:
  enum class Missing { kIsNone, kIsMade };

  // Null when there is none, or when it must not be used. One that is made, with the folders above it, is the user's alone.
  static std::unique_ptr<CacheFolder> Open(const std::string& path, Missing missing);

  virtual ~CacheFolder() = default;
  virtual std::optional<MappedFile> Find(const std::string& name) = 0;
  // Null when it cannot be made. Must not outlive the folder.
  virtual std::unique_ptr<NewCacheFile> Create(const std::string& name) = 0;
  virtual void Remove(const std::string& name) = 0;
};

// Names of files being written end so.
inline constexpr char kUnfinishedSuffix[] = ".unfinished";

}  // namespace pannier

#endif  // PANNIER_LOADER_CACHE_FOLDER_H_
