// An exported symbol of a Mach-O library, by its name in the export trie.
#include <algorithm>
#include <string>

#include "src/exported_symbol.h"
#include "src/macho_trie.h"
#include "src/text.h"

namespace pannier {

Result<std::optional<ByteView>> FindExportedMachO(ByteView library, std::string_view name) {
  PANNIER_TRY(const macho::Header header, macho::ParseHeader(library));
  PANNIER_TRY(const std::vector<macho::Command> commands, macho::ParseCommands(library, header));
  PANNIER_TRY(const std::vector<macho::Segment> segments, macho::ParseSegments(header, commands));
  PANNIER_CHECK_OK(macho::CheckSegmentsInFile(segments, library.size()));
  PANNIER_TRY(const std::optional<macho::TriePlace> place, macho::FindTrie(header, commands));
  if (!place || place->blob.size == 0) return std::optional<ByteView>();
  const auto bytes = library.Slice(place->blob.offset, place->blob.size);
  if (!bytes) {
    return Malformed(StrCat("export trie: found ", place->blob.size, " bytes at ", Hex(place->blob.offset),
                            ", expected a range within the file's ", library.size(), " bytes"));
  }
  PANNIER_TRY(const macho::Trie trie, macho::ParseTrie(*bytes));
  const ByteView terminal = macho::FindInTrie(trie, "_" + std::string(name));
  if (terminal.empty()) return std::optional<ByteView>();
  PANNIER_TRY(const macho::Export exported, macho::ParseExport(terminal));
  if (!exported.is_plain()) return SymbolWithoutBytes(name, StrCat("an export of kind ", Hex(exported.flags)));
  const auto text = std::find_if(segments.begin(), segments.end(),
                                 [](const macho::Segment& segment) { return segment.offset == 0 && segment.file_size != 0; });
  const auto address = text != segments.end() ? CheckedAdd(text->address, exported.address) : std::nullopt;
  const std::optional<ByteView> found = address ? macho::BytesFrom(library, segments, *address) : std::nullopt;
  if (!found) return SymbolWithoutBytes(name, StrCat("address ", Hex(exported.address), " without bytes"));
  return found;
}

}  // namespace pannier
