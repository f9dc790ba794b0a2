// Completion: scripts by which shells complete pannier's command line.
#ifndef PANNIER_EMBEDDER_COMMAND_LINE_COMPLETION_H_
#define PANNIER_EMBEDDER_COMMAND_LINE_COMPLETION_H_

#include <cstdint>
#include <string>

namespace CLI {  // NOLINT(readability-identifier-naming): as CLI11 calls it
class App;
}

namespace pannier {

enum class Shell : std::uint8_t { kBash, kZsh, kFish };

// Values are completed by their types' names: "a|b" is one of these words, ARTIFACT one of those that TVM's models have, DIR a
// folder, FILE, OUT, KEY.pem and the like a file.
std::string CompletionScript(const CLI::App& app, Shell shell);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_COMMAND_LINE_COMPLETION_H_
