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

// Elements one by one, from `begin` on: what is left over by vectors, and all where there are none.
template <typename T, bool kRotate>
void SplitScalar(const std::uint8_t* __restrict elements, std::size_t begin, std::size_t count, std::uint8_t* __restrict planes) {
  for (std::size_t i = begin; i < count; ++i) {
    T value = LoadInteger<T>(elements + i * sizeof(T), ByteOrder::kLittle);
    if constexpr (kRotate) value = RotateLeft(value);
    for (std::size_t plane = 0; plane < sizeof(T); ++plane)
      planes[plane * count + i] = static_cast<std::uint8_t>(value >> (8 * plane));
  }
}

template <typename T, bool kRotate>
void JoinScalar(const std::array<const std::uint8_t*, kMaxElementWidth>& planes, std::size_t begin, std::size_t count,
                std::uint8_t* __restrict out) {
  for (std::size_t i = begin; i < count; ++i) {
    T value = 0;
    for (std::size_t plane = 0; plane < sizeof(T); ++plane)
      value = static_cast<T>(value | static_cast<T>(static_cast<T>(planes[plane][i]) << (8 * plane)));
    if constexpr (kRotate) value = RotateRight(value);
    StoreInteger<T>(out + i * sizeof(T), value, ByteOrder::kLittle);
  }
}

// Vectors of 16 bytes in the compilers' own words (GCC 12, clang): SSE2 and NEON from one text. They turn the loops above into
// vector code, too, but into code that joins at a fifth and splits at half of the speed.
#if (defined(__SSE2__) || (defined(__ARM_NEON) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)) && defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define PANNIER_HAS_VECTORS
#endif
#endif

#ifdef PANNIER_HAS_VECTORS

constexpr std::size_t kVectorSize = 16;
template <typename T>
using VectorOf [[gnu::vector_size(kVectorSize)]] = T;
using Vector = VectorOf<std::uint8_t>;

Vector LoadVector(const std::uint8_t* bytes) {
  Vector vector;
  std::memcpy(&vector, bytes, sizeof(vector));
  return vector;
}

void StoreVector(std::uint8_t* bytes, Vector vector) { std::memcpy(bytes, &vector, sizeof(vector)); }

