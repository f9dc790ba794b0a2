// The command line's system calls on Linux.
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "embedder/file_source.h"
#include "embedder/system.h"

namespace pannier {

void PrepareProcess() { std::signal(SIGXFSZ, SIG_IGN); }

std::vector<std::string> Arguments(int argc, char** argv) { return {argv, argv + argc}; }

bool StderrIsTerminal() { return isatty(STDERR_FILENO) != 0; }

Status WriteToStdout(ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t written = Uninterrupted([&] { return write(STDOUT_FILENO, bytes.data(), bytes.size()); });
    if (written < 0) return SystemError("stdout", errno);
    bytes = ByteView(bytes.data() + written, bytes.size() - static_cast<std::size_t>(written));
  }
  return {};
}

// IsArtifactName has seen to the slash.
Status CheckFileName(std::string_view /*name*/) { return {}; }

}  // namespace pannier
