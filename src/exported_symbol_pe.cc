// An exported symbol of a PE library.
#include "src/exported_symbol.h"

namespace pannier {

Result<std::optional<ByteView>> FindExportedPe(ByteView library, std::string_view name) {
  (void)library;
  (void)name;
  return std::optional<ByteView>();
}

}  // namespace pannier
