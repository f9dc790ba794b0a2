// The C library's error numbers in words.
#include "embedder/system_error.h"

#include <cerrno>
#include <system_error>

#include "src/text.h"

namespace pannier {

std::string SystemErrorText(int error) {
  std::string text = std::generic_category().message(error);
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] - 'A' + 'a');
  return text;
}

Status SystemError(std::string_view what, int error) {
  return {error == ENOMEM ? ErrorCode::kNoMemory : ErrorCode::kIo, StrCat(what, ": ", SystemErrorText(error))};
}

}  // namespace pannier
