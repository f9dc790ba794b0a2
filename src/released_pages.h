// ReleasedPages: gives a mapped file's pages back behind somebody who reads it from front to back, in large steps.
#ifndef PANNIER_SRC_RELEASED_PAGES_H_
#define PANNIER_SRC_RELEASED_PAGES_H_

#include <cstddef>
#include <cstdint>

#include "src/bytes.h"
#include "src/mapped_file.h"

namespace pannier {

class ReleasedPages {
 public:
  explicit ReleasedPages(const MappedFile& file) : file_(file) {}

  void Read(ByteView bytes) {
    if (begin_ == nullptr || bytes.begin() < begin_) begin_ = bytes.begin();
    const auto size = static_cast<std::size_t>(bytes.end() - begin_);
    if (size < kStep) return;
    file_.Release(ByteView(begin_, size));
    begin_ = bytes.end();
  }

 private:
  static constexpr std::size_t kStep = 2 << 20;  // each time interrupts all processors that this process runs on

  const MappedFile& file_;
  const std::uint8_t* begin_ = nullptr;
};

}  // namespace pannier

#endif  // PANNIER_SRC_RELEASED_PAGES_H_
