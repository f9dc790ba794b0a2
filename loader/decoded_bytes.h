// DecodedBytes: memory that decoded bytes live in, aligned to 64 bytes, nothing else before or behind.
#ifndef PANNIER_LOADER_DECODED_BYTES_H_
#define PANNIER_LOADER_DECODED_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#include "src/bytes.h"
#include "src/pages.h"
#include "src/result.h"
#include "src/text.h"

namespace pannier {

inline constexpr std::size_t kDataAlignment = 64;

// Where `size` decoded bytes are put behind others that end at `end`: large ones on pages of their own, which can be given back and
// read ahead apart from others'.
inline std::uint64_t PlaceBehind(std::uint64_t end, std::uint64_t size) {
  constexpr std::uint64_t kLeastSizeOnPages = 64 << 10;
  constexpr std::uint64_t kPage = 4096;
  return AlignUp(end, size >= kLeastSizeOnPages ? kPage : kDataAlignment);
}

class DecodedBytes {
 public:
  static Result<DecodedBytes> Allocate(std::uint64_t size) {
    DecodedBytes bytes;
    if (size >= kLeastPageBlock && size <= SIZE_MAX) {
      const auto block = static_cast<std::size_t>(size);
      bytes.data_ = {static_cast<std::uint8_t*>(AllocatePages(block)), Free{block}};
    } else if (size < kLeastPageBlock) {
      void* const block = ::operator new(static_cast<std::size_t>(size), std::align_val_t(kDataAlignment), std::nothrow);
      bytes.data_ = {static_cast<std::uint8_t*>(block), Free{}};
    }
    if (bytes.data_ == nullptr) return {ErrorCode::kNoMemory, StrCat("cannot allocate ", size, " bytes")};
    return bytes;
  }

  std::uint8_t* data() const { return data_.get(); }

  // What of `part` can be given back before the rest is given back now; it must not be touched any more.
  void Discard(const std::uint8_t* part, std::uint64_t size) const {
    if (data_.get_deleter().page_block != 0) DiscardPages(data() + (part - data()), static_cast<std::size_t>(size));
  }

 private:
  struct Free {
    std::size_t page_block;  // its size, when it is made of pages of its own; else 0

    void operator()(std::uint8_t* bytes) const {
      if (page_block != 0) {
        FreePages(bytes, page_block);
      } else {
        ::operator delete(bytes, std::align_val_t(kDataAlignment));
      }
    }
  };
  std::unique_ptr<std::uint8_t, Free> data_;
};

}  // namespace pannier

#endif  // PANNIER_LOADER_DECODED_BYTES_H_
