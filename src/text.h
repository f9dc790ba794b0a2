// Text for messages: joins strings and numbers without pulling a formatting library into the loader.
#ifndef PANNIER_SRC_TEXT_H_
#define PANNIER_SRC_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace pannier {

inline void AppendPiece(std::string& out, std::string_view piece) { out.append(piece); }
inline void AppendPiece(std::string& out, const char* piece) { out.append(piece); }
template <typename T, std::enable_if_t<std::is_integral_v<T>, int> = 0>
void AppendPiece(std::string& out, T number) {
  out.append(std::to_string(number));
}

// StrCat("section ", 3, ": found ", size) and so on.
template <typename... Pieces>
std::string StrCat(const Pieces&... pieces) {
  std::string out;
  (AppendPiece(out, pieces), ...);
  return out;
}

// 0x1f00, for offsets and addresses.
std::string Hex(std::uint64_t value);

// Lowercase hexadecimal of raw bytes, for digests.
std::string HexBytes(const std::uint8_t* bytes, std::size_t size);

// A name from an untrusted file, fit for a message or a terminal: control characters and invalid UTF-8 are shown as \xNN, and
// what is longer than 200 bytes is cut.
std::string Printable(std::string_view name);

// Well-formed UTF-8 (RFC 3629), without control characters (C0, DEL, C1).
bool IsPrintableUtf8(std::string_view text);

}  // namespace pannier

#endif  // PANNIER_SRC_TEXT_H_
