// Effort: how many threads a long piece of work may take, and who is told how far it is.
#ifndef PANNIER_SRC_EFFORT_H_
#define PANNIER_SRC_EFFORT_H_

#include <cstdint>
#include <string_view>

namespace pannier {

class ProgressSink {
 public:
  virtual ~ProgressSink() = default;

  // Another piece of work of so many bytes; "verifying", for one. 0: nobody knows how much it is.
  virtual void Begin(std::string_view action, std::uint64_t bytes) = 0;
  // Called from several threads at a time.
  virtual void Advance(std::uint64_t bytes) = 0;
};

struct Effort {
  // NOLINTNEXTLINE(google-explicit-constructor): a number of threads is mostly all there is to say
  Effort(unsigned thread_count, ProgressSink* sink = nullptr) : threads(thread_count), progress(sink) {}

  void Begin(std::string_view action, std::uint64_t bytes) const {
    if (progress != nullptr) progress->Begin(action, bytes);
  }
  void Advance(std::uint64_t bytes) const {
    if (progress != nullptr) progress->Advance(bytes);
  }

  unsigned threads;  // 0: one for each processor
  ProgressSink* progress;
};

}  // namespace pannier

#endif  // PANNIER_SRC_EFFORT_H_
