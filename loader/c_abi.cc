// The C interface: each function of pannier.h as one call of the C++ interface, with exceptions turned into codes.
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <iterator>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "loader/bundle_impl.h"
#include "pannier/loader.h"
#include "pannier/pannier.h"
#include "src/text.h"

struct pannier_bundle {
  explicit pannier_bundle(pannier::Bundle from) : bundle(std::move(from)) {}

  const pannier::Bundle bundle;
  std::atomic<std::size_t> references{1};
};

namespace pannier {
namespace {

#define PANNIER_SAME_CODE_(c_code, code) static_assert((c_code) == static_cast<int>(ErrorCode::code), "the codes are one list")
PANNIER_SAME_CODE_(PANNIER_OK, kOk);
PANNIER_SAME_CODE_(PANNIER_ERROR_INVALID_ARGUMENT, kInvalidArgument);
PANNIER_SAME_CODE_(PANNIER_ERROR_IO, kIo);
PANNIER_SAME_CODE_(PANNIER_ERROR_NOT_A_BUNDLE, kNotABundle);
PANNIER_SAME_CODE_(PANNIER_ERROR_MALFORMED, kMalformed);
PANNIER_SAME_CODE_(PANNIER_ERROR_UNSUPPORTED, kUnsupported);
PANNIER_SAME_CODE_(PANNIER_ERROR_NOT_FOUND, kNotFound);
PANNIER_SAME_CODE_(PANNIER_ERROR_DIGEST_MISMATCH, kDigestMismatch);
PANNIER_SAME_CODE_(PANNIER_ERROR_ALREADY_BUNDLE, kAlreadyBundle);
PANNIER_SAME_CODE_(PANNIER_ERROR_HOST_CHANGED, kHostChanged);
PANNIER_SAME_CODE_(PANNIER_ERROR_LIMIT, kLimit);
PANNIER_SAME_CODE_(PANNIER_ERROR_LOAD_FAILED, kLoadFailed);
PANNIER_SAME_CODE_(PANNIER_ERROR_NO_MEMORY, kNoMemory);
PANNIER_SAME_CODE_(PANNIER_ERROR_SIGNATURE, kSignature);

static_assert(sizeof(pannier_dl_tensor) == sizeof(DlTensor) && alignof(pannier_dl_tensor) == alignof(DlTensor));
static_assert(offsetof(pannier_dl_tensor, device) == offsetof(DlTensor, device));
static_assert(offsetof(pannier_dl_tensor, ndim) == offsetof(DlTensor, ndim));
static_assert(offsetof(pannier_dl_tensor, dtype) == offsetof(DlTensor, dtype));
static_assert(offsetof(pannier_dl_tensor, shape) == offsetof(DlTensor, shape));
static_assert(offsetof(pannier_dl_tensor, strides) == offsetof(DlTensor, strides));
static_assert(offsetof(pannier_dl_tensor, byte_offset) == offsetof(DlTensor, byte_offset));

// No padding at the end: a field that comes later must change the size.
static_assert(sizeof(pannier_load_options) == offsetof(pannier_load_options, reserved_2) + sizeof(std::uint32_t));

// The struct as it was before fields were added at its end.
constexpr std::size_t kOlderOptionsSizes[] = {offsetof(pannier_load_options, cache_dir),
                                              offsetof(pannier_load_options, trusted_keys)};

// Far above any size the struct will have: what is larger was never initialised.
constexpr std::size_t kMaxOptionsSize = 4096;

int Report(pannier_error* error, ErrorCode code, std::string_view message) noexcept {
  if (error != nullptr) {
    std::size_t size = std::min<std::size_t>(message.size(), PANNIER_ERROR_MESSAGE_SIZE - 1);
    // Not within a UTF-8 sequence.
    while (size != 0 && size != message.size() && (static_cast<unsigned char>(message[size]) & 0xC0) == 0x80) --size;
    error->code = static_cast<int>(code);
    if (size != 0) std::memcpy(error->message, message.data(), size);
    error->message[size] = '\0';
  }
  return static_cast<int>(code);
}

template <typename Body>
int Guard(pannier_error* error, const Body& body) noexcept {
  try {
    body();
    return Report(error, ErrorCode::kOk, "");
  } catch (const Error& caught) {
    return Report(error, caught.code(), caught.what());
  } catch (const std::bad_alloc&) {
    return Report(error, ErrorCode::kNoMemory, "out of memory");
  } catch (const std::length_error&) {  // a container's way to say so
    return Report(error, ErrorCode::kNoMemory, "out of memory");
  } catch (const std::exception& caught) {  // std::system_error: a thread or a lock the system refused
    return Report(error, ErrorCode::kIo, caught.what());
  } catch (...) {
    return Report(error, ErrorCode::kIo, "unknown exception");
  }
}

void RequireNotNull(const void* pointer, const char* what) {
  if (pointer == nullptr) throw Error(ErrorCode::kInvalidArgument, StrCat(what, ": found a null pointer"));
}

const Bundle& Get(const pannier_bundle* bundle) {
  RequireNotNull(bundle, "bundle");
  return bundle->bundle;
}

void RequireBelow(std::size_t index, std::size_t count, const char* what, const Bundle& bundle) {
  if (index < count) return;
  ThrowError({ErrorCode::kInvalidArgument, StrCat(what, " index: found ", index, ", expected below ", count)}, bundle.path());
}

// The caller's struct in today's form.
pannier_load_options Completed(const pannier_load_options& given) {
  const bool is_older =
      std::find(std::begin(kOlderOptionsSizes), std::end(kOlderOptionsSizes), given.struct_size) != std::end(kOlderOptionsSizes);
  if (!is_older && (given.struct_size < sizeof(given) || given.struct_size > kMaxOptionsSize)) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat("options: struct_size: found ", given.struct_size, ", expected ", sizeof(given)));
  }
  pannier_load_options options = PANNIER_LOAD_OPTIONS_INIT;
  std::memcpy(&options, &given, std::min(given.struct_size, sizeof(options)));
  const auto* bytes = reinterpret_cast<const unsigned char*>(&given);
  const bool is_newer = given.struct_size > sizeof(options) && std::any_of(bytes + sizeof(options), bytes + given.struct_size,
                                                                           [](unsigned char byte) { return byte != 0; });
  if (options.reserved != 0 || options.reserved_2 != 0 || is_newer)
    throw Error(ErrorCode::kUnsupported, "options: found a field that this version does not know, expected zero");
  return options;
}

