// Near misses: what a mistyped word was probably meant to be.
#ifndef PANNIER_EMBEDDER_NEAR_MISS_H_
#define PANNIER_EMBEDDER_NEAR_MISS_H_

#include <string>
#include <string_view>
#include <vector>

namespace pannier {

// The nearest of `known` if it is near, or empty. Upper and lower case count as the same.
std::string NearMiss(std::string_view word, const std::vector<std::string>& known);

// The same for the end of a message: " (did you mean X?)", or nothing. X is shown between two `quote`s.
std::string DidYouMean(std::string_view word, const std::vector<std::string>& known, std::string_view quote = "");

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_NEAR_MISS_H_
