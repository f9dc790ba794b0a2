// A PE file's CheckSum: what the OS checks of drivers, and whoever signs or scans files of all.
#ifndef PANNIER_SRC_PE_CHECKSUM_H_
#define PANNIER_SRC_PE_CHECKSUM_H_

#include <cstdint>

#include "src/mapped_file.h"

namespace pannier {

// The sum of all of the file's little-endian 16-bit words with carries added in, the field's four bytes taken as zero, plus the
// file's size.
std::uint32_t PeChecksum(const MappedFile& file, std::uint64_t field);

}  // namespace pannier

#endif  // PANNIER_SRC_PE_CHECKSUM_H_
