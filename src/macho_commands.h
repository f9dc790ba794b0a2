// Load commands that lead to bytes of the file: where each keeps offset and size. What is not in this table is not moved.
#ifndef PANNIER_SRC_MACHO_COMMANDS_H_
#define PANNIER_SRC_MACHO_COMMANDS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "src/macho_file.h"
#include "src/result.h"

namespace pannier::macho {

// A run of bytes that a load command leads to, mostly in __LINKEDIT.
struct Blob {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::size_t offset_field = 0;  // in the command
  bool is_wide = false;          // the field has 64 bits
};

// kUnsupported for a command that is not known: it may lead to bytes that would have to move.
Result<std::vector<Blob>> BlobsOf(const Header& header, const Command& command);

}  // namespace pannier::macho

#endif  // PANNIER_SRC_MACHO_COMMANDS_H_
