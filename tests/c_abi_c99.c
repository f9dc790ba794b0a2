// The whole C interface from C99: usage c_abi_c99 BUNDLE GRAPH PARAMS, where BUNDLE carries these two files of tests/data/mlp.
#define _POSIX_C_SOURCE 200809L  // NOLINT(bugprone-reserved-identifier): for those who ask for POSIX

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef _WIN32
#include <malloc.h>
#endif

#include "pannier/pannier.h"

static pannier_error error;

#define FAIL(...)                                   \
  do {                                              \
    fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
    fprintf(stderr, __VA_ARGS__);                   \
    fprintf(stderr, "\n");                          \
    exit(1);                                        \
  } while (0)

#define CHECK(condition)                                 \
  do {                                                   \
    if (!(condition)) FAIL("%s", "not so: " #condition); \
  } while (0)

// The call's code is `expected`, and the error struct says the same.
#define CHECK_CODE(expected, call)                                                                                     \
  do {                                                                                                                 \
    int code_;                                                                                                         \
    memset(&error, 0x5A, sizeof(error));                                                                               \
    code_ = (call);                                                                                                    \
    if (code_ != (expected)) FAIL("%s: found code %d (%.200s), expected %d", #call, code_, error.message, (expected)); \
    CHECK(error.code == code_);                                                                                        \
    CHECK((error.message[0] == '\0') == (code_ == PANNIER_OK));                                                        \
  } while (0)

#define CHECK_OK(call) CHECK_CODE(PANNIER_OK, call)

typedef struct file {
  unsigned char* bytes;
  size_t size;
} file;

// As tensors want it.
static void* AllocateAligned(size_t size) {
  void* bytes = NULL;
#ifdef _WIN32
  bytes = _aligned_malloc(size, 64);
#else
  if (posix_memalign(&bytes, 64, size) != 0) bytes = NULL;
#endif
  CHECK(bytes != NULL);
  return bytes;
}

static void FreeAligned(void* bytes) {
#ifdef _WIN32
  _aligned_free(bytes);
#else
  free(bytes);
#endif
}

static file ReadFile(const char* path) {
  file result = {NULL, 0};
  FILE* stream = fopen(path, "rb");
  void* bytes;
  long size;
  CHECK(stream != NULL);
  CHECK(fseek(stream, 0, SEEK_END) == 0);
  size = ftell(stream);
  CHECK(size > 0);
  rewind(stream);
  bytes = AllocateAligned((size_t)size);
  CHECK(fread(bytes, 1, (size_t)size, stream) == (size_t)size);
  fclose(stream);
  result.bytes = bytes;
  result.size = (size_t)size;
  return result;
}

// A little-endian number of a .params file.
static uint64_t Take(const file* from, size_t* at, size_t size) {
  uint64_t value = 0;
  size_t i;
  CHECK(*at + size <= from->size);
  for (i = 0; i < size; ++i) value |= (uint64_t)from->bytes[*at + i] << (8 * i);
  *at += size;
  return value;
}

// Are the values, in this machine's byte order, those of the file?
static int SameValues(const void* values, const unsigned char* in_file, size_t size, size_t item_size) {
  const uint16_t one = 1;
  const unsigned char* bytes = values;
  size_t i;
  if (*(const unsigned char*)&one == 1) return memcmp(bytes, in_file, size) == 0;
  for (i = 0; i < size; ++i) {
    if (bytes[i] != in_file[i - i % item_size + (item_size - 1 - i % item_size)]) return 0;
  }
  return 1;
}

static int IsSha256Text(const char* text) {
  return strlen(text) == PANNIER_SHA256_TEXT_SIZE - 1 && strspn(text, "0123456789abcdef") == PANNIER_SHA256_TEXT_SIZE - 1;
}

static int IsName(const char* name, size_t length, const char* expected) {
  return length == strlen(expected) && memcmp(name, expected, length) == 0;
}

static void CheckArtifacts(const pannier_bundle* bundle, const file* graph, const file* params) {
  const struct {
    const char* name;
    const file* content;
  } expected[] = {{"graph", graph}, {"params", params}};
  const char* text = NULL;
  size_t size = 0;
  size_t count = 0;
  size_t i;
  pannier_artifact artifact;

  CHECK_OK(pannier_graph_json(bundle, &text, &size, &error));
  CHECK(size == graph->size && memcmp(text, graph->bytes, size) == 0);

  CHECK_OK(pannier_artifact_count(bundle, &count, &error));
  CHECK(count == 2);
  for (i = 0; i < 2; ++i) {
    const uint8_t* data = NULL;
    pannier_artifact by_index;
    CHECK_OK(pannier_artifact_by_name(bundle, expected[i].name, &artifact, &error));
    CHECK(IsName(artifact.name, artifact.name_length, expected[i].name));
    CHECK(artifact.size == expected[i].content->size);
    CHECK(artifact.stored_bytes != 0);
    CHECK(IsSha256Text(artifact.sha256));
    CHECK_OK(pannier_artifact_by_index(bundle, artifact.index, &by_index, &error));
    CHECK(by_index.index == artifact.index && by_index.name == artifact.name && by_index.size == artifact.size);
    CHECK_OK(pannier_artifact_bytes(bundle, artifact.index, &data, &size, &error));
    CHECK(size == expected[i].content->size && memcmp(data, expected[i].content->bytes, size) == 0);
  }

  artifact.size = 12345;
  CHECK_CODE(PANNIER_ERROR_NOT_FOUND, pannier_artifact_by_name(bundle, "labels", &artifact, &error));
  CHECK(strstr(error.message, "labels") != NULL);
  CHECK_CODE(PANNIER_ERROR_INVALID_ARGUMENT, pannier_artifact_by_index(bundle, count, &artifact, &error));
  CHECK(strstr(error.message, "artifact index: found 2, expected below 2") != NULL);
  CHECK(artifact.size == 12345);
}

static void CheckTensor(const pannier_bundle* bundle, const file* params, size_t* at, const pannier_tensor* tensor) {
  const void* data = NULL;
  unsigned char* copy;
  pannier_dl_tensor dl_tensor;
  pannier_tensor by_name;
  char name[64];
  int32_t i;

  CHECK(tensor->name_length < sizeof(name));
  memcpy(name, tensor->name, tensor->name_length);
  name[tensor->name_length] = '\0';
  CHECK_OK(pannier_tensor_by_name(bundle, name, &by_name, &error));
  CHECK(by_name.index == tensor->index && by_name.shape == tensor->shape && by_name.nbytes == tensor->nbytes);

  CHECK(Take(params, at, 8) == UINT64_C(0xDD5E40F096B4A13F));
  *at += 8;
  CHECK(Take(params, at, 4) == (uint64_t)tensor->device.device_type);
  CHECK(Take(params, at, 4) == (uint64_t)tensor->device.device_id);
  CHECK(Take(params, at, 4) == (uint64_t)tensor->ndim);
  CHECK(Take(params, at, 1) == tensor->dtype.code);
  CHECK(Take(params, at, 1) == tensor->dtype.bits);
  CHECK(Take(params, at, 2) == tensor->dtype.lanes);
  for (i = 0; i < tensor->ndim; ++i) CHECK(Take(params, at, 8) == (uint64_t)tensor->shape[i]);
  CHECK(Take(params, at, 8) == tensor->nbytes);
  CHECK(*at + tensor->nbytes <= params->size);

  CHECK(tensor->nbytes != 0 && tensor->stored_bytes != 0);
  copy = malloc(tensor->nbytes);
  CHECK(copy != NULL);
  CHECK_OK(pannier_tensor_copy_to(bundle, tensor->index, copy, tensor->nbytes, &error));
  CHECK(SameValues(copy, params->bytes + *at, tensor->nbytes, tensor->dtype.bits / 8U));
  CHECK_CODE(PANNIER_ERROR_INVALID_ARGUMENT, pannier_tensor_copy_to(bundle, tensor->index, copy, tensor->nbytes - 1, &error));
  CHECK_CODE(PANNIER_ERROR_INVALID_ARGUMENT, pannier_tensor_copy_to(bundle, tensor->index, NULL, tensor->nbytes, &error));

  CHECK_OK(pannier_tensor_data(bundle, tensor->index, &data, &error));
  CHECK((uintptr_t)data % 64 == 0);
  CHECK(memcmp(data, copy, tensor->nbytes) == 0);
  free(copy);

  CHECK_OK(pannier_tensor_dl_tensor(bundle, tensor->index, &dl_tensor, &error));
  CHECK(dl_tensor.data == data && dl_tensor.shape == tensor->shape && dl_tensor.ndim == tensor->ndim);
  CHECK(dl_tensor.strides == NULL && dl_tensor.byte_offset == 0);
  CHECK(dl_tensor.device.device_type == 1 && dl_tensor.device.device_id == 0);
  CHECK(dl_tensor.dtype.code == tensor->dtype.code && dl_tensor.dtype.bits == tensor->dtype.bits &&
        dl_tensor.dtype.lanes == tensor->dtype.lanes);
  *at += tensor->nbytes;
}

// Written to, read ahead, given back: the bundle's values stay what they are.
static void CheckTensorMemory(const pannier_bundle* bundle, const pannier_tensor* tensor) {
  const void* data = NULL;
  void* values = NULL;
  void* again = NULL;
  pannier_dl_tensor dl_tensor;

  CHECK_OK(pannier_tensor_prefetch(bundle, tensor->index, &error));
  CHECK_OK(pannier_tensor_data(bundle, tensor->index, &data, &error));
  CHECK_OK(pannier_tensor_mutable_data(bundle, tensor->index, &values, &error));
  CHECK((uintptr_t)values % 64 == 0 && values != data && memcmp(values, data, tensor->nbytes) == 0);
  memset(values, 0x5A, tensor->nbytes);
  CHECK(memcmp(values, data, tensor->nbytes) != 0);
  CHECK_OK(pannier_tensor_release(bundle, tensor->index, &error));
  CHECK_OK(pannier_tensor_mutable_dl_tensor(bundle, tensor->index, &dl_tensor, &error));
  CHECK(dl_tensor.data == values && dl_tensor.shape == tensor->shape && dl_tensor.ndim == tensor->ndim);
  CHECK(((unsigned char*)values)[tensor->nbytes - 1] == 0x5A);
  CHECK_OK(pannier_tensor_release_mutable(bundle, tensor->index, &error));
  CHECK_OK(pannier_tensor_release_mutable(bundle, tensor->index, &error));
  CHECK_OK(pannier_tensor_mutable_data(bundle, tensor->index, &again, &error));
  CHECK_OK(pannier_tensor_data(bundle, tensor->index, &data, &error));
  CHECK(memcmp(again, data, tensor->nbytes) == 0);
}

static void CheckTensors(const pannier_bundle* bundle, const file* params) {
  size_t at = 16;
  size_t names_at;
  size_t count = 0;
  size_t i;
  pannier_tensor tensor;
  char text[PANNIER_DATA_TYPE_NAME_SIZE];

  CHECK_OK(pannier_tensor_count(bundle, &count, &error));
  CHECK(Take(params, &at, 8) == count && count != 0);
  names_at = at;
  for (i = 0; i < count; ++i) {
    const size_t length = (size_t)Take(params, &at, 8);
    at += length;
  }
  CHECK(Take(params, &at, 8) == count);
  for (i = 0; i < count; ++i) {
    size_t length;
    CHECK_OK(pannier_tensor_by_index(bundle, i, &tensor, &error));
    CHECK(tensor.index == i);
    length = (size_t)Take(params, &names_at, 8);
    CHECK(tensor.name_length == length && memcmp(tensor.name, params->bytes + names_at, length) == 0);
    names_at += length;
    CheckTensor(bundle, params, &at, &tensor);
    CheckTensorMemory(bundle, &tensor);
  }
  CHECK(at == params->size);

  CHECK_CODE(PANNIER_ERROR_NOT_FOUND, pannier_tensor_by_name(bundle, "p999", &tensor, &error));
  CHECK(strstr(error.message, "p999") != NULL);
  CHECK_CODE(PANNIER_ERROR_INVALID_ARGUMENT, pannier_tensor_by_index(bundle, count, &tensor, &error));
  CHECK_CODE(PANNIER_ERROR_INVALID_ARGUMENT, pannier_tensor_by_index(bundle, SIZE_MAX, &tensor, &error));

  CHECK_OK(pannier_data_type_name(tensor.dtype, text, &error));
  CHECK(strcmp(text, "float32") == 0);
}

// The library's own code, run on the interface's own structs: batch_flatten copies (1, 1, 28, 28) into (1, 784).
static void CheckCode(pannier_bundle* bundle) {
  void* address = NULL;
  pannier_packed_c_func flatten;
  pannier_bundle* found = NULL;
  int64_t input_shape[] = {1, 1, 28, 28};
  int64_t output_shape[] = {1, 784};
  pannier_dl_tensor input = {NULL, {1, 0}, 4, {2, 32, 1}, NULL, NULL, 0};
  pannier_dl_tensor output = {NULL, {1, 0}, 2, {2, 32, 1}, NULL, NULL, 0};
  union {
    int64_t integer;
    void* pointer;
  } args[2], result;
  int type_codes[] = {7, 7};
  int result_code = 0;
  size_t size = 784 * sizeof(float);
  size_t count = 0;
  size_t i;

  CHECK_CODE(PANNIER_ERROR_NOT_FOUND, pannier_bundle_symbol(bundle, "no_such_symbol", &address, &error));
  CHECK(address == NULL);
  CHECK_OK(pannier_bundle_symbol(bundle, "tvmgen_default_fused_nn_batch_flatten", &address, &error));
  memcpy(&flatten, &address, sizeof(flatten));

  input.data = AllocateAligned(size);
  output.data = AllocateAligned(size);
  for (i = 0; i < 784; ++i) ((float*)input.data)[i] = (float)i + 0.5F;
  memset(output.data, 0, size);
  input.shape = input_shape;
  output.shape = output_shape;
  result.integer = 0;
  args[0].integer = args[1].integer = 0;
  args[0].pointer = &input;
  args[1].pointer = &output;
  CHECK(flatten(args, type_codes, 2, &result, &result_code, NULL) == 0);
  CHECK(memcmp(input.data, output.data, size) == 0);
  FreeAligned(input.data);
  FreeAligned(output.data);

  CHECK_OK(pannier_find(address, NULL, &found, &error));
  CHECK_OK(pannier_tensor_count(found, &count, &error));
  CHECK(count != 0);
  pannier_bundle_free(found);

  found = bundle;
  CHECK_CODE(PANNIER_ERROR_NOT_FOUND, pannier_find(&size, NULL, &found, &error));  // the stack
  CHECK(found == NULL);
  CHECK_CODE(PANNIER_ERROR_NOT_A_BUNDLE, pannier_find(&error, NULL, &found, &error));  // this program
}

static void CheckBundle(pannier_bundle* bundle, const char* path, int is_loaded, const file* graph, const file* params) {
  const char* found_path = NULL;
  int found_loaded = -1;
  char digest[PANNIER_SHA256_TEXT_SIZE];
  void* address = NULL;

  CHECK_OK(pannier_bundle_path(bundle, &found_path, &error));
  CHECK(strcmp(found_path, path) == 0);
  CHECK_OK(pannier_bundle_is_loaded(bundle, &found_loaded, &error));
  CHECK(found_loaded == is_loaded);
  CHECK_OK(pannier_bundle_image_digest(bundle, digest, &error));
  CHECK(IsSha256Text(digest));
  CheckArtifacts(bundle, graph, params);
  CheckTensors(bundle, params);
  CHECK_OK(pannier_prefetch_all(bundle, &error));
  CHECK_OK(pannier_decode_all(bundle, &error));
  CHECK_OK(pannier_release_all(bundle, &error));
  CheckTensors(bundle, params);
  CHECK_OK(pannier_bundle_check_digests(bundle, &error));
  if (is_loaded) {
    CheckCode(bundle);
  } else {
    CHECK_CODE(PANNIER_ERROR_INVALID_ARGUMENT, pannier_bundle_symbol(bundle, "tvmgen_default_fused_nn_softmax", &address, &error));
  }
}

static void* UseReference(void* argument) {
  pannier_bundle* bundle = argument;
  pannier_error own_error;
  const void* data = NULL;
  size_t count = 0;
  size_t i;
  intptr_t sum = 0;
  CHECK(pannier_tensor_count(bundle, &count, &own_error) == PANNIER_OK);
  for (i = 0; i < count; ++i) {
    CHECK(pannier_tensor_data(bundle, i, &data, &own_error) == PANNIER_OK);
    sum += *(const unsigned char*)data;
  }
  pannier_bundle_free(bundle);
  return (void*)sum;
}

// Eight threads with a reference each; the one that opened the bundle lets go first.
static void CheckReferences(const char* path) {
  pthread_t threads[8];
  pannier_bundle* bundle = NULL;
  void* sums[8];
  int i;
  CHECK_OK(pannier_load(path, NULL, &bundle, &error));
  for (i = 0; i < 8; ++i) CHECK(pthread_create(&threads[i], NULL, UseReference, pannier_bundle_retain(bundle)) == 0);
  pannier_bundle_free(bundle);
  for (i = 0; i < 8; ++i) CHECK(pthread_join(threads[i], &sums[i]) == 0);
  for (i = 1; i < 8; ++i) CHECK(sums[i] == sums[0]);
  CHECK(pannier_bundle_retain(NULL) == NULL);
  pannier_bundle_free(NULL);
}

static void CheckNullArguments(const pannier_bundle* bundle, const char* path) {
  pannier_bundle* made = NULL;
  pannier_artifact artifact;
  pannier_tensor tensor;
  pannier_dl_tensor dl_tensor;
  pannier_data_type float32 = {2, 32, 1};
  char digest[PANNIER_SHA256_TEXT_SIZE];
  const char* text = NULL;
  const uint8_t* bytes = NULL;
  const void* data = NULL;
  void* address = NULL;
  size_t size = 0;
  int flag = 0;

#define CHECK_INVALID(call) CHECK_CODE(PANNIER_ERROR_INVALID_ARGUMENT, call)
  CHECK_INVALID(pannier_load(NULL, NULL, &made, &error));
  CHECK(strcmp(error.message, "path: found a null pointer") == 0);
  CHECK_INVALID(pannier_load(path, NULL, NULL, &error));
  CHECK_INVALID(pannier_open(NULL, NULL, &made, &error));
  CHECK_INVALID(pannier_open(path, NULL, NULL, &error));
  CHECK_INVALID(pannier_open_fd(0, 0, 1, NULL, NULL, &error));
  CHECK_INVALID(pannier_open_memory(NULL, 1, NULL, &made, &error));
  CHECK_INVALID(pannier_open_memory("x", 1, NULL, NULL, &error));
  CHECK_INVALID(pannier_find(NULL, NULL, &made, &error));
  CHECK_INVALID(pannier_find(path, NULL, NULL, &error));
  CHECK_INVALID(pannier_bundle_path(NULL, &text, &error));
  CHECK_INVALID(pannier_bundle_path(bundle, NULL, &error));
  CHECK_INVALID(pannier_bundle_is_loaded(NULL, &flag, &error));
  CHECK_INVALID(pannier_bundle_is_loaded(bundle, NULL, &error));
  CHECK_INVALID(pannier_bundle_image_digest(NULL, digest, &error));
  CHECK_INVALID(pannier_bundle_image_digest(bundle, NULL, &error));
  CHECK_INVALID(pannier_bundle_check_digests(NULL, &error));
  CHECK_INVALID(pannier_bundle_symbol(NULL, "x", &address, &error));
  CHECK_INVALID(pannier_bundle_symbol(bundle, NULL, &address, &error));
  CHECK_INVALID(pannier_bundle_symbol(bundle, "x", NULL, &error));
  CHECK_INVALID(pannier_graph_json(NULL, &text, &size, &error));
  CHECK_INVALID(pannier_graph_json(bundle, NULL, &size, &error));
  CHECK_INVALID(pannier_graph_json(bundle, &text, NULL, &error));
  CHECK_INVALID(pannier_artifact_count(NULL, &size, &error));
  CHECK_INVALID(pannier_artifact_count(bundle, NULL, &error));
  CHECK_INVALID(pannier_artifact_by_index(NULL, 0, &artifact, &error));
  CHECK_INVALID(pannier_artifact_by_index(bundle, 0, NULL, &error));
  CHECK_INVALID(pannier_artifact_by_name(NULL, "graph", &artifact, &error));
  CHECK_INVALID(pannier_artifact_by_name(bundle, NULL, &artifact, &error));
  CHECK_INVALID(pannier_artifact_by_name(bundle, "graph", NULL, &error));
  CHECK_INVALID(pannier_artifact_bytes(NULL, 0, &bytes, &size, &error));
  CHECK_INVALID(pannier_artifact_bytes(bundle, 0, NULL, &size, &error));
  CHECK_INVALID(pannier_artifact_bytes(bundle, 0, &bytes, NULL, &error));
  CHECK_INVALID(pannier_tensor_count(NULL, &size, &error));
  CHECK_INVALID(pannier_tensor_count(bundle, NULL, &error));
  CHECK_INVALID(pannier_tensor_by_index(NULL, 0, &tensor, &error));
  CHECK_INVALID(pannier_tensor_by_index(bundle, 0, NULL, &error));
  CHECK_INVALID(pannier_tensor_by_name(NULL, "p0", &tensor, &error));
  CHECK_INVALID(pannier_tensor_by_name(bundle, NULL, &tensor, &error));
  CHECK_INVALID(pannier_tensor_by_name(bundle, "p0", NULL, &error));
  CHECK_INVALID(pannier_tensor_data(NULL, 0, &data, &error));
  CHECK_INVALID(pannier_tensor_data(bundle, 0, NULL, &error));
  CHECK_INVALID(pannier_tensor_copy_to(NULL, 0, digest, sizeof(digest), &error));
  CHECK_INVALID(pannier_tensor_copy_to(bundle, 0, NULL, sizeof(digest), &error));
  CHECK_INVALID(pannier_tensor_dl_tensor(NULL, 0, &dl_tensor, &error));
  CHECK_INVALID(pannier_tensor_dl_tensor(bundle, 0, NULL, &error));
  CHECK_INVALID(pannier_tensor_mutable_data(NULL, 0, &address, &error));
  CHECK_INVALID(pannier_tensor_mutable_data(bundle, 0, NULL, &error));
  CHECK_INVALID(pannier_tensor_mutable_dl_tensor(NULL, 0, &dl_tensor, &error));
  CHECK_INVALID(pannier_tensor_mutable_dl_tensor(bundle, 0, NULL, &error));
  CHECK_INVALID(pannier_tensor_mutable_data(bundle, SIZE_MAX, &address, &error));
  CHECK_INVALID(pannier_tensor_release_mutable(NULL, 0, &error));
  CHECK_INVALID(pannier_tensor_release_mutable(bundle, SIZE_MAX, &error));
  CHECK_INVALID(pannier_tensor_prefetch(NULL, 0, &error));
  CHECK_INVALID(pannier_bundle_library_path(NULL, &text, &error));
  CHECK_INVALID(pannier_bundle_library_path(bundle, NULL, &error));
  CHECK_INVALID(pannier_tensor_prefetch(bundle, SIZE_MAX, &error));
  CHECK_INVALID(pannier_tensor_release(NULL, 0, &error));
  CHECK_INVALID(pannier_tensor_release(bundle, SIZE_MAX, &error));
  CHECK_INVALID(pannier_decode_all(NULL, &error));
  CHECK_INVALID(pannier_prefetch_all(NULL, &error));
  CHECK_INVALID(pannier_release_all(NULL, &error));
  CHECK_INVALID(pannier_data_type_name(float32, NULL, &error));
#undef CHECK_INVALID

  CHECK(text == NULL && bytes == NULL && data == NULL && address == NULL && size == 0);
  CHECK(pannier_load(NULL, NULL, &made, NULL) == PANNIER_ERROR_INVALID_ARGUMENT);  // and no error struct
}

static void CheckOptions(const char* path) {
  struct {
    pannier_load_options known;
    unsigned char newer[16];
  } larger = {PANNIER_LOAD_OPTIONS_INIT, {0}};
  pannier_load_options options = PANNIER_LOAD_OPTIONS_INIT;
  pannier_bundle* bundle = NULL;
  const char* no_key = NULL;
  int check;

  options.threads = 2;
  for (check = PANNIER_CHECK_STRUCTURE; check <= PANNIER_CHECK_OFF; ++check) {
    options.check = check;
    CHECK_OK(pannier_open(path, &options, &bundle, &error));
    pannier_bundle_free(bundle);
  }
  options.check = PANNIER_CHECK_OFF + 1;
  CHECK_CODE(PANNIER_ERROR_INVALID_ARGUMENT, pannier_open(path, &options, &bundle, &error));
  CHECK(bundle == NULL);  // not the pointer from before

  // A caller compiled against the first header, whose struct had no cache_dir.
  options.check = PANNIER_CHECK_LAZY;
  options.struct_size = offsetof(pannier_load_options, cache_dir);
  options.cache_dir = (const char*)1;  // what lies behind is nobody's
  CHECK_OK(pannier_open(path, &options, &bundle, &error));
  CHECK_OK(pannier_decode_all(bundle, &error));
  pannier_bundle_free(bundle);
  options.struct_size += 1;
  CHECK_CODE(PANNIER_ERROR_INVALID_ARGUMENT, pannier_open(path, &options, &bundle, &error));
  // Then one whose struct had no trusted_keys.
  options.cache_dir = "";
  options.struct_size = offsetof(pannier_load_options, trusted_keys);
  options.trusted_keys = (const char* const*)1;
  CHECK_OK(pannier_open(path, &options, &bundle, &error));
  pannier_bundle_free(bundle);
  options.struct_size = sizeof(options);
  // Keys: none in the list, a null pointer in it or instead of it; trust that is none.
  options.trusted_keys = &no_key;
  CHECK_CODE(PANNIER_ERROR_INVALID_ARGUMENT, pannier_open(path, &options, &bundle, &error));
  options.trusted_key_count = 1;
  CHECK_CODE(PANNIER_ERROR_INVALID_ARGUMENT, pannier_open(path, &options, &bundle, &error));
  no_key = "no PEM text";
  CHECK_CODE(PANNIER_ERROR_SIGNATURE, pannier_open(path, &options, &bundle, &error));
  options.trusted_keys = NULL;
  CHECK_CODE(PANNIER_ERROR_INVALID_ARGUMENT, pannier_open(path, &options, &bundle, &error));
  options.trusted_key_count = 0;
  options.trust = PANNIER_TRUST_IMAGE + 1;
  CHECK_CODE(PANNIER_ERROR_INVALID_ARGUMENT, pannier_open(path, &options, &bundle, &error));
  options.trust = PANNIER_TRUST_IMAGE;
  CHECK_OK(pannier_open(path, &options, &bundle, &error));
  pannier_bundle_free(bundle);

  // A caller compiled against a newer header that sets nothing new; then one that does.
  larger.known.struct_size = sizeof(larger);
  CHECK_OK(pannier_open(path, &larger.known, &bundle, &error));
  pannier_bundle_free(bundle);
  larger.newer[15] = 1;
  CHECK_CODE(PANNIER_ERROR_UNSUPPORTED, pannier_open(path, &larger.known, &bundle, &error));
  options.check = PANNIER_CHECK_STRUCTURE;
  options.reserved = 1;
  CHECK_CODE(PANNIER_ERROR_UNSUPPORTED, pannier_open(path, &options, &bundle, &error));
  memset(&options, 0, sizeof(options));
  CHECK_CODE(PANNIER_ERROR_INVALID_ARGUMENT, pannier_open(path, &options, &bundle, &error));
  options.struct_size = SIZE_MAX;
  CHECK_CODE(PANNIER_ERROR_INVALID_ARGUMENT, pannier_open(path, &options, &bundle, &error));
}

static void CheckErrors(const char* graph_path) {
  pannier_bundle* bundle = NULL;
  int code;

  CHECK_CODE(PANNIER_ERROR_IO, pannier_open("no/such/file.so", NULL, &bundle, &error));
  CHECK(strncmp(error.message, "no/such/file.so: ", 17) == 0);
  CHECK_CODE(PANNIER_ERROR_IO, pannier_load("no/such/file.so", NULL, &bundle, &error));
  CHECK(pannier_open(graph_path, NULL, &bundle, &error) != PANNIER_OK);
  CHECK(pannier_load(graph_path, NULL, &bundle, &error) != PANNIER_OK);
  CHECK(pannier_open_fd(-1, 0, 4096, NULL, &bundle, &error) != PANNIER_OK);
  CHECK(bundle == NULL);

  for (code = 0; code <= PANNIER_ERROR_SIGNATURE; ++code) CHECK(pannier_error_text(code)[0] != '\0');
  CHECK(pannier_error_text(-1)[0] != '\0' && pannier_error_text(100000)[0] != '\0');
}

int main(int argc, char** argv) {
  pannier_bundle* bundle = NULL;
  file library;
  file graph;
  file params;
  file container;
  FILE* container_file;
  int descriptor;

  if (argc != 4) FAIL("usage: c_abi_c99 BUNDLE GRAPH PARAMS");
  library = ReadFile(argv[1]);
  graph = ReadFile(argv[2]);
  params = ReadFile(argv[3]);
  CHECK(strcmp(pannier_version(), PANNIER_VERSION_STRING) == 0);

  CHECK_OK(pannier_load(argv[1], NULL, &bundle, &error));
  CheckBundle(bundle, argv[1], 1, &graph, &params);
  CheckNullArguments(bundle, argv[1]);
  pannier_bundle_free(bundle);

  CHECK_OK(pannier_open(argv[1], NULL, &bundle, &error));
  CheckBundle(bundle, argv[1], 0, &graph, &params);
  pannier_bundle_free(bundle);

  CHECK_OK(pannier_open_memory(library.bytes, library.size, NULL, &bundle, &error));
  CheckBundle(bundle, "", 0, &graph, &params);
  pannier_bundle_free(bundle);

  // Within another file, at an offset that is no multiple of the page, as an asset in an APK may be.
  container_file = tmpfile();
  CHECK(container_file != NULL);
  descriptor = fileno(container_file);
  container.size = library.size + 4160 + 100;
  container.bytes = malloc(container.size);
  CHECK(container.bytes != NULL);
  memset(container.bytes, 0xEE, container.size);
  memcpy(container.bytes + 4160, library.bytes, library.size);
  CHECK(write(descriptor, container.bytes, container.size) == (ssize_t)container.size);
  CHECK_OK(pannier_open_fd(descriptor, 4160, library.size, NULL, &bundle, &error));
  fclose(container_file);
  CheckBundle(bundle, "", 0, &graph, &params);
  pannier_bundle_free(bundle);
  free(container.bytes);

  CheckOptions(argv[1]);
  CheckErrors(argv[2]);
  CheckReferences(argv[1]);

  FreeAligned(library.bytes);
  FreeAligned(graph.bytes);
  FreeAligned(params.bytes);
  printf("c_abi_c99: all well\n");
  return 0;
}
