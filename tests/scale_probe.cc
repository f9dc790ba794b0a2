// Loads a bundle and prints a tensor's size and last 8 bytes: `scale_probe BUNDLE TENSOR`.
#include <cstdio>
#include <cstring>
#include <exception>

#include "pannier/loader.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    const pannier::Bundle bundle = pannier::LoadBundle(argv[1]);
    const pannier::TensorView tensor = bundle.params().at(argv[2]);
    char end[9] = {};
    std::memcpy(end, static_cast<const char*>(tensor.data()) + tensor.nbytes() - 8, 8);
    std::printf("%zu %s\n", tensor.nbytes(), end);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
