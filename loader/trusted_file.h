// TrustedFile: a library's file in a state in which what is checked is what is loaded, as far as the system can see to that.
#ifndef PANNIER_LOADER_TRUSTED_FILE_H_
#define PANNIER_LOADER_TRUSTED_FILE_H_

#include <memory>
#include <string>

#include "src/mapped_file.h"
#include "src/result.h"

namespace pannier {

// Holds on to what it needs; the dynamic loader may be given load_path() for as long as it lives.
//
// Linux: a sealed copy in memory, known as /proc/self/fd/N. Other systems with dlopen: a copy in a folder that is the user's alone.
// Windows: the file itself, which nobody can write, rename or remove meanwhile.
class TrustedFile {
 public:
  static Result<TrustedFile> Open(const std::string& path);

  const MappedFile& file() const { return file_; }
  const std::string& load_path() const { return load_path_; }

 private:
  MappedFile file_;
  std::string load_path_;
  std::shared_ptr<const void> hold_;  // what must not go before the library
};

}  // namespace pannier

#endif  // PANNIER_LOADER_TRUSTED_FILE_H_
