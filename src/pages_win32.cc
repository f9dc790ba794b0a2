// Pages on Windows.
#include <windows.h>

#include <cstdint>
#include <cstring>

#include "src/pages.h"

namespace pannier {
namespace {

// WIN32_MEMORY_RANGE_ENTRY, which headers for Windows 7 lack.
struct MemoryRange {
  void* address;
  SIZE_T size;
};
using PrefetchFunction = BOOL(WINAPI*)(HANDLE process, ULONG_PTR count, MemoryRange* ranges, ULONG flags);

// Windows 8 and later.
PrefetchFunction FindPrefetch() {
  const HMODULE kernel = GetModuleHandleW(L"kernel32.dll");
  const FARPROC address = kernel != nullptr ? GetProcAddress(kernel, "PrefetchVirtualMemory") : nullptr;
  PrefetchFunction function = nullptr;
  static_assert(sizeof(function) == sizeof(address));
  std::memcpy(&function, &address, sizeof(function));
  return function;
}

}  // namespace

std::size_t PageSize() {
  SYSTEM_INFO system;
  GetSystemInfo(&system);
  return system.dwPageSize;
}

void* AllocatePages(std::size_t size) { return VirtualAlloc(nullptr, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE); }

void FreePages(void* block, std::size_t /*size*/) { VirtualFree(block, 0, MEM_RELEASE); }

void DiscardPages(void* part, std::size_t size) {
  const PageRange pages = WholePagesWithin(part, size);
  if (!pages.is_empty()) VirtualFree(reinterpret_cast<void*>(pages.begin), pages.end - pages.begin, MEM_DECOMMIT);
}

void PrefetchPages(ByteView range) {
  const PrefetchFunction prefetch = FindPrefetch();
  if (prefetch == nullptr || range.empty()) return;
  MemoryRange entry = {const_cast<std::uint8_t*>(range.data()), range.size()};
  prefetch(GetCurrentProcess(), 1, &entry, 0);
}

void DropPages(ByteView range) {
  const PageRange pages = WholePagesWithin(range.data(), range.size());
  // Of pages that are not locked it says so, and takes them out of the working set: its documented use for this. Nothing is lost.
  if (!pages.is_empty()) VirtualUnlock(reinterpret_cast<void*>(pages.begin), pages.end - pages.begin);
}

}  // namespace pannier
