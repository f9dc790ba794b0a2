// Colours by the standard's escape sequences (ECMA-48, SGR); widths by Unicode's East Asian Width, in ranges.
#include "embedder/command_line/styled_text.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "embedder/command_line/system.h"

namespace pannier {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

// Unicode 15, blocks rather than single characters.
constexpr std::array<Range, 13> kWide = {{{0x1100, 0x115F},
                                          {0x2E80, 0x303E},
                                          {0x3041, 0x33FF},
                                          {0x3400, 0x4DBF},
                                          {0x4E00, 0x9FFF},
                                          {0xA000, 0xA4CF},
                                          {0xAC00, 0xD7A3},
                                          {0xF900, 0xFAFF},
                                          {0xFE30, 0xFE6F},
                                          {0xFF00, 0xFF60},
                                          {0xFFE0, 0xFFE6},
                                          {0x1F300, 0x1FAFF},
                                          {0x20000, 0x3FFFD}}};
constexpr std::array<Range, 6> kCombining = {
    {{0x0300, 0x036F}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF}, {0x200B, 0x200F}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}}};

template <std::size_t kCount>
bool IsIn(const std::array<Range, kCount>& ranges, char32_t character) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [character](const Range& range) { return character >= range.first && character <= range.last; });
}

// One character of text that is UTF-8, as Printable() leaves it: its bytes and its columns.
struct Character {
  std::size_t size = 1;
  std::size_t width = 1;
};

Character CharacterAt(std::string_view text, std::size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  const std::size_t size = lead < 0xC0 ? 1 : (lead < 0xE0 ? 2 : (lead < 0xF0 ? 3 : 4));
  if (size == 1 || at + size > text.size()) return {};
  auto code = static_cast<char32_t>(lead & (0xFFU >> (size + 1)));
  for (std::size_t i = 1; i < size; ++i) code = (code << 6) | (static_cast<unsigned char>(text[at + i]) & 0x3FU);
  return {size, IsIn(kCombining, code) ? std::size_t{0} : (IsIn(kWide, code) ? std::size_t{2} : std::size_t{1})};
}

// The longest beginning that is no wider.
std::string_view Beginning(std::string_view text, std::size_t width) {
  std::size_t at = 0;
  for (std::size_t used = 0; at < text.size();) {
    const Character character = CharacterAt(text, at);
    used += character.width;
    if (used > width) break;
    at += character.size;
  }
  return text.substr(0, at);
}

std::string_view Ending(std::string_view text, std::size_t width) {
  std::size_t skipped = DisplayWidth(text);
  while (skipped > width && !text.empty()) {
    const Character character = CharacterAt(text, 0);
    skipped -= character.width;
    text.remove_prefix(character.size);
  }
  return text;
}

std::string Padded(const std::string& text, std::size_t width, Table::Side side) {
  const std::size_t used = DisplayWidth(text);
  const std::string blanks(width > used ? width - used : 0, ' ');
  return side == Table::Side::kRight ? blanks + text : text + blanks;
}

bool IsSet(const char* variable) {
  const char* const value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

// The rest of a set behind its '['; the pattern moves behind the ']'. Nothing where there is none: then '[' means itself.
std::optional<bool> MatchesSet(std::string_view& pattern, char character) {
  const std::size_t end = pattern.find(']', pattern.size() > 1 && (pattern[0] == '!' || pattern[0] == '^') ? 2 : 1);
  if (end == std::string_view::npos) return std::nullopt;
  std::string_view set = pattern.substr(0, end);
  const bool is_negated = set[0] == '!' || set[0] == '^';
  if (is_negated) set.remove_prefix(1);
  pattern.remove_prefix(end + 1);
  bool is_in = false;
  for (std::size_t i = 0; i < set.size(); ++i) {
    const bool is_range = i + 2 < set.size() && set[i + 1] == '-';
    is_in = is_in || (is_range ? character >= set[i] && character <= set[i + 2] : character == set[i]);
    if (is_range) i += 2;
  }
  return is_in != is_negated;
}

}  // namespace

Display Display::OfStdout(ColorChoice color) {
  Display display;
  display.width = StdoutWidth();
  const char* const term = std::getenv("TERM");
  const bool is_dumb = term != nullptr && std::string_view(term) == "dumb";
  display.has_color =
      color == ColorChoice::kAlways || (color == ColorChoice::kAuto && display.width && !IsSet("NO_COLOR") && !is_dumb);
  return display;
}

std::string Display::Styled(TextStyle style, std::string_view text) const {
  static constexpr std::array<const char*, 6> kCodes = {"", "1", "2", "32", "1;31", "36"};
  if (!has_color || style == TextStyle::kPlain || text.empty()) return std::string(text);
  return std::string("\033[") + kCodes[static_cast<std::size_t>(style)] + "m" + std::string(text) + "\033[0m";
}

std::size_t DisplayWidth(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Character character = CharacterAt(text, at);
    width += character.width;
    at += character.size;
  }
  return width;
}

std::string Shortened(std::string_view text, std::size_t width) {
  if (DisplayWidth(text) <= width) return std::string(text);
  const std::size_t front = width / 2;
  return std::string(Beginning(text, front)) + "…" + std::string(Ending(text, width - front - 1));
}

std::string Table::Text(const Display& display, std::size_t indent) const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    widths.push_back(DisplayWidth(columns_[i].heading));
    for (const auto& row : rows_) widths[i] = std::max(widths[i], DisplayWidth(row[i]));
  }
  constexpr std::size_t kGap = 2;
  constexpr std::size_t kLeast = 12;
  std::size_t others = indent;
  for (std::size_t i = 1; i < widths.size(); ++i) others += kGap + widths[i];
  if (display.width && others + widths[0] > *display.width)
    widths[0] = std::min(widths[0], std::max(kLeast, *display.width > others ? *display.width - others : 0));

  const auto line = [&](const auto& text_of, TextStyle first, TextStyle rest) {
    std::string text(indent, ' ');
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::string cell = Padded(Shortened(text_of(i), widths[i]), widths[i], columns_[i].side);
      text += (i == 0 ? "" : std::string(kGap, ' ')) + display.Styled(i == 0 ? first : rest, cell);
    }
    // Blanks at the end would wrap on a terminal that is too narrow.
    if (!display.has_color) text.erase(text.find_last_not_of(' ') + 1);
    return text + "\n";
  };
  std::string text = line([&](std::size_t i) { return columns_[i].heading; }, TextStyle::kHeading, TextStyle::kHeading);
  for (const auto& row : rows_) text += line([&](std::size_t i) { return row[i]; }, TextStyle::kName, TextStyle::kPlain);
  return text;
}

bool MatchesGlob(std::string_view pattern, std::string_view text) {
  // Where the last * may take one character more, when what follows it does not match.
  std::optional<std::pair<std::string_view, std::string_view>> retry;
  while (!text.empty() || !pattern.empty()) {
    if (!pattern.empty() && pattern[0] == '*') {
      pattern.remove_prefix(1);
      retry = {pattern, text};
      continue;
    }
    if (!pattern.empty() && !text.empty()) {
      std::string_view rest = pattern.substr(1);
      bool matches = pattern[0] == '?' || pattern[0] == text[0];
      if (pattern[0] == '[') matches = MatchesSet(rest, text[0]).value_or(text[0] == '[');
      if (matches) {
        pattern = rest;
        text.remove_prefix(1);
        continue;
      }
    }
    if (!retry || retry->second.empty()) return false;
    retry->second.remove_prefix(1);
    pattern = retry->first;
    text = retry->second;
  }
  return true;
}

}  // namespace pannier
