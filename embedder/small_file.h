// Small files read whole: keys and signatures.
#ifndef PANNIER_EMBEDDER_SMALL_FILE_H_
#define PANNIER_EMBEDDER_SMALL_FILE_H_

#include <string>

#include "src/result.h"

namespace pannier {

// At most 64 KiB; `-` is stdin. A pipe will do, so that a key need not be in a file: `--key <(vault ...)`.
Result<std::string> ReadSmallFile(const std::string& path);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_SMALL_FILE_H_
