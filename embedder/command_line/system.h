// What the command line asks of the system in its own way on each: arguments, stdout, the terminal, what a file may be called.
#ifndef PANNIER_EMBEDDER_COMMAND_LINE_SYSTEM_H_
#define PANNIER_EMBEDDER_COMMAND_LINE_SYSTEM_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/bytes.h"
#include "src/result.h"

namespace pannier {

// To be called first: what is written to stdout arrives byte for byte, and what would end the process without a word is an error
// with a message: a file that grows beyond the user's limit, a mapped one that was cut off or cannot be read. Other signals
// end it as ever, but no temporary file is left.
void PrepareProcess();

// The arguments, the program's name first; in UTF-8 on Windows.
std::vector<std::string> Arguments(int argc, char** argv);

// Is stderr a terminal that can overwrite a line?
bool StderrIsTerminal();

// Columns of the terminal that stdout is; none when it is no terminal. Of a size that is not known, 80.
std::optional<std::size_t> StdoutWidth();

Status WriteToStdout(ByteView bytes);

// May a file be called so? A name comes from a bundle, so it must not lead to another folder or to a device.
Status CheckFileName(std::string_view name);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_COMMAND_LINE_SYSTEM_H_
