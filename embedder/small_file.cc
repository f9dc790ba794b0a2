// Read to the end, or to one byte more than there may be.
#include "embedder/small_file.h"

#include <cerrno>
#include <fstream>
#include <iostream>

#include "embedder/system_error.h"
#include "embedder/utf8_path.h"
#include "src/text.h"

namespace pannier {
namespace {

Result<std::string> ReadAll(std::istream& stream, std::size_t most) {
  std::string text(most + 1, '\0');
  errno = 0;
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad()) return SystemError("cannot read", errno);
  text.resize(static_cast<std::size_t>(stream.gcount()));
  if (text.size() > most) return {ErrorCode::kInvalidArgument, StrCat("found more than ", most, " bytes, expected a small file")};
  return text;
}

}  // namespace

Result<std::string> ReadSmallFile(const std::string& path, std::size_t most) {
  if (path == "-") return ReadAll(std::cin, most).WithContext("stdin");
  errno = 0;
  std::ifstream file(Utf8Path(path), std::ios::binary);
  if (!file) return SystemError("cannot open", errno).WithContext(Printable(path));
  return ReadAll(file, most).WithContext(Printable(path));
}

}  // namespace pannier
