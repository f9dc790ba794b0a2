// Tables that fit a terminal, colours, and globs.
#include "embedder/command_line/styled_text.h"

#include <catch2/catch_test_macros.hpp>
#include <string>

namespace pannier {
namespace {

TEST_CASE("widths as a terminal has them", "[terminal]") {
  CHECK(DisplayWidth("weights") == 7);
  CHECK(DisplayWidth("größe") == 5);
  CHECK(DisplayWidth("模型") == 4);
  CHECK(DisplayWidth("e\xCC\x81") == 1);  // a combining accent
  CHECK(DisplayWidth("🎒") == 2);
  CHECK(DisplayWidth("\xff") == 1);
}

TEST_CASE("what is too wide loses its middle", "[terminal]") {
  CHECK(Shortened("layer1.weight", 13) == "layer1.weight");
  CHECK(Shortened("layer1.weight", 7) == "lay…ght");
  CHECK(Shortened("layer1.weight", 1) == "…");
  CHECK(Shortened("模型模型模型", 5) == "模…型");
  CHECK(DisplayWidth(Shortened("a模型模型模型", 6)) <= 6);
}

TEST_CASE("a table fits the terminal, and is whole where there is none", "[terminal]") {
  Table table({{"TENSOR"}, {"SIZE", Table::Side::kRight}});
  table.Add({"encoder.layer.0.attention.self.query.weight", "1.5 MiB"});
  table.Add({"模型", "3 B"});
  CHECK(table.Text({}, 0) ==
        "TENSOR                                          SIZE\n"
        "encoder.layer.0.attention.self.query.weight  1.5 MiB\n"
        "模型                                             3 B\n");
  Display narrow;
  narrow.width = 30;
  CHECK(table.Text(narrow, 2) ==
        "  TENSOR                  SIZE\n"
        "  encoder.l…ry.weight  1.5 MiB\n"
        "  模型                     3 B\n");
  narrow.width = 5;  // no narrower than can be read
  CHECK(table.Text(narrow, 0) ==
        "TENSOR           SIZE\n"
        "encode…eight  1.5 MiB\n"
        "模型              3 B\n");
  Display colored;
  colored.has_color = true;
  CHECK(table.Text(colored, 0).find("\033[36m") != std::string::npos);
  CHECK(Display().Styled(TextStyle::kBad, "x") == "x");
  CHECK(colored.Styled(TextStyle::kBad, "x") == "\033[1;31mx\033[0m");
}

TEST_CASE("globs", "[terminal]") {
  CHECK(MatchesGlob("p?", "p0"));
  CHECK_FALSE(MatchesGlob("p?", "p10"));
  CHECK(MatchesGlob("*", ""));
  CHECK(MatchesGlob("*_weight", "conv_weight"));
  CHECK_FALSE(MatchesGlob("*_weight", "conv_weights"));
  CHECK(MatchesGlob("a*b*c", "a-b-b-c"));
  CHECK_FALSE(MatchesGlob("a*b*c", "a-b-b-"));
  CHECK(MatchesGlob("conv[0-9]", "conv7"));
  CHECK_FALSE(MatchesGlob("conv[!0-9]", "conv7"));
  CHECK(MatchesGlob("conv[^0-9]*", "convx1"));
  CHECK(MatchesGlob("[]]", "]"));
  CHECK(MatchesGlob("[", "["));
  CHECK_FALSE(MatchesGlob("", "x"));
  CHECK(MatchesGlob("", ""));
  CHECK_FALSE(MatchesGlob(std::string(30, '*') + "b", std::string(10000, 'a')));  // in no exponential time
}

}  // namespace
}  // namespace pannier
