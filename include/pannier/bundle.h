// Bundle: a library's artifacts (graph, params, others) as views.
//
// Ownership: a Bundle is a shared handle. The library stays loaded, the file mapped and every decoded byte in memory until the last
// copy of the handle is gone, or until Release(). Every view taken from it (string_view, ArrayView, TensorView, ArtifactView,
// symbols) borrows and must not outlive the last handle.
//
// Threads: everything here may be called from several threads at a time on one handle. Who releases knows that nobody uses what
// goes.
//
// Errors: functions throw pannier::Error with the codes named beside them; those of a tensor may also find its records wrong
// (kMalformed). std::bad_alloc where memory is short for anything but content.
#ifndef PANNIER_BUNDLE_H_
#define PANNIER_BUNDLE_H_

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "pannier/error.h"
#include "pannier/export.h"
#include "pannier/tensor.h"

namespace pannier {

class BundleImpl;

// One entry of params. Cheap to copy.
class PANNIER_API TensorView {
 public:
  std::string_view name() const;
  DataType dtype() const;
  ArrayView<std::int64_t> shape() const;
  std::size_t nbytes() const;
  Device device() const;  // as the .params file says; the data is in host memory

  // The values, row-major, in this machine's byte order, aligned to at least 64 bytes. Straight from the mapped file when stored
  // without compression (is_zero_copy()); otherwise from the cache (LoadOptions::cache_dir), or decoded on the first call, by
  // several threads, and kept until Release() or until the Bundle goes. kMalformed, kDigestMismatch, kNoMemory; kUnsupported when
  // it is of a later version's codec.
  const void* data() const;
  bool is_zero_copy() const;
  std::size_t stored_bytes() const;

  // Decodes into the caller's memory, keeping nothing. `size` must be nbytes() (kInvalidArgument). Else as data(); the memory may
  // have been written to then.
  void CopyTo(void* destination, std::size_t size) const;

  // data() and shape() as a DLTensor, on the CPU: both borrowed, with data()'s errors.
  DlTensor dl_tensor() const;

  // The values in memory that may be written to, for runtimes that do. The first call makes it, all later ones (on copies of the
  // handle, too) give the same, with what was written to it: until ReleaseMutable(), or until the Bundle goes. Nobody else sees the
  // writes: not data(), no other handle, no other process, not the file.
  //
  // Of a tensor that is_zero_copy(), from 64 KiB on, it is another mapping of the bundle's file: pages that are not written to stay
  // shared with all who have mapped it. Where there is no such file any more (the bundle was opened from memory or by descriptor,
  // the file was replaced, removed or written to since), and of all other tensors, it is a copy.
  // Errors as data().
  void* mutable_data() const;
  DlTensor mutable_dl_tensor() const;  // as dl_tensor()
  // Gives it back, with all that was written to it. Pointers from mutable_data() end; the next call gives the bundle's values.
  void ReleaseMutable() const;

  // Has the system read the tensor's stored bytes ahead, and returns at once. Only a hint: nothing when opened from memory.
  void Prefetch() const;

  // Gives back the memory that data() takes. What was decoded is freed: pointers from data() and dl_tensor() end, and the next call
  // decodes again. Of a tensor that is_zero_copy(), or comes from the cache, pages leave this process, but pointers stay valid:
  // what is touched comes back from the file. Name, shape and mutable_data() stay in any case.
  void Release() const;

 private:
  friend class TensorList;
  TensorView(const BundleImpl* bundle, std::size_t index) : bundle_(bundle), index_(index) {}

  const BundleImpl* bundle_;
  std::size_t index_;
};

// The tensors of params, in the .params file's order.
class PANNIER_API TensorList {
 public:
  // Of views that are made on the way, hence an input iterator, though it may be copied and compared at will.
  class Iterator {
   public:
    // NOLINTBEGIN(readability-identifier-naming): std::iterator_traits has these names
    using iterator_category = std::input_iterator_tag;
    using value_type = TensorView;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = TensorView;
    // NOLINTEND(readability-identifier-naming)

    TensorView operator*() const { return {bundle_, index_}; }
    Iterator& operator++() {
      ++index_;
      return *this;
    }
    Iterator operator++(int) {
      const Iterator before = *this;
      ++index_;
      return before;
    }
    friend bool operator!=(const Iterator& a, const Iterator& b) { return a.index_ != b.index_; }
    friend bool operator==(const Iterator& a, const Iterator& b) { return a.index_ == b.index_; }

