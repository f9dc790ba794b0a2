// Values of all of DLPack's real types as doubles. Sources: DLPack 1.1, dlpack.h; the small floats' names are those of ml_dtypes:
// eXmY has X bits of exponent and Y of mantissa, "fn" no infinities, "uz" no negative zero, whose code is the only NaN then.
#include "embedder/view/tensor_values.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

namespace pannier {
namespace {

struct SmallFloat {
  unsigned exponent_bits;
  unsigned mantissa_bits;
  int bias;
  enum class Special : std::uint8_t { kIeee, kNanAtTop, kNanIsNegativeZero, kNone } special;
};

double DecodeSmall(const SmallFloat& type, unsigned code) {
  const unsigned bits = type.exponent_bits + type.mantissa_bits;
  const bool is_negative = (code >> bits & 1U) != 0;
  const unsigned exponent = code >> type.mantissa_bits & ((1U << type.exponent_bits) - 1);
  const unsigned mantissa = code & ((1U << type.mantissa_bits) - 1);
  const bool is_top = exponent == (1U << type.exponent_bits) - 1;
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  using Special = SmallFloat::Special;
  if (type.special == Special::kIeee && is_top) {
    if (mantissa != 0) return kNan;
    return is_negative ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
  }
  if (type.special == Special::kNanAtTop && is_top && mantissa == (1U << type.mantissa_bits) - 1) return kNan;
  if (type.special == Special::kNanIsNegativeZero && is_negative && exponent == 0 && mantissa == 0) return kNan;
  const int scale = static_cast<int>(exponent == 0 ? 1 : exponent) - type.bias - static_cast<int>(type.mantissa_bits);
  const double value = std::ldexp(static_cast<double>(mantissa + (exponent == 0 ? 0U : 1U << type.mantissa_bits)), scale);
  return is_negative ? -value : value;
}

// By DLPack's code, from 7 on. float8_e8m0fnu (14) has no mantissa and no sign, and is not among them.
std::optional<SmallFloat> SmallFloatOf(std::uint8_t code) {
  using Special = SmallFloat::Special;
  switch (code) {
    case 7:
      return SmallFloat{3, 4, 3, Special::kIeee};
    case 8:
      return SmallFloat{4, 3, 7, Special::kIeee};
    case 9:
      return SmallFloat{4, 3, 11, Special::kNanIsNegativeZero};
    case 10:
      return SmallFloat{4, 3, 7, Special::kNanAtTop};
    case 11:
      return SmallFloat{4, 3, 8, Special::kNanIsNegativeZero};
    case 12:
      return SmallFloat{5, 2, 15, Special::kIeee};
    case 13:
      return SmallFloat{5, 2, 16, Special::kNanIsNegativeZero};
    case 15:
      return SmallFloat{2, 3, 1, Special::kNone};
    case 16:
      return SmallFloat{3, 2, 3, Special::kNone};
    case 17:
      return SmallFloat{2, 1, 1, Special::kNone};
    default:
      return std::nullopt;
  }
}

double DecodeHalf(std::uint16_t code) { return DecodeSmall({5, 10, 15, SmallFloat::Special::kIeee}, code); }

template <typename T>
double SignedValue(std::uint64_t bits) {
  return static_cast<double>(static_cast<T>(bits));
}

std::vector<double> TableOf(unsigned bits, const std::function<double(unsigned)>& decode) {
  std::vector<double> table(std::size_t{1} << bits);
  for (unsigned code = 0; code < table.size(); ++code) table[code] = decode(code);
  return table;
}

ValueDecoder ByTable(unsigned bits, const std::function<double(unsigned)>& decode) {
  return [table = TableOf(bits, decode)](std::uint64_t code) { return table[code & (table.size() - 1)]; };
}

double SignExtended(unsigned code, unsigned bits) {
  return (code >> (bits - 1) & 1U) != 0 ? static_cast<double>(code) - std::ldexp(1.0, static_cast<int>(bits))
                                        : static_cast<double>(code);
}

ValueDecoder IntegerDecoder(unsigned bits, bool is_signed) {
  if (bits == 64) return is_signed ? &SignedValue<std::int64_t> : &SignedValue<std::uint64_t>;
  if (bits == 32) return is_signed ? &SignedValue<std::int32_t> : &SignedValue<std::uint32_t>;
  if (bits != 1 && bits != 2 && bits != 4 && bits != 8 && bits != 16) return nullptr;
  return ByTable(bits, [=](unsigned code) { return is_signed ? SignExtended(code, bits) : static_cast<double>(code); });
}

ValueDecoder FloatDecoder(unsigned bits) {
  if (bits == 64) return [](std::uint64_t code) { return std::bit_cast<double>(code); };
  if (bits == 32)
    return [](std::uint64_t code) { return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(code))); };
  if (bits != 16) return nullptr;
  return ByTable(16, [](unsigned code) { return DecodeHalf(static_cast<std::uint16_t>(code)); });
}

}  // namespace

ValueLayout LayoutOf(DataType dtype, const std::vector<std::int64_t>& shape, std::uint64_t size) {
  std::uint64_t count = dtype.lanes;
  for (const std::int64_t dimension : shape)
    count = CheckedMultiply(count, static_cast<std::uint64_t>(std::max<std::int64_t>(dimension, 0))).value_or(UINT64_MAX);
  const unsigned width = dtype.bits < 8 && size < count ? dtype.bits : (dtype.bits + 7U) / 8 * 8;
  return {width, std::min(count, size > UINT64_MAX / 8 ? UINT64_MAX : size * 8 / std::max(width, 1U))};
}

ValueDecoder DecoderOf(DataType dtype) {
  constexpr std::uint8_t kInt = 0, kUInt = 1, kFloat = 2, kBfloat = 4, kBool = 6, kE8m0 = 14;
  if (dtype.code == kInt || dtype.code == kUInt || dtype.code == kBool) return IntegerDecoder(dtype.bits, dtype.code == kInt);
  if (dtype.code == kFloat) return FloatDecoder(dtype.bits);
  if (dtype.code == kBfloat && dtype.bits == 16)
    return ByTable(16, [](unsigned code) { return static_cast<double>(std::bit_cast<float>(code << 16)); });
  if (dtype.code == kE8m0 && dtype.bits == 8) {
    return ByTable(8, [](unsigned code) {
      return code == 255 ? std::numeric_limits<double>::quiet_NaN() : std::ldexp(1.0, static_cast<int>(code) - 127);
    });
  }
  const auto small = SmallFloatOf(dtype.code);
  // Six bits are stored in eight of their own, or packed; which, nobody says.
  if (!small || (dtype.bits != 8 && dtype.bits != 4) || dtype.bits != small->exponent_bits + small->mantissa_bits + 1)
    return nullptr;
  return ByTable(dtype.bits, [small](unsigned code) { return DecodeSmall(*small, code); });
}

}  // namespace pannier
