// Read to the end, or to one byte more than there may be.
#include "embedder/small_file.h"

#include <cerrno>
#include <cstddef>
#include <fstream>
#include <iostream>

#include "embedder/file_source.h"
#include "embedder/system.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::size_t kMost = 64 << 10;

Result<std::string> ReadAll(std::istream& stream) {
  std::string text(kMost + 1, '\0');
  errno = 0;
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad()) return SystemError("cannot read", errno);
  text.resize(static_cast<std::size_t>(stream.gcount()));
  if (text.size() > kMost) return {ErrorCode::kInvalidArgument, StrCat("found more than ", kMost, " bytes, expected a small file")};
  return text;
}

}  // namespace

Result<std::string> ReadSmallFile(const std::string& path) {
  if (path == "-") return ReadAll(std::cin).WithContext("stdin");
  errno = 0;
  std::ifstream file(Utf8Path(path), std::ios::binary);
  if (!file) return SystemError("cannot open", errno).WithContext(Printable(path));
  return ReadAll(file).WithContext(Printable(path));
}

}  // namespace pannier
