// MachOModel: what the Mach-O planner knows of a host library. Facts only.
#ifndef PANNIER_EMBEDDER_FORMATS_MACHO_MODEL_H_
#define PANNIER_EMBEDDER_FORMATS_MACHO_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "src/bytes.h"
#include "src/macho_commands.h"
#include "src/macho_file.h"
#include "src/result.h"

namespace pannier {

inline constexpr std::uint64_t kMachOLargePage = 16384;                   // arm64's; a multiple of it suits all
inline constexpr std::uint64_t kMachOFileLimit = std::uint64_t{1} << 32;  // load commands have 32-bit offsets
inline constexpr std::uint64_t kMachOAlign = 16;  // of what follows inserted bytes: dyld wants pointer-aligned tables

struct MachOModel {
  ByteView bytes;  // borrowed: the whole library, a fat file's slice alone
  macho::Header header;
  std::vector<macho::Command> commands;
  std::vector<macho::Segment> segments;
  std::vector<std::vector<macho::Blob>> blobs;  // of each command
  std::size_t link_edit = 0;                    // index of the last segment
  std::optional<std::size_t> signature;         // index of its command

  const macho::Segment& link_edit_segment() const { return segments[link_edit]; }
  const macho::Segment& header_segment() const;  // the one that begins the file
  bool needs_signature() const;                  // as its CPU's kernels see it
  std::uint64_t page_size() const;
};

// kUnsupported, kMalformed: not a library that can carry a payload; the message says why and what to do.
Result<MachOModel> ReadMachOHost(ByteView bytes);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_FORMATS_MACHO_MODEL_H_
