// What the adapters to LIEF share, one for each format: how they cope with versions 0.12 to 1.0, and how far they trust it.
//
// Names that LIEF changed are asked for with `requires` in a template over LIEF's type, since only there a missing name is no
// error. Enumerations moved and were renamed, but kept the file's numbers: an adapter compares numbers (LiefNumber), never LIEF's
// names. Whatever an edit is made from is compared with the file (CheckAgreement), so that a LIEF that rebases, reorders or leaves
// out what it read becomes an error.
#ifndef PANNIER_EMBEDDER_FORMATS_LIEF_SUPPORT_H_
#define PANNIER_EMBEDDER_FORMATS_LIEF_SUPPORT_H_

#include <cstdint>
#include <exception>
#include <new>
#include <string_view>
#include <vector>

#include "src/bytes.h"
#include "src/result.h"
#include "src/text.h"

namespace pannier {

// LIEF gets the bytes that we have, not the file's name: it may be another file's by now, and 0.12 dies where it cannot open one.
inline std::vector<std::uint8_t> CopyForLief(ByteView bytes) { return {bytes.begin(), bytes.end()}; }

// What LIEF cannot parse is null, or it throws.
template <typename Parse>
auto ParsedByLief(Parse parse) -> decltype(parse()) {
  try {
    return parse();
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception&) {
    return nullptr;
  }
}

template <typename Enum>
constexpr std::uint64_t LiefNumber(Enum value) {
  return static_cast<std::uint64_t>(value);
}

inline Status CheckAgreement(std::string_view what, std::uint64_t of_file, std::uint64_t of_lief) {
  if (of_file == of_lief) return {};
  return Malformed(StrCat(what, ": found ", Hex(of_file), ", expected LIEF's ", Hex(of_lief)));
}

// The same of one of many, which the file has at `offset`.
inline Status CheckAgreement(std::string_view what, std::uint64_t offset, std::uint64_t of_file, std::uint64_t of_lief) {
  if (of_file == of_lief) return {};
  return CheckAgreement(StrCat(what, " at ", Hex(offset)), of_file, of_lief);
}

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_FORMATS_LIEF_SUPPORT_H_
