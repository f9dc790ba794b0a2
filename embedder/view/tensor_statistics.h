// TensorStatistics: what values a tensor has: least, greatest, mean, zeroes, NaN, infinities, and a histogram.
#ifndef PANNIER_EMBEDDER_VIEW_TENSOR_STATISTICS_H_
#define PANNIER_EMBEDDER_VIEW_TENSOR_STATISTICS_H_

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "pannier/tensor.h"
#include "src/chunked_content.h"
#include "src/result.h"

namespace pannier {

inline constexpr std::size_t kHistogramBins = 40;

struct TensorStatistics {
  std::uint64_t elements = 0;  // lanes count as elements
  std::uint64_t finite = 0;
  std::uint64_t zeros = 0;
  std::uint64_t nan = 0;
  std::uint64_t infinite = 0;
  // Of the finite values; 0 where there are none.
  double least = 0;
  double greatest = 0;
  double mean = 0;
  // How many of them lie in each of equally wide parts of [least, greatest]; all in the first one where these are the same.
  std::array<std::uint64_t, kHistogramBins> counts{};
};

// Nothing for a type whose values are not known as numbers (handles, complex numbers, types that only a later DLPack has). Decodes
// twice, chunk by chunk, with `check` after a look
// at each one's digest; 64-bit integers are rounded to doubles.
Result<std::optional<TensorStatistics>> StatisticsOf(const ChunkedContent& content, DataType dtype,
                                                     const std::vector<std::int64_t>& shape, bool check);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_VIEW_TENSOR_STATISTICS_H_
