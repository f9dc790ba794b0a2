// A user of the C++ interface: usage consumer BUNDLE [PUBLIC_KEY]; prints the number of tensors. With a key (a PEM file) the bundle
// must have its signature.
#include <pannier/loader.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <sstream>

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) return 2;
  pannier::LoadOptions options;
  if (argc == 3) {
    std::ostringstream pem;
    pem << std::ifstream(argv[2]).rdbuf();
    options.trusted_keys = {pem.str()};
  }
  try {
    const pannier::Bundle bundle = pannier::LoadBundle(argv[1], options);
    if (bundle.graph_json().substr(0, 1) != "{") return 3;
    std::size_t bytes = 0;
    for (const pannier::TensorView& tensor : bundle.params()) bytes += tensor.data() != nullptr ? tensor.nbytes() : 0;
    if (bytes == 0) return 4;
    // Iterators are the bundle's, not the list's.
    const auto first = bundle.params().begin();
    if (std::distance(first, bundle.params().end()) != static_cast<std::ptrdiff_t>(bundle.params().size())) return 7;
    std::printf("%zu\n", bundle.params().size());
  } catch (const pannier::Error& error) {
    std::fprintf(stderr, "consumer: %s\n", error.what());
    return 1;
  }
  // An exception of the library is caught by its type here, whatever flags either side was compiled with.
  try {
    pannier::OpenBundle("no/such/file.so");
  } catch (const pannier::Error& error) {
    return error.code() == pannier::ErrorCode::kIo ? 0 : 5;
  }
  return 6;
}
