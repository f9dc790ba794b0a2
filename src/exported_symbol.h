// What a symbol that a library exports leads to, found as the dynamic loader would find it.
#ifndef PANNIER_SRC_EXPORTED_SYMBOL_H_
#define PANNIER_SRC_EXPORTED_SYMBOL_H_

#include <optional>
#include <string_view>

#include "src/bytes.h"
#include "src/result.h"

namespace pannier {

// The bytes of a library's file, ELF, Mach-O (thin) or PE, from the symbol on, up to the end of what is mapped with it. Nothing
// where the library exports no such symbol; kUnsupported where it is one without bytes in the file (forwarded, absolute,
// zero-filled).
Result<std::optional<ByteView>> FindExported(ByteView library, std::string_view name);

// For those below: what such a symbol is.
Status SymbolWithoutBytes(std::string_view name, std::string_view what);

// One for each format; each in a file of its own.
Result<std::optional<ByteView>> FindExportedElf(ByteView library, std::string_view name);
Result<std::optional<ByteView>> FindExportedMachO(ByteView library, std::string_view name);
Result<std::optional<ByteView>> FindExportedPe(ByteView library, std::string_view name);

}  // namespace pannier

#endif  // PANNIER_SRC_EXPORTED_SYMBOL_H_
