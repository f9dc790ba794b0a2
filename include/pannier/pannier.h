// The C interface of the loader, for C99, C++ without exceptions, and every language that can call C.
//
//     pannier_error error;
//     pannier_bundle* bundle;
//     if (pannier_load("model.so", NULL, &bundle, &error) != PANNIER_OK) { fprintf(stderr, "%s\n", error.message); return 1; }
//     const char* graph;
//     size_t graph_size;
//     if (pannier_graph_json(bundle, &graph, &graph_size, &error) != PANNIER_OK) ...
//     pannier_bundle_free(bundle);
//
// Ownership: a pannier_bundle is counted. Whoever gets one from pannier_load, pannier_open*, pannier_find or pannier_bundle_retain
// gives it back with one pannier_bundle_free. Nothing else that comes out of this interface is freed by the caller.
//
// Lifetime: the library stays loaded, the file mapped and every decoded byte in memory until the last pannier_bundle_free, or until
// it is released. Every pointer handed out (names, texts, shapes, data, symbols, paths) points into that and must not be used after
// it. Structs and digests are filled into the caller's memory and are the caller's.
//
// Threads: one bundle may be used by several threads at a time. Each of them holds a reference, or knows that another one outlives
// its use. The library keeps no global and no thread-local state; a pannier_error serves one call at a time.
//
// Errors: a function returns PANNIER_OK (0) or one of PANNIER_ERROR_*. Given a pannier_error (it may be NULL), it also writes the
// code and a message there, or PANNIER_OK and "". A null pointer where an object, a name or an out-parameter is wanted is answered
// with PANNIER_ERROR_INVALID_ARGUMENT. When a function fails, a pannier_bundle* out-parameter is NULL and any other is left as it
// was. No exception leaves these functions. Codes that any function can return are not repeated below:
// PANNIER_ERROR_INVALID_ARGUMENT and PANNIER_ERROR_NO_MEMORY.
//
// Compatibility: numbers and struct layouts never change, and pannier_load_options grows at its end only. What is new comes as new
// functions and new codes at the end.
//
// Names in: UTF-8, ended by a zero byte. Names out: a pointer and a length; no zero byte follows.
#ifndef PANNIER_PANNIER_H_
#define PANNIER_PANNIER_H_

#include <stddef.h>
#include <stdint.h>

#include "pannier/export.h"

#define PANNIER_VERSION_MAJOR 0
#define PANNIER_VERSION_MINOR 1
#define PANNIER_VERSION_PATCH 0
#define PANNIER_VERSION_STRING "0.1.0"

