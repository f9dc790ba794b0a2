// One symbol more without a change of any other's number, which relocations name: the tables leave for the payload, each longer by
// an entry at its end.
//
// .gnu.hash wants symbols sorted by bucket, so it gets one bucket, in which any order will do; its Bloom filter still answers for
// most names that are not there. Names and versions of all others stay as they are.
#include "embedder/formats/elf_export.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "embedder/formats/new_symbol.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::uint16_t kMachineMips = 8;
constexpr std::uint8_t kGlobalObject = 0x11;  // STB_GLOBAL, STT_OBJECT
constexpr std::uint16_t kGlobalVersion = 1;   // VER_NDX_GLOBAL
constexpr std::uint32_t kBloomShift = 26;     // as GNU ld has it for small tables: any will do, readers take it from the table
constexpr std::size_t kManySymbols = 10'000;

// System V gABI, chapter 5, "Hash Table".
std::uint32_t SystemVHash(std::string_view name) {
  std::uint32_t hash = 0;
  for (const char c : name) {
    hash = (hash << 4) + static_cast<unsigned char>(c);
    const std::uint32_t high = hash & 0xf0000000;
    hash = (hash ^ (high >> 24)) & ~high;
  }
  return hash;
}

// D. J. Bernstein's, as .gnu.hash has it.
std::uint32_t GnuHash(std::string_view name) {
  std::uint32_t hash = 5381;
  for (const char c : name) hash = hash * 33 + static_cast<unsigned char>(c);
  return hash;
}

// What the dynamic section says of the symbols' tables, with offsets in the file.
struct SymbolTables {
  std::uint64_t count = 0;  // of symbols
  ByteView symbols;
  ByteView strings;
};

class Exporter {
 public:
  Exporter(const HostModel& host, std::string_view name, ElfPlacement& placement)
      : host_(host), name_(name), placement_(placement) {}

  Status Run() {
    PANNIER_CHECK_OK(ReadTables());
    const std::vector<std::uint64_t> numbers = elf::FindDynamicSymbols(host_, name_);
    if (!numbers.empty()) return Redirect(numbers);
    if (host_.header.machine == kMachineMips) return NoNewSymbol("MIPS keeps symbols in the order of its global offset table");
    if (tables_.count >= UINT32_MAX) return NoNewSymbol("there are too many");
    PANNIER_CHECK_OK(GrowHashTables());
    PANNIER_CHECK_OK(GrowSymbols());
    PANNIER_CHECK_OK(GrowVersions());
    PANNIER_CHECK_OK(GrowStrings());
    if (tables_.count > kManySymbols)
      placement_.notes.push_back(
          StrCat("its ", tables_.count, " dynamic symbols share one hash bucket now: finding one takes longer"));
    return {};
  }

 private:
  Result<ByteView> Table(std::uint64_t tag, std::uint64_t size, std::string_view what) const {
    const elf::DynamicEntry* const entry = host_.Find(tag);
    const auto offset = entry != nullptr ? host_.FileOffset(entry->value) : std::nullopt;
    const auto bytes = offset ? host_.bytes.Slice(*offset, size) : std::nullopt;
    if (!bytes) return NoNewSymbol(StrCat("found no ", what, " of ", size, " bytes through the dynamic section"));
    return *bytes;
  }

  Status ReadTables() {
    std::uint64_t& count = tables_.count;
    count = elf::CountDynamicSymbols(host_);
    // A library that exports nothing has a hash table that does not tell.
    for (const elf::Section& section : host_.sections) {
      const elf::DynamicEntry* const entry = host_.Find(elf::kTagSymbols);
      if (section.type == elf::kSectionDynamicSymbols && entry != nullptr && section.address == entry->value)
        count = std::max(count, section.size / elf::SymbolSize(host_.header));
    }
    if (count == 0) return NoNewSymbol("found no sign of how many dynamic symbols there are");
    const elf::DynamicEntry* const strings_size = host_.Find(elf::kTagStringsSize);
    if (strings_size == nullptr) return NoNewSymbol("found no size of the dynamic symbols' names");
    const auto size = CheckedMultiply(count, elf::SymbolSize(host_.header));
    if (!size) return NoNewSymbol("there are too many");
    PANNIER_TRY(tables_.symbols, Table(elf::kTagSymbols, *size, "symbol table"));
    PANNIER_TRY(tables_.strings, Table(elf::kTagStrings, strings_size->value, "string table"));
    return {};
  }

  std::uint64_t OffsetOf(ByteView bytes) const { return static_cast<std::uint64_t>(bytes.data() - host_.bytes.data()); }

