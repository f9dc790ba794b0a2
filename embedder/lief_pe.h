// The door to LIEF for PE: does LIEF see the same headers in a file as we do?
#ifndef PANNIER_EMBEDDER_LIEF_PE_H_
#define PANNIER_EMBEDDER_LIEF_PE_H_

#include "src/pe_model.h"
#include "src/result.h"

namespace pannier {

// Of the bytes that the model was made from.
Status CompareWithLief(const PeModel& model);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_LIEF_PE_H_
