// Names in UTF-8 as paths of the system, and back.
#ifndef PANNIER_EMBEDDER_UTF8_PATH_H_
#define PANNIER_EMBEDDER_UTF8_PATH_H_

#include <filesystem>
#include <string>

namespace pannier {

// A plain string would be taken for one in the user's code page on Windows.
inline std::filesystem::path Utf8Path(const std::string& name) { return std::u8string(name.begin(), name.end()); }
inline std::string Utf8Name(const std::filesystem::path& path) {
  const std::u8string name = path.generic_u8string();
  return {name.begin(), name.end()};
}

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_UTF8_PATH_H_
