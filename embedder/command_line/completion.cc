// The command line's tree, written as bash, zsh and fish want it.
#include "embedder/command_line/completion.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string_view>
#include <vector>

#include "src/format.h"
#include "src/text.h"

namespace pannier {
namespace {

enum class ValueKind : std::uint8_t { kNone, kWords, kFile, kFolder, kOther };

// Words, for kWords, with spaces between them.
struct Value {
  ValueKind kind = ValueKind::kNone;
  std::string words;
};

Value ValueOf(const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) return {};
  std::string type = option.get_type_name();
  if (type.find('|') != std::string::npos) {
    std::replace(type.begin(), type.end(), '|', ' ');
    return {ValueKind::kWords, type};
  }
  if (type == "ARTIFACT") return {ValueKind::kWords, StrCat(kGraphArtifact, " ", kParamsArtifact)};
  if (type == "DIR") return {ValueKind::kFolder, ""};
  const bool is_file = type == "OUT" || type.find("FILE") != std::string::npos || type.find('.') != std::string::npos;
  return {is_file ? ValueKind::kFile : ValueKind::kOther, ""};
}

bool IsRepeated(const CLI::Option& option) { return option.get_expected_max() > 1; }

std::vector<const CLI::Option*> Options(const CLI::App& command) {
  return command.get_options([](const CLI::Option* option) { return option->nonpositional(); });
}

std::vector<const CLI::Option*> Positionals(const CLI::App& command) {
  return command.get_options([](const CLI::Option* option) { return option->get_positional(); });
}

std::vector<const CLI::App*> Commands(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* command) { return !command->get_group().empty(); });
}

// "-o", "--output".
std::vector<std::string> Names(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  return names;
}

std::string Joined(const std::vector<std::string>& words, std::string_view between) {
  return fmt::format("{}", fmt::join(words, between));
}

// With a backslash before each of `special`.
std::string Escaped(std::string_view text, std::string_view special) {
  std::string escaped;
  for (const char c : text) {
    if (special.find(c) != std::string_view::npos) escaped += '\\';
    escaped += c;
  }
  return escaped;
}

// Filled with commands and options of the start; then options of each command, values of each option, of each positional.
constexpr std::string_view kBashScript = R"(# bash completes pannier's command line. Made by `pannier completion bash`.
_pannier() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} command=${{COMP_WORDS[1]}}
  local options= valued= words= place=0 i
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W '{}{}' -- "$word"))
    return
  fi
  if [[ $word == = ]]; then
    word=
  elif [[ $before == = ]]; then
    before=${{COMP_WORDS[COMP_CWORD - 2]}}
  fi
  case $command in
{}  esac
  case "$command $before" in
{}    *)
      if [[ $word == -* ]]; then
        words=$options
      else
        for ((i = 2; i < COMP_CWORD; i++)); do
          [[ ${{COMP_WORDS[i]}} == [-=]* || ${{COMP_WORDS[i - 1]}} == = || " $valued " == *" ${{COMP_WORDS[i - 1]}} "* ]] || place=$((place + 1))
        done
        case "$command $place" in
{}        esac
      fi
      ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
# Where there is nothing to choose from, readline completes names of files.
complete -o default -F _pannier pannier
)";

std::string Bash(const CLI::App& app) {
  std::string start;
  for (const CLI::App* command : Commands(app)) start += command->get_name() + " ";
  std::vector<std::string> start_options;
  for (const CLI::Option* option : Options(app)) {
    for (const std::string& name : Names(*option)) start_options.push_back(name);
  }
  std::string options;  // of each command
  std::string values;   // of each option
  std::string places;   // of each positional
  for (const CLI::App* command : Commands(app)) {
    const std::string& name = command->get_name();
    std::vector<std::string> all;
    std::vector<std::string> with_value;
    for (const CLI::Option* option : Options(*command)) {
      const std::vector<std::string> names = Names(*option);
      all.insert(all.end(), names.begin(), names.end());
      const Value value = ValueOf(*option);
      if (value.kind == ValueKind::kNone) continue;
      with_value.insert(with_value.end(), names.begin(), names.end());
      std::string action;
      if (value.kind == ValueKind::kWords) action = fmt::format("words='{}'", value.words);
      if (value.kind == ValueKind::kFolder) action = "compopt +o default -o dirnames 2>/dev/null";
      if (value.kind == ValueKind::kFile) action = ":";
      if (value.kind == ValueKind::kOther) action = "compopt +o default 2>/dev/null";
      for (const std::string& one : names) values += fmt::format("    '{} {}') {} ;;\n", name, one, action);
    }
    options += fmt::format("    {}) options='{}' valued='{}' ;;\n", name, Joined(all, " "), Joined(with_value, " "));
    std::size_t place = 0;
    for (const CLI::Option* positional : Positionals(*command)) {
      const Value value = ValueOf(*positional);
      const std::string number = IsRepeated(*positional) ? "'*" : fmt::format("{}'", place);
      places += fmt::format("          '{} {}) {} ;;\n", name, number,
                            value.kind == ValueKind::kWords ? fmt::format("words='{}'", value.words) : ":");
      ++place;
    }
  }
  return fmt::format(kBashScript, start, Joined(start_options, " "), options, values, places);
}

