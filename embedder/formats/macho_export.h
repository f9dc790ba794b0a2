// A symbol that a Mach-O library exports, led into the payload: the export trie written anew, in front of the old one.
#ifndef PANNIER_EMBEDDER_FORMATS_MACHO_EXPORT_H_
#define PANNIER_EMBEDDER_FORMATS_MACHO_EXPORT_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "embedder/formats/place_macho.h"
#include "src/result.h"

namespace pannier {

// kUnsupported: there is no way; the message says why.
Result<MachOExport> FindMachOExport(const MachOModel& host, std::string_view name, std::uint64_t host_end);

// The host's trie with the symbol at this address, which counts from the mach header.
Result<std::vector<std::uint8_t>> WriteTrie(const MachOModel& host, const MachOExport& exported, std::uint64_t address);

// The symbol's entry of the symbol table (an offset in the host) as it is with this address, in a section of this number, from 1.
std::vector<std::uint8_t> WriteSymbol(const MachOModel& host, std::uint64_t entry, std::uint64_t address, std::uint8_t section);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_FORMATS_MACHO_EXPORT_H_
