// Sealing: the digests of a damaged bundle made right again, so that what they cover is read in spite of the damage.
#ifndef PANNIER_TESTS_FUZZ_BUNDLE_SEALER_H_
#define PANNIER_TESTS_FUZZ_BUNDLE_SEALER_H_

#include <cstddef>
#include <cstdint>

#include "manifest_generated.h"
#include "src/bytes.h"
#include "src/payload.h"

namespace pannier {

// All that can still be found: of chunks, chunk tables, tensor tables, host, image spans, parts and manifest. In a fat file, of
// each slice. Bytes that are no bundle stay as they are.
void SealBundle(std::uint8_t* bytes, std::size_t size);

// The same of a payload in `file`, whose anchor leads to its manifest; and the manifest's payload size becomes the anchor's.
void SealPayload(ByteView file, const Payload& payload);

// Null if it is no sound FlatBuffer.
const format::TensorTable* VerifiedTensorTable(ByteView bytes);

// Digests in chunk records and in the tensor table, whose bytes are changed.
void SealTensors(const format::TensorTable& table, ByteView chunk_table, ByteView stored);

}  // namespace pannier

#endif  // PANNIER_TESTS_FUZZ_BUNDLE_SEALER_H_
