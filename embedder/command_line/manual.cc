// Writes the manual pages into a folder, in man(7)'s language, from the command line's own description: `pannier_manual FOLDER`.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "embedder/command_line/command_line.h"

namespace pannier {
namespace {

// Dashes, quotes and the like as they are typed, not as typesetters have them.
std::string Escaped(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '\\':
        escaped += "\\e";
        break;
      case '-':
        escaped += "\\-";
        break;
      case '\'':
        escaped += "\\(aq";
        break;
      case '`':
        escaped += "\\(ga";
        break;
      case '^':
        escaped += "\\(ha";
        break;
      case '~':
        escaped += "\\(ti";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string Line(const std::string& escaped) { return (escaped[0] == '.' ? "\\&" : "") + escaped + "\n"; }

std::string Bold(std::string_view text) { return "\\fB" + Escaped(text) + "\\fR"; }

// Prose, in which `this` is what one types.
std::string Prose(std::string_view text) {
  std::string line;
  for (bool is_code = false;; is_code = !is_code) {
    const std::size_t end = text.find('`');
    line += is_code ? Bold(text.substr(0, end)) : Escaped(text.substr(0, end));
    if (end == std::string_view::npos) return Line(line);
    text.remove_prefix(end + 1);
  }
}

// The sections of command_texts.h, by their names, as they go into the page; what stands before the first is DESCRIPTION.
std::map<std::string, std::string> Sections(const std::string& text) {
  std::map<std::string, std::string> sections;
  std::string* section = &sections["DESCRIPTION"];
  std::istringstream lines(text);
  std::string line;
  bool is_literal = false;
  bool is_item = false;
  bool is_new = true;  // paragraph
  while (std::getline(lines, line)) {
    const std::size_t indent = std::min(line.find_first_not_of(' '), line.size());
    const std::string_view words = std::string_view(line).substr(indent);
    const bool was_literal = is_literal;
    is_literal = !is_item && indent >= 4;
    if (was_literal && !is_literal) *section += ".fi\n.RE\n";
    if (words.empty()) {
      is_new = true;
      is_item = false;
    } else if (indent == 0 && words.back() == ':') {
      std::string name(words.substr(0, words.size() - 1));
      std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::toupper(c); });
      section = &sections[name];
      is_new = false;
    } else if (is_literal) {
      if (!was_literal) *section += ".PP\n.RS 4\n.nf\n";
      *section += Line(Escaped(std::string_view(line).substr(4)));
      is_new = false;
    } else if (indent == 2 && words.size() > 3 && words.substr(1, 2) == "  ") {
      *section += ".TP\n" + Bold(words.substr(0, 1)) + "\n" + Prose(words.substr(3));
      is_item = true;
    } else {
      if (is_new && !section->empty()) *section += ".PP\n";
      *section += Prose(words);
      is_new = false;
    }
  }
  if (is_literal) *section += ".fi\n.RE\n";
  return sections;
}

// "FILE" as a place to be filled, "a|b" as words to be chosen from.
std::string ValueText(const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) return "";
  const std::string& type = option.get_type_name();
  return " " + (type.find('|') == std::string::npos ? "\\fI" + Escaped(type) + "\\fR" : Bold(type));
}

std::string PlaceText(const CLI::Option& positional) {
  const std::string value = ValueText(positional);
  return (value.find("fB") == std::string::npos ? "\\fI" + Escaped(positional.get_name(true)) + "\\fR" : value.substr(1)) +
         (positional.get_expected_max() > 1 ? " ..." : "");
}

std::vector<std::string> NamesOf(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  return names;
}

std::string Synopsis(const CLI::App& command, const std::string& name) {
  std::string text = ".B " + Escaped(name) + "\n";
  const auto add = [&](const CLI::Option& option, std::string usage) {
    for (std::size_t at = 0; (at = usage.find(' ', at)) != std::string::npos; at += 2)
      usage.insert(at, "\\");  // no line ends there
    const bool is_repeated = option.nonpositional() && option.get_expected_max() > 1;
    text += Line((option.get_required() ? usage : "[" + usage + "]") + (is_repeated ? "..." : ""));
  };
  for (const CLI::Option* option : command.get_options()) {
    if (option == command.get_help_ptr() || option->get_positional()) continue;
    add(*option, Bold(NamesOf(*option).front()) + ValueText(*option));
  }
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_positional()) add(*option, PlaceText(*option));
  }
  if (command.get_parent() == nullptr) text += "\\fICOMMAND\\fR ...\n";
  return text;
}

