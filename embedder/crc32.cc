// Eight bytes at a time, by as many tables ("slicing by 8").
#include "embedder/crc32.h"

#include <array>
#include <cstddef>

namespace pannier {
namespace {

constexpr std::size_t kSlices = 8;
using Tables = std::array<std::array<std::uint32_t, 256>, kSlices>;

constexpr Tables MakeTables() {
  Tables tables{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xEDB88320U : 0);
    tables[0][i] = crc;
  }
  for (std::size_t slice = 1; slice < kSlices; ++slice) {
    for (std::size_t i = 0; i < 256; ++i) {
      const std::uint32_t before = tables[slice - 1][i];
      tables[slice][i] = (before >> 8) ^ tables[0][before & 0xFF];
    }
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

}  // namespace

std::uint32_t Crc32(std::uint32_t crc, ByteView bytes) {
  crc = ~crc;
  const std::uint8_t* at = bytes.begin();
  for (; bytes.end() - at >= static_cast<std::ptrdiff_t>(kSlices); at += kSlices) {
    std::uint32_t next = 0;
    for (std::size_t i = 0; i < kSlices; ++i) {
      const std::uint32_t byte = i < 4 ? at[i] ^ ((crc >> (8 * i)) & 0xFF) : at[i];
      next ^= kTables[kSlices - 1 - i][byte];
    }
    crc = next;
  }
  for (; at != bytes.end(); ++at) crc = (crc >> 8) ^ kTables[0][(crc ^ *at) & 0xFF];
  return ~crc;
}

}  // namespace pannier
