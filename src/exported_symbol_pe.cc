// An exported symbol of a PE library, by its name in the export directory.
#include "src/exported_symbol.h"
#include "src/pe_exports.h"
#include "src/text.h"

namespace pannier {

Result<std::optional<ByteView>> FindExportedPe(ByteView library, std::string_view name) {
  PeModel model;
  model.bytes = library;
  PANNIER_TRY(model.header, pe::ParseHeader(library));
  PANNIER_TRY(model.sections, pe::ParseSections(library, model.header));
  PANNIER_CHECK_OK(pe::CheckSectionsInFile(model.sections, library.size()));
  PANNIER_TRY(const std::optional<PeExports> exports, ReadPeExports(model));
  if (!exports) return std::optional<ByteView>();
  for (const PeExportName& exported : exports->names) {
    if (exported.text != name) continue;
    const auto unsupported = [&](const std::string& what) {
      return Status(ErrorCode::kUnsupported, StrCat("symbol ", Printable(name), ": found ", what, ", expected bytes of the file"));
    };
    if (const auto& forwarder = exports->forwarders[exported.index])
      return unsupported(StrCat("a forwarder to ", Printable(*forwarder)));
    const std::optional<ByteView> bytes = PeBytesFrom(model, exports->addresses[exported.index]);
    if (!bytes) return unsupported(StrCat("address ", Hex(exports->addresses[exported.index]), " without bytes"));
    return bytes;
  }
  return std::optional<ByteView>();
}

}  // namespace pannier
