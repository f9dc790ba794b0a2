// The command line as data: every subcommand and option, and the fields that their values go to.
#ifndef PANNIER_EMBEDDER_COMMAND_LINE_COMMAND_LINE_H_
#define PANNIER_EMBEDDER_COMMAND_LINE_COMMAND_LINE_H_

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "embedder/command_line/commands.h"
#include "embedder/command_line/completion.h"

namespace pannier {

struct CommandLine {
  CommandLine();

  // Why the words that were parsed could not be understood.
  std::string Complaint(const CLI::ParseError& error) const;

  CLI::App app;
  OutputStyle style;
  EmbedCommand embed;
  std::string graph;
  std::string params;
  std::vector<std::string> others;
  InspectCommand inspect;
  ViewCommand view;
  DiffCommand diff;
  ExtractCommand extract;
  VerifyCommand verify;
  SignCommand sign;
  DigestCommand digest;
  AttachCommand attach;
  Shell shell = Shell::kBash;
  CLI::Option* codec = nullptr;
  bool as_factory = false;
  std::string tvm;
  std::string bundle;
  std::string output;
  std::string arch;
};

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_COMMAND_LINE_COMMAND_LINE_H_
