// Planes: the codec for numbers: each element's bytes apart, those of one significance together, the ones that gain as zstd frames.
//
// Trained weights hardly compress as they are: mantissas are noise, and exponents, which repeat, lie between them. Turned by one
// bit, a float has its exponent in its highest byte alone (the sign goes to the lowest bit); the plane of these bytes then takes
// about a third of its size. docs/format.md, "Chunks and codecs".
#ifndef PANNIER_SRC_PLANES_H_
#define PANNIER_SRC_PLANES_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "src/bytes.h"
#include "src/result.h"

struct ZSTD_DCtx_s;
using ZSTD_DCtx = ZSTD_DCtx_s;  // NOLINT(readability-identifier-naming): as in zstd.h

namespace pannier {

inline constexpr std::size_t kMaxElementWidth = 8;

// The first bytes of a stored chunk: u8 width, u8 rotation (0 or 1 bit), u16 zero; then for each plane, from the lowest byte up,
// u32: its stored size, with the highest bit set if it is a zstd frame. Then the planes; then what is left of a size that is no
// multiple of the width.
constexpr std::size_t PlanesHeaderSize(std::size_t width) { return 4 + 4 * width; }
inline constexpr std::uint32_t kPlaneIsFrame = std::uint32_t{1} << 31;

// What a chunk of `size` bytes takes at most.
constexpr std::size_t PlanesBound(std::size_t size) { return PlanesHeaderSize(kMaxElementWidth) + size; }

// The planes of `count` elements, one after another, each `count` bytes long.
void SplitPlanes(const std::uint8_t* elements, std::size_t count, std::size_t width, bool rotate, std::uint8_t* planes);

// A stored chunk taken apart, all sizes checked, those that frames claim, too. Borrows the chunk.
struct StoredPlanes {
  std::size_t width = 1;
  bool rotate = false;
  std::size_t count = 0;  // of elements
  std::array<ByteView, kMaxElementWidth> planes;
  std::array<bool, kMaxElementWidth> is_frame{};
  ByteView rest;
};
Result<StoredPlanes> ParsePlanes(ByteView stored, std::size_t size);

// Decodes into exactly `size` bytes. `scratch` has room for `size` bytes.
Status DecodePlanes(ByteView stored, std::uint8_t* out, std::size_t size, ZSTD_DCtx* context, std::uint8_t* scratch);

}  // namespace pannier

#endif  // PANNIER_SRC_PLANES_H_
