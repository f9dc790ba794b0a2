// Quick looks at bytes: is coding them worth a try? Of samples, since a try looks at all.
#ifndef PANNIER_EMBEDDER_CONTENT_BYTE_STATISTICS_H_
#define PANNIER_EMBEDDER_CONTENT_BYTE_STATISTICS_H_

#include "src/bytes.h"

namespace pannier {

// Do some byte values occur clearly more often than others? Looks at 2048 bytes at most, evenly spread.
bool IsUneven(ByteView bytes);

// What a code for single bytes saves, about, as a share of the size; no more than that. Looks at 4096 bytes at most.
double SavedByCode(ByteView bytes);

// Which share of the bytes, about, stands elsewhere in them before, in runs of 16 or more? Looks at 1024 places at most.
double RepeatedShare(ByteView bytes);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_CONTENT_BYTE_STATISTICS_H_