   private:
    friend class TensorList;
    Iterator(const BundleImpl* bundle, std::size_t index) : bundle_(bundle), index_(index) {}

    const BundleImpl* bundle_;
    std::size_t index_;
  };

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  TensorView operator[](std::size_t index) const { return {bundle_, index}; }  // index < size(), which is not checked
  Iterator begin() const { return {bundle_, 0}; }
  Iterator end() const { return {bundle_, size_}; }

  TensorView at(std::string_view name) const;  // kNotFound
  bool contains(std::string_view name) const;

 private:
  friend class Bundle;
  TensorList(const BundleImpl* bundle, std::size_t size) : bundle_(bundle), size_(size) {}

  const BundleImpl* bundle_;
  std::size_t size_;
};

// A named payload. Cheap to copy.
class PANNIER_API ArtifactView {
 public:
  std::string_view name() const;
  std::size_t size() const;          // of the original file
  std::size_t stored_bytes() const;  // in the bundle
  std::string sha256() const;        // of the original file, 64 hexadecimal digits; "" of what TVM exported (loader.h)

  // The original file's bytes: straight from the mapped file when stored whole without compression, otherwise decoded on the first
  // call and kept. `params` is put together again byte for byte. kMalformed, kDigestMismatch, kNoMemory; kUnsupported when it is of
  // a later version's kind or codec, or larger than this machine's memory can be.
  ArrayView<std::uint8_t> bytes() const;

 private:
  friend class Bundle;
  ArtifactView(const BundleImpl* bundle, std::size_t index) : bundle_(bundle), index_(index) {}

  const BundleImpl* bundle_;
  std::size_t index_;
};

class PANNIER_API Bundle {
 public:
  // kNotFound when there is no graph; else as ArtifactView::bytes().
  std::string_view graph_json() const;

  // kNotFound when there are none; kUnsupported when they are not TVM's .params; kMalformed, kDigestMismatch of their table.
  TensorList params() const;

  ArtifactView artifact(std::string_view name) const;  // kNotFound
  bool has_artifact(std::string_view name) const;
  std::size_t artifact_count() const;
  ArtifactView artifact_at(std::size_t index) const;  // index < artifact_count(), which is not checked

  // Decodes all tensors now, by several threads, so that no later call does. With LoadOptions::cache_dir, makes the cache. Nothing
  // when there are no params; kUnsupported when they are not TVM's .params; else as TensorView::data().
  void DecodeAll() const;

  // TensorView::Prefetch() of all tensors: all of params are read ahead. Nothing when there are none.
  void Prefetch() const;

  // TensorView::Release() of all tensors. Graph, other artifacts and ArtifactView::bytes() stay.
  void Release() const;

  // Checks every stored byte of the artifacts against its digest: kDigestMismatch names what differs. kNotABundle: there are no
  // digests, as it is what TVM exported.
  void CheckDigests() const;

  const std::string& path() const;  // "" for a bundle opened from memory or by descriptor
  bool is_loaded() const;           // by LoadBundle or FindBundle: its code can be called

  // The name by which the dynamic loader knows the library, for others that load it, too (TVM's load_module): path(), but for a
  // bundle that was loaded with trusted keys the checked copy's. "" unless is_loaded().
  const std::string& library_path() const;

  // SHA-256 of what the OS maps of the host; the same after strip. "" of what TVM exported.
  std::string image_digest() const;

  // An exported symbol of the library: its address, or null when there is none. kInvalidArgument unless is_loaded().
  void* FindSymbol(const char* name) const;

  // An exported symbol as a T: a function type gives a function pointer, an object type a pointer to it. kNotFound.
  template <typename T>
  T* symbol(const char* name) const {
    return reinterpret_cast<T*>(RequireSymbol(name));
  }

  // For the interfaces built on top of this one; null only in a moved-from handle.
  const std::shared_ptr<const BundleImpl>& impl() const { return impl_; }
  explicit Bundle(std::shared_ptr<const BundleImpl> impl) : impl_(std::move(impl)) {}

 private:
  void* RequireSymbol(const char* name) const;

  std::shared_ptr<const BundleImpl> impl_;
};

// TVM's calling convention for a compiled function (c_runtime_api.h, TVMBackendPackedCFunc): args and ret point to 8-byte TVMValue
// unions, a tensor argument is a DLTensor* with type code 7. 0 means success.
using PackedCFunc = int(void* args, int* type_codes, int num_args, void* ret, int* ret_type_code, void* resource);

}  // namespace pannier

#endif  // PANNIER_BUNDLE_H_
