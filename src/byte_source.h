// ByteSource: bytes read at offsets (a file, memory), for inputs too large to hold.
#ifndef PANNIER_SRC_BYTE_SOURCE_H_
#define PANNIER_SRC_BYTE_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "src/bytes.h"
#include "src/result.h"
#include "src/text.h"

namespace pannier {

// ReadAt may be called from several threads at a time.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual std::uint64_t size() const = 0;
  // Fills all of `out`, or says why not; a range beyond size() is an error.
  virtual Status ReadAt(std::uint64_t offset, void* out, std::size_t size) const = 0;
};

// Borrows the bytes.
class MemorySource : public ByteSource {
 public:
  explicit MemorySource(ByteView bytes) : bytes_(bytes) {}
  std::uint64_t size() const override { return bytes_.size(); }
  Status ReadAt(std::uint64_t offset, void* out, std::size_t size) const override {
    auto range = bytes_.Slice(offset, size);
    if (!range)
      return {ErrorCode::kMalformed,
              StrCat("read of ", size, " bytes at ", Hex(offset), ": found ", bytes_.size(), " bytes in all")};
    if (size != 0) std::memcpy(out, range->data(), size);
    return {};
  }

 private:
  ByteView bytes_;
};

}  // namespace pannier

#endif  // PANNIER_SRC_BYTE_SOURCE_H_
