// LIEF's opinion of a Mach-O library, compared with ours. No name of LIEF's passes this door.
#ifndef PANNIER_EMBEDDER_FORMATS_LIEF_MACHO_H_
#define PANNIER_EMBEDDER_FORMATS_LIEF_MACHO_H_

#include "embedder/formats/macho_model.h"
#include "src/result.h"

namespace pannier {

// An error when LIEF sees other segments, sections, libraries or symbols: then one of the two readers is wrong, and the file is
// left alone. LIEF is given header and load commands alone, since they are all that is compared.
Status CompareWithLief(const MachOModel& host);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_FORMATS_LIEF_MACHO_H_
