// One symbol more that a PE library exports.
#ifndef PANNIER_EMBEDDER_FORMATS_PE_EXPORT_H_
#define PANNIER_EMBEDDER_FORMATS_PE_EXPORT_H_

#include <cstdint>
#include <string_view>

#include "embedder/formats/place_pe.h"
#include "src/result.h"

namespace pannier {

// Where the host has it: the entries to change. Else its tables, for that address, with one name more; where it exports nothing, a
// directory of them. kUnsupported: there is no way; the message says why.
Result<PeExport> ExportPeSymbol(const PeModel& host, std::string_view name, std::uint64_t address);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_FORMATS_PE_EXPORT_H_
