// The image of an ELF library: PT_LOADs cut into spans, section by section.
#ifndef PANNIER_SRC_IMAGE_ELF_H_
#define PANNIER_SRC_IMAGE_ELF_H_

#include <cstdint>
#include <vector>

#include "src/bytes.h"
#include "src/elf_file.h"
#include "src/image.h"

namespace pannier {

// `file` begins with the ELF header. Spans tile all bytes that the PT_LOADs map, but for ELF header and program headers, whose
// meaning the image's other fields hold, and the segment at `anchor_address`, the payload's. Without sections nothing is a gap.
LibraryImage ElfImage(ByteView file, const elf::Header& header, const std::vector<elf::Segment>& segments,
                      const std::vector<elf::Section>& sections, std::uint64_t anchor_address);

}  // namespace pannier

#endif  // PANNIER_SRC_IMAGE_ELF_H_
