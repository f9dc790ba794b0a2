// Base64, three bytes at a time.
#include "src/base64.h"

#include <algorithm>
#include <cstddef>

namespace pannier {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int ValueOf(char digit) {
  const std::size_t at = kAlphabet.find(digit);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

}  // namespace

std::string EncodeBase64(ByteView bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - at);
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i) group = group << 8U | (i < count ? bytes.data()[at + i] : 0U);
    for (std::size_t i = 0; i < 4; ++i) text.push_back(i <= count ? kAlphabet[group >> (18 - 6 * i) & 63U] : '=');
  }
  return text;
}

std::optional<std::vector<std::uint8_t>> DecodeBase64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  const std::string_view whole = text;
  std::vector<std::uint8_t> bytes;
  bytes.reserve(text.size() / 4 * 3);
  while (!text.empty()) {
    const std::string_view group = text.substr(0, 4);
    text.remove_prefix(4);
    std::size_t digits = 4;
    if (text.empty() && group[3] == '=') digits = group[2] == '=' ? 2 : 3;
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      const int digit = ValueOf(group[i]);
      if (digit < 0) return std::nullopt;
      value |= static_cast<std::uint32_t>(digit) << (18 - 6 * i);
    }
    for (std::size_t i = 0; i + 1 < digits; ++i) bytes.push_back(static_cast<std::uint8_t>(value >> (16 - 8 * i)));
  }
  // The last digit may have bits beyond the last byte.
  if (EncodeBase64(View(bytes)) != whole) return std::nullopt;
  return bytes;
}

}  // namespace pannier