#ifdef __cplusplus
#define PANNIER_NOEXCEPT noexcept
extern "C" {
#else
#define PANNIER_NOEXCEPT
#endif

// ---- Errors ----

enum {
  PANNIER_OK = 0,
  PANNIER_ERROR_INVALID_ARGUMENT = 1,  // the caller asked for something that makes no sense
  PANNIER_ERROR_IO = 2,                // the operating system refused to read, write, map or start a thread
  PANNIER_ERROR_NOT_A_BUNDLE = 3,      // a sound file, but it carries no pannier payload (or lost it)
  PANNIER_ERROR_MALFORMED = 4,         // sizes, offsets or values in the file contradict each other
  PANNIER_ERROR_UNSUPPORTED = 5,       // valid, but not for this version or this machine
  PANNIER_ERROR_NOT_FOUND = 6,         // no artifact, tensor or symbol of that name
  PANNIER_ERROR_DIGEST_MISMATCH = 7,   // bytes differ from what their SHA-256 says
  PANNIER_ERROR_ALREADY_BUNDLE = 8,    // embedding into a bundle without saying so
  PANNIER_ERROR_HOST_CHANGED = 9,      // strip, patchelf or a signer rewrote the bundle: it cannot be undone
  PANNIER_ERROR_LIMIT = 10,            // a limit of the format was reached
  PANNIER_ERROR_LOAD_FAILED = 11,      // the dynamic loader refused the library
  PANNIER_ERROR_NO_MEMORY = 12,
  PANNIER_ERROR_SIGNATURE = 13  // a signature is missing, wrong or cannot be checked in this build
};

#define PANNIER_ERROR_MESSAGE_SIZE 512

// The message reads `FILE: WHAT: found X, expected Y`, lowercase, without a full stop.
typedef struct pannier_error {
  int code;
  char message[PANNIER_ERROR_MESSAGE_SIZE];  // UTF-8, always ended by a zero byte; cut when longer
} pannier_error;

// "not a bundle", "malformed", ...: a few lowercase words for a code, also for one from a newer version. Never NULL, never freed.
PANNIER_API const char* pannier_error_text(int code) PANNIER_NOEXCEPT;

// The version of the library that runs, as PANNIER_VERSION_STRING is that of the header it was compiled against.
PANNIER_API const char* pannier_version(void) PANNIER_NOEXCEPT;

// ---- Bundles ----

typedef struct pannier_bundle pannier_bundle;

// How far a bundle's digests are checked.
enum {
  PANNIER_CHECK_STRUCTURE = 0,  // sizes, bounds and the manifest's digest; no pass over the payload
  PANNIER_CHECK_LAZY = 1,       // also each chunk of an artifact when it is first handed out or decoded
  PANNIER_CHECK_FULL = 2,       // also every chunk at once, before the function returns
  PANNIER_CHECK_OFF = 3         // sizes and bounds alone, no digest: damage may show as any error, or as other values; no cache
};

// What has to be as it was signed.
enum {
  PANNIER_TRUST_FILE = 0,  // every byte of the file
  PANNIER_TRUST_IMAGE = 1  // what the OS maps of the library, and the artifacts: passes on a bundle that strip has changed since
};

// Start from PANNIER_LOAD_OPTIONS_INIT and change what should differ; NULL in place of options means the same. Fields that this
// version does not know (struct_size is larger) must be zero (PANNIER_ERROR_UNSUPPORTED).
typedef struct pannier_load_options {
  size_t struct_size;
  int check;           // PANNIER_CHECK_*
  uint32_t threads;    // for decoding; 0: one for each processor
  int global_symbols;  // not 0: RTLD_GLOBAL, libraries loaded later see this one's symbols; nothing on Windows
  uint32_t reserved;   // 0

  // A folder where decoded params are kept, so that later processes map them instead of decoding; NULL or "": none. Made when
  // missing. Of a bundle with compressed tensors, one file with all of them decoded is written by whoever first asks for one
  // (pannier_tensor_data, pannier_tensor_mutable_data, pannier_decode_all), whom it costs the decoding of all and the wait for the
  // disk. It is never a reason to fail: where it cannot be written, is not sound, or could have been written by other users,
  // tensors are decoded as if there was none. More in pannier/loader.h, LoadOptions::cache_dir.
  const char* cache_dir;

  // Public keys (PEM texts, each ended by a zero byte), one of which must have signed the bundle; NULL: nobody needs to. SIGNATURE
  // when none has, DIGEST_MISMATCH when a byte is not as it was signed. All that is checked before any code of the library runs,
  // and what is used is what was checked; what that costs on which system: pannier/loader.h, LoadOptions::trusted_keys. Not NULL
  // with a count of 0, or together with cache_dir, is INVALID_ARGUMENT, as with pannier_find.
  const char* const* trusted_keys;
  size_t trusted_key_count;
  int trust;            // PANNIER_TRUST_*
  uint32_t reserved_2;  // 0
} pannier_load_options;

// clang-format off
#define PANNIER_LOAD_OPTIONS_INIT {sizeof(pannier_load_options), PANNIER_CHECK_STRUCTURE, 0, 0, 0, NULL, NULL, 0, PANNIER_TRUST_FILE, 0}
// clang-format on

// Loads the library with the OS's dynamic loader (its constructors run) and finds its artifacts in the mapped image. Takes no
// longer for a large payload than for a small one. `path` is a file, never searched for in the library path. Loading a path twice
// gives two bundles on one library, as dlopen does.
// IO, NOT_A_BUNDLE, MALFORMED, UNSUPPORTED, LOAD_FAILED (with the dynamic loader's own words), DIGEST_MISMATCH, SIGNATURE; LIMIT of
// what TVM exported.
PANNIER_API int pannier_load(const char* path, const pannier_load_options* options, pannier_bundle** bundle,
                             pannier_error* error) PANNIER_NOEXCEPT;

// Reads a bundle without running any of its code: any format on any OS.
// IO, NOT_A_BUNDLE, MALFORMED, UNSUPPORTED, DIGEST_MISMATCH, SIGNATURE, LIMIT; the same for the next two.
PANNIER_API int pannier_open(const char* path, const pannier_load_options* options, pannier_bundle** bundle,
                             pannier_error* error) PANNIER_NOEXCEPT;

// The same for a bundle inside an open file (an APK, an asset): `size` bytes from `offset`. The descriptor is not kept and may be
// closed.
PANNIER_API int pannier_open_fd(int file_descriptor, uint64_t offset, uint64_t size, const pannier_load_options* options,
                                pannier_bundle** bundle, pannier_error* error) PANNIER_NOEXCEPT;

// The same for bytes in memory, which are borrowed: they must outlive the bundle. Where they do not begin at a multiple of 64,
// tensors would not either, so they are copied.
PANNIER_API int pannier_open_memory(const void* bytes, size_t size, const pannier_load_options* options, pannier_bundle** bundle,
                                    pannier_error* error) PANNIER_NOEXCEPT;

// The bundle that holds `address`, for a library that was linked or loaded by others: any address of its code or data will do.
// Keeps the library loaded. NOT_FOUND when no loaded library holds the address; else as pannier_load.
PANNIER_API int pannier_find(const void* address, const pannier_load_options* options, pannier_bundle** bundle,
                             pannier_error* error) PANNIER_NOEXCEPT;

// One more reference, to be given back with pannier_bundle_free. Returns `bundle`; NULL for NULL.
PANNIER_API pannier_bundle* pannier_bundle_retain(pannier_bundle* bundle) PANNIER_NOEXCEPT;

// Gives a reference back; the last one unloads the library (its destructors run) and ends every pointer taken from the bundle. So
// code of the library must not be running then. Does nothing for NULL.
PANNIER_API void pannier_bundle_free(pannier_bundle* bundle) PANNIER_NOEXCEPT;

// The path it was loaded or opened from, ended by a zero byte; "" for a bundle opened from memory or by descriptor.
PANNIER_API int pannier_bundle_path(const pannier_bundle* bundle, const char** path, pannier_error* error) PANNIER_NOEXCEPT;

// The name by which the dynamic loader knows the library, for others that load it, too (TVM's load_module): the path, but with
// trusted keys the checked copy's; "" for a bundle whose code is not loaded. Ended by a zero byte.
PANNIER_API int pannier_bundle_library_path(const pannier_bundle* bundle, const char** path, pannier_error* error) PANNIER_NOEXCEPT;

// 1 when it comes from pannier_load or pannier_find, so that its code can be called; otherwise 0.
PANNIER_API int pannier_bundle_is_loaded(const pannier_bundle* bundle, int* is_loaded, pannier_error* error) PANNIER_NOEXCEPT;

// An SHA-256 as 64 lowercase hexadecimal digits and the zero byte; the zero byte alone where nobody made one: of what TVM's own
// export_library made (pannier_load).
#define PANNIER_SHA256_TEXT_SIZE 65

// The SHA-256 of what the OS maps of the host, into `text` of PANNIER_SHA256_TEXT_SIZE bytes; the same after strip.
PANNIER_API int pannier_bundle_image_digest(const pannier_bundle* bundle, char* text, pannier_error* error) PANNIER_NOEXCEPT;

// Checks every stored byte of the artifacts against its digest. DIGEST_MISMATCH names what differs;
// NOT_A_BUNDLE: there are no digests.
PANNIER_API int pannier_bundle_check_digests(const pannier_bundle* bundle, pannier_error* error) PANNIER_NOEXCEPT;

// An exported symbol of the library: a function or an object. NOT_FOUND; INVALID_ARGUMENT when the bundle's code is not loaded.
// ISO C has no cast from an object pointer to a function pointer; memcpy(&function, &address, sizeof(function)) is clean.
PANNIER_API int pannier_bundle_symbol(const pannier_bundle* bundle, const char* name, void** address,
                                      pannier_error* error) PANNIER_NOEXCEPT;

// TVM's calling convention for a compiled function (c_runtime_api.h, TVMBackendPackedCFunc): args and ret point to 8-byte TVMValue
// unions, a tensor argument is a DLTensor* with type code 7. 0 means success.
typedef int (*pannier_packed_c_func)(void* args, int* type_codes, int num_args, void* ret, int* ret_type_code, void* resource);

// ---- Artifacts ----

// The artifact `graph`, TVM's graph JSON; no zero byte follows it. NOT_FOUND when there is none, MALFORMED, DIGEST_MISMATCH,
// UNSUPPORTED.
PANNIER_API int pannier_graph_json(const pannier_bundle* bundle, const char** text, size_t* size,
                                   pannier_error* error) PANNIER_NOEXCEPT;

typedef struct pannier_artifact {
  size_t index;
  const char* name;  // no zero byte follows
  size_t name_length;
  size_t size;                            // of the original file
  size_t stored_bytes;                    // in the bundle
  char sha256[PANNIER_SHA256_TEXT_SIZE];  // of the original file
} pannier_artifact;

PANNIER_API int pannier_artifact_count(const pannier_bundle* bundle, size_t* count, pannier_error* error) PANNIER_NOEXCEPT;

// What the manifest says about an artifact; nothing is decoded. INVALID_ARGUMENT when `index` is not below the count.
PANNIER_API int pannier_artifact_by_index(const pannier_bundle* bundle, size_t index, pannier_artifact* artifact,
                                          pannier_error* error) PANNIER_NOEXCEPT;

// The same by name. NOT_FOUND.
PANNIER_API int pannier_artifact_by_name(const pannier_bundle* bundle, const char* name, pannier_artifact* artifact,
                                         pannier_error* error) PANNIER_NOEXCEPT;

// The original file's bytes: straight from the mapped file when stored whole without compression, otherwise decoded on the first
// call and kept. `params` is put together again byte for byte. For an empty artifact `*data` may be NULL. MALFORMED,
// DIGEST_MISMATCH; UNSUPPORTED when it is of a later version's kind or codec, or larger than this machine's memory can be.
PANNIER_API int pannier_artifact_bytes(const pannier_bundle* bundle, size_t index, const uint8_t** data, size_t* size,
                                       pannier_error* error) PANNIER_NOEXCEPT;

// ---- Tensors: the entries of the artifact `params`, in the .params file's order ----
// All that take a tensor's index or name, and pannier_tensor_count, also return NOT_FOUND when there are no params, and UNSUPPORTED
// when they are not TVM's .params, or a tensor is of a later version's codec.

// DLPack's DLDataType: code is kDLInt 0, kDLUInt 1, kDLFloat 2, kDLOpaqueHandle 3, kDLBfloat 4, ...
typedef struct pannier_data_type {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
} pannier_data_type;

// DLPack's DLDevice.
typedef struct pannier_device {
  int32_t device_type;
  int32_t device_id;
} pannier_device;

// DLPack's DLTensor: the same layout, so a pointer to one may be given where a DLTensor* is wanted. `data` is aligned to at least
// 64 bytes and must not be written to; `strides` is NULL (row-major, compact).
typedef struct pannier_dl_tensor {
  void* data;
  pannier_device device;
  int32_t ndim;
  pannier_data_type dtype;
  int64_t* shape;
  int64_t* strides;
  uint64_t byte_offset;
} pannier_dl_tensor;

typedef struct pannier_tensor {
  size_t index;
  const char* name;  // no zero byte follows
  size_t name_length;
  pannier_data_type dtype;
  pannier_device device;  // as the .params file says; the data is in host memory
  const int64_t* shape;   // `ndim` extents
  int32_t ndim;
  int is_zero_copy;     // 1: pannier_tensor_data points into the mapped file; 0: it decodes
  size_t nbytes;        // of the data
  size_t stored_bytes;  // in the bundle
} pannier_tensor;

PANNIER_API int pannier_tensor_count(const pannier_bundle* bundle, size_t* count, pannier_error* error) PANNIER_NOEXCEPT;

// What the manifest says about a tensor; nothing is decoded. INVALID_ARGUMENT when `index` is not below the count; MALFORMED,
// DIGEST_MISMATCH.
PANNIER_API int pannier_tensor_by_index(const pannier_bundle* bundle, size_t index, pannier_tensor* tensor,
                                        pannier_error* error) PANNIER_NOEXCEPT;

// The same by name. NOT_FOUND.
PANNIER_API int pannier_tensor_by_name(const pannier_bundle* bundle, const char* name, pannier_tensor* tensor,
                                       pannier_error* error) PANNIER_NOEXCEPT;

// The values, row-major, in this machine's byte order, aligned to at least 64 bytes. Straight from the mapped file when stored
// without compression; otherwise decoded on the first call, by several threads, and kept. MALFORMED, DIGEST_MISMATCH.
PANNIER_API int pannier_tensor_data(const pannier_bundle* bundle, size_t index, const void** data,
                                    pannier_error* error) PANNIER_NOEXCEPT;

// Decodes into the caller's memory, keeping nothing. `size` must be its nbytes (INVALID_ARGUMENT). MALFORMED, DIGEST_MISMATCH; the
// memory may have been written to then.
PANNIER_API int pannier_tensor_copy_to(const pannier_bundle* bundle, size_t index, void* destination, size_t size,
                                       pannier_error* error) PANNIER_NOEXCEPT;

// pannier_tensor_data and the shape as a DLTensor, on the CPU.
PANNIER_API int pannier_tensor_dl_tensor(const pannier_bundle* bundle, size_t index, pannier_dl_tensor* tensor,
                                         pannier_error* error) PANNIER_NOEXCEPT;

// The values in memory that may be written to, for runtimes that do. The first call makes it, all later ones on this bundle give
// the same, with what was written to it, until pannier_tensor_release_mutable or the last pannier_bundle_free. Nobody else sees the
// writes: not pannier_tensor_data, no other bundle or process, not the file. Of a zero-copy tensor, from 64 KiB on, it is another
// mapping of the bundle's file, whose pages stay shared until they are written to; where there is no such file any more (the bundle
// was opened from memory or by descriptor; the file was replaced, removed or written to since), and of all other tensors, a copy.
// MALFORMED, DIGEST_MISMATCH.
PANNIER_API int pannier_tensor_mutable_data(const pannier_bundle* bundle, size_t index, void** data,
                                            pannier_error* error) PANNIER_NOEXCEPT;

// pannier_tensor_mutable_data and the shape as a DLTensor, on the CPU.
PANNIER_API int pannier_tensor_mutable_dl_tensor(const pannier_bundle* bundle, size_t index, pannier_dl_tensor* tensor,
                                                 pannier_error* error) PANNIER_NOEXCEPT;

// Gives that memory back, with all that was written to it; the next call gives the bundle's values.
PANNIER_API int pannier_tensor_release_mutable(const pannier_bundle* bundle, size_t index, pannier_error* error) PANNIER_NOEXCEPT;

// Has the system read the tensor's stored bytes ahead, and returns at once. Only a hint: nothing when opened from memory.
PANNIER_API int pannier_tensor_prefetch(const pannier_bundle* bundle, size_t index, pannier_error* error) PANNIER_NOEXCEPT;

// Gives back the memory that pannier_tensor_data takes. What was decoded is freed: pointers to it end, and the next call decodes
// again. Of a tensor that is zero-copy, or comes from the cache, pages leave this process, but pointers stay valid: what is touched
// comes back from the file. Name, shape and pannier_tensor_mutable_data's memory stay in any case.
PANNIER_API int pannier_tensor_release(const pannier_bundle* bundle, size_t index, pannier_error* error) PANNIER_NOEXCEPT;

// Decodes all tensors now, by several threads, so that no later call does. With a cache_dir, makes the cache. Nothing when there
// are no params; UNSUPPORTED when they are not TVM's .params, MALFORMED, DIGEST_MISMATCH.
PANNIER_API int pannier_decode_all(const pannier_bundle* bundle, pannier_error* error) PANNIER_NOEXCEPT;

// pannier_tensor_prefetch of all tensors: all of params are read ahead. Nothing when there are none.
PANNIER_API int pannier_prefetch_all(const pannier_bundle* bundle, pannier_error* error) PANNIER_NOEXCEPT;

// pannier_tensor_release of all tensors. Graph, other artifacts and pannier_artifact_bytes stay. Nothing when there are no params.
PANNIER_API int pannier_release_all(const pannier_bundle* bundle, pannier_error* error) PANNIER_NOEXCEPT;

#define PANNIER_DATA_TYPE_NAME_SIZE 64

// TVM's spelling ("float32", "int8", "bfloat16", "float16x4") and a zero byte, into `text` of PANNIER_DATA_TYPE_NAME_SIZE bytes.
PANNIER_API int pannier_data_type_name(pannier_data_type dtype, char* text, pannier_error* error) PANNIER_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif  // PANNIER_PANNIER_H_