  // The host exports it: all that is known of it by name is led elsewhere.
  Status Redirect(const std::vector<std::uint64_t>& numbers) {
    ElfExport exported;
    for (const std::uint64_t number : numbers) {
      const std::uint64_t offset = OffsetOf(tables_.symbols) + number * elf::SymbolSize(host_.header);
      const auto symbol = elf::ParseSymbol(host_.bytes, host_.header, offset);
      if (!symbol || symbol->section == elf::kUndefinedSection)
        return NoNewSymbol(StrCat(name_, " is needed by the library, but not in it"));
      exported.entries.push_back(offset);
    }
    for (const elf::Section& table : host_.sections) {
      if (table.type != elf::kSectionSymbols || table.link >= host_.sections.size()) continue;
      const elf::Section& names = host_.sections[table.link];
      const auto strings = host_.bytes.Slice(names.offset, names.has_bytes() ? names.size : 0);
      for (std::uint64_t at = 0; strings && at + elf::SymbolSize(host_.header) <= table.size; at += elf::SymbolSize(host_.header)) {
        const auto symbol = elf::ParseSymbol(host_.bytes, host_.header, table.offset + at);
        const auto text = symbol ? strings->Slice(symbol->name, name_.size() + 1) : std::nullopt;
        if (text && symbol->section != elf::kUndefinedSection && text->text() == std::string_view(std::string(name_) + '\0'))
          exported.entries.push_back(table.offset + at);
      }
    }
    // Where strip may give the symbol's section another number, as it may for all that it knows to be the payload's.
    PANNIER_CHECK_OK(Grow(elf::kTagSymbols, ".dynsym", tables_.symbols, Copy(tables_.symbols)));
    exported.symbols = MovedSymbols();
    placement_.exported = std::move(exported);
    return {};
  }

  // The table that a tag leads to leaves for the payload, with this content.
  Status Grow(std::uint64_t tag, std::string_view what, ByteView old, std::vector<std::uint8_t> bytes) {
    const std::uint64_t offset = OffsetOf(old);
    const std::uint64_t pointer = host_.Find(tag)->file_offset + host_.header.word_size();
    auto moved = std::find_if(placement_.moved.begin(), placement_.moved.end(),
                              [&](const MovedSection& other) { return other.old_offset == offset; });
    if (moved == placement_.moved.end()) {
      MovedSection section;
      section.name = std::string(what);
      section.old_offset = offset;
      section.size = old.size();
      section.align = 8;
      section.pointer_offset = pointer;
      moved = placement_.moved.insert(placement_.moved.end(), std::move(section));
    }
    if (moved->pointer_offset != pointer || !moved->grown.empty() || moved->size < old.size())
      return NoNewSymbol(StrCat(what, " shares its place with another table, or its size is not clear"));
    moved->grown = std::move(bytes);
    return {};
  }

  std::size_t MovedSymbols() const {
    const auto section = std::find_if(placement_.moved.begin(), placement_.moved.end(),
                                      [&](const MovedSection& other) { return other.old_offset == OffsetOf(tables_.symbols); });
    return static_cast<std::size_t>(section - placement_.moved.begin());
  }

  static std::vector<std::uint8_t> Copy(ByteView bytes) { return {bytes.begin(), bytes.end()}; }

  void Append(std::vector<std::uint8_t>& bytes, std::uint32_t value) const {
    std::uint8_t word[4];
    StoreInteger(word, value, host_.header.order);
    bytes.insert(bytes.end(), word, word + 4);
  }

  Status GrowSymbols() {
    std::vector<std::uint8_t> bytes = Copy(tables_.symbols);
    elf::Symbol symbol;
    symbol.name = static_cast<std::uint32_t>(tables_.strings.size());
    symbol.info = kGlobalObject;
    const std::size_t added = bytes.size();
    bytes.resize(added + elf::SymbolSize(host_.header));
    elf::EncodeSymbol(host_.header, symbol, bytes.data() + added);
    PANNIER_CHECK_OK(Grow(elf::kTagSymbols, ".dynsym", tables_.symbols, std::move(bytes)));
    const auto section = std::find_if(placement_.moved.begin(), placement_.moved.end(),
                                      [&](const MovedSection& other) { return other.old_offset == OffsetOf(tables_.symbols); });
    placement_.exported = ElfExport{{}, added, static_cast<std::size_t>(section - placement_.moved.begin())};
    return {};
  }

  Status GrowStrings() {
    std::vector<std::uint8_t> bytes = Copy(tables_.strings);
    bytes.insert(bytes.end(), name_.begin(), name_.end());
    bytes.push_back(0);
    placement_.words.push_back({host_.Find(elf::kTagStringsSize)->file_offset + host_.header.word_size(), bytes.size()});
    return Grow(elf::kTagStrings, ".dynstr", tables_.strings, std::move(bytes));
  }

  Status GrowVersions() {
    const auto has_versions = [](const elf::DynamicEntry& entry) { return entry.tag == elf::kTagVersions; };
    if (std::none_of(host_.dynamic.begin(), host_.dynamic.end(), has_versions)) return {};
    PANNIER_TRY(const ByteView versions, Table(elf::kTagVersions, 2 * tables_.count, "version table"));
    std::vector<std::uint8_t> bytes = Copy(versions);
    bytes.insert(bytes.end(), 2, 0);
    StoreInteger(bytes.data() + versions.size(), kGlobalVersion, host_.header.order);
    return Grow(elf::kTagVersions, ".gnu.version", versions, std::move(bytes));
  }

