// An exported symbol of a Mach-O library.
#include "src/exported_symbol.h"

namespace pannier {

Result<std::optional<ByteView>> FindExportedMachO(ByteView library, std::string_view name) {
  (void)library;
  (void)name;
  return std::optional<ByteView>();
}

}  // namespace pannier
