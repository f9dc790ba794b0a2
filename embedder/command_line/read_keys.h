// Public keys that the command line names.
#ifndef PANNIER_EMBEDDER_COMMAND_LINE_READ_KEYS_H_
#define PANNIER_EMBEDDER_COMMAND_LINE_READ_KEYS_H_

#include <string>
#include <vector>

#include "src/public_key.h"
#include "src/result.h"

namespace pannier {

// From PEM files, one each.
Result<std::vector<PublicKey>> ReadKeys(const std::vector<std::string>& paths);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_COMMAND_LINE_READ_KEYS_H_