std::string ZshAction(const Value& value) {
  if (value.kind == ValueKind::kWords) return "(" + value.words + ")";
  if (value.kind == ValueKind::kFile) return "_files";
  return value.kind == ValueKind::kFolder ? "_files -/" : " ";
}

std::string ZshQuoted(const std::string& text) {
  std::string quoted;
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return "'" + quoted + "'";
}

std::string ZshOption(const CLI::Option& option) {
  const Value value = ValueOf(option);
  const std::vector<std::string> names = Names(option);
  std::string lines;
  for (const std::string& name : names) {
    std::string spec = IsRepeated(option) ? "*" : fmt::format("({})", Joined(names, " "));
    spec += name;
    if (value.kind != ValueKind::kNone && name.size() > 2) spec += "=";
    spec += fmt::format("[{}]", Escaped(option.get_description(), "[]:\\"));
    if (value.kind != ValueKind::kNone) spec += fmt::format(":{}:{}", Escaped(option.get_type_name(), ":"), ZshAction(value));
    lines += fmt::format("        {} \\\n", ZshQuoted(spec));
  }
  return lines;
}

// Filled with options of the start; commands; arguments of each command.
constexpr std::string_view kZshScript = R"(#compdef pannier
# zsh completes pannier's command line. Made by `pannier completion zsh`.
_pannier() {{
  local context state state_descr line
  typeset -A opt_args
  local -a commands
  _arguments -C \
{}        '1:command:->command' \
        '*::argument:->argument' && return
  case $state:$words[1] in
    command:*)
      commands=(
{}      )
      _describe command commands
      return
      ;;
  esac
  case $words[1] in
{}  esac
}}
# Read as a file of functions when it is first needed, or by `source`.
if [[ $funcstack[1] == _pannier ]]; then _pannier "$@"; else compdef _pannier pannier; fi
)";

std::string Zsh(const CLI::App& app) {
  std::string start_options;
  for (const CLI::Option* option : Options(app)) start_options += ZshOption(*option);
  std::string commands;
  std::string cases;
  for (const CLI::App* command : Commands(app)) {
    commands += fmt::format("        {}\n", ZshQuoted(command->get_name() + ":" + Escaped(command->get_description(), ":\\")));
    cases += fmt::format("    {})\n      _arguments \\\n", command->get_name());
    for (const CLI::Option* option : Options(*command)) cases += ZshOption(*option);
    std::size_t place = 0;
    for (const CLI::Option* positional : Positionals(*command)) {
      const std::string number = IsRepeated(*positional) ? "*" : fmt::format("{}", ++place);
      cases += fmt::format("        {} \\\n",
                           ZshQuoted(fmt::format("{}:{}:{}", number, positional->get_name(true), ZshAction(ValueOf(*positional)))));
    }
    cases += "        && return\n      ;;\n";
  }
  return fmt::format(kZshScript, start_options, commands, cases);
}

std::string FishOption(const std::string& condition, const CLI::Option& option) {
  std::string line = "complete -c pannier -n '" + condition + "'";
  for (const std::string& name : option.get_snames()) line += " -s " + name;
  for (const std::string& name : option.get_lnames()) line += " -l " + name;
  const Value value = ValueOf(option);
  if (value.kind == ValueKind::kWords) line += fmt::format(" -x -a '{}'", value.words);
  if (value.kind == ValueKind::kFile) line += " -r -F";
  if (value.kind == ValueKind::kFolder) line += " -x -a '(__fish_complete_directories)'";
  if (value.kind == ValueKind::kOther) line += " -x";
  return line + fmt::format(" -d '{}'\n", Escaped(option.get_description(), "\\'"));
}

std::string Fish(const CLI::App& app) {
  std::string script = R"(# fish completes pannier's command line. Made by `pannier completion fish`.
complete -c pannier -f
)";
  for (const CLI::Option* option : Options(app)) script += FishOption("__fish_use_subcommand", *option);
  for (const CLI::App* command : Commands(app)) {
    script += fmt::format("complete -c pannier -n __fish_use_subcommand -a {} -d '{}'\n", command->get_name(),
                          Escaped(command->get_description(), "\\'"));
  }
  for (const CLI::App* command : Commands(app)) {
    const std::string condition = "__fish_seen_subcommand_from " + command->get_name();
    for (const CLI::Option* option : Options(*command)) script += FishOption(condition, *option);
    for (const CLI::Option* positional : Positionals(*command)) {
      const Value value = ValueOf(*positional);
      if (value.kind == ValueKind::kFile) script += fmt::format("complete -c pannier -n '{}' -F\n", condition);
      if (value.kind == ValueKind::kWords) script += fmt::format("complete -c pannier -n '{}' -a '{}'\n", condition, value.words);
    }
  }
  return script;
}

}  // namespace

std::string CompletionScript(const CLI::App& app, Shell shell) {
  if (shell == Shell::kBash) return Bash(app);
  return shell == Shell::kZsh ? Zsh(app) : Fish(app);
}

}  // namespace pannier
