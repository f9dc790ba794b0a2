// Damerau and Levenshtein's distance, cut off where nobody would see a likeness.
#include "embedder/near_miss.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "src/text.h"

namespace pannier {
namespace {

constexpr std::size_t kLongestWord = 256;  // names come from files, and the time grows with the square

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Insertions, deletions, replacements and swaps of neighbours.
std::size_t Distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before;  // the row before the last one
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = Lower(a[i - 1]) == Lower(b[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && Lower(a[i - 1]) == Lower(b[j - 2]) && Lower(a[i - 2]) == Lower(b[j - 1]))
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = std::exchange(last, row);
  }
  return last[b.size()];
}

}  // namespace

std::string NearMiss(std::string_view word, const std::vector<std::string>& known) {
  if (word.empty() || word.size() > kLongestWord) return "";
  std::size_t limit = std::max<std::size_t>(word.size(), 3) / 3;  // as in Cargo
  std::string nearest;
  for (const std::string& candidate : known) {
    if (candidate == word) return "";  // then something else is wrong
    if (candidate.size() > word.size() + limit || word.size() > candidate.size() + limit) continue;
    const std::size_t distance = Distance(word, candidate);
    // A word of which nothing is left is like any other.
    if (distance > limit || distance >= candidate.size() || (distance == limit && !nearest.empty())) continue;
    limit = distance;
    nearest = candidate;
  }
  return nearest;
}

std::string DidYouMean(std::string_view word, const std::vector<std::string>& known, std::string_view quote) {
  const std::string nearest = NearMiss(word, known);
  return nearest.empty() ? "" : StrCat(" (did you mean ", quote, Printable(nearest), quote, "?)");
}

}  // namespace pannier
