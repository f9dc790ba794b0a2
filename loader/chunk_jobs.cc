// The chunks of many tensors decoded.
#include "loader/chunk_jobs.h"

namespace pannier {

Status DecodeChunks(const std::vector<ChunkJob>& jobs, const TensorReader& tensors, unsigned threads, bool check) {
  const std::uint64_t chunk_size = tensors.chunk_size();
  return ForAllChunks<ChunkDecoder>(jobs, threads, [&](ChunkDecoder& decoder, const ChunkJob& job, std::uint64_t chunk) -> Status {
    Status status = job.content.DecodeChunk(chunk, job.out + chunk * chunk_size, check, decoder);
    if (status.ok()) return status;
    return std::move(status).WithContext(Named(tensors[job.tensor]));
  });
}

}  // namespace pannier
