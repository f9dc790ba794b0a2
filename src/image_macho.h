// The image of a Mach-O library: facts and spans that strip, install_name_tool and codesign leave as they are.
#ifndef PANNIER_SRC_IMAGE_MACHO_H_
#define PANNIER_SRC_IMAGE_MACHO_H_

#include "src/byte_source.h"
#include "src/image.h"
#include "src/result.h"

namespace pannier {

// Of a library that may be hostile. Spans tile the bytes of all segments but __LINKEDIT and the payload's, from the first section
// on: load commands, whose meaning the other fields hold, may have grown into what is before.
Result<LibraryImage> MachOImage(const ByteSource& library);

}  // namespace pannier

#endif  // PANNIER_SRC_IMAGE_MACHO_H_
