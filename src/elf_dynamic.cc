// Dynamic entries and the tables behind them, each number checked against the file before it is used.
#include "src/elf_dynamic.h"

#include <algorithm>

#include "src/text.h"

namespace pannier::elf {
namespace {

constexpr std::uint16_t kMachineS390 = 22;
constexpr std::size_t kMaxDynamicEntries = 10'000;

// A number as wide as the file's addresses.
std::optional<std::uint64_t> ReadWord(ByteView file, const Header& header, std::uint64_t offset) {
  if (header.is_64) return file.Read<std::uint64_t>(offset, header.order);
  return file.Read<std::uint32_t>(offset, header.order);
}

// Does the strings' entry at `offset` hold this name?
bool IsNamed(ByteView strings, std::uint32_t offset, std::string_view name) {
  const auto found = strings.Slice(offset, name.size() + 1);
  return found && found->text().substr(0, name.size()) == name && found->end()[-1] == 0;
}

}  // namespace

const DynamicEntry* DynamicFile::Find(std::uint64_t tag) const {
  const auto has_tag = [tag](const DynamicEntry& entry) { return entry.tag == tag; };
  const auto found = std::find_if(dynamic.begin(), dynamic.end(), has_tag);
  if (found == dynamic.end() || std::any_of(found + 1, dynamic.end(), has_tag)) return nullptr;
  return &*found;
}

std::optional<std::uint64_t> DynamicFile::FileOffset(std::uint64_t address) const {
  for (const Segment& segment : segments) {
    if (segment.type == kSegmentLoad && address >= segment.vaddr && address - segment.vaddr < segment.filesz)
      return segment.offset + (address - segment.vaddr);
  }
  return std::nullopt;
}

Result<std::vector<DynamicEntry>> ParseDynamic(ByteView file, const Header& header, const std::vector<Segment>& segments) {
  std::vector<DynamicEntry> entries;
  const auto segment =
      std::find_if(segments.begin(), segments.end(), [](const Segment& other) { return other.type == kSegmentDynamic; });
  if (segment == segments.end()) return entries;
  if (!file.Contains(segment->offset, segment->filesz)) {
    return Malformed(StrCat("dynamic section: found ", segment->filesz, " bytes at ", Hex(segment->offset),
                            ", expected a range within the file's ", file.size(), " bytes"));
  }
  const std::uint64_t word = header.word_size();
  for (std::uint64_t at = 0; at + 2 * word <= segment->filesz; at += 2 * word) {
    const std::uint64_t offset = segment->offset + at;
    entries.push_back({*ReadWord(file, header, offset), *ReadWord(file, header, offset + word), offset});
    if (entries.back().tag == 0) break;
    if (entries.size() == kMaxDynamicEntries) {
      return Unsupported(StrCat("dynamic section: found ", kMaxDynamicEntries, " entries, expected fewer"));
    }
  }
  return entries;
}

std::size_t HashWordSize(const Header& header) { return header.is_64 && header.machine == kMachineS390 ? 8 : 4; }

std::optional<HashTable> ReadHashTable(const DynamicFile& file, std::uint64_t tag, std::uint64_t offset) {
  auto word = [&](std::uint64_t at) { return file.bytes.Read<std::uint32_t>(at, file.header.order); };
  if (tag == kTagHash) {
    // Of wide counts the low halves are enough.
    const std::uint64_t size = HashWordSize(file.header);
    const std::uint64_t low = file.header.order == ByteOrder::kBig ? size - 4 : 0;
    const auto buckets = word(offset + low);
    const auto chains = word(offset + size + low);
    if (!buckets || !chains) return std::nullopt;
    return HashTable{size * (2 + std::uint64_t{*buckets} + *chains), *chains};
  }
  const auto buckets = word(offset);
  const auto first_symbol = word(offset + 4);
  const auto bloom_words = word(offset + 8);
  if (!buckets || !first_symbol || !bloom_words) return std::nullopt;
  const std::uint64_t bucket_table = offset + 16 + std::uint64_t{*bloom_words} * file.header.word_size();
  const std::uint64_t chain_table = bucket_table + std::uint64_t{*buckets} * 4;
  if (!file.bytes.Contains(bucket_table, std::uint64_t{*buckets} * 4)) return std::nullopt;
  std::uint32_t last = 0;
  for (std::uint64_t i = 0; i < *buckets; ++i) last = std::max(last, *word(bucket_table + 4 * i));
  if (last < *first_symbol) return HashTable{chain_table - offset, 0};
  for (std::uint64_t i = last - *first_symbol;; ++i) {
    const auto entry = word(chain_table + 4 * i);
    if (!entry) return std::nullopt;
    if ((*entry & 1) != 0) return HashTable{chain_table + 4 * (i + 1) - offset, *first_symbol + i + 1};
  }
}

std::uint64_t CountDynamicSymbols(const DynamicFile& file) {
  for (const DynamicEntry& entry : file.dynamic) {
    if (entry.tag != kTagHash && entry.tag != kTagGnuHash) continue;
    const auto offset = file.FileOffset(entry.value);
    const auto table = offset ? ReadHashTable(file, entry.tag, *offset) : std::nullopt;
    if (table && table->symbols != 0) return table->symbols;
  }
  return 0;
}

std::optional<Symbol> ParseSymbol(ByteView file, const Header& header, std::uint64_t offset) {
  if (!file.Contains(offset, SymbolSize(header))) return std::nullopt;
  Symbol symbol;
  symbol.name = *file.Read<std::uint32_t>(offset, header.order);
  symbol.info = *file.Read<std::uint8_t>(offset + (header.is_64 ? 4 : 12));
  symbol.other = *file.Read<std::uint8_t>(offset + (header.is_64 ? 5 : 13));
  symbol.section = *file.Read<std::uint16_t>(offset + SymbolSectionField(header), header.order);
  symbol.value = *ReadWord(file, header, offset + (header.is_64 ? 8 : 4));
  symbol.size = *ReadWord(file, header, offset + (header.is_64 ? 16 : 8));
  return symbol;
}

void EncodeSymbol(const Header& header, const Symbol& symbol, std::uint8_t* out) {
  StoreInteger(out, symbol.name, header.order);
  out[header.is_64 ? 4 : 12] = symbol.info;
  out[header.is_64 ? 5 : 13] = symbol.other;
  StoreInteger(out + SymbolSectionField(header), symbol.section, header.order);
  EncodeWord(header, symbol.value, out + (header.is_64 ? 8 : 4));
  EncodeWord(header, symbol.size, out + (header.is_64 ? 16 : 8));
}

std::vector<std::uint64_t> FindDynamicSymbols(const DynamicFile& file, std::string_view name) {
  std::vector<std::uint64_t> numbers;
  const DynamicEntry* const symbols = file.Find(kTagSymbols);
  const DynamicEntry* const strings = file.Find(kTagStrings);
  const DynamicEntry* const size = file.Find(kTagStringsSize);
  if (symbols == nullptr || strings == nullptr || size == nullptr) return numbers;
  const auto table = file.FileOffset(symbols->value);
  const auto strings_at = file.FileOffset(strings->value);
  const auto names = strings_at ? file.bytes.Slice(*strings_at, size->value) : std::nullopt;
  if (!table || !names) return numbers;
  const std::uint64_t count = CountDynamicSymbols(file);
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto symbol = ParseSymbol(file.bytes, file.header, *table + i * SymbolSize(file.header));
    if (!symbol) break;
    if (IsNamed(*names, symbol->name, name)) numbers.push_back(i);
  }
  return numbers;
}

}  // namespace pannier::elf
