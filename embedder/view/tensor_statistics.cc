// Two passes: a histogram needs to know how far the values reach.
#include "embedder/view/tensor_statistics.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "embedder/view/tensor_values.h"

namespace pannier {
namespace {

template <typename Function>
Status ForEachNumber(const ChunkedContent& content, const ValueLayout& layout, const ValueDecoder& decode, bool check,
                     const Function& function) {
  ChunkDecoder decoder;
  std::vector<std::uint8_t> buffer;
  std::uint64_t left = layout.count;
  for (std::uint64_t i = 0; i < content.chunk_count(); ++i) {
    buffer.resize(content.chunk_bytes(i));
    PANNIER_CHECK_OK(content.DecodeChunk(i, buffer.data(), check, decoder));
    ForEachValue(View(buffer), layout.width, left, [&](std::uint64_t bits) { function(decode(bits)); });
  }
  return {};
}

}  // namespace

Result<std::optional<TensorStatistics>> StatisticsOf(const ChunkedContent& content, DataType dtype,
                                                     const std::vector<std::int64_t>& shape, bool check) {
  const ValueDecoder decode = DecoderOf(dtype);
  if (decode == nullptr) return std::optional<TensorStatistics>();
  const ValueLayout layout = LayoutOf(dtype, shape, content.size());
  TensorStatistics found;
  found.elements = layout.count;
  double sum = 0;
  PANNIER_CHECK_OK(ForEachNumber(content, layout, decode, check, [&](double value) {
    if (std::isnan(value)) {
      ++found.nan;
    } else if (std::isinf(value)) {
      ++found.infinite;
    } else {
      if (value == 0) ++found.zeros;
      if (found.finite == 0 || value < found.least) found.least = value;
      if (found.finite == 0 || value > found.greatest) found.greatest = value;
      ++found.finite;
      sum += value;
    }
  }));
  if (found.finite == 0) return std::optional(found);
  found.mean = sum / static_cast<double>(found.finite);
  const double range = found.greatest - found.least;
  const double scale = range > 0 && std::isfinite(range) ? kHistogramBins / range : 0;
  PANNIER_CHECK_OK(ForEachNumber(content, layout, decode, check, [&](double value) {
    if (!std::isfinite(value)) return;
    const auto bin = static_cast<std::size_t>((value - found.least) * scale);
    ++found.counts[std::min(bin, kHistogramBins - 1)];
  }));
  return std::optional(found);
}

}  // namespace pannier
