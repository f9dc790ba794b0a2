// The one door to LIEF: a host file in, a HostModel out. No name of LIEF's passes it.
#ifndef PANNIER_EMBEDDER_LIEF_ADAPTER_H_
#define PANNIER_EMBEDDER_LIEF_ADAPTER_H_

#include "embedder/host_model.h"
#include "src/bytes.h"
#include "src/result.h"

namespace pannier {

// The model borrows the bytes.
Result<HostModel> ModelElfHost(ByteView bytes);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_LIEF_ADAPTER_H_
