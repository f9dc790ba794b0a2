// Elements split into planes of bytes, and put together again.
#include "src/planes.h"

#include <zstd.h>

#include <array>
#include <cstring>
#include <type_traits>

#include "src/text.h"

namespace pannier {
namespace {

template <typename T>
T RotateLeft(T value) {
  return static_cast<T>(static_cast<T>(value << 1) | static_cast<T>(value >> (8 * sizeof(T) - 1)));
}

template <typename T>
T RotateRight(T value) {
  return static_cast<T>(static_cast<T>(value >> 1) | static_cast<T>(value << (8 * sizeof(T) - 1)));
}

// Loops without calls or branches, which compilers turn into vector code.
template <typename T, bool kRotate>
void Split(const std::uint8_t* __restrict elements, std::size_t count, std::uint8_t* __restrict planes) {
  for (std::size_t i = 0; i < count; ++i) {
    T value = LoadInteger<T>(elements + i * sizeof(T), ByteOrder::kLittle);
    if constexpr (kRotate) value = RotateLeft(value);
    for (std::size_t plane = 0; plane < sizeof(T); ++plane)
      planes[plane * count + i] = static_cast<std::uint8_t>(value >> (8 * plane));
  }
}

template <typename T, bool kRotate>
void Join(const std::array<const std::uint8_t*, kMaxElementWidth>& planes, std::size_t count, std::uint8_t* __restrict out) {
  for (std::size_t i = 0; i < count; ++i) {
    T value = 0;
    for (std::size_t plane = 0; plane < sizeof(T); ++plane)
      value = static_cast<T>(value | static_cast<T>(static_cast<T>(planes[plane][i]) << (8 * plane)));
    if constexpr (kRotate) value = RotateRight(value);
    StoreInteger<T>(out + i * sizeof(T), value, ByteOrder::kLittle);
  }
}

// Calls function(T(), std::bool_constant).
template <typename Function>
void ForWidth(std::size_t width, bool rotate, const Function& function) {
  auto with = [&](auto element) {
    if (rotate) {
      function(element, std::true_type());
    } else {
      function(element, std::false_type());
    }
  };
  switch (width) {
    case 1:
      return with(std::uint8_t{});
    case 2:
      return with(std::uint16_t{});
    case 4:
      return with(std::uint32_t{});
    default:
      return with(std::uint64_t{});
  }
}

}  // namespace

void SplitPlanes(const std::uint8_t* elements, std::size_t count, std::size_t width, bool rotate, std::uint8_t* planes) {
  ForWidth(width, rotate, [&](auto element, auto rotates) { Split<decltype(element), rotates.value>(elements, count, planes); });
}

Status DecodePlanes(ByteView stored, std::uint8_t* out, std::size_t size, ZSTD_DCtx* context, std::uint8_t* scratch) {
  if (stored.size() < 4) return Malformed(StrCat("planes: found ", stored.size(), " bytes, expected a header"));
  const std::size_t width = stored.data()[0];
  const unsigned rotation = stored.data()[1];
  if (!IsPowerOfTwo(width) || width > kMaxElementWidth || rotation > 1 || stored.data()[2] != 0 || stored.data()[3] != 0)
    return Malformed(
        StrCat("planes: found elements of ", width, " bytes turned by ", rotation, " bits, expected 1, 2, 4 or 8 by 0 or 1"));
  if (stored.size() < PlanesHeaderSize(width))
    return Malformed(StrCat("planes: found ", stored.size(), " bytes, expected at least ", PlanesHeaderSize(width)));
  const std::size_t count = size / width;
  const std::size_t rest = size % width;

  std::array<const std::uint8_t*, kMaxElementWidth> planes{};
  std::size_t at = PlanesHeaderSize(width);
  for (std::size_t i = 0; i < width; ++i) {
    const auto entry = LoadInteger<std::uint32_t>(stored.data() + 4 + 4 * i, ByteOrder::kLittle);
    const std::uint32_t plane_size = entry & ~kPlaneIsFrame;
    const auto plane = stored.Slice(at, plane_size);
    if (!plane)
      return Malformed(
          StrCat("planes: plane ", i, ": found ", plane_size, " bytes at ", at, ", expected a range within ", stored.size()));
    at += plane_size;
    if ((entry & kPlaneIsFrame) == 0) {
      if (plane_size != count) return Malformed(StrCat("planes: plane ", i, ": found ", plane_size, " bytes, expected ", count));
      planes[i] = plane->data();
      continue;
    }
    // One-shot decoding never writes beyond `count`, whatever the frame claims.
    std::uint8_t* const room = scratch + i * count;
    const std::size_t decoded = ZSTD_decompressDCtx(context, room, count, plane->data(), plane->size());
    if (ZSTD_isError(decoded) != 0U) return Malformed(StrCat("planes: plane ", i, ": zstd: ", ZSTD_getErrorName(decoded)));
    if (decoded != count) return Malformed(StrCat("planes: plane ", i, ": zstd: found ", decoded, " bytes, expected ", count));
    planes[i] = room;
  }
  if (stored.size() - at != rest)
    return Malformed(StrCat("planes: found ", stored.size() - at, " bytes behind the planes, expected ", rest));
  ForWidth(width, rotation != 0, [&](auto element, auto rotates) { Join<decltype(element), rotates.value>(planes, count, out); });
  if (rest != 0) std::memcpy(out + count * width, stored.data() + at, rest);
  return {};
}

}  // namespace pannier
