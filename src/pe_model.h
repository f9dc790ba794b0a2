// PeModel: what the PE planner knows of a host library. Facts only.
#ifndef PANNIER_SRC_PE_MODEL_H_
#define PANNIER_SRC_PE_MODEL_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "src/bytes.h"
#include "src/pe_file.h"
#include "src/result.h"

namespace pannier {

inline constexpr std::uint32_t kPeDebugEntrySize = 28;
inline constexpr std::uint32_t kMaxPeDebugEntries = 256;  // linkers write ten or fewer

struct PeModel {
  ByteView bytes;  // borrowed: the whole file
  pe::Header header;
  std::vector<pe::Section> sections;  // their raw data is in the file
};

// The model borrows the bytes.
Result<PeModel> ReadPeModel(ByteView file);

// Where `size` bytes at an address are in the file, if a section's raw data holds them.
std::optional<std::uint64_t> PeFileOffset(const std::vector<pe::Section>& sections, std::uint64_t address, std::uint64_t size);

// From an address on, up to the end of what the file has of its section.
std::optional<ByteView> PeBytesFrom(const PeModel& model, std::uint64_t address);

// The number of the first of those debug sections at the end of the table that strip removes; the count of sections if there are
// none. No data directory leads into one.
std::size_t FirstTrailingDebugSection(const PeModel& model);

// Offsets in the file of the PointerToRawData fields of the debug directory's entries. Tools that move raw data change them.
std::vector<std::uint64_t> PeDebugPointerFields(const PeModel& model);

}  // namespace pannier

#endif  // PANNIER_SRC_PE_MODEL_H_
