// Golden bundles (tests/golden), and where fields are that tests change in those of ELF64.
#ifndef PANNIER_TESTS_GOLDEN_H_
#define PANNIER_TESTS_GOLDEN_H_

#include <catch2/catch_test_macros.hpp>
#include <cstddef>
#include <string>

#include "tests/file_fixture.h"

namespace pannier {

inline std::string Golden(const std::string& name) {
  std::string bytes = ReadFile(PANNIER_TEST_DATA "/../golden/" + name);
  REQUIRE_FALSE(bytes.empty());
  return bytes;
}

// In a section header.
inline constexpr std::size_t kSectionOffset = 24;
inline constexpr std::size_t kSectionSize = 32;

// A program header of a file whose table follows the ELF header.
inline std::size_t ProgramHeader(std::size_t index) { return 64 + 56 * index; }

}  // namespace pannier

#endif  // PANNIER_TESTS_GOLDEN_H_
