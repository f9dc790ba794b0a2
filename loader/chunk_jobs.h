// ForAllChunks: the chunks of many contents as one row of work, so that many small ones keep all threads as busy as a large one.
#ifndef PANNIER_LOADER_CHUNK_JOBS_H_
#define PANNIER_LOADER_CHUNK_JOBS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "src/bundle_reader.h"
#include "src/chunked_content.h"
#include "src/parallel.h"
#include "src/result.h"

namespace pannier {

// One content to be decoded. The rest is for whoever made the job.
struct ChunkJob {
  ChunkedContent content;
  std::uint32_t tensor = 0;
  std::uint8_t* out = nullptr;  // size() bytes
};

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
  const unsigned useful = ThreadCount(threads, bytes / kLeastBytesPerThread);
  return ParallelForWith<Worker>(chunks, useful, [&](Worker& worker, std::uint64_t i) {
    const auto job = static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), i) - ends.begin());
    return function(worker, jobs[job], i - (job == 0 ? 0 : ends[job - 1]));
  });
}

// Decodes all jobs into their `out`, as the bundle has it; with `check`, chunks' digests are compared first.
Status DecodeChunks(const std::vector<ChunkJob>& jobs, const TensorReader& tensors, unsigned threads, bool check);

}  // namespace pannier

#endif  // PANNIER_LOADER_CHUNK_JOBS_H_
