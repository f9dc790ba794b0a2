// Filter: another program's answer to some input, within bounds of time and size.
#ifndef PANNIER_EMBEDDER_RUN_PROGRAM_H_
#define PANNIER_EMBEDDER_RUN_PROGRAM_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/effort.h"
#include "src/result.h"

namespace pannier {

// What the program, looked up in PATH, writes to its stdout when it has read `input` from its stdin. kNotFound: there is no such
// program; kIo: it failed, was not done in time (it is ended then), or wrote more than `most` bytes. Its stderr is thrown away. All
// the while `effort` advances by nothing, every tenth of a second: whoever shows progress shows that time goes on.
Result<std::string> Filter(const std::vector<std::string>& command, std::string_view input, std::uint64_t most,
                           std::chrono::milliseconds patience, const Effort& effort = 0);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_RUN_PROGRAM_H_
