// Prints what a bundle carries; runs no code of it.
#include <pannier/loader.h>

#include <cstdio>
#include <string>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    const pannier::Bundle bundle = pannier::OpenBundle(argv[1]);
    std::printf("graph: %zu bytes\n", bundle.graph_json().size());
    for (const pannier::TensorView& tensor : bundle.params())
      std::printf("%s: %llu bytes\n", std::string(tensor.name()).c_str(), static_cast<unsigned long long>(tensor.nbytes()));
  } catch (const pannier::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
