// A program that links the loader: its version, and that a file which is no bundle is refused.
#include <cstdio>
#include <string>

#include "pannier/loader.h"
#include "pannier/pannier.h"

int main(int, char** arguments) {
  try {
    pannier::OpenBundle(std::string(arguments[0]));
  } catch (const pannier::Error& error) {
    std::printf("pannier %s: %s\n", pannier_version(), error.what());
    return error.code() == pannier::ErrorCode::kNotABundle ? 0 : 1;
  }
  return 1;
}
