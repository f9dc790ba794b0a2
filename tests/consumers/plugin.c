// A shared library that links the static loader: it must not show the loader's names as its own.
#include <pannier/pannier.h>

int OpenPlugin(const char* path);

int OpenPlugin(const char* path) {
  pannier_bundle* bundle = NULL;
  const int code = pannier_open(path, NULL, &bundle, NULL);
  pannier_bundle_free(bundle);
  return code;
}
