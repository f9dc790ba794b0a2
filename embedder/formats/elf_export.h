// A symbol that a finished ELF library exports from now on, or exports already and that is led elsewhere.
#ifndef PANNIER_EMBEDDER_FORMATS_ELF_EXPORT_H_
#define PANNIER_EMBEDDER_FORMATS_ELF_EXPORT_H_

#include <string_view>

#include "embedder/formats/host_model.h"
#include "embedder/formats/place_elf.h"
#include "src/result.h"

namespace pannier {

// Fills in `exported`, `words` and what moves and grows. kUnsupported with the reason when there is no safe way.
Status ExportElfSymbol(const HostModel& host, std::string_view name, ElfPlacement& placement);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_FORMATS_ELF_EXPORT_H_
