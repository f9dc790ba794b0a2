// Text for people at a terminal: colours where they are wanted, and tables that fit its width.
#ifndef PANNIER_EMBEDDER_COMMAND_LINE_STYLED_TEXT_H_
#define PANNIER_EMBEDDER_COMMAND_LINE_STYLED_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pannier {

enum class ColorChoice : std::uint8_t { kAuto, kAlways, kNever };

enum class TextStyle : std::uint8_t { kPlain, kHeading, kFaint, kGood, kBad, kName };

// How stdout is written to.
struct Display {
  bool has_color = false;
  std::optional<std::size_t> width;  // none: no terminal, lines are as long as they must be

  // kAuto: on a terminal, unless NO_COLOR (no-color.org) is set to something, or TERM is "dumb".
  static Display OfStdout(ColorChoice color);

  std::string Styled(TextStyle style, std::string_view text) const;
};

// Columns that a terminal takes for it; UTF-8. Wide characters (of East Asia, emoji) count twice, those that combine not at all.
std::size_t DisplayWidth(std::string_view text);

// What is wider than `width`, which is 1 at least, loses its middle to "…".
std::string Shortened(std::string_view text, std::size_t width);

// The first column takes what the others leave, within the display's width; all others are as wide as their texts.
class Table {
 public:
  enum class Side : std::uint8_t { kLeft, kRight };
  struct Column {
    std::string heading;
    Side side = Side::kLeft;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }  // as many texts as there are columns
  bool empty() const { return rows_.empty(); }
  std::string Text(const Display& display, std::size_t indent) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// "p?", "*_weight", "conv[0-9]*": all of `text`. A set begins with ! or ^ when it is of those that must not be.
bool MatchesGlob(std::string_view pattern, std::string_view text);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_COMMAND_LINE_STYLED_TEXT_H_
