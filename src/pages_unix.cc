// Pages on systems with mmap.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <memory>

#include "src/pages.h"

namespace pannier {
namespace {

void* MapAnonymous(std::size_t size) {
  void* const block = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
  return block != MAP_FAILED ? block : nullptr;
}

#if defined(__linux__) && defined(MADV_HUGEPAGE)
// What the kernels of 4 KiB pages make huge ones of. Larger pages (arm64, ppc64) have huge ones of 16 MiB to 512 MiB, which no
// tensor fills, and need them less.
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kSmallPage = 4096;

// Aligned to a huge page, so that all of it but its end is made of them.
void* MapHuge(std::size_t size) {
  auto* const block = static_cast<std::uint8_t*>(MapAnonymous(size + kHugePage));
  if (block == nullptr) return nullptr;
  const std::size_t before = static_cast<std::size_t>(-reinterpret_cast<std::uintptr_t>(block)) % kHugePage;
  if (before != 0) munmap(block, before);
  munmap(block + before + size, kHugePage - before);
  // Refused where the kernel has none; small pages do then.
  madvise(block + before, size, MADV_HUGEPAGE);
  return block + before;
}
#endif

#if defined(__linux__)
// Dropped pages of any other memory come back as zeros here; and not every dynamic loader maps what it loads (Android's copies
// libraries that are aligned for smaller pages).
bool IsReadOnlyFileMapping(std::uintptr_t begin, std::uintptr_t end) {
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, Close> maps(std::fopen("/proc/self/maps", "re"));
  if (maps == nullptr) return false;
  char line[512];
  bool is_start_of_line = true;
  while (std::fgets(line, sizeof(line), maps.get()) != nullptr) {
    const bool is_entry = is_start_of_line;
    is_start_of_line = false;
    for (const char* c = line; *c != '\0'; ++c) is_start_of_line = *c == '\n';
    std::uintptr_t from = 0;
    std::uintptr_t to = 0;
    char rights[5] = {};
    std::uint64_t inode = 0;
    if (!is_entry || std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*s %*s %" SCNu64, &from, &to, rights, &inode) != 4 ||
        to <= begin) {
      continue;
    }
    if (from > begin || rights[1] == 'w' || inode == 0) return false;
    if (to >= end) return true;
    begin = to;  // the mapping may be in pieces
  }
  return false;
}
#else
// Elsewhere MADV_DONTNEED never loses what pages hold.
bool IsReadOnlyFileMapping(std::uintptr_t /*begin*/, std::uintptr_t /*end*/) { return true; }
#endif

}  // namespace

std::size_t PageSize() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

void* AllocatePages(std::size_t size) {
  if (size > SIZE_MAX / 2) return nullptr;
  const auto whole = static_cast<std::size_t>(AlignUp(size, PageSize()));
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  if (whole >= kHugePage && PageSize() == kSmallPage) return MapHuge(whole);
#endif
  return MapAnonymous(whole);
}

void FreePages(void* block, std::size_t size) { munmap(block, static_cast<std::size_t>(AlignUp(size, PageSize()))); }

void DiscardPages(void* part, std::size_t size) {
  const PageRange pages = WholePagesWithin(part, size);
  if (pages.is_empty()) return;
#if defined(__linux__)
  madvise(reinterpret_cast<void*>(pages.begin), pages.end - pages.begin, MADV_DONTNEED);
#else
  madvise(reinterpret_cast<void*>(pages.begin), pages.end - pages.begin, MADV_FREE);
#endif
}

void PrefetchPages(ByteView range) {
  if (range.empty()) return;
  const auto address = reinterpret_cast<std::uintptr_t>(range.data());
  // Linux reads no more for one call than one request to the disk holds (mm/readahead.c, force_page_cache_ra).
  constexpr std::uintptr_t kStep = 1 << 20;
  const std::uintptr_t end = address + range.size();
  for (std::uintptr_t at = address - address % PageSize(); at < end; at += kStep)
    madvise(reinterpret_cast<void*>(at), std::min(kStep, end - at), MADV_WILLNEED);
}

void DropPages(ByteView range) {
  const PageRange pages = WholePagesWithin(range.data(), range.size());
  if (pages.is_empty() || !IsReadOnlyFileMapping(pages.begin, pages.end)) return;
  madvise(reinterpret_cast<void*>(pages.begin), pages.end - pages.begin, MADV_DONTNEED);
}

}  // namespace pannier
