// Room for one more program header, made behind the table in a finished ELF file.
#ifndef PANNIER_EMBEDDER_FORMATS_ELF_ROOM_H_
#define PANNIER_EMBEDDER_FORMATS_ELF_ROOM_H_

#include "embedder/formats/host_model.h"
#include "embedder/formats/place_elf.h"
#include "src/result.h"

namespace pannier {

// Fills in segment_entry, slide, slid and moved (without payload offsets). kUnsupported with the reason when there is no safe way.
Status MakeElfRoom(const HostModel& host, ElfPlacement& placement);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_FORMATS_ELF_ROOM_H_
