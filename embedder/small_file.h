// Small files read whole: keys and signatures.
#ifndef PANNIER_EMBEDDER_SMALL_FILE_H_
#define PANNIER_EMBEDDER_SMALL_FILE_H_

#include <cstddef>
#include <string>

#include "src/result.h"

namespace pannier {

// `-` is stdin. A pipe will do, so that a key need not be in a file: `--key <(vault ...)`. kInvalidArgument beyond `most` bytes.
Result<std::string> ReadSmallFile(const std::string& path, std::size_t most = 64 << 10);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_SMALL_FILE_H_
