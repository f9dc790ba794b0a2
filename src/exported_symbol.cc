// The one place that chooses between formats when an exported symbol is looked for.
#include "src/exported_symbol.h"

#include "src/payload.h"
#include "src/text.h"

namespace pannier {

Result<std::optional<ByteView>> FindExported(ByteView library, std::string_view name) {
  const FileFormat format = DetectFormat(library);
  switch (format) {
    case FileFormat::kElf:
      return FindExportedElf(library, name);
    case FileFormat::kMachO:
      return FindExportedMachO(library, name);
    case FileFormat::kPe:
      return FindExportedPe(library, name);
    case FileFormat::kArchive:
    case FileFormat::kUnknown:
      break;
  }
  return NotALibrary(format);
}

Status SymbolWithoutBytes(std::string_view name, std::string_view what) {
  return Unsupported(StrCat("symbol ", Printable(name), ": found ", what, ", expected bytes of the file"));
}

}  // namespace pannier
