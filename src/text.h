// Text for messages: joins strings and numbers without pulling a formatting library into the loader.
#ifndef PANNIER_SRC_TEXT_H_
#define PANNIER_SRC_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace pannier {

// A string or an integer, borrowed for one call. Made so that a message costs its caller a few stores and one call: there are
// hundreds.
class TextPiece {
 public:
  TextPiece(std::string_view text) : text_(text.data()), value_(text.size()) {}        // NOLINT(google-explicit-constructor)
  TextPiece(const std::string& text) : text_(text.data()), value_(text.size()) {}      // NOLINT(google-explicit-constructor)
  TextPiece(const char* text) : text_(text), value_(std::string_view(text).size()) {}  // NOLINT(google-explicit-constructor)
  template <typename T, std::enable_if_t<std::is_integral_v<T>, int> = 0>
  TextPiece(T number)  // NOLINT(google-explicit-constructor)
      : value_(static_cast<std::uint64_t>(number)), kind_(std::is_signed_v<T> ? Kind::kSigned : Kind::kUnsigned) {}

  void AppendTo(std::string& out) const;

 private:
  enum class Kind : std::uint8_t { kText, kSigned, kUnsigned };

  const char* text_ = nullptr;
  std::uint64_t value_;  // of a text, its size
  Kind kind_ = Kind::kText;
};

// Messages are for what seldom happens: the compiler keeps the code that makes them small and out of the way.
[[gnu::cold]] std::string JoinPieces(const TextPiece* pieces, std::size_t count);

// StrCat("section ", 3, ": found ", size) and so on.
template <typename... Pieces>
std::string StrCat(const Pieces&... pieces) {
  const TextPiece list[] = {TextPiece(pieces)...};
  return JoinPieces(list, sizeof...(pieces));
}

// 0x1f00, for offsets and addresses.
std::string Hex(std::uint64_t value);

// Lowercase hexadecimal of raw bytes, for digests.
std::string HexBytes(const std::uint8_t* bytes, std::size_t size);

// A name from an untrusted file, fit for a message or a terminal: control characters, marks that turn the order of text, and
// invalid UTF-8 are shown as \xNN, and what is longer than 200 bytes is cut.
std::string Printable(std::string_view name);

// Well-formed UTF-8 (RFC 3629), without control characters (C0, DEL, C1).
bool IsPrintableUtf8(std::string_view text);

}  // namespace pannier

#endif  // PANNIER_SRC_TEXT_H_
