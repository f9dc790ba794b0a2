// The OS's dynamic loader where it is dlopen's.
#include <dlfcn.h>
#include <unistd.h>

#include "tests/dynamic_loader.h"

namespace pannier::testing {

std::string LoadAndUnload(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return dlerror();
  return dlclose(library) == 0 ? "" : "dlclose failed";
}

const void* LibraryBase(const void* address) {
  Dl_info info = {};
  return dladdr(address, &info) != 0 ? info.dli_fbase : nullptr;
}

bool IsLoadedFrom(const void* address, const std::string& path) {
  Dl_info info = {};
  return dladdr(address, &info) != 0 && path == info.dli_fname;
}

bool IsLoaded(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD);
  if (library != nullptr) dlclose(library);
  return library != nullptr;
}

void EndAfter(unsigned seconds) { alarm(seconds); }

}  // namespace pannier::testing
