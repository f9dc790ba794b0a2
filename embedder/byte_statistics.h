// Quick looks at bytes: is coding them worth a try? A few microseconds, where a try takes ten times that.
#ifndef PANNIER_EMBEDDER_BYTE_STATISTICS_H_
#define PANNIER_EMBEDDER_BYTE_STATISTICS_H_

#include <cstddef>

#include "src/bytes.h"

namespace pannier {

// Do some byte values occur clearly more often than others? Looks at 2048 bytes at most, evenly spread.
bool IsUneven(ByteView bytes);

// Which share of the bytes, about, stands elsewhere in them before, in runs of 16 or more? Looks at 4096 places at most.
double RepeatedShare(ByteView bytes);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_BYTE_STATISTICS_H_
