// The trie is taken apart, changed, written and read back. Its old bytes stay behind the new ones, within the same table: nothing
// leads to them, the undo record need not hold them, and Apple's tools allow no bytes between the tables of __LINKEDIT.
#include "embedder/formats/macho_export.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include "embedder/formats/new_symbol.h"
#include "src/text.h"

namespace pannier {
namespace {

using macho::Trie;
using macho::TrieEdge;
using macho::TrieNode;

constexpr std::size_t kMostEdges = 255;  // of a node
// Of the symbol table's entries.
constexpr std::size_t kSymbolType = 4;
constexpr std::size_t kSymbolSection = 5;
constexpr std::size_t kSymbolValue = 8;
constexpr std::uint8_t kDebugSymbol = 0xe0;   // N_STAB
constexpr std::uint8_t kTypeOfSymbol = 0x0e;  // N_TYPE
constexpr std::uint8_t kInSection = 0x0e;     // N_SECT

std::size_t SymbolSize(const macho::Header& header) { return header.is_64 ? 16 : 12; }

// What is put in before the old trie must not part another table.
Status CheckTriePlace(const MachOModel& host, const macho::TriePlace& place, std::uint64_t host_end) {
  const std::uint64_t begin = place.blob.offset;
  const std::uint64_t end = begin + place.blob.size;
  if (begin < host.link_edit_segment().offset || end > host_end) {
    return NoNewSymbol(StrCat("export trie: found ", place.blob.size, " bytes at ", Hex(begin),
                              ", expected them in __LINKEDIT, from ", Hex(host.link_edit_segment().offset), " to ", Hex(host_end)));
  }
  for (std::size_t i = 0; i < host.commands.size(); ++i) {
    for (const macho::Blob& blob : host.blobs[i]) {
      const bool is_trie = i == place.command && blob.offset_field == place.blob.offset_field;
      if (is_trie || blob.size == 0 || blob.offset >= std::max(end, begin + 1) || blob.offset + blob.size <= begin) continue;
      if (place.blob.size == 0 && blob.offset == begin) continue;
      return Malformed(StrCat("export trie: found another table that overlaps it, ", blob.size, " bytes at ", Hex(blob.offset)));
    }
  }
  return {};
}

Result<Trie> ReadTrie(const MachOModel& host, const macho::TriePlace& place) {
  return macho::ParseTrie(*host.bytes.Slice(place.blob.offset, place.blob.size));
}

// All entries of this name that are defined in the library, those for debuggers aside.
std::vector<std::uint64_t> FindSymbols(const MachOModel& host, std::string_view name) {
  std::vector<std::uint64_t> found;
  const std::string text = std::string(name) + '\0';
  for (std::size_t i = 0; i < host.commands.size(); ++i) {
    if (host.commands[i].type != macho::kSymbolTable) continue;
    const macho::Blob& symbols = host.blobs[i][0];
    const macho::Blob& names = host.blobs[i][1];
    const auto strings = host.bytes.Slice(names.offset, names.size);
    const auto table = host.bytes.Slice(symbols.offset, symbols.size);
    if (!strings || !table || symbols.offset < host.link_edit_segment().offset) continue;
    for (std::uint64_t at = 0; at < table->size(); at += SymbolSize(host.header)) {
      const auto own = strings->Slice(*table->Read<std::uint32_t>(at), text.size());
      const std::uint8_t type = table->data()[at + kSymbolType];
      if (own && own->text() == text && (type & kDebugSymbol) == 0 && (type & kTypeOfSymbol) == kInSection)
        found.push_back(symbols.offset + at);
    }
  }
  return found;
}

// Leads the name to this terminal. Whatever way dyld went for other names it goes on to go.
void Insert(Trie& trie, std::string_view name, ByteView terminal) {
  std::size_t at = 0;
  while (!name.empty()) {
    if (const TrieEdge* const edge = macho::FindEdge(trie[at], name)) {
      name.remove_prefix(edge->label.size());
      at = edge->child;
      continue;
    }
    const auto is_alike = [&](const TrieEdge& edge) { return edge.label.front() == name.front(); };
    std::vector<TrieEdge>& edges = trie[at].edges;
    const auto alike = std::find_if(edges.begin(), edges.end(), is_alike);
    const std::size_t added = trie.size();
    // Where two begin alike, a node for what they share would hide one of them.
    if (alike == edges.end() || std::any_of(alike + 1, edges.end(), is_alike)) {
      edges.push_back({name, added});
      trie.emplace_back();
      at = added;
      break;
    }
    const auto shared = static_cast<std::size_t>(
        std::mismatch(alike->label.begin(), alike->label.end(), name.begin(), name.end()).first - alike->label.begin());
    TrieNode node;
    node.edges.push_back({alike->label.substr(shared), alike->child});
    *alike = {alike->label.substr(0, shared), added};
    trie.push_back(std::move(node));
  }
  trie[at].terminal = terminal;
}

std::size_t UlebSize(std::uint64_t value) {
  std::size_t size = 1;
  while ((value >>= 7) != 0) ++size;
  return size;
}

void AppendUleb(std::vector<std::uint8_t>& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<std::uint8_t>(value | 0x80));
  out.push_back(static_cast<std::uint8_t>(value));
}

std::uint64_t NodeSize(const TrieNode& node, const std::vector<std::uint64_t>& offsets) {
  std::uint64_t size = UlebSize(node.terminal.size()) + node.terminal.size() + 1;
  for (const TrieEdge& edge : node.edges) size += edge.label.size() + 1 + UlebSize(offsets[edge.child]);
  return size;
}

std::vector<std::uint8_t> Encode(const Trie& trie) {
  // A node's size depends on where its children are. Offsets only grow, so that they come to rest.
  std::vector<std::uint64_t> offsets(trie.size());
  for (bool has_changed = true; has_changed;) {
    has_changed = false;
    std::uint64_t at = 0;
    for (std::size_t i = 0; i < trie.size(); ++i) {
      has_changed = has_changed || offsets[i] != at;
      offsets[i] = at;
      at += NodeSize(trie[i], offsets);
    }
  }
  std::vector<std::uint8_t> bytes;
  for (const TrieNode& node : trie) {
    AppendUleb(bytes, node.terminal.size());
    bytes.insert(bytes.end(), node.terminal.begin(), node.terminal.end());
    bytes.push_back(static_cast<std::uint8_t>(node.edges.size()));
    for (const TrieEdge& edge : node.edges) {
      bytes.insert(bytes.end(), edge.label.begin(), edge.label.end());
      bytes.push_back(0);
      AppendUleb(bytes, offsets[edge.child]);
    }
  }
  return bytes;
}

bool IsSame(const Trie& a, const Trie& b) {
  std::vector<std::pair<std::size_t, std::size_t>> pairs = {{0, 0}};
  while (!pairs.empty()) {
    const TrieNode& one = a[pairs.back().first];
    const TrieNode& other = b[pairs.back().second];
    pairs.pop_back();
    if (one.terminal != other.terminal || one.edges.size() != other.edges.size()) return false;
    for (std::size_t i = 0; i < one.edges.size(); ++i) {
      if (one.edges[i].label != other.edges[i].label) return false;
      pairs.emplace_back(one.edges[i].child, other.edges[i].child);
    }
  }
  return a.size() == b.size();
}

}  // namespace

