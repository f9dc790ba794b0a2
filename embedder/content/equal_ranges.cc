// Candidates narrowed down: by size, by a sample, by the digest of all their bytes.
#include "embedder/content/equal_ranges.h"

#include <algorithm>
#include <numeric>
#include <tuple>

#include "src/parallel.h"
#include "src/sha256.h"

namespace pannier {
namespace {

constexpr std::uint64_t kSample = 4096;
constexpr std::uint64_t kReadAtOnce = 1 << 20;  // read at a time when all of a range is digested

struct Candidate {
  std::size_t number = 0;
  std::uint64_t size = 0;
  Sha256Digest sample;  // of what is in the middle
  Sha256Digest whole;

  auto key() const { return std::tie(size, sample.bytes, whole.bytes); }
};

Result<Sha256Digest> DigestOf(const ByteSource& source, std::uint64_t offset, std::uint64_t size) {
  std::vector<std::uint8_t> window(static_cast<std::size_t>(std::min(size, kReadAtOnce)));
  Sha256 sha256;
  for (std::uint64_t at = 0; at < size; at += window.size()) {
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(window.size(), size - at));
    PANNIER_CHECK_OK(source.ReadAt(offset + at, window.data(), count));
    sha256.Update(ByteView(window.data(), count));
  }
  return sha256.Finish();
}

// Sorts, and leaves those out that have no equal.
void KeepCandidates(std::vector<Candidate>& candidates) {
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.key() != b.key() ? a.key() < b.key() : a.number < b.number; });
  std::size_t kept = 0;
  for (std::size_t begin = 0, end = 0; begin < candidates.size(); begin = end) {
    while (end < candidates.size() && candidates[end].key() == candidates[begin].key()) ++end;
    if (end - begin == 1) continue;
    std::move(candidates.begin() + static_cast<std::ptrdiff_t>(begin), candidates.begin() + static_cast<std::ptrdiff_t>(end),
              candidates.begin() + static_cast<std::ptrdiff_t>(kept));
    kept += end - begin;
  }
  candidates.resize(kept);
}

}  // namespace

Result<std::vector<std::size_t>> FindEqualRanges(const ByteSource& source, const std::vector<SourceRange>& ranges,
                                                 unsigned threads) {
  std::vector<Candidate> candidates;
  candidates.reserve(ranges.size());
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    if (ranges[i].size != 0) candidates.push_back({i, ranges[i].size, {}, {}});
  }
  KeepCandidates(candidates);
  PANNIER_CHECK_OK(ParallelFor(candidates.size(), threads, [&](std::uint64_t i) -> Status {
    Candidate& candidate = candidates[i];
    const SourceRange& range = ranges[candidate.number];
    const std::uint64_t size = std::min(kSample, range.size);
    PANNIER_TRY(candidate.sample, DigestOf(source, range.offset + (range.size - size) / 2, size));
    return {};
  }));
  KeepCandidates(candidates);
  PANNIER_CHECK_OK(ParallelFor(candidates.size(), threads, [&](std::uint64_t i) -> Status {
    Candidate& candidate = candidates[i];
    if (candidate.size <= kSample) return {};  // the sample is all of it
    PANNIER_TRY(candidate.whole, DigestOf(source, ranges[candidate.number].offset, candidate.size));
    return {};
  }));
  KeepCandidates(candidates);
  std::vector<std::size_t> firsts(ranges.size());
  std::iota(firsts.begin(), firsts.end(), 0);
  for (std::size_t i = 1; i < candidates.size(); ++i) {
    if (candidates[i - 1].key() == candidates[i].key()) firsts[candidates[i].number] = firsts[candidates[i - 1].number];
  }
  return firsts;
}

}  // namespace pannier
