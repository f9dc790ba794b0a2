// An exported symbol of a PE library, by its name in the export directory.
#include "src/exported_symbol.h"
#include "src/pe_exports.h"
#include "src/text.h"

namespace pannier {

Result<std::optional<ByteView>> FindExportedPe(ByteView library, std::string_view name) {
  PANNIER_TRY(const PeModel model, ReadPeModel(library));
  PANNIER_TRY(const std::optional<PeExports> exports, ReadPeExports(model));
  if (!exports) return std::optional<ByteView>();
  for (const PeExportName& exported : exports->names) {
    if (exported.text != name) continue;
    if (const auto& forwarder = exports->forwarders[exported.index])
      return SymbolWithoutBytes(name, StrCat("a forwarder to ", Printable(*forwarder)));
    const std::optional<ByteView> bytes = PeBytesFrom(model, exports->addresses[exported.index]);
    if (!bytes) return SymbolWithoutBytes(name, StrCat("address ", Hex(exports->addresses[exported.index]), " without bytes"));
    return bytes;
  }
  return std::optional<ByteView>();
}

}  // namespace pannier
