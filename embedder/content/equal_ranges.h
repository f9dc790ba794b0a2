// Equal ranges of a file, found with little reading: those of one size are told apart by a sample, and what is left by digests.
#ifndef PANNIER_EMBEDDER_CONTENT_EQUAL_RANGES_H_
#define PANNIER_EMBEDDER_CONTENT_EQUAL_RANGES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "src/byte_source.h"
#include "src/result.h"

namespace pannier {

struct SourceRange {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

// For each range the number of the first one with the same bytes, which is its own number where there is none before it.
Result<std::vector<std::size_t>> FindEqualRanges(const ByteSource& source, const std::vector<SourceRange>& ranges,
                                                 unsigned threads);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_CONTENT_EQUAL_RANGES_H_
