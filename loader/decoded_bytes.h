// DecodedBytes: memory that decoded bytes live in, aligned to 64 bytes, nothing else before or behind.
#ifndef PANNIER_LOADER_DECODED_BYTES_H_
#define PANNIER_LOADER_DECODED_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "src/pages.h"
#include "src/result.h"
#include "src/text.h"

namespace pannier {

inline constexpr std::size_t kDataAlignment = 64;

class DecodedBytes {
 public:
  static Result<DecodedBytes> Allocate(std::uint64_t size) {
    DecodedBytes bytes;
    if (size >= kLeastPageBlock && size <= SIZE_MAX) {
      bytes.data_ = static_cast<std::uint8_t*>(AllocatePages(static_cast<std::size_t>(size)));
      if (bytes.data_ != nullptr) bytes.page_block_ = static_cast<std::size_t>(size);
    }
    if (bytes.data_ == nullptr && size <= SIZE_MAX) {
      bytes.data_ = static_cast<std::uint8_t*>(
          ::operator new(static_cast<std::size_t>(size), std::align_val_t(kDataAlignment), std::nothrow));
    }
    if (bytes.data_ == nullptr) return {ErrorCode::kNoMemory, StrCat("cannot allocate ", size, " bytes")};
    return bytes;
  }

  DecodedBytes() = default;
  DecodedBytes(DecodedBytes&& other) noexcept { *this = std::move(other); }
  DecodedBytes& operator=(DecodedBytes&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(page_block_, other.page_block_);
    return *this;
  }
  DecodedBytes(const DecodedBytes&) = delete;
  DecodedBytes& operator=(const DecodedBytes&) = delete;
  ~DecodedBytes() {
    if (page_block_ != 0) {
      FreePages(data_, page_block_);
    } else if (data_ != nullptr) {
      ::operator delete(data_, std::align_val_t(kDataAlignment));
    }
  }

  std::uint8_t* data() const { return data_; }

  // What of `part` can be given back before the rest is given back now; it must not be touched any more.
  void Discard(const std::uint8_t* part, std::uint64_t size) const {
    if (page_block_ != 0) DiscardPages(data_ + (part - data_), static_cast<std::size_t>(size));
  }

 private:
  std::uint8_t* data_ = nullptr;
  std::size_t page_block_ = 0;  // its size, when it is made of pages of its own
};

}  // namespace pannier

#endif  // PANNIER_LOADER_DECODED_BYTES_H_
