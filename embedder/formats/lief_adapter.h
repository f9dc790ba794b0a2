// LIEF's ELF parser as a second reader: both must see the same library, and it adds what it alone knows.
#ifndef PANNIER_EMBEDDER_FORMATS_LIEF_ADAPTER_H_
#define PANNIER_EMBEDDER_FORMATS_LIEF_ADAPTER_H_

#include "embedder/formats/host_model.h"
#include "src/result.h"

namespace pannier {

// Fills in relocation_reach.
Status CompareWithLief(HostModel& model);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_FORMATS_LIEF_ADAPTER_H_
