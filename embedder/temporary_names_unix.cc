// Temporary names in a table of fixed size, since a signal's handler may neither wait for a lock nor touch the heap.
#include "embedder/temporary_names_unix.h"

#include <limits.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <mutex>

namespace pannier {
namespace {

struct Slot {
  std::atomic<bool> is_taken = false;
  int directory = -1;
  std::array<char, NAME_MAX + 1> name{};
};

static_assert(std::atomic<bool>::is_always_lock_free);

std::array<Slot, 8> slots;  // --force has two files at a time, its own and the restored host's
std::mutex writing;

}  // namespace

void RememberTemporary(int directory, const std::string& name) {
  const std::lock_guard<std::mutex> lock(writing);
  for (Slot& slot : slots) {
    if (slot.is_taken || name.size() >= slot.name.size()) continue;
    slot.directory = directory;
    slot.name[name.copy(slot.name.data(), slot.name.size() - 1)] = '\0';
    slot.is_taken = true;
    return;
  }
}

void ForgetTemporary(int directory, const std::string& name) {
  const std::lock_guard<std::mutex> lock(writing);
  for (Slot& slot : slots) {
    if (slot.is_taken && slot.directory == directory && name == slot.name.data()) slot.is_taken = false;
  }
}

void RemoveTemporaryFiles() {
  for (const Slot& slot : slots) {
    if (slot.is_taken) unlinkat(slot.directory, slot.name.data(), 0);
  }
}

}  // namespace pannier
