// ByteView: the one way to touch bytes of a file; every access is checked, arithmetic cannot overflow.
#ifndef PANNIER_SRC_BYTES_H_
#define PANNIER_SRC_BYTES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <type_traits>
#include <vector>

namespace pannier {

enum class ByteOrder : std::uint8_t { kLittle, kBig };

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
inline constexpr ByteOrder kNativeOrder = ByteOrder::kBig;
#else
inline constexpr ByteOrder kNativeOrder = ByteOrder::kLittle;
#endif

// Reads an unsigned integer of any alignment; the caller has checked that sizeof(T) bytes are there.
template <typename T>
T LoadInteger(const std::uint8_t* bytes, ByteOrder order) {
  static_assert(std::is_unsigned_v<T>);
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    std::size_t shift = (order == ByteOrder::kLittle ? i : sizeof(T) - 1 - i) * 8;
    value = static_cast<T>(value | static_cast<T>(static_cast<T>(bytes[i]) << shift));
  }
  return value;
}

template <typename T>
void StoreInteger(std::uint8_t* bytes, T value, ByteOrder order) {
  static_assert(std::is_unsigned_v<T>);
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    std::size_t shift = (order == ByteOrder::kLittle ? i : sizeof(T) - 1 - i) * 8;
    bytes[i] = static_cast<std::uint8_t>(value >> shift);
  }
}

template <typename T>
void AppendLittle(std::vector<std::uint8_t>& out, T value) {
  std::uint8_t bytes[sizeof(T)];
  StoreInteger(bytes, value, ByteOrder::kLittle);
  out.insert(out.end(), bytes, bytes + sizeof(T));
}

inline std::optional<std::uint64_t> CheckedAdd(std::uint64_t a, std::uint64_t b) {
  if (a > UINT64_MAX - b) return std::nullopt;
  return a + b;
}

inline std::optional<std::uint64_t> CheckedMultiply(std::uint64_t a, std::uint64_t b) {
  if (b != 0 && a > UINT64_MAX / b) return std::nullopt;
  return a * b;
}

// The least multiple of `alignment` (a power of two) that is not below `value`; the caller has checked that it fits.
inline std::uint64_t AlignUp(std::uint64_t value, std::uint64_t alignment) { return (value + alignment - 1) & ~(alignment - 1); }

inline bool IsPowerOfTwo(std::uint64_t value) { return value != 0 && (value & (value - 1)) == 0; }

// Does [offset, offset + size) lie within [0, limit)?
inline bool FitsWithin(std::uint64_t offset, std::uint64_t size, std::uint64_t limit) {
  return size <= limit && offset <= limit - size;
}

// Borrows bytes; whoever made them keeps them alive.
class ByteView {
 public:
  ByteView() = default;
  ByteView(const void* data, std::size_t size) : data_(static_cast<const std::uint8_t*>(data)), size_(size) {}

  const std::uint8_t* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const std::uint8_t* begin() const { return data_; }
  const std::uint8_t* end() const { return data_ + size_; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

  bool Contains(std::uint64_t offset, std::uint64_t size) const { return FitsWithin(offset, size, size_); }

  std::optional<ByteView> Slice(std::uint64_t offset, std::uint64_t size) const {
    if (!Contains(offset, size)) return std::nullopt;
    return ByteView(data_ + offset, static_cast<std::size_t>(size));
  }

  template <typename T>
  std::optional<T> Read(std::uint64_t offset, ByteOrder order = ByteOrder::kLittle) const {
    if (!Contains(offset, sizeof(T))) return std::nullopt;
    return LoadInteger<T>(data_ + offset, order);
  }

  friend bool operator==(ByteView a, ByteView b) {
    return a.size_ == b.size_ && (a.size_ == 0 || std::memcmp(a.data_, b.data_, a.size_) == 0);
  }

  friend bool operator!=(ByteView a, ByteView b) { return !(a == b); }

 private:
  const std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

inline ByteView View(const std::vector<std::uint8_t>& bytes) { return {bytes.data(), bytes.size()}; }
template <std::size_t N>
ByteView View(const std::array<std::uint8_t, N>& bytes) {
  return {bytes.data(), N};
}
inline ByteView View(std::string_view text) { return {text.data(), text.size()}; }

// Are all bytes zero? Used for padding.
inline bool IsAllZero(ByteView bytes) {
  return bytes.empty() || (bytes.data()[0] == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace pannier

#endif  // PANNIER_SRC_BYTES_H_
