// What tests of loading share: bundles of one set of params by codec, their values, and what the system says about a range of
// memory.
#ifndef PANNIER_TESTS_LOADING_FIXTURE_H_
#define PANNIER_TESTS_LOADING_FIXTURE_H_

#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "pannier/loader.h"
#include "tests/file_fixture.h"

namespace pannier {

// Made by tests/c_abi.cmake, by codec. The first tensor is the largest: 2.8 MB, 11 chunks.
inline std::string LoadingBundle(const std::string& codec) { return PANNIER_TEST_BUNDLES "/loading_" + codec + ".so"; }

inline std::string Values(const void* data, const TensorView& tensor) { return {static_cast<const char*>(data), tensor.nbytes()}; }

// All tensors' values, from the bundle that stores them as they are. On a big-endian machine that is a copy, too.
inline const std::vector<std::string>& ExpectedValues() {
  static const std::vector<std::string> values = [] {
    std::vector<std::string> all;
    const Bundle bundle = OpenBundle(LoadingBundle("store"));
    for (const TensorView& tensor : bundle.params()) all.push_back(Values(tensor.data(), tensor));
    return all;
  }();
  return values;
}

// How many tensors have other values than they should.
inline int CountWrong(const Bundle& bundle) {
  int wrong = 0;
  std::size_t i = 0;
  for (const TensorView& tensor : bundle.params()) wrong += Values(tensor.data(), tensor) == ExpectedValues()[i++] ? 0 : 1;
  return wrong + (i == ExpectedValues().size() ? 0 : 1);
}

// The mapping that holds an address, as /proc/self/smaps has it. Sizes are in KiB.
struct Mapping {
  std::string path;  // "" for memory that is no file's
  std::uint64_t size = 0;
  std::uint64_t rss = 0;
  std::uint64_t pss = 0;
  std::uint64_t private_dirty = 0;
  std::uint64_t anonymous = 0;
};

inline Mapping MappingOf(const void* address) {
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  std::ifstream smaps("/proc/self/smaps");
  Mapping mapping;
  bool is_it = false;
  for (std::string line; std::getline(smaps, line);) {
    std::istringstream words(line);
    std::string first;
    words >> first;
    const std::size_t dash = first.find('-');
    if (dash != std::string::npos && first.back() != ':') {
      if (is_it) break;
      is_it =
          std::stoull(first.substr(0, dash), nullptr, 16) <= wanted && wanted < std::stoull(first.substr(dash + 1), nullptr, 16);
      std::string skipped;
      words >> skipped >> skipped >> skipped >> skipped;
      if (is_it) std::getline(words >> std::ws, mapping.path);
      continue;
    }
    std::uint64_t value = 0;
    if (!is_it || !(words >> value)) continue;
    if (first == "Size:") mapping.size = value;
    if (first == "Rss:") mapping.rss = value;
    if (first == "Pss:") mapping.pss = value;
    if (first == "Private_Dirty:") mapping.private_dirty = value;
    if (first == "Anonymous:") mapping.anonymous = value;
  }
  return mapping;
}

}  // namespace pannier

#endif  // PANNIER_TESTS_LOADING_FIXTURE_H_
