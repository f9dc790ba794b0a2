// Libraries that an ELF library needs from its own folder ($ORIGIN), which it no longer has once it is loaded from memory.
#ifndef PANNIER_LOADER_ORIGIN_DEPENDENCIES_H_
#define PANNIER_LOADER_ORIGIN_DEPENDENCIES_H_

#include <string>

#include "src/bytes.h"
#include "src/result.h"

namespace pannier {

// Each library that `file` (at `path`) needs, and that the dynamic loader would find through $ORIGIN, must be loaded already:
// kUnsupported says which is not. No signature covers such a library, so it is not loaded here.
Status CheckOriginDependencies(ByteView file, const std::string& path);

}  // namespace pannier

#endif  // PANNIER_LOADER_ORIGIN_DEPENDENCIES_H_