// "; needs --graph", in an order that does not change: CLI11 keeps them by address.
std::string Others(const char* what, const std::set<CLI::Option*>& options) {
  std::vector<std::string> names;
  for (const CLI::Option* option : options) names.push_back(option->get_name());
  std::sort(names.begin(), names.end());
  return names.empty() ? "" : fmt::format("; {} {}", what, fmt::join(names, ", "));
}

std::string OptionsText(const CLI::App& command) {
  std::string text;
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_positional() && !option->get_description().empty())
      text += ".TP\n" + PlaceText(*option) + "\n" + Prose(option->get_description());
  }
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_positional()) continue;
    std::string names;
    for (const std::string& name : NamesOf(*option)) names += (names.empty() ? "" : ", ") + Bold(name);
    text += ".TP\n" + names + ValueText(*option) + "\n" +
            Prose(option->get_description() + Others("needs", option->get_needs()) + Others("not with", option->get_excludes()));
  }
  return text;
}

std::string PageName(const CLI::App& command) {
  return command.get_parent() == nullptr ? command.get_name() : command.get_parent()->get_name() + "-" + command.get_name();
}

std::string Reference(const CLI::App& command) { return Bold(PageName(command)) + "(1)"; }

std::string Page(const CLI::App& app, const CLI::App& command) {
  const bool is_whole = &app == &command;
  std::string name = PageName(command);
  std::string title = name;
  std::transform(title.begin(), title.end(), title.begin(), [](unsigned char c) { return std::toupper(c); });
  std::string description = command.get_description();
  if (description.back() == '.') description.pop_back();
  const std::vector<const CLI::App*> commands = app.get_subcommands([](const CLI::App*) { return true; });
  std::map<std::string, std::string> sections = Sections(command.get_footer());

  std::string page =
      ".\\\" Made by embedder/command_line/manual.cc from what embedder/command_line/command_line.cc and command_texts.h say; "
      "change those.\n";
  page += fmt::format(".TH {} 1 \"\" \"pannier {}\" \"User Commands\"\n.nh\n.ad l\n", Escaped(title), PANNIER_VERSION);
  page += ".SH NAME\n" + Escaped(name) + " \\- " + Prose(description);
  page += ".SH SYNOPSIS\n" + Synopsis(command, is_whole ? name : app.get_name() + " " + command.get_name());
  page += ".SH DESCRIPTION\n" + sections["DESCRIPTION"];
  if (is_whole) {
    page += ".SH COMMANDS\n";
    for (const CLI::App* one : commands) page += ".TP\n" + Reference(*one) + "\n" + Prose(one->get_description());
  }
  page += ".SH OPTIONS\n" + OptionsText(command);
  for (const char* section : {"EXIT STATUS", "EXAMPLES"}) page += fmt::format(".SH {}\n{}", section, sections[section]);
  page += ".SH SEE ALSO\n";
  std::vector<std::string> others;
  if (!is_whole) others.push_back(Reference(app));
  for (const CLI::App* one : commands) {
    if (one != &command) others.push_back(Reference(*one));
  }
  for (const std::string& other : others) page += other + (other == others.back() ? "\n" : ",\n");
  return page;
}

bool Write(const std::string& folder, const std::string& name, const std::string& page) {
  std::ofstream file(folder + "/" + name + ".1", std::ios::binary);
  file << page;
  file.close();
  return file.good();
}

}  // namespace
}  // namespace pannier

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: pannier_manual FOLDER\n");
    return 2;
  }
  const pannier::CommandLine line;
  std::vector<const CLI::App*> pages = line.app.get_subcommands([](const CLI::App*) { return true; });
  pages.push_back(&line.app);
  for (const CLI::App* command : pages) {
    if (pannier::Write(argv[1], pannier::PageName(*command), pannier::Page(line.app, *command))) continue;
    fmt::print(stderr, "pannier_manual: {}: cannot be written\n", pannier::PageName(*command));
    return 1;
  }
}
