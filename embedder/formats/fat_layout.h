// Fat (universal) Mach-O files: where their slices go when these have grown, and the header that says so.
#ifndef PANNIER_EMBEDDER_FORMATS_FAT_LAYOUT_H_
#define PANNIER_EMBEDDER_FORMATS_FAT_LAYOUT_H_

#include <cstdint>
#include <vector>

#include "src/bytes.h"
#include "src/macho_file.h"
#include "src/result.h"

namespace pannier {

struct FatLayout {
  std::vector<macho::Slice> slices;  // in the header's order
  std::uint64_t file_size = 0;
};

// Slices of these sizes, in the order of the file, each at a page of any machine. kLimit when the header's numbers cannot say it.
Result<FatLayout> LayOutSlices(const macho::FatFile& original, const std::vector<std::uint64_t>& sizes);

// The original header with new places and sizes.
std::vector<std::uint8_t> EncodeFatHeader(const macho::FatFile& original, ByteView header, const FatLayout& layout);

// Alignment alone makes gaps between slices; a small bundle could stand for an endless file otherwise.
Status CheckGapSizes(const macho::FatFile& fat, std::uint64_t file_size);

// The ranges that no slice covers, behind the header, are small and zero; kUnsupported otherwise.
Status CheckGaps(ByteView file, const macho::FatFile& fat);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_FORMATS_FAT_LAYOUT_H_
