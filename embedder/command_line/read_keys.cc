// PEM files to keys.
#include "embedder/command_line/read_keys.h"

#include <utility>

#include "embedder/small_file.h"
#include "src/text.h"

namespace pannier {

Result<std::vector<PublicKey>> ReadKeys(const std::vector<std::string>& paths) {
  std::vector<PublicKey> keys;
  for (const std::string& path : paths) {
    PANNIER_TRY(const std::string pem, ReadSmallFile(path));
    PANNIER_TRY(PublicKey key, PublicKey::FromPem(pem).WithContext(Printable(path)));
    keys.push_back(std::move(key));
  }
  return keys;
}

}  // namespace pannier
