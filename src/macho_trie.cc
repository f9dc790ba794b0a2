// The export trie read: each node once, whatever offsets a damaged one has.
#include "src/macho_trie.h"

#include <algorithm>

#include "src/text.h"

namespace pannier::macho {
namespace {

// Moves `at` behind it.
std::optional<std::uint64_t> ReadUleb(ByteView bytes, std::uint64_t& at) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const auto byte = bytes.Read<std::uint8_t>(at++);
    if (!byte) return std::nullopt;
    const std::uint64_t part = *byte & 0x7fU;
    if (part << shift >> shift != part) return std::nullopt;
    value |= part << shift;
    if ((*byte & 0x80) == 0) return value;
  }
  return std::nullopt;
}

class Parser {
 public:
  explicit Parser(ByteView bytes) : bytes_(bytes), is_reached_(bytes.size()) {}

  Result<Trie> Run() {
    if (bytes_.empty()) return Trie(1);
    PANNIER_CHECK_OK(Reach(0));
    for (std::size_t i = 0; i < trie_.size(); ++i) PANNIER_CHECK_OK(ReadNode(i));
    return std::move(trie_);
  }

 private:
  Status Reach(std::uint64_t offset) {
    if (offset >= bytes_.size() || is_reached_[static_cast<std::size_t>(offset)]) {
      return Malformed(StrCat("export trie: node at ", Hex(offset), ": found it ",
                              offset >= bytes_.size() ? "outside of the trie" : "reached twice", ", expected it once within ",
                              bytes_.size(), " bytes"));
    }
    is_reached_[static_cast<std::size_t>(offset)] = true;
    trie_.emplace_back();
    offsets_.push_back(offset);
    return {};
  }

  Status ReadNode(std::size_t number) {
    std::uint64_t at = offsets_[number];
    const auto cut_off = [&] {
      return Malformed(StrCat("export trie: node at ", Hex(offsets_[number]), ": found the trie's end, expected all of it within ",
                              bytes_.size(), " bytes"));
    };
    const auto size = ReadUleb(bytes_, at);
    const auto terminal = size ? bytes_.Slice(at, *size) : std::nullopt;
    if (!terminal) return cut_off();
    trie_[number].terminal = *terminal;
    at += *size;
    const auto count = bytes_.Read<std::uint8_t>(at++);
    if (!count) return cut_off();
    for (unsigned i = 0; i < *count; ++i) {
      const std::string_view rest = at < bytes_.size() ? bytes_.text().substr(static_cast<std::size_t>(at)) : std::string_view();
      const std::string_view label = rest.substr(0, rest.find('\0'));
      if (label.size() == rest.size()) return cut_off();
      if (label.empty())
        return Malformed(StrCat("export trie: node at ", Hex(offsets_[number]), ": found an edge without a label"));
      at += label.size() + 1;
      const auto child = ReadUleb(bytes_, at);
      if (!child) return cut_off();
      trie_[number].edges.push_back({label, trie_.size()});
      PANNIER_CHECK_OK(Reach(*child));
    }
    return {};
  }

  ByteView bytes_;
  std::vector<bool> is_reached_;  // by offset
  Trie trie_;
  std::vector<std::uint64_t> offsets_;  // of its nodes
};

}  // namespace

Result<std::optional<TriePlace>> FindTrie(const Header& header, const std::vector<Command>& commands) {
  constexpr std::size_t kInfoExports = 40;  // the field of LC_DYLD_INFO
  std::optional<TriePlace> found;
  for (std::size_t i = 0; i < commands.size(); ++i) {
    const std::uint32_t type = commands[i].type;
    if (type != kDyldInfo && type != kDyldInfoOnly && type != kExportsTrie) continue;
    PANNIER_TRY(const std::vector<Blob> blobs, BlobsOf(header, commands[i]));
    for (const Blob& blob : blobs) {
      if (type != kExportsTrie && blob.offset_field != kInfoExports) continue;
      if (found && found->blob.size != 0 && blob.size != 0) return Malformed("export trie: found two, expected one");
      if (!found || found->blob.size == 0) found = TriePlace{i, blob};
    }
  }
  return found;
}

Result<Trie> ParseTrie(ByteView bytes) { return Parser(bytes).Run(); }

const TrieEdge* FindEdge(const TrieNode& node, std::string_view name) {
  const auto edge = std::find_if(node.edges.begin(), node.edges.end(),
                                 [&](const TrieEdge& other) { return name.substr(0, other.label.size()) == other.label; });
  return edge == node.edges.end() ? nullptr : &*edge;
}

ByteView FindInTrie(const Trie& trie, std::string_view name) {
  const TrieNode* node = &trie.front();
  while (!name.empty()) {
    const TrieEdge* const edge = FindEdge(*node, name);
    if (edge == nullptr) return {};
    name.remove_prefix(edge->label.size());
    node = &trie[edge->child];
  }
  return node->terminal;
}

Result<Export> ParseExport(ByteView terminal) {
  std::uint64_t at = 0;
  const auto flags = ReadUleb(terminal, at);
  const auto address = flags ? ReadUleb(terminal, at) : std::nullopt;
  if (!address) return Malformed(StrCat("export trie: found a symbol of ", terminal.size(), " bytes, expected flags and address"));
  return Export{*flags, *address};
}

}  // namespace pannier::macho
