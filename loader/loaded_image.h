// LoadedImage: a library that dlopen loaded, for the loaders of ELF and Mach-O systems.
#ifndef PANNIER_LOADER_LOADED_IMAGE_H_
#define PANNIER_LOADER_LOADED_IMAGE_H_

#include <dlfcn.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "loader/trusted_file.h"
#include "pannier/loader.h"
#include "src/mapped_file.h"
#include "src/result.h"

namespace pannier {

struct LoadedImage {
  void* handle = nullptr;
  MappedFile file;                     // for a payload that is in the file only
  std::optional<TrustedFile> trusted;  // what was loaded, with LoadOptions::trusted_keys

  LoadedImage() = default;
  LoadedImage(const LoadedImage&) = delete;
  LoadedImage& operator=(const LoadedImage&) = delete;
  ~LoadedImage() {
    if (handle != nullptr) dlclose(handle);
  }
};

inline void* FindSymbolIn(const void* image, const char* name) {
  return dlsym(static_cast<const LoadedImage*>(image)->handle, name);
}

inline Status LoadError() {
  const char* words = dlerror();
  return {ErrorCode::kLoadFailed, words != nullptr ? words : "the dynamic loader refused it"};
}

// The library at `path`, or the one in `trusted`.
inline Result<std::shared_ptr<LoadedImage>> OpenImage(const std::string& path, std::optional<TrustedFile> trusted,
                                                      const LoadOptions& options) {
  auto image = std::make_shared<LoadedImage>();
  image->trusted = std::move(trusted);
  // Without a slash dlopen would search the library path.
  const std::string file = path.find('/') == std::string::npos ? "./" + path : path;
  image->handle = dlopen(file.c_str(), RTLD_NOW | (options.global_symbols ? RTLD_GLOBAL : RTLD_LOCAL));
  if (image->handle == nullptr) return LoadError();
  return image;
}

// The library of that name which is loaded already.
inline Result<std::shared_ptr<LoadedImage>> ReopenImage(const char* name) {
  auto image = std::make_shared<LoadedImage>();
  image->handle = dlopen(name, RTLD_NOW | RTLD_NOLOAD);
  // The main program's name is not one that dlopen takes.
  if (image->handle == nullptr) image->handle = dlopen(nullptr, RTLD_NOW);
  if (image->handle == nullptr) return LoadError();
  return image;
}

}  // namespace pannier

#endif  // PANNIER_LOADER_LOADED_IMAGE_H_