std::vector<std::string> GetKeys(const pannier_load_options& given) {
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < given.trusted_key_count; ++i) {
    if (given.trusted_keys[i] == nullptr)
      throw Error(ErrorCode::kInvalidArgument, StrCat("options: trusted_keys: found a null pointer at ", i));
    keys.emplace_back(given.trusted_keys[i]);
  }
  return keys;
}

LoadOptions GetOptions(const pannier_load_options* from) {
  if (from == nullptr) return {};
  const pannier_load_options given = Completed(*from);
  LoadOptions options;
  switch (given.check) {
    case PANNIER_CHECK_STRUCTURE:
      options.check = Check::kStructure;
      break;
    case PANNIER_CHECK_LAZY:
      options.check = Check::kLazy;
      break;
    case PANNIER_CHECK_FULL:
      options.check = Check::kFull;
      break;
    case PANNIER_CHECK_OFF:
      options.check = Check::kOff;
      break;
    default:
      throw Error(ErrorCode::kInvalidArgument, StrCat("options: check: found ", given.check, ", expected 0 to 3"));
  }
  options.threads = given.threads;
  options.global_symbols = given.global_symbols != 0;
  if (given.cache_dir != nullptr) options.cache_dir = given.cache_dir;
  if (given.trusted_keys != nullptr) options.trusted_keys = GetKeys(given);
  if (given.trusted_keys == nullptr && given.trusted_key_count != 0)
    throw Error(ErrorCode::kInvalidArgument,
                "options: trusted_keys: found a null pointer, expected as many keys as trusted_key_count");
  if (given.trust != PANNIER_TRUST_FILE && given.trust != PANNIER_TRUST_IMAGE)
    throw Error(ErrorCode::kInvalidArgument, StrCat("options: trust: found ", given.trust, ", expected 0 or 1"));
  options.trust = given.trust == PANNIER_TRUST_IMAGE ? Trust::kImage : Trust::kFile;
  return options;
}

template <typename Make>
int MakeBundle(pannier_bundle** out, pannier_error* error, const Make& make) noexcept {
  if (out != nullptr) *out = nullptr;
  return Guard(error, [&] {
    RequireNotNull(out, "bundle");
    *out = new pannier_bundle(make());
  });
}

