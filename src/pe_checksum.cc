// The CheckSum in one pass: words add up modulo 0xffff, so carries may wait until the end.
#include "src/pe_checksum.h"

#include <algorithm>

#include "src/bytes.h"

namespace pannier {
namespace {

constexpr std::uint64_t kWindow = 1 << 20;

// Cannot overflow for files below 2^34 bytes; a PE file is below 2^32.
std::uint64_t SumOfWords(ByteView bytes) {
  std::uint64_t sum = 0;
  std::size_t at = 0;
  for (; at + 4 <= bytes.size(); at += 4) sum += LoadInteger<std::uint32_t>(bytes.data() + at, ByteOrder::kLittle);
  for (; at < bytes.size(); ++at) sum += std::uint64_t{bytes.data()[at]} << (8 * (at % 4));
  return sum;
}

}  // namespace

std::uint32_t PeChecksum(const MappedFile& file, std::uint64_t field) {
  const ByteView bytes = file.bytes();
  std::uint64_t sum = 0;
  for (std::uint64_t at = 0; at < bytes.size(); at += kWindow) {
    const ByteView window = *bytes.Slice(at, std::min<std::uint64_t>(kWindow, bytes.size() - at));
    sum += SumOfWords(window);
    while (sum >> 32 != 0) sum = (sum & UINT32_MAX) + (sum >> 32);
    file.Release(window);
  }
  // What the field holds is taken out byte by byte, as it was added: 0xffff - x is -x.
  for (std::uint64_t at = field; at < field + 4 && at < bytes.size(); ++at)
    sum += 0xffff - ((std::uint64_t{bytes.data()[at]} << (8 * (at % 2))) % 0xffff);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint32_t>(sum + bytes.size());
}

}  // namespace pannier
