// The loader: from a bundle's file, bytes or code address to a Bundle.
#ifndef PANNIER_LOADER_H_
#define PANNIER_LOADER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "pannier/bundle.h"
#include "pannier/export.h"

namespace pannier {

// How far a bundle's digests are checked.
enum class Check {
  kStructure,  // sizes, bounds and the manifest's digest; no pass over the payload
  kLazy,       // also each chunk of an artifact when it is first handed out or decoded
  kFull,       // also every chunk at once, before the function returns
};

struct LoadOptions {
  Check check = Check::kStructure;
  unsigned threads = 0;         // for decoding one large artifact; 0: one for each processor
  bool global_symbols = false;  // RTLD_GLOBAL: libraries loaded later see this one's symbols; nothing on Windows
};

// Paths are UTF-8 on Windows, and what the system takes elsewhere.
//
// Loads the library with the OS's dynamic loader (its constructors run) and finds its artifacts in the mapped image. Takes no
// longer for a large payload than for a small one. `path` is a file, never searched for in the library path. Loading a path twice
// gives two handles to one library, as dlopen does. kIo, kNotABundle, kMalformed, kUnsupported, kLoadFailed (with the dynamic
// loader's own words), kDigestMismatch.
PANNIER_API Bundle LoadBundle(const std::string& path, const LoadOptions& options = {});

// Reads a bundle without running any of its code: any format on any OS.
PANNIER_API Bundle OpenBundle(const std::string& path, const LoadOptions& options = {});

// The same for a bundle inside an open file (an APK, an asset): `size` bytes from `offset`. The descriptor is not kept and may be
// closed; on Windows it is one of the C library (_open).
PANNIER_API Bundle OpenBundle(int file_descriptor, std::uint64_t offset, std::uint64_t size, const LoadOptions& options = {});

// The same for bytes in memory, which are borrowed: they must outlive the handle. Bytes that do not begin at an address of 64-byte
// alignment are copied, so that tensors are aligned all the same.
PANNIER_API Bundle OpenBundle(const void* bytes, std::size_t size, const LoadOptions& options = {});

// The bundle that holds `address`, for a library that was linked or loaded by others: any address of its code or data will do. The
// handle keeps the library loaded. kNotFound when no loaded library holds the address; else as LoadBundle.
PANNIER_API Bundle FindBundle(const void* address, const LoadOptions& options = {});

}  // namespace pannier

#endif  // PANNIER_LOADER_H_
