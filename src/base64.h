// Base64 (RFC 4648, section 4: the standard alphabet, padded).
#ifndef PANNIER_SRC_BASE64_H_
#define PANNIER_SRC_BASE64_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/bytes.h"

namespace pannier {

std::string EncodeBase64(ByteView bytes);

// None where the text is not what EncodeBase64 gives for some bytes: each byte string has one form.
std::optional<std::vector<std::uint8_t>> DecodeBase64(std::string_view text);

}  // namespace pannier

#endif  // PANNIER_SRC_BASE64_H_
