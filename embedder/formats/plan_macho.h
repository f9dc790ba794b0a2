// PlanMachO: what changes in a Mach-O library. A pure function: facts in, plan out.
//
// The payload becomes a read-only segment __TVM directly before __LINKEDIT, which dyld demands to be the last: in the file, in
// memory and among the load commands. __LINKEDIT moves up by the payload's size, and with it every offset that leads into it.
// docs/architecture.md, "The Mach-O layout, and why".
#ifndef PANNIER_EMBEDDER_FORMATS_PLAN_MACHO_H_
#define PANNIER_EMBEDDER_FORMATS_PLAN_MACHO_H_

#include <vector>

#include "embedder/edit_plan.h"
#include "embedder/formats/macho_model.h"
#include "embedder/formats/place_macho.h"
#include "src/result.h"

namespace pannier {

Result<EditPlan> PlanMachO(const MachOModel& host, const MachOPlacement& placement, const std::vector<PlannedSection>& sections);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_FORMATS_PLAN_MACHO_H_
