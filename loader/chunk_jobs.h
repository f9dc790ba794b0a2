// ForAllChunks: the chunks of many contents as one row of work, so that many small ones keep all threads as busy as a large one.
#ifndef PANNIER_LOADER_CHUNK_JOBS_H_
#define PANNIER_LOADER_CHUNK_JOBS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "src/bundle_reader.h"
#include "src/chunked_content.h"
#include "src/pages.h"
#include "src/parallel.h"
#include "src/result.h"

namespace pannier {

// One content to be decoded. The rest is for whoever made the job.
struct ChunkJob {
  ChunkedContent content;
  std::uint32_t tensor = 0;
  std::uint8_t* out = nullptr;  // size() bytes
};

// So many chunks before one is decoded, its pages are asked for, if there are some: the disk works while the threads do.
inline constexpr std::uint64_t kReadAhead = 64;
inline constexpr std::size_t kLeastReadAhead = std::size_t{64} << 10;

// Less than this many bytes for each is not worth a thread.
inline constexpr std::uint64_t kLeastBytesPerThread = std::uint64_t{256} << 10;

// Calls function(worker, job, chunk) -> Status for all chunks of all jobs; answers with the error of the first that failed.
// `threads` as for ParallelFor.
template <typename Worker, typename Function>
Status ForAllChunks(const std::vector<ChunkJob>& jobs, unsigned threads, const Function& function) {
  std::vector<std::uint64_t> ends;
  ends.reserve(jobs.size());
  std::uint64_t chunks = 0;
  std::uint64_t bytes = 0;
  for (const ChunkJob& job : jobs) {
    chunks += job.content.chunk_count();
    bytes += job.content.size();
    ends.push_back(chunks);
  }
  const auto call = [&](std::uint64_t i, const auto& with) {
    const auto job = static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), i) - ends.begin());
    return with(jobs[job], i - (job == 0 ? 0 : ends[job - 1]));
  };
  const auto read_ahead = [&](std::uint64_t first, std::uint64_t end) {
    for (std::uint64_t i = first; i < std::min(end, chunks); ++i) {
      call(i, [](const ChunkJob& job, std::uint64_t chunk) {
        const Result<ByteView> stored = job.content.Stored(chunk);  // what is wrong with it, whoever decodes it will say
        if (stored.ok() && stored->size() >= kLeastReadAhead) PrefetchPages(*stored);
      });
    }
  };
  const unsigned useful = ThreadCount(threads, bytes / kLeastBytesPerThread);
  return ParallelForWith<Worker>(chunks, useful, [&](Worker& worker, std::uint64_t i) {
    if (i == 0) read_ahead(1, kReadAhead);
    read_ahead(i + kReadAhead, i + kReadAhead + 1);
    return call(i, [&](const ChunkJob& job, std::uint64_t chunk) { return function(worker, job, chunk); });
  });
}

// Decodes all jobs into their `out`, as the bundle has it; with `check`, chunks' digests are compared first.
Status DecodeChunks(const std::vector<ChunkJob>& jobs, const TensorReader& tensors, unsigned threads, bool check);

}  // namespace pannier

#endif  // PANNIER_LOADER_CHUNK_JOBS_H_