  Status GrowHashTables() {
    bool has_table = false;
    for (const std::uint64_t tag : {elf::kTagHash, elf::kTagGnuHash}) {
      const elf::DynamicEntry* const entry = host_.Find(tag);
      if (entry == nullptr) continue;
      const auto offset = host_.FileOffset(entry->value);
      const auto table = offset ? elf::ReadHashTable(host_, tag, *offset) : std::nullopt;
      const auto bytes = table ? host_.bytes.Slice(*offset, table->size) : std::nullopt;
      if (!bytes) return NoNewSymbol("found no sound hash table");
      PANNIER_CHECK_OK(tag == elf::kTagHash ? GrowSystemVHash(*bytes) : GrowGnuHash(*bytes));
      has_table = true;
    }
    return has_table ? Status() : NoNewSymbol("found no hash table (.hash or .gnu.hash)");
  }

  // Counts, buckets, and for each symbol the next in its bucket. The new one goes first in its bucket.
  Status GrowSystemVHash(ByteView old) {
    const std::size_t word = elf::HashWordSize(host_.header);
    const std::size_t low = word == 8 && host_.header.order == ByteOrder::kBig ? 4 : 0;
    const std::uint32_t buckets = *old.Read<std::uint32_t>(low, host_.header.order);
    const std::uint32_t chains = *old.Read<std::uint32_t>(word + low, host_.header.order);
    if (buckets == 0 || chains != tables_.count)
      return NoNewSymbol(StrCat(".hash: found ", buckets, " buckets and ", chains, " symbols, expected some and ", tables_.count));
    std::vector<std::uint8_t> bytes = Copy(old);
    bytes.insert(bytes.end(), word, 0);
    std::uint8_t* const bucket = bytes.data() + (2 + SystemVHash(name_) % buckets) * word;
    std::copy_n(bucket, word, bytes.data() + old.size());
    StoreInteger(bucket + low, static_cast<std::uint32_t>(tables_.count), host_.header.order);
    StoreInteger(bytes.data() + word + low, static_cast<std::uint32_t>(tables_.count + 1), host_.header.order);
    return Grow(elf::kTagHash, ".hash", old, std::move(bytes));
  }

  // Header, Bloom filter, one bucket, and for each symbol from the first hashed one on its hash, the lowest bit set in the last.
  Status GrowGnuHash(ByteView old) {
    const std::uint32_t old_first = *old.Read<std::uint32_t>(4, host_.header.order);
    const auto table = elf::ReadHashTable(host_, elf::kTagGnuHash, OffsetOf(old));
    const bool is_empty = table->symbols == 0;  // then nobody is hashed, wherever the table says that they begin
    const auto first = is_empty ? static_cast<std::uint32_t>(tables_.count) : old_first;
    if (!is_empty && (table->symbols != tables_.count || first == 0))
      return NoNewSymbol(StrCat(".gnu.hash: found ", table->symbols, " symbols from ", first, " on, expected ", tables_.count));
    std::vector<std::uint32_t> hashes;
    for (std::uint64_t i = first; i < tables_.count; ++i) {
      const elf::Symbol symbol =
          *elf::ParseSymbol(host_.bytes, host_.header, OffsetOf(tables_.symbols) + i * elf::SymbolSize(host_.header));
      if (symbol.name >= tables_.strings.size()) return NoNewSymbol(StrCat("symbol ", i, " has no name"));
      const std::string_view rest = tables_.strings.text().substr(symbol.name);
      hashes.push_back(GnuHash(rest.substr(0, rest.find('\0'))));
    }
    hashes.push_back(GnuHash(name_));

    // About a word for each four symbols, as GNU ld has it.
    const std::uint32_t bits = host_.header.is_64 ? 64 : 32;
    std::uint32_t words = 1;
    while (words * 4 < hashes.size()) words *= 2;
    std::vector<std::uint64_t> bloom(words);
    for (const std::uint32_t hash : hashes) {
      std::uint64_t& word = bloom[hash / bits % words];
      word |= std::uint64_t{1} << (hash % bits) | std::uint64_t{1} << ((hash >> kBloomShift) % bits);
    }
    std::vector<std::uint8_t> bytes;
    for (const std::uint32_t field : {std::uint32_t{1}, first, words, kBloomShift}) Append(bytes, field);
    const std::size_t bloom_at = bytes.size();
    bytes.resize(bloom_at + words * host_.header.word_size());
    for (std::size_t i = 0; i < words; ++i)
      elf::EncodeWord(host_.header, bloom[i], bytes.data() + bloom_at + i * host_.header.word_size());
    Append(bytes, first);
    for (std::size_t i = 0; i < hashes.size(); ++i) Append(bytes, (hashes[i] & ~1U) | (i + 1 == hashes.size() ? 1U : 0U));
    return Grow(elf::kTagGnuHash, ".gnu.hash", old, std::move(bytes));
  }

  const HostModel& host_;
  std::string_view name_;
  ElfPlacement& placement_;
  SymbolTables tables_;
};

}  // namespace

Status ExportElfSymbol(const HostModel& host, std::string_view name, ElfPlacement& placement) {
  return Exporter(host, name, placement).Run();
}

}  // namespace pannier
