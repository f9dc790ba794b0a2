// Text for messages: strings and numbers joined, hexadecimal, and names from untrusted files made fit to print.
#include "src/text.h"

#include <cstddef>

namespace pannier {
namespace {

constexpr char kDigits[] = "0123456789abcdef";

// The length of the well-formed UTF-8 sequence at the start of `text`, or 0 (RFC 3629: no surrogates, no overlong forms, no
// value above U+10FFFF).
std::size_t Utf8SequenceLength(std::string_view text) {
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  auto continues = [&](std::size_t i, unsigned char low, unsigned char high) {
    return i < text.size() && byte(i) >= low && byte(i) <= high;
  };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return continues(1, 0x80, 0xBF) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const unsigned char low = first == 0xE0 ? 0xA0 : 0x80;
    const unsigned char high = first == 0xED ? 0x9F : 0xBF;
    return continues(1, low, high) && continues(2, 0x80, 0xBF) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const unsigned char low = first == 0xF0 ? 0x90 : 0x80;
    const unsigned char high = first == 0xF4 ? 0x8F : 0xBF;
    return continues(1, low, high) && continues(2, 0x80, 0xBF) && continues(3, 0x80, 0xBF) ? 4 : 0;
  }
  return 0;
}

bool IsControl(std::string_view sequence) {
  const unsigned char first = static_cast<unsigned char>(sequence[0]);
  if (sequence.size() == 1) return first < 0x20 || first == 0x7F;
  return first == 0xC2 && static_cast<unsigned char>(sequence[1]) < 0xA0;  // C1: U+0080 to U+009F
}

// Marks that turn the order of what follows on a screen (Unicode's Bidi_Control), and separators of lines: they may stand in a
// name, but no reader of a message sees them.
bool IsInvisible(std::string_view sequence) {
  if (sequence == "\xD8\x9C") return true;  // U+061C
  if (sequence.size() != 3 || sequence[0] != '\xE2') return false;
  const unsigned char second = static_cast<unsigned char>(sequence[1]);
  const unsigned char third = static_cast<unsigned char>(sequence[2]);
  const bool is_general =
      second == 0x80 && ((third >= 0xA8 && third <= 0xAE) || third == 0x8E || third == 0x8F);  // U+2028 to U+202E
  return is_general || (second == 0x81 && third >= 0xA6 && third <= 0xA9);                     // U+2066 to U+2069
}

}  // namespace

void TextPiece::AppendTo(std::string& out) const {
  switch (kind_) {
    case Kind::kText:
      out.append(text_, static_cast<std::size_t>(value_));
      break;
    case Kind::kSigned:
      out.append(std::to_string(static_cast<std::int64_t>(value_)));
      break;
    case Kind::kUnsigned:
      out.append(std::to_string(value_));
      break;
  }
}

std::string JoinPieces(const TextPiece* pieces, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) pieces[i].AppendTo(out);
  return out;
}

std::string Hex(std::uint64_t value) {
  std::string digits;
  do {
    digits.insert(digits.begin(), kDigits[value & 15]);
    value >>= 4;
  } while (value != 0);
  return "0x" + digits;
}

std::string HexBytes(const std::uint8_t* bytes, std::size_t size) {
  std::string out;
  out.reserve(size * 2);
  for (std::size_t i = 0; i < size; ++i) {
    out.push_back(kDigits[bytes[i] >> 4]);
    out.push_back(kDigits[bytes[i] & 15]);
  }
  return out;
}

std::string Printable(std::string_view name) {
  constexpr std::size_t kLongest = 200;
  std::string out;
  while (!name.empty()) {
    if (out.size() >= kLongest) return out + "...";
    const std::size_t length = Utf8SequenceLength(name);
    if (length == 0 || IsControl(name.substr(0, length)) || IsInvisible(name.substr(0, length))) {
      const unsigned char byte = static_cast<unsigned char>(name[0]);
      out.append({'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]});
      name.remove_prefix(1);
    } else {
      out.append(name.substr(0, length));
      name.remove_prefix(length);
    }
  }
  return out;
}

bool IsPrintableUtf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = Utf8SequenceLength(text);
    if (length == 0 || IsControl(text.substr(0, length))) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace pannier
