// Slices laid out one behind the other.
#include "embedder/formats/fat_layout.h"

#include <algorithm>
#include <numeric>

#include "src/text.h"

namespace pannier {
namespace {

constexpr std::uint64_t kLargestGap = std::uint64_t{1} << 30;  // the largest alignment
constexpr std::uint64_t kPage = 16384;                         // dyld maps slices page by page; arm64 has the largest

std::vector<std::size_t> OrderInFile(const macho::FatFile& fat) {
  std::vector<std::size_t> order(fat.slices.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return fat.slices[a].offset < fat.slices[b].offset; });
  return order;
}

}  // namespace

Result<FatLayout> LayOutSlices(const macho::FatFile& original, const std::vector<std::uint64_t>& sizes) {
  FatLayout layout;
  layout.slices = original.slices;
  std::uint64_t end = original.header_size();
  for (const std::size_t i : OrderInFile(original)) {
    macho::Slice& slice = layout.slices[i];
    slice.offset = AlignUp(end, std::max(std::uint64_t{1} << slice.align, kPage));
    slice.size = sizes[i];
    end = slice.offset + slice.size;
    if (!original.is_64 && end > UINT32_MAX) {
      return {ErrorCode::kLimit,
              StrCat("slice ", macho::ArchName(slice.cpu_type, slice.cpu_subtype), ": found it to end at ", Hex(end),
                     ", expected less than 4 GiB; embed into each architecture's library, and ship them as separate files")};
    }
  }
  layout.file_size = end;
  return layout;
}

std::vector<std::uint8_t> EncodeFatHeader(const macho::FatFile& original, ByteView header, const FatLayout& layout) {
  std::vector<std::uint8_t> bytes(header.begin(), header.end());
  for (std::size_t i = 0; i < layout.slices.size(); ++i) {
    std::uint8_t* const at = bytes.data() + 8 + i * original.entry_size() + 8;
    const macho::Slice& slice = layout.slices[i];
    if (original.is_64) {
      StoreInteger(at, slice.offset, ByteOrder::kBig);
      StoreInteger(at + 8, slice.size, ByteOrder::kBig);
    } else {
      StoreInteger(at, static_cast<std::uint32_t>(slice.offset), ByteOrder::kBig);
      StoreInteger(at + 4, static_cast<std::uint32_t>(slice.size), ByteOrder::kBig);
    }
  }
  return bytes;
}

Status CheckGapSizes(const macho::FatFile& fat, std::uint64_t file_size) {
  std::uint64_t end = fat.header_size();
  auto check = [&](std::uint64_t limit) -> Status {
    if (limit - end <= kLargestGap) return {};
    return Unsupported(StrCat("fat file: found ", limit - end, " bytes that belong to no slice at ", Hex(end),
                              ", expected at most ", kLargestGap));
  };
  for (const std::size_t i : OrderInFile(fat)) {
    PANNIER_CHECK_OK(check(fat.slices[i].offset));
    end = fat.slices[i].offset + fat.slices[i].size;
  }
  return check(file_size);
}

Status CheckGaps(ByteView file, const macho::FatFile& fat) {
  PANNIER_CHECK_OK(CheckGapSizes(fat, file.size()));
  std::uint64_t end = fat.header_size();
  auto check = [&](std::uint64_t limit) -> Status {
    if (IsAllZero(*file.Slice(end, limit - end))) return {};
    return {ErrorCode::kUnsupported,
            StrCat("fat file: found data that belongs to no slice, between ", Hex(end), " and ", Hex(limit), ", expected zeroes")};
  };
  for (const std::size_t i : OrderInFile(fat)) {
    PANNIER_CHECK_OK(check(fat.slices[i].offset));
    end = fat.slices[i].offset + fat.slices[i].size;
  }
  return check(file.size());
}

}  // namespace pannier
