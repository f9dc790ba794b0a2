// Pages: what the operating system is asked about memory: large blocks of its own, reading ahead, pages given back.
#ifndef PANNIER_SRC_PAGES_H_
#define PANNIER_SRC_PAGES_H_

#include <cstddef>
#include <cstdint>

#include "src/bytes.h"

namespace pannier {

std::size_t PageSize();

// The whole pages within a range.
struct PageRange {
  std::uintptr_t begin;
  std::uintptr_t end;
  bool is_empty() const { return end <= begin; }
};
inline PageRange WholePagesWithin(const void* data, std::size_t size) {
  const auto address = reinterpret_cast<std::uintptr_t>(data);
  const std::uintptr_t end = address + size;
  return {static_cast<std::uintptr_t>(AlignUp(address, PageSize())), end - end % PageSize()};
}

// From this size on a block is worth pages of its own, which go back to the system as soon as it is freed.
inline constexpr std::size_t kLeastPageBlock = std::size_t{1} << 20;

// A block of whole pages, zero-filled; of huge ones where the system has them and they pay. Null when there is no memory.
void* AllocatePages(std::size_t size);
void FreePages(void* block, std::size_t size);

// Pages that lie wholly within a part of such a block go back to the system; the part must not be touched any more.
void DiscardPages(void* part, std::size_t size);

// What of `range` is in a mapped file but not in memory is read ahead; nobody waits for it.
void PrefetchPages(ByteView range);

// Pages that lie wholly within `range` leave the process; they come back from the file when touched. Does nothing to memory that is
// not a read-only mapping of a file, whose content would be lost.
void DropPages(ByteView range);

}  // namespace pannier

#endif  // PANNIER_SRC_PAGES_H_