void CopyDigest(const std::string& digest, char* text) {
  if (!digest.empty() && digest.size() != PANNIER_SHA256_TEXT_SIZE - 1)
    throw Error(ErrorCode::kMalformed, "digest: found no SHA-256");
  std::memcpy(text, digest.c_str(), digest.size() + 1);
}

void Fill(const ArtifactView& view, std::size_t index, pannier_artifact* out) {
  pannier_artifact artifact{};
  artifact.index = index;
  artifact.name = view.name().data();
  artifact.name_length = view.name().size();
  artifact.size = view.size();
  artifact.stored_bytes = view.stored_bytes();
  CopyDigest(view.sha256(), artifact.sha256);
  *out = artifact;
}

pannier_data_type ToC(DataType dtype) { return {dtype.code, dtype.bits, dtype.lanes}; }
pannier_device ToC(Device device) { return {device.device_type, device.device_id}; }

void Fill(const TensorView& view, std::size_t index, pannier_tensor* out) {
  pannier_tensor tensor{};
  tensor.index = index;
  tensor.name = view.name().data();
  tensor.name_length = view.name().size();
  tensor.dtype = ToC(view.dtype());
  tensor.device = ToC(view.device());
  tensor.shape = view.shape().data();
  tensor.ndim = static_cast<std::int32_t>(view.shape().size());
  tensor.is_zero_copy = view.is_zero_copy() ? 1 : 0;
  tensor.nbytes = view.nbytes();
  tensor.stored_bytes = view.stored_bytes();
  *out = tensor;
}

TensorView TensorAt(const pannier_bundle* bundle, std::size_t index) {
  const TensorList params = Get(bundle).params();
  RequireBelow(index, params.size(), "tensor", bundle->bundle);
  return params[index];
}

ArtifactView ArtifactAt(const pannier_bundle* bundle, std::size_t index) {
  const Bundle& from = Get(bundle);
  RequireBelow(index, from.artifact_count(), "artifact", from);
  return from.artifact_at(index);
}

}  // namespace
}  // namespace pannier

using pannier::Get;
using pannier::Guard;
using pannier::MakeBundle;
using pannier::RequireNotNull;

const char* pannier_error_text(int code) noexcept { return pannier::ErrorCodeText(static_cast<pannier::ErrorCode>(code)); }

const char* pannier_version(void) noexcept {
#ifdef PANNIER_VERSION
  static_assert(std::string_view(PANNIER_VERSION) == PANNIER_VERSION_STRING, "the project's version and pannier.h's are one");
#endif
  return PANNIER_VERSION_STRING;
}

int pannier_load(const char* path, const pannier_load_options* options, pannier_bundle** bundle, pannier_error* error) noexcept {
  return MakeBundle(bundle, error, [&] {
    RequireNotNull(path, "path");
    return pannier::LoadBundle(path, pannier::GetOptions(options));
  });
}

int pannier_open(const char* path, const pannier_load_options* options, pannier_bundle** bundle, pannier_error* error) noexcept {
  return MakeBundle(bundle, error, [&] {
    RequireNotNull(path, "path");
    return pannier::OpenBundle(std::string(path), pannier::GetOptions(options));
  });
}

int pannier_open_fd(int file_descriptor, uint64_t offset, uint64_t size, const pannier_load_options* options,
                    pannier_bundle** bundle, pannier_error* error) noexcept {
  return MakeBundle(bundle, error,
                    [&] { return pannier::OpenBundle(file_descriptor, offset, size, pannier::GetOptions(options)); });
}

int pannier_open_memory(const void* bytes, size_t size, const pannier_load_options* options, pannier_bundle** bundle,
                        pannier_error* error) noexcept {
  return MakeBundle(bundle, error, [&] {
    RequireNotNull(bytes, "bytes");
    return pannier::OpenBundle(bytes, size, pannier::GetOptions(options));
  });
}

int pannier_find(const void* address, const pannier_load_options* options, pannier_bundle** bundle, pannier_error* error) noexcept {
  return MakeBundle(bundle, error, [&] {
    RequireNotNull(address, "address");
    return pannier::FindBundle(address, pannier::GetOptions(options));
  });
}

pannier_bundle* pannier_bundle_retain(pannier_bundle* bundle) noexcept {
  if (bundle != nullptr) bundle->references.fetch_add(1, std::memory_order_relaxed);
  return bundle;
}

