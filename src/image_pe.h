// The image of a PE library: its sections cut into spans, without the debug sections that strip removes.
#ifndef PANNIER_SRC_IMAGE_PE_H_
#define PANNIER_SRC_IMAGE_PE_H_

#include <cstddef>
#include <cstdint>

#include "src/image.h"
#include "src/pe_model.h"

namespace pannier {

// The first `section_count` sections as the file has them; the others are debug sections. Spans tile all bytes that the OS maps of
// them, but for the debug directory's file offsets, and the payload's `payload_size` bytes at `anchor_address`. Reads none of the
// model's bytes but the headers.
LibraryImage PeImage(const PeModel& model, std::size_t section_count, std::uint64_t anchor_address, std::uint64_t payload_size);

}  // namespace pannier

#endif  // PANNIER_SRC_IMAGE_PE_H_
