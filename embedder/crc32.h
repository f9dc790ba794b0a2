// CRC-32 as ZIP files have it.
#ifndef PANNIER_EMBEDDER_CRC32_H_
#define PANNIER_EMBEDDER_CRC32_H_

#include <cstdint>

#include "src/bytes.h"

namespace pannier {

// Of what `crc` is of, followed by `bytes`; it is 0 of nothing.
std::uint32_t Crc32(std::uint32_t crc, ByteView bytes);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_CRC32_H_
