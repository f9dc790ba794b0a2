// PlanPe: what changes in a PE host. A pure function: facts in, plan out.
//
// The layout (why: docs/architecture.md). The payload is one run of sections of its own, in file and memory alike, behind the
// host's last section; but before debug sections at the end, which strip removes: behind them it would then stand behind a hole,
// and Windows takes no image with a hole. All behind it moves as it is: debug sections, COFF symbols, whatever follows the file's
// end.
#ifndef PANNIER_EMBEDDER_FORMATS_PLAN_PE_H_
#define PANNIER_EMBEDDER_FORMATS_PLAN_PE_H_

#include <vector>

#include "embedder/edit_plan.h"
#include "embedder/formats/place_pe.h"
#include "src/pe_model.h"
#include "src/result.h"

namespace pannier {

// `sections` are in ascending order; the last one ends with the payload. kLimit when PE cannot hold it.
Result<EditPlan> PlanPe(const PeModel& host, const PePlacement& placement, const std::vector<PlannedSection>& sections);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_FORMATS_PLAN_PE_H_
