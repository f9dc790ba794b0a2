// A user of the C interface: usage c_consumer BUNDLE; prints the number of tensors. Also valid C++ without exceptions.
#include <pannier/pannier.h>
#include <stdio.h>

int main(int argc, char** argv) {
  pannier_error error;
  pannier_bundle* bundle = NULL;
  const char* graph = NULL;
  const void* data = NULL;
  size_t size = 0;
  size_t count = 0;
  size_t i;
  int code;
  if (argc != 2) return 2;

  code = pannier_load(argv[1], NULL, &bundle, &error);
  if (code == PANNIER_OK) code = pannier_graph_json(bundle, &graph, &size, &error);
  if (code == PANNIER_OK) code = pannier_tensor_count(bundle, &count, &error);
  for (i = 0; code == PANNIER_OK && i < count; ++i) code = pannier_tensor_data(bundle, i, &data, &error);
  if (code != PANNIER_OK) {
    fprintf(stderr, "c_consumer: %s\n", error.message);
    pannier_bundle_free(bundle);
    return 1;
  }
  if (size == 0 || graph[0] != '{' || data == NULL) return 3;
  printf("%lu\n", (unsigned long)count);
  pannier_bundle_free(bundle);

  // Errors come as codes, also where the library throws inside and this program cannot catch.
  return pannier_open("no/such/file.so", NULL, &bundle, &error) == PANNIER_ERROR_IO ? 0 : 4;
}
