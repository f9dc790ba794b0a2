// PlacePePayload: where the payload goes in a PE host. A pure function, as PlanPe, which is next.
#ifndef PANNIER_EMBEDDER_FORMATS_PLACE_PE_H_
#define PANNIER_EMBEDDER_FORMATS_PLACE_PE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "embedder/edit_plan.h"
#include "embedder/host.h"
#include "src/pe_model.h"
#include "src/result.h"

namespace pannier {

// How a symbol gets to lead into the payload.
struct PeExport {
  std::vector<std::uint64_t> entries;  // in the host: the symbol's, in the export address table, where it has some
  std::vector<std::uint8_t> tables;    // else new tables, behind the anchor; with the directory, where the host has none
  std::size_t added = 0;               // in these: the new symbol's address, as yet zero
  std::optional<Edit> directory;       // of the host's own, which leads to them
};

struct PePlacement : Placement {
  std::size_t first_section = 0;     // the number, from 0, of the payload's first section
  std::uint64_t headers_end = 0;     // in the host: where the first raw data begins
  std::uint64_t headers_growth = 0;  // zeroes put in there, so that section headers have room
  std::uint64_t new_headers_size = 0;
  std::uint64_t payload_split = 0;  // in the host: what is behind moves behind the payload
  std::uint64_t host_end = 0;       // in the host: a certificate table behind is left out
  std::optional<PeExport> exported;
};

// kUnsupported: this file is no host for a payload; the message says why and what to do.
Result<PePlacement> PlacePePayload(const PeModel& host, const HostOptions& options);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_FORMATS_PLACE_PE_H_