void pannier_bundle_free(pannier_bundle* bundle) noexcept {
  // Whoever is last must see what the others did with the bundle before it goes.
  if (bundle != nullptr && bundle->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete bundle;
}

int pannier_bundle_path(const pannier_bundle* bundle, const char** path, pannier_error* error) noexcept {
  return Guard(error, [&] {
    const pannier::Bundle& from = Get(bundle);
    RequireNotNull(path, "path");
    *path = from.path().c_str();
  });
}

int pannier_bundle_library_path(const pannier_bundle* bundle, const char** path, pannier_error* error) noexcept {
  return Guard(error, [&] {
    const pannier::Bundle& from = Get(bundle);
    RequireNotNull(path, "path");
    *path = from.library_path().c_str();
  });
}

int pannier_bundle_is_loaded(const pannier_bundle* bundle, int* is_loaded, pannier_error* error) noexcept {
  return Guard(error, [&] {
    const pannier::Bundle& from = Get(bundle);
    RequireNotNull(is_loaded, "is_loaded");
    *is_loaded = from.is_loaded() ? 1 : 0;
  });
}

int pannier_bundle_image_digest(const pannier_bundle* bundle, char* text, pannier_error* error) noexcept {
  return Guard(error, [&] {
    const pannier::Bundle& from = Get(bundle);
    RequireNotNull(text, "text");
    pannier::CopyDigest(from.image_digest(), text);
  });
}

int pannier_bundle_check_digests(const pannier_bundle* bundle, pannier_error* error) noexcept {
  return Guard(error, [&] { Get(bundle).CheckDigests(); });
}

int pannier_bundle_symbol(const pannier_bundle* bundle, const char* name, void** address, pannier_error* error) noexcept {
  return Guard(error, [&] {
    const pannier::Bundle& from = Get(bundle);
    RequireNotNull(name, "name");
    RequireNotNull(address, "address");
    *address = from.symbol<void>(name);
  });
}

int pannier_graph_json(const pannier_bundle* bundle, const char** text, size_t* size, pannier_error* error) noexcept {
  return Guard(error, [&] {
    const pannier::Bundle& from = Get(bundle);
    RequireNotNull(text, "text");
    RequireNotNull(size, "size");
    const std::string_view graph = from.graph_json();
    *text = graph.data();
    *size = graph.size();
  });
}

int pannier_artifact_count(const pannier_bundle* bundle, size_t* count, pannier_error* error) noexcept {
  return Guard(error, [&] {
    const pannier::Bundle& from = Get(bundle);
    RequireNotNull(count, "count");
    *count = from.artifact_count();
  });
}

int pannier_artifact_by_index(const pannier_bundle* bundle, size_t index, pannier_artifact* artifact,
                              pannier_error* error) noexcept {
  return Guard(error, [&] {
    const pannier::ArtifactView from = pannier::ArtifactAt(bundle, index);
    RequireNotNull(artifact, "artifact");
    pannier::Fill(from, index, artifact);
  });
}

int pannier_artifact_by_name(const pannier_bundle* bundle, const char* name, pannier_artifact* artifact,
                             pannier_error* error) noexcept {
  return Guard(error, [&] {
    const pannier::Bundle& from = Get(bundle);
    RequireNotNull(name, "name");
    RequireNotNull(artifact, "artifact");
    const pannier::ArtifactView view = from.artifact(name);  // throws when there is none
    pannier::Fill(view, *from.impl()->reader().FindArtifact(name), artifact);
  });
}

int pannier_artifact_bytes(const pannier_bundle* bundle, size_t index, const uint8_t** data, size_t* size,
                           pannier_error* error) noexcept {
  return Guard(error, [&] {
    const pannier::ArtifactView from = pannier::ArtifactAt(bundle, index);
    RequireNotNull(data, "data");
    RequireNotNull(size, "size");
    const pannier::ArrayView<std::uint8_t> bytes = from.bytes();
    *data = bytes.data();
    *size = bytes.size();
  });
}

int pannier_tensor_count(const pannier_bundle* bundle, size_t* count, pannier_error* error) noexcept {
  return Guard(error, [&] {
    const pannier::Bundle& from = Get(bundle);
    RequireNotNull(count, "count");
    *count = from.params().size();
  });
}

int pannier_tensor_by_index(const pannier_bundle* bundle, size_t index, pannier_tensor* tensor, pannier_error* error) noexcept {
  return Guard(error, [&] {
    const pannier::TensorView from = pannier::TensorAt(bundle, index);
    RequireNotNull(tensor, "tensor");
    pannier::Fill(from, index, tensor);
  });
}

int pannier_tensor_by_name(const pannier_bundle* bundle, const char* name, pannier_tensor* tensor, pannier_error* error) noexcept {
  return Guard(error, [&] {
    const pannier::Bundle& from = Get(bundle);
    RequireNotNull(name, "name");
    RequireNotNull(tensor, "tensor");
    const pannier::TensorView view = from.params().at(name);  // throws when there is none
    pannier::Fill(view, *(*from.impl()->Tensors())->Find(name), tensor);
  });
}

int pannier_tensor_data(const pannier_bundle* bundle, size_t index, const void** data, pannier_error* error) noexcept {
  return Guard(error, [&] {
    const pannier::TensorView from = pannier::TensorAt(bundle, index);
    RequireNotNull(data, "data");
    *data = from.data();
  });
}

int pannier_tensor_copy_to(const pannier_bundle* bundle, size_t index, void* destination, size_t size,
                           pannier_error* error) noexcept {
  return Guard(error, [&] {
    const pannier::TensorView from = pannier::TensorAt(bundle, index);
    if (size != 0) RequireNotNull(destination, "destination");
    from.CopyTo(destination, size);
  });
}

int pannier_tensor_dl_tensor(const pannier_bundle* bundle, size_t index, pannier_dl_tensor* tensor, pannier_error* error) noexcept {
  return Guard(error, [&] {
    const pannier::TensorView from = pannier::TensorAt(bundle, index);
    RequireNotNull(tensor, "tensor");
    *tensor = from.dl_tensor().As<pannier_dl_tensor>();
  });
}

int pannier_tensor_mutable_data(const pannier_bundle* bundle, size_t index, void** data, pannier_error* error) noexcept {
  return Guard(error, [&] {
    const pannier::TensorView from = pannier::TensorAt(bundle, index);
    RequireNotNull(data, "data");
    *data = from.mutable_data();
  });
}

int pannier_tensor_mutable_dl_tensor(const pannier_bundle* bundle, size_t index, pannier_dl_tensor* tensor,
                                     pannier_error* error) noexcept {
  return Guard(error, [&] {
    const pannier::TensorView from = pannier::TensorAt(bundle, index);
    RequireNotNull(tensor, "tensor");
    *tensor = from.mutable_dl_tensor().As<pannier_dl_tensor>();
  });
}

int pannier_tensor_release_mutable(const pannier_bundle* bundle, size_t index, pannier_error* error) noexcept {
  return Guard(error, [&] { pannier::TensorAt(bundle, index).ReleaseMutable(); });
}

int pannier_tensor_prefetch(const pannier_bundle* bundle, size_t index, pannier_error* error) noexcept {
  return Guard(error, [&] { pannier::TensorAt(bundle, index).Prefetch(); });
}

int pannier_tensor_release(const pannier_bundle* bundle, size_t index, pannier_error* error) noexcept {
  return Guard(error, [&] { pannier::TensorAt(bundle, index).Release(); });
}

int pannier_prefetch_all(const pannier_bundle* bundle, pannier_error* error) noexcept {
  return Guard(error, [&] { Get(bundle).Prefetch(); });
}

int pannier_release_all(const pannier_bundle* bundle, pannier_error* error) noexcept {
  return Guard(error, [&] { Get(bundle).Release(); });
}

int pannier_decode_all(const pannier_bundle* bundle, pannier_error* error) noexcept {
  return Guard(error, [&] { Get(bundle).DecodeAll(); });
}

int pannier_data_type_name(pannier_data_type dtype, char* text, pannier_error* error) noexcept {
  return Guard(error, [&] {
    RequireNotNull(text, "text");
    const std::string name = pannier::DataTypeName({dtype.code, dtype.bits, dtype.lanes});
    if (name.size() >= PANNIER_DATA_TYPE_NAME_SIZE)
      throw pannier::Error(pannier::ErrorCode::kLimit, "data type: found a longer name");
    std::memcpy(text, name.c_str(), name.size() + 1);
  });
}
