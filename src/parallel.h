// ParallelFor: the same work for many indices on several threads.
#ifndef PANNIER_SRC_PARALLEL_H_
#define PANNIER_SRC_PARALLEL_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "src/result.h"

namespace pannier {

// `wanted` threads, or one for each processor when it is 0; never more than there is work.
inline unsigned ThreadCount(unsigned wanted, std::uint64_t work) {
  static const unsigned processors = std::max(1U, std::thread::hardware_concurrency());  // opens and reads a file
  const unsigned threads = wanted != 0 ? wanted : processors;
  return static_cast<unsigned>(std::min<std::uint64_t>(threads, std::max<std::uint64_t>(work, 1)));
}

// Calls function(worker, i) -> Status for all i in [0, count), in no particular order; answers with the error of the lowest index
// that failed. Each thread has a Worker of its own. Where no thread can be made, the caller's own does all the work.
template <typename Worker, typename Function>
Status ParallelForWith(std::uint64_t count, unsigned wanted_threads, const Function& function) {
  std::atomic<std::size_t> next{0};  // 64 bits wide would need libatomic on some 32-bit machines
  std::atomic<bool> failed{false};
  std::mutex mutex;
  std::uint64_t failed_index = UINT64_MAX;
  Status failure;
  auto work = [&] {
    Worker worker;
    while (!failed.load(std::memory_order_relaxed)) {
      const std::size_t i = next.fetch_add(1, std::memory_order_relaxed);
      if (i >= count) return;
      Status status = function(worker, i);
      if (status.ok()) continue;
      const std::lock_guard<std::mutex> lock(mutex);
      failed.store(true, std::memory_order_relaxed);
      if (i < failed_index) {
        failed_index = i;
        failure = std::move(status);
      }
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 1; i < ThreadCount(wanted_threads, count); ++i) {
    try {
      threads.emplace_back(work);
    } catch (const std::system_error&) {
      break;
    }
  }
  work();
  for (std::thread& thread : threads) thread.join();
  return failure;
}

// The same for a function(i) that needs nothing of its thread's own.
template <typename Function>
Status ParallelFor(std::uint64_t count, unsigned wanted_threads, const Function& function) {
  struct Nothing {};
  return ParallelForWith<Nothing>(count, wanted_threads, [&](Nothing&, std::uint64_t i) { return function(i); });
}

}  // namespace pannier

#endif  // PANNIER_SRC_PARALLEL_H_
