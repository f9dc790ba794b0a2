// MachOBuilder: small Mach-O libraries with what linkers at hand do not write: chained fixups of any kind, odd load commands,
// little room, any CPU. Laid out like a linker's: __TEXT, __DATA segments, __LINKEDIT.
#ifndef PANNIER_TESTS_MACHO_BUILDER_H_
#define PANNIER_TESTS_MACHO_BUILDER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "src/bytes.h"
#include "src/macho_file.h"

namespace pannier {

using Bytes = std::vector<std::uint8_t>;

inline std::string Text(const Bytes& bytes) { return {bytes.begin(), bytes.end()}; }

inline void Append(Bytes& out, std::uint64_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}
inline void Append(Bytes& out, const Bytes& more) { out.insert(out.end(), more.begin(), more.end()); }

// A load command: type, then words; padded to a multiple of 8.
inline Bytes Command(std::uint32_t type, const std::vector<std::uint32_t>& words) {
  Bytes bytes;
  Append(bytes, type, 4);
  Append(bytes, AlignUp(8 + words.size() * 4, 8), 4);
  for (const std::uint32_t word : words) Append(bytes, word, 4);
  bytes.resize(AlignUp(bytes.size(), 8));
  return bytes;
}

// A trie whose root has an edge for each of the names, in this order.
struct ExportSpec {
  std::string name;
  Bytes terminal;  // flags, address
};
inline Bytes BuildTrie(const std::vector<ExportSpec>& exports) {
  std::size_t root = 2;
  for (const ExportSpec& one : exports) root += one.name.size() + 1 + 3;
  Bytes trie = {0, static_cast<std::uint8_t>(exports.size())};
  Bytes nodes;
  for (const ExportSpec& one : exports) {
    trie.insert(trie.end(), one.name.c_str(), one.name.c_str() + one.name.size() + 1);
    const std::size_t at = root + nodes.size();
    for (unsigned i = 0; i < 3; ++i) trie.push_back(static_cast<std::uint8_t>((at >> (7 * i) & 0x7f) | (i < 2 ? 0x80 : 0)));
    nodes.push_back(static_cast<std::uint8_t>(one.terminal.size()));
    Append(nodes, one.terminal);
    nodes.push_back(0);
  }
  Append(trie, nodes);
  return trie;
}

struct MachOSpec {
  bool is_64 = true;
  std::uint32_t cpu_type = macho::kCpuX64;
  std::uint32_t cpu_subtype = 3;
  std::uint32_t file_type = macho::kTypeLibrary;
  std::uint32_t flags = 0x100085;
  std::size_t data_segments = 2;  // 2: an even number of segments in all
  std::uint64_t slack = 1024;     // bytes between load commands and first section
  bool chained = false;
  bool spare = true;               // where the table of segments has an even count: 4 bytes of padding behind it
  std::uint32_t trie_command = 0;  // LC_DYLD_INFO_ONLY or LC_DYLD_EXPORTS_TRIE; 0: there is no trie
  Bytes trie;
  std::string symbol = "_answer";  // the only one, in the symbol table
  std::uint64_t symbol_address = 0x4000 - 16;
  std::vector<Bytes> extra;  // further load commands
  Bytes signature;           // at the end, with its load command
  bool has_link_edit = true;
  std::string overlay;
};

inline constexpr std::uint64_t kBuilderPage = 0x4000;

// A table of segments, starts in the first of data, one import.
inline Bytes BuildFixups(const MachOSpec& spec) {
  const std::size_t segments = spec.data_segments + 2;
  Bytes fixups;
  const std::uint32_t table = 32;
  const std::uint32_t padding = segments % 2 == 0 && spec.spare ? 4 : 0;
  const auto starts = static_cast<std::uint32_t>(4 + segments * 4 + padding);  // of __DATA, from the table
  const std::uint32_t imports = table + starts + 24;
  Append(fixups, 0, 4);  // version
  Append(fixups, table, 4);
  Append(fixups, imports, 4);
  Append(fixups, imports + 4, 4);  // symbols
  Append(fixups, 1, 4);            // count
  Append(fixups, 1, 4);            // format
  Append(fixups, 0, 4);            // symbols' format
  Append(fixups, 0, 4);
  Append(fixups, segments, 4);
  for (std::size_t i = 0; i < segments; ++i) Append(fixups, i == 1 ? starts : 0, 4);
  Append(fixups, 0, padding);
  Append(fixups, 24, 4);  // dyld_chained_starts_in_segment
  Append(fixups, kBuilderPage, 2);
  Append(fixups, spec.is_64 ? 6 : 3, 2);
  Append(fixups, kBuilderPage, 8);
  Append(fixups, 0, 4);
  Append(fixups, 1, 2);
  Append(fixups, 0, 2);
  Append(fixups, 0x00000201, 4);  // import
  const std::string symbols = std::string("\0_malloc\0", 9);
  fixups.insert(fixups.end(), symbols.begin(), symbols.end());
  return fixups;
}

// With one section or none, that goes to the segment's end.
inline Bytes SegmentCommand(const macho::Header& header, const char* name, std::uint64_t at, std::uint64_t size,
                            std::uint64_t memory, std::uint32_t protection, const char* section, std::uint64_t section_at) {
  macho::Segment segment;
  segment.name = name;
  segment.address = segment.offset = at;
  segment.file_size = size;
  segment.memory_size = memory;
  segment.max_protection = segment.protection = protection;
  if (section != nullptr) {
    macho::Section one;
    one.name = section;
    one.segment_name = name;
    one.address = section_at;
    one.size = at + size - section_at;
    one.offset = static_cast<std::uint32_t>(section_at);
    segment.sections.push_back(one);
  }
  Bytes bytes(header.segment_size() + segment.sections.size() * header.section_size());
  EncodeSegment(header, segment, bytes.data());
  return bytes;
}

inline Bytes BuildMachO(const MachOSpec& spec) {
  macho::Header header;
  header.is_64 = spec.is_64;
  const std::uint64_t link_edit = kBuilderPage * (1 + spec.data_segments);

  // __LINKEDIT: fixups, symbols, strings, signature.
  Bytes tail;
  if (spec.chained) tail = BuildFixups(spec);
  const std::size_t fixups_size = tail.size();
  tail.resize(AlignUp(tail.size(), 8));
  const std::uint64_t trie_at = link_edit + tail.size();
  Append(tail, spec.trie);
  tail.resize(AlignUp(tail.size(), 8));
  const std::uint64_t symbols_at = link_edit + tail.size();
  Append(tail, 1, 4);    // name
  tail.push_back(0x0f);  // external, in a section
  tail.push_back(1);
  Append(tail, 0, 2);
  Append(tail, spec.symbol_address, spec.is_64 ? 8 : 4);
  const std::uint64_t strings_at = link_edit + tail.size();
  const std::string strings = '\0' + spec.symbol + '\0';
  tail.insert(tail.end(), strings.begin(), strings.end());
  const std::uint64_t strings_size = strings.size();
  tail.resize(AlignUp(tail.size(), 16));
  const std::uint64_t signature_at = link_edit + tail.size();
  Append(tail, spec.signature);

  std::vector<Bytes> commands;
  auto add_segment = [&](const char* name, std::uint64_t at, std::uint64_t size, std::uint64_t memory, std::uint32_t protection,
                         const char* section, std::uint64_t section_at) {
    commands.push_back(SegmentCommand(header, name, at, size, memory, protection, section, section_at));
  };
  auto word = [](std::uint64_t value) { return static_cast<std::uint32_t>(value); };
  std::vector<std::string> names;
  for (std::size_t i = 0; i < spec.data_segments; ++i) names.push_back("__DATA" + std::to_string(i));
  // Twice: where the first section is follows from the size of all commands.
  std::uint64_t text_at = kBuilderPage / 2;
  for (int pass = 0; pass < 2; ++pass) {
    commands.clear();
    add_segment("__TEXT", 0, kBuilderPage, kBuilderPage, 5, "__text", text_at);
    for (std::size_t i = 0; i < spec.data_segments; ++i)
      add_segment(names[i].c_str(), kBuilderPage * (1 + i), kBuilderPage, kBuilderPage, 3, "__data", kBuilderPage * (1 + i));
    if (spec.has_link_edit) add_segment("__LINKEDIT", link_edit, tail.size(), AlignUp(tail.size(), kBuilderPage), 1, nullptr, 0);
    const char name[] = "@rpath/libanswer.dylib";
    Bytes id = Command(macho::kIdDylib, {24, 1, 0x10000, 0x10000});
    id.insert(id.end(), name, name + sizeof(name));
    id.resize(AlignUp(id.size(), 8));
    StoreInteger(id.data() + 4, word(id.size()), ByteOrder::kLittle);
    if (spec.file_type == macho::kTypeLibrary) commands.push_back(id);
    if (spec.chained) commands.push_back(Command(macho::kChainedFixups, {word(link_edit), word(fixups_size)}));
    if (spec.trie_command == macho::kExportsTrie)
      commands.push_back(Command(macho::kExportsTrie, {word(trie_at), word(spec.trie.size())}));
    if (spec.trie_command == macho::kDyldInfoOnly)
      commands.push_back(Command(macho::kDyldInfoOnly, {0, 0, 0, 0, 0, 0, 0, 0, word(trie_at), word(spec.trie.size())}));
    commands.push_back(Command(macho::kSymbolTable, {word(symbols_at), 1, word(strings_at), word(strings_size)}));
    commands.push_back(Command(macho::kDynamicSymbolTable, {0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
    commands.push_back(Command(macho::kBuildVersion, {1, 0xb0000, 0xb0000, 1, 3, 0x10000}));
    commands.push_back(Command(macho::kSourceVersion, {0, 0}));
    commands.push_back(Command(macho::kFunctionStarts, {word(symbols_at), 0}));
    for (const Bytes& extra : spec.extra) commands.push_back(extra);
    if (!spec.signature.empty())
      commands.push_back(Command(macho::kCodeSignature, {word(signature_at), word(spec.signature.size())}));
    std::size_t size = header.size();
    for (const Bytes& command : commands) size += command.size();
    text_at = size + spec.slack;
  }

  Bytes file;
  Append(file, spec.is_64 ? 0xfeedfacf : 0xfeedface, 4);
  Append(file, spec.cpu_type, 4);
  Append(file, spec.cpu_subtype, 4);
  Append(file, spec.file_type, 4);
  Append(file, commands.size(), 4);
  std::size_t size = 0;
  for (const Bytes& command : commands) size += command.size();
  Append(file, size, 4);
  Append(file, spec.flags, 4);
  if (spec.is_64) Append(file, 0, 4);
  for (const Bytes& command : commands) Append(file, command);
  file.resize(static_cast<std::size_t>(text_at));
  std::uint32_t state = 1;
  while (file.size() < link_edit) {
    state = state * 1664525 + 1013904223;
    file.push_back(static_cast<std::uint8_t>(state >> 24));
  }
  Append(file, tail);
  file.insert(file.end(), spec.overlay.begin(), spec.overlay.end());
  return file;
}

// A fat file of libraries, each at a multiple of 2^`align`.
inline Bytes BuildFat(const std::vector<Bytes>& libraries, bool is_64, std::uint32_t align) {
  Bytes file(8 + libraries.size() * (is_64 ? 32 : 20));
  auto put = [&file](std::size_t at, std::uint64_t value, bool wide) {
    if (wide) {
      StoreInteger(file.data() + at, value, ByteOrder::kBig);
    } else {
      StoreInteger(file.data() + at, static_cast<std::uint32_t>(value), ByteOrder::kBig);
    }
  };
  put(0, is_64 ? 0xcafebabf : 0xcafebabe, false);
  put(4, libraries.size(), false);
  for (std::size_t i = 0; i < libraries.size(); ++i) {
    const std::size_t at = 8 + i * (is_64 ? 32 : 20);
    file.resize(AlignUp(file.size(), std::uint64_t{1} << align));
    std::uint32_t cpu[2];
    for (int k = 0; k < 2; ++k) cpu[k] = LoadInteger<std::uint32_t>(libraries[i].data() + 4 + 4 * k, ByteOrder::kLittle);
    put(at, cpu[0], false);
    put(at + 4, cpu[1], false);
    put(at + 8, file.size(), is_64);
    put(at + (is_64 ? 16 : 12), libraries[i].size(), is_64);
    put(at + (is_64 ? 24 : 16), align, false);
    Append(file, libraries[i]);
  }
  return file;
}

}  // namespace pannier

#endif  // PANNIER_TESTS_MACHO_BUILDER_H_
