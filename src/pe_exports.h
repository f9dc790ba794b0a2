// What a PE library exports: the export directory and its tables.
// Source: Microsoft's "PE Format", "The .edata Section (Image Only)".
#ifndef PANNIER_SRC_PE_EXPORTS_H_
#define PANNIER_SRC_PE_EXPORTS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "src/bytes.h"
#include "src/pe_model.h"
#include "src/result.h"

namespace pannier {

inline constexpr std::size_t kPeExportDirectorySize = 40;
// Offsets of its fields.
inline constexpr std::size_t kPeExportLibrary = 12;  // address of the library's name
inline constexpr std::size_t kPeExportBase = 16;     // the first entry's ordinal
inline constexpr std::size_t kPeExportCount = 20;    // of addresses; from here on, all is about the tables
inline constexpr std::size_t kPeExportNameCount = 24;
inline constexpr std::size_t kPeExportAddresses = 28;
inline constexpr std::size_t kPeExportNames = 32;
inline constexpr std::size_t kPeExportIndices = 36;

inline constexpr std::uint32_t kPeMostExports = 65536;  // ordinals and the names' indices have 16 bits

struct PeExportName {
  std::string_view text;  // borrowed, like all bytes here
  std::uint32_t address = 0;
  std::uint16_t index = 0;  // into the addresses
};

struct PeExports {
  ByteView directory;
  std::vector<std::uint32_t> addresses;
  std::uint64_t addresses_offset = 0;  // in the file
  std::vector<PeExportName> names;     // in the table's order

  // For each address: nothing, or, where it is not that of a symbol, but of a text, which symbol of another library is meant.
  std::vector<std::optional<std::string_view>> forwarders;
};

// Nothing where the library has no export directory.
Result<std::optional<PeExports>> ReadPeExports(const PeModel& model);

}  // namespace pannier

#endif  // PANNIER_SRC_PE_EXPORTS_H_
