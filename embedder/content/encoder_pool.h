// EncoderPool: encoders that are not at work, for whichever thread needs one.
#ifndef PANNIER_EMBEDDER_CONTENT_ENCODER_POOL_H_
#define PANNIER_EMBEDDER_CONTENT_ENCODER_POOL_H_

#include <memory>
#include <mutex>
#include <vector>

#include "embedder/content/chunk_encoder.h"

namespace pannier {

// To make an encoder costs as much as to encode a chunk.
class EncoderPool {
 public:
  explicit EncoderPool(int level) : level_(level) {}

  struct GiveBack {
    EncoderPool* pool;
    void operator()(ChunkEncoder* encoder) const {
      const std::lock_guard<std::mutex> lock(pool->mutex_);
      pool->idle_.emplace_back(encoder);
    }
  };
  using Lease = std::unique_ptr<ChunkEncoder, GiveBack>;

  Lease Take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (idle_.empty()) idle_.push_back(std::make_unique<ChunkEncoder>(level_));
    Lease lease(idle_.back().release(), GiveBack{this});
    idle_.pop_back();
    return lease;
  }

 private:
  int level_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<ChunkEncoder>> idle_;
};

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_CONTENT_ENCODER_POOL_H_
