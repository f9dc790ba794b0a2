// The door to LIEF for PE: does LIEF see the same headers as we do?
#ifndef PANNIER_EMBEDDER_FORMATS_LIEF_PE_H_
#define PANNIER_EMBEDDER_FORMATS_LIEF_PE_H_

#include "src/pe_model.h"
#include "src/result.h"

namespace pannier {

// LIEF is given the headers alone, since they are all that is compared: its readers of imports, exports and resources believe
// counts that a damaged file tells, and ask for the memory.
Status CompareWithLief(const PeModel& model);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_FORMATS_LIEF_PE_H_
