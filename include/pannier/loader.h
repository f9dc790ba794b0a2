// The loader: from a bundle's file, bytes or code address to a Bundle.
#ifndef PANNIER_LOADER_H_
#define PANNIER_LOADER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pannier/bundle.h"
#include "pannier/export.h"

namespace pannier {

// How far a bundle's digests are checked.
enum class Check {
  kStructure,  // sizes, bounds and the manifest's digest; no pass over the payload
  kLazy,       // also each chunk of an artifact when it is first handed out or decoded
  kFull,       // also every chunk at once, before the function returns
  kOff,        // sizes and bounds alone, no digest: damage may show as any error, or as other values; no cache is used
};

// What has to be as it was signed.
enum class Trust {
  kFile,   // every byte of the file
  kImage,  // what the OS maps of the library, and the artifacts: passes on a bundle that strip has changed since
};

struct LoadOptions {
  Check check = Check::kStructure;
  unsigned threads = 0;         // for decoding; 0: one for each processor
  bool global_symbols = false;  // RTLD_GLOBAL: libraries loaded later see this one's symbols; nothing on Windows

  // A folder where decoded params are kept, so that later processes map them instead of decoding; "": none. Made when missing, with
  // the folders above it. Of a bundle with compressed tensors, one file with all of them decoded, named by their digest, is written
  // by whoever first asks for one (data(), mutable_data(), DecodeAll(), not CopyTo()), whom it costs the decoding of all and the
  // wait for the disk. It is mapped from then on: data() of later handles and processes is zero-copy, and one memory serves them
  // all.
  //
  // The cache is never a reason to fail: where it cannot be written or is not sound, tensors are decoded as if there was none, and
  // it is made anew. Its structure is always checked; values as `check` says: with kStructure never, with kLazy when a tensor is
  // first asked for, with kFull all when it is opened. Files may be removed at any time, and are never removed for being old.
  //
  // Other users must not be able to put values of theirs into a model. So, but for Windows, where access control lists do it, a
  // folder is not used that is a symbolic link, that belongs to another user than this process's or root, or that its group or
  // everybody may write to; nor is such a file. What is made is the user's alone (0700, 0600).
  // It cannot be had together with trusted_keys, since nobody signs it (kInvalidArgument).
  std::string cache_dir = {};

  // Public keys (PEM texts, "BEGIN PUBLIC KEY"; Ed25519 or ECDSA P-256), one of which must have signed the bundle: kSignature when
  // none has, kDigestMismatch when a byte is not as it was signed. All that is checked before any code of the library runs, and
  // what is used is what was checked, whatever becomes of the file meanwhile:
  //
  // - LoadBundle on Linux loads a sealed copy in memory (memfd), which nobody can change any more. It costs the file's size in
  //   memory, shared with no other process, and a file descriptor for as long as the library is loaded. dladdr, gdb and perf know
  //   the library as /proc/self/fd/N or /memfd:NAME; path() is the file's. Loading a path twice gives two libraries. A library
  //   that the bundle needs from its own folder ($ORIGIN) must be loaded before: kUnsupported says which.
  // - LoadBundle on Windows keeps the file open, so that it cannot be written, renamed or removed while it is checked and loaded.
  // - LoadBundle on macOS loads a copy from a new folder that is the user's alone; another process of the same user could change
  //   it.
  // - OpenBundle reads a copy in memory; of bytes that are in memory already, those themselves: nobody may change them.
  // - FindBundle: kInvalidArgument, since the library's code has run.
  //
  // An empty list trusts nobody and is an error (kInvalidArgument). kSignature in a build without OpenSSL (PANNIER_SIGNATURES=OFF).
  std::optional<std::vector<std::string>> trusted_keys = std::nullopt;
  Trust trust = Trust::kFile;
};

// Paths are UTF-8 on Windows, and what the system takes elsewhere.
//
// Loads the library with the OS's dynamic loader (its constructors run) and finds its artifacts in the mapped image. Takes no
// longer for a large payload than for a small one. `path` is a file, never searched for in the library path. Loading a path twice
// gives two handles to one library, as dlopen does. kInvalidArgument (no regular file, or options that exclude each other), kIo,
// kNotABundle, kMalformed, kUnsupported, kLoadFailed (with the dynamic loader's own words), kDigestMismatch, kNoMemory, kSignature;
// kLimit of what TVM exported.
//
// A library without a payload of ours is read, too, by all four functions, where TVM's own export_library made it of a graph
// executor's factory (TVM 0.7 to 0.19): its graph and params are views into the blob of modules that it exports. Nobody made
// digests of those: `check` counts as kOff, but kFull, CheckDigests() and trusted_keys fail (kNotABundle). Tensors stand there one
// after another, so most of them are copied when they are asked for.
PANNIER_API Bundle LoadBundle(const std::string& path, const LoadOptions& options = {});

// Reads a bundle without running any of its code: any format on any OS. Errors as LoadBundle, but never kLoadFailed.
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
