// PlanElf: what changes in an ELF host. A pure function: facts in, plan out.
//
// The layout (why: docs/architecture.md). The payload goes behind the end of the file as one read-only PT_LOAD at an address behind
// all others. The program header table stays where it is and grows by one entry; the room comes from what lies behind it: notes
// slide up, and tables that only the dynamic section points to (.gnu.hash, .dynsym, ...) leave for the payload. Section headers and
// their names are written anew at the end. All other bytes of the host stay as they are.
#ifndef PANNIER_EMBEDDER_FORMATS_PLAN_ELF_H_
#define PANNIER_EMBEDDER_FORMATS_PLAN_ELF_H_

#include <vector>

#include "embedder/edit_plan.h"
#include "embedder/formats/host_model.h"
#include "embedder/formats/place_elf.h"
#include "src/result.h"

namespace pannier {

// `sections` are in ascending order; the last one ends with the payload. kLimit when ELF's class cannot hold it.
Result<EditPlan> PlanElf(const HostModel& host, const ElfPlacement& placement, const std::vector<PlannedSection>& sections);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_FORMATS_PLAN_ELF_H_