// The bytes of even (of odd) numbers of both, one after another.
Vector Evens(Vector a, Vector b) {
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}
Vector Odds(Vector a, Vector b) { return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31); }
// The bytes of both in turn: of the lower (the upper) halves.
Vector ZipLow(Vector a, Vector b) { return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23); }
Vector ZipHigh(Vector a, Vector b) {
  return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

template <typename T, bool kRotate>
Vector LoadElements(const std::uint8_t* bytes) {
  if constexpr (!kRotate) return LoadVector(bytes);
  VectorOf<T> vector;
  std::memcpy(&vector, bytes, sizeof(vector));
  vector = (vector << 1) | (vector >> (8 * sizeof(T) - 1));
  Vector result;
  std::memcpy(&result, &vector, sizeof(result));
  return result;
}

template <typename T, bool kRotate>
void StoreElements(std::uint8_t* bytes, Vector elements) {
  if constexpr (!kRotate) return StoreVector(bytes, elements);
  VectorOf<T> vector;
  std::memcpy(&vector, &elements, sizeof(vector));
  vector = (vector >> 1) | (vector << (8 * sizeof(T) - 1));
  std::memcpy(bytes, &vector, sizeof(vector));
}

// 16 elements at a time: in sizeof(T) vectors of elements, or one of each plane. Taking the evens and odds of pairs of vectors
// moves one bit of a byte's place from within the element to the number of its vector; zipping moves it back.
template <typename T, bool kRotate>
std::size_t SplitVectors(const std::uint8_t* elements, std::size_t count, std::uint8_t* planes) {
  constexpr std::size_t kWidth = sizeof(T);
  std::size_t i = 0;
  for (; i + kVectorSize <= count; i += kVectorSize) {
    std::array<Vector, kWidth> from;
    for (std::size_t k = 0; k < kWidth; ++k) from[k] = LoadElements<T, kRotate>(elements + i * kWidth + k * kVectorSize);
    for (std::size_t step = 1; step < kWidth; step *= 2) {
      std::array<Vector, kWidth> to;
      for (std::size_t k = 0; k < kWidth / 2; ++k) {
        to[k] = Evens(from[2 * k], from[2 * k + 1]);
        to[k + kWidth / 2] = Odds(from[2 * k], from[2 * k + 1]);
      }
      from = to;
    }
    for (std::size_t k = 0; k < kWidth; ++k) StoreVector(planes + k * count + i, from[k]);
  }
  return i;
}

template <typename T, bool kRotate>
std::size_t JoinVectors(const std::array<const std::uint8_t*, kMaxElementWidth>& planes, std::size_t count, std::uint8_t* out) {
  constexpr std::size_t kWidth = sizeof(T);
  std::size_t i = 0;
  for (; i + kVectorSize <= count; i += kVectorSize) {
    std::array<Vector, kWidth> from;
    for (std::size_t k = 0; k < kWidth; ++k) from[k] = LoadVector(planes[k] + i);
    for (std::size_t step = 1; step < kWidth; step *= 2) {
      std::array<Vector, kWidth> to;
      for (std::size_t k = 0; k < kWidth / 2; ++k) {
        to[2 * k] = ZipLow(from[k], from[k + kWidth / 2]);
        to[2 * k + 1] = ZipHigh(from[k], from[k + kWidth / 2]);
      }
      from = to;
    }
    for (std::size_t k = 0; k < kWidth; ++k) StoreElements<T, kRotate>(out + i * kWidth + k * kVectorSize, from[k]);
  }
  return i;
}

#else

template <typename T, bool kRotate>
std::size_t SplitVectors(const std::uint8_t*, std::size_t, std::uint8_t*) {
  return 0;
}
template <typename T, bool kRotate>
std::size_t JoinVectors(const std::array<const std::uint8_t*, kMaxElementWidth>&, std::size_t, std::uint8_t*) {
  return 0;
}

#endif

template <typename T, bool kRotate>
void Split(const std::uint8_t* elements, std::size_t count, std::uint8_t* planes) {
  SplitScalar<T, kRotate>(elements, SplitVectors<T, kRotate>(elements, count, planes), count, planes);
}

template <typename T, bool kRotate>
void Join(const std::array<const std::uint8_t*, kMaxElementWidth>& planes, std::size_t count, std::uint8_t* out) {
  JoinScalar<T, kRotate>(planes, JoinVectors<T, kRotate>(planes, count, out), count, out);
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

Result<StoredPlanes> ParsePlanes(ByteView stored, std::size_t size) {
  if (stored.size() < 4) return Malformed(StrCat("planes: found ", stored.size(), " bytes, expected a header"));
  StoredPlanes result;
  result.width = stored.data()[0];
  const unsigned rotation = stored.data()[1];
  if (!IsPowerOfTwo(result.width) || result.width > kMaxElementWidth || rotation > 1 || stored.data()[2] != 0 ||
      stored.data()[3] != 0) {
    return Malformed(StrCat("planes: found elements of ", result.width, " bytes turned by ", rotation,
                            " bits, expected 1, 2, 4 or 8 by 0 or 1"));
  }
  if (stored.size() < PlanesHeaderSize(result.width))
    return Malformed(StrCat("planes: found ", stored.size(), " bytes, expected at least ", PlanesHeaderSize(result.width)));
  result.rotate = rotation == 1;
  result.count = size / result.width;
  std::size_t at = PlanesHeaderSize(result.width);
  for (std::size_t i = 0; i < result.width; ++i) {
    const auto entry = LoadInteger<std::uint32_t>(stored.data() + 4 + 4 * i, ByteOrder::kLittle);
    const auto plane = stored.Slice(at, entry & ~kPlaneIsFrame);
    if (!plane) {
      return Malformed(StrCat("planes: plane ", i, ": found ", entry & ~kPlaneIsFrame, " bytes at ", at,
                              ", expected a range within ", stored.size()));
    }
    at += plane->size();
    result.planes[i] = *plane;
    result.is_frame[i] = (entry & kPlaneIsFrame) != 0;
    // What a frame of unknown size claims is far from any count.
    const std::uint64_t found =
        result.is_frame[i] ? ZSTD_getFrameContentSize(plane->data(), plane->size()) : std::uint64_t{plane->size()};
    if (found != result.count) return Malformed(StrCat("planes: plane ", i, ": found ", found, " bytes, expected ", result.count));
  }
  const std::size_t rest = size % result.width;
  if (stored.size() - at != rest)
    return Malformed(StrCat("planes: found ", stored.size() - at, " bytes behind the planes, expected ", rest));
  result.rest = *stored.Slice(at, rest);
  return result;
}

Status DecodePlanes(ByteView stored, std::uint8_t* out, std::size_t size, ZSTD_DCtx* context, std::uint8_t* scratch) {
  PANNIER_TRY(const StoredPlanes chunk, ParsePlanes(stored, size));
  std::array<const std::uint8_t*, kMaxElementWidth> planes{};
  for (std::size_t i = 0; i < chunk.width; ++i) {
    const ByteView plane = chunk.planes[i];
    planes[i] = plane.data();
    if (!chunk.is_frame[i]) continue;
    // One-shot decoding never writes beyond its room, whatever the frame claims.
    std::uint8_t* const room = scratch + i * chunk.count;
    const std::size_t decoded = ZSTD_decompressDCtx(context, room, chunk.count, plane.data(), plane.size());
    if (ZSTD_isError(decoded) != 0U) return Malformed(StrCat("planes: plane ", i, ": zstd: ", ZSTD_getErrorName(decoded)));
    if (decoded != chunk.count)
      return Malformed(StrCat("planes: plane ", i, ": zstd: found ", decoded, " bytes, expected ", chunk.count));
    planes[i] = room;
  }
  ForWidth(chunk.width, chunk.rotate,
           [&](auto element, auto rotates) { Join<decltype(element), rotates.value>(planes, chunk.count, out); });
  if (!chunk.rest.empty()) std::memcpy(out + chunk.count * chunk.width, chunk.rest.data(), chunk.rest.size());
  return {};
}

}  // namespace pannier
