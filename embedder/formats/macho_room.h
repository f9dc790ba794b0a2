// Room for the payload's load command: what is given up for it, step by step.
#ifndef PANNIER_EMBEDDER_FORMATS_MACHO_ROOM_H_
#define PANNIER_EMBEDDER_FORMATS_MACHO_ROOM_H_

#include <cstdint>

#include "embedder/formats/place_macho.h"

namespace pannier {

inline constexpr std::uint32_t kBuildVersionSize = 24;  // without tools
inline constexpr std::uint32_t kLinkEditCommandSize = 16;

// Chooses how many section headers there are and which load commands go; kUnsupported when nothing does.
Status MakeMachORoom(const MachOModel& host, const HostOptions& options, MachOPlacement& placement);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_FORMATS_MACHO_ROOM_H_
