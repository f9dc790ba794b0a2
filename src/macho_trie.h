// The export trie of a Mach-O library: what it exports, by name, as dyld looks it up.
// Source: Apple's mach-o/loader.h (EXPORT_SYMBOL_FLAGS_...), and dyld's trieWalk.
#ifndef PANNIER_SRC_MACHO_TRIE_H_
#define PANNIER_SRC_MACHO_TRIE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "src/bytes.h"
#include "src/macho_commands.h"
#include "src/macho_file.h"
#include "src/result.h"

namespace pannier::macho {

// Flags of an export.
inline constexpr std::uint64_t kExportKind = 3;  // 0: an address from the mach header on
inline constexpr std::uint64_t kExportReexported = 8;
inline constexpr std::uint64_t kExportResolver = 16;
inline constexpr std::uint64_t kExportVariants = 32;

struct TrieEdge {
  std::string_view label;
  std::size_t child = 0;  // the node's number
};

struct TrieNode {
  ByteView terminal;  // of the symbol that ends here; empty: none does
  std::vector<TrieEdge> edges;
};

// Node 0 is the root. Labels and terminals are borrowed.
using Trie = std::vector<TrieNode>;

// Where a library has it.
struct TriePlace {
  std::size_t command = 0;  // the load command's number
  Blob blob;                // within it; the size's field follows the offset's
};

// Nothing where no load command leads to one. One of no bytes is none that exports anything.
Result<std::optional<TriePlace>> FindTrie(const Header& header, const std::vector<Command>& commands);

// A node is reached by one way alone, so that no trie is larger than its bytes.
Result<Trie> ParseTrie(ByteView bytes);

// The first edge that dyld would follow for a name; null: the name is not in the trie.
const TrieEdge* FindEdge(const TrieNode& node, std::string_view name);
// The terminal of a symbol, by its name with the underscore in front; empty: it is not exported.
ByteView FindInTrie(const Trie& trie, std::string_view name);

struct Export {
  std::uint64_t flags = 0;
  std::uint64_t address = 0;  // from the mach header on

  // Else it is another library's, has code that finds it, or is a number.
  bool is_plain() const { return (flags & (kExportKind | kExportReexported | kExportResolver | kExportVariants)) == 0; }
};

Result<Export> ParseExport(ByteView terminal);

}  // namespace pannier::macho

#endif  // PANNIER_SRC_MACHO_TRIE_H_
