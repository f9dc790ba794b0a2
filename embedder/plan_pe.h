// The PE planner: where the payload goes and what changes in the host. Pure functions: facts in, plan out.
//
// The layout (why: docs/architecture.md). The payload is one run of sections of its own, in file and memory alike, behind the
// host's last section; but before debug sections at the end, which strip removes: behind them it would then stand behind a hole,
// and Windows takes no image with a hole. All behind it moves as it is: debug sections, COFF symbols, whatever follows the file's
// end.
#ifndef PANNIER_EMBEDDER_PLAN_PE_H_
#define PANNIER_EMBEDDER_PLAN_PE_H_

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

// The second half. `sections` are in ascending order; the last one ends with the payload. kLimit when PE cannot hold it.
Result<EditPlan> PlanPe(const PeModel& host, const PePlacement& placement, const std::vector<PlannedSection>& sections);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_PLAN_PE_H_