Result<MachOExport> FindMachOExport(const MachOModel& host, std::string_view name, std::uint64_t host_end) {
  PANNIER_TRY(const std::optional<macho::TriePlace> place, macho::FindTrie(host.header, host.commands));
  if (!place) {
    return NoNewSymbol(
        "found no export trie (LC_DYLD_INFO_ONLY or LC_DYLD_EXPORTS_TRIE), expected one; link it for macOS 10.6 or later");
  }
  PANNIER_CHECK_OK(CheckTriePlace(host, *place, host_end));
  MachOExport exported;
  exported.name = "_" + std::string(name);
  exported.trie = *place;
  PANNIER_TRY(const Trie trie, ReadTrie(host, *place));
  if (const ByteView terminal = macho::FindInTrie(trie, exported.name); !terminal.empty()) {
    PANNIER_TRY(const macho::Export own, macho::ParseExport(terminal));
    if (!own.is_plain()) return NoNewSymbol(StrCat(name, " is there, with flags ", Hex(own.flags), ", expected a plain export"));
    exported.flags = own.flags;
    exported.symbols = FindSymbols(host, exported.name);
  }
  return exported;
}

Result<std::vector<std::uint8_t>> WriteTrie(const MachOModel& host, const MachOExport& exported, std::uint64_t address) {
  PANNIER_TRY(Trie trie, ReadTrie(host, exported.trie));
  std::vector<std::uint8_t> terminal;
  AppendUleb(terminal, exported.flags);
  AppendUleb(terminal, address);
  Insert(trie, exported.name, View(terminal));
  const bool is_wide = std::any_of(trie.begin(), trie.end(), [](const TrieNode& node) { return node.edges.size() > kMostEdges; });
  if (is_wide) return NoNewSymbol(StrCat("export trie: found a node of ", kMostEdges, " edges, which can have no more"));
  std::vector<std::uint8_t> bytes = Encode(trie);
  PANNIER_TRY(const Trie written, macho::ParseTrie(View(bytes)));
  if (!IsSame(trie, written)) return Malformed("internal: the export trie is not read as it was written");
  return bytes;
}

std::vector<std::uint8_t> WriteSymbol(const MachOModel& host, std::uint64_t entry, std::uint64_t address, std::uint8_t section) {
  const ByteView old = *host.bytes.Slice(entry, SymbolSize(host.header));
  std::vector<std::uint8_t> bytes(old.begin(), old.end());
  bytes[kSymbolSection] = section;
  if (host.header.is_64) {
    StoreInteger(bytes.data() + kSymbolValue, address, ByteOrder::kLittle);
  } else {
    StoreInteger(bytes.data() + kSymbolValue, static_cast<std::uint32_t>(address), ByteOrder::kLittle);
  }
  return bytes;
}

}  // namespace pannier
