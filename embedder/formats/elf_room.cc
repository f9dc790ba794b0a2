// Room for one more program header: what lies behind the table slides up or leaves.
//
// A thing may slide or leave only if we know every pointer to it:
//   - a note (or .interp) is found through its program headers alone, so it slides, and they follow;
//   - a table of the dynamic linker (.gnu.hash, .dynsym, ...) is found through one tag of the dynamic section, so it leaves.
// Whatever a symbol points into stays: code may refer to it in ways that no table lists. But some symbols only mark a place.
#include "embedder/formats/elf_room.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/text.h"

namespace pannier {
namespace {

// gABI figure 5-10 and the GNU extensions: tags whose value is the address of one table.
struct TableTag {
  std::uint64_t tag;
  std::string_view section;
};
constexpr std::array<TableTag, 7> kMovableTables = {{{elf::kTagHash, ".hash"},
                                                     {elf::kTagStrings, ".dynstr"},
                                                     {elf::kTagSymbols, ".dynsym"},
                                                     {elf::kTagGnuHash, ".gnu.hash"},
                                                     {elf::kTagVersions, ".gnu.version"},
                                                     {0x6ffffffc, ".gnu.version_d"},
                                                     {0x6ffffffe, ".gnu.version_r"}}};

constexpr std::uint64_t kLargestSectionAlign = 4096;  // of what leaves: the payload grows by as much

// Core dumps keep the first page of a mapped file, and with it the build id.
constexpr std::uint64_t kFirstPage = 4096;

// What lies behind the program headers, in the order of the file.
struct Occupant {
  std::string name;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::uint64_t align = 1;
  bool slides = false;
  const DynamicEntry* pointer = nullptr;  // to what may leave
};

bool IsHeadSegment(std::uint32_t type) {
  return type == elf::kSegmentNote || type == elf::kSegmentGnuProperty || type == elf::kSegmentInterpreter;
}

const TableTag* FindTag(std::uint64_t tag) {
  const auto* const found =
      std::find_if(kMovableTables.begin(), kMovableTables.end(), [&](const TableTag& table) { return table.tag == tag; });
  return found != kMovableTables.end() ? found : nullptr;
}

// The entry of the dynamic section that leads to a movable table at this address.
const DynamicEntry* FindPointer(const HostModel& host, std::uint64_t address) {
  const DynamicEntry* found = nullptr;
  for (const DynamicEntry& entry : host.dynamic) {
    if (entry.value != address || FindTag(entry.tag) == nullptr) continue;
    if (found != nullptr) return nullptr;  // two tags, one address: more than we know
    found = &entry;
  }
  const auto is_same = [found](const DynamicEntry& entry) { return entry.tag == found->tag; };
  if (found != nullptr && std::count_if(host.dynamic.begin(), host.dynamic.end(), is_same) > 1) return nullptr;  // and so is this
  return found;
}

// What symbols point to. Their addresses count, not their sections' numbers: linkers give __ehdr_start, which is the file's start,
// the number of the first section. A symbol that may follow its section pins nothing.
class Pins {
 public:
  explicit Pins(const HostModel& host) {
    for (const HostSymbol& symbol : host.symbols) {
      if (!symbol.follows_section) targets_.emplace_back(symbol.address, symbol.section);
    }
    std::sort(targets_.begin(), targets_.end());
  }

  // Does a symbol point into the section, or, being of this section, to its end?
  bool Hold(const elf::Section& section, std::size_t number) const {
    const auto first = std::lower_bound(targets_.begin(), targets_.end(), Target(section.address, 0));
    if (first != targets_.end() && first->first - section.address < section.size) return true;
    const auto end = CheckedAdd(section.address, section.size);
    return end && std::binary_search(first, targets_.end(), Target(*end, static_cast<std::uint32_t>(number)));
  }

 private:
  using Target = std::pair<std::uint64_t, std::uint32_t>;  // address, and the section's number
  std::vector<Target> targets_;
};

std::vector<Occupant> OccupantsFromSections(const HostModel& host, std::uint64_t table_end) {
  const Pins pins(host);
  std::vector<Occupant> occupants;
  for (std::size_t i = 1; i < host.sections.size(); ++i) {
    const elf::Section& section = host.sections[i];
    if (!section.has_bytes() || section.size == 0 || section.offset + section.size <= table_end) continue;
    Occupant occupant;
    occupant.name = std::string(section.name);
    occupant.offset = section.offset;
    occupant.size = section.size;
    occupant.align = std::max<std::uint64_t>(section.align, 1);
    const bool has_sound_align = IsPowerOfTwo(occupant.align) && occupant.align <= kLargestSectionAlign;
    if (section.is_allocated() && has_sound_align && !pins.Hold(section, i)) {
      occupant.slides = std::any_of(host.segments.begin(), host.segments.end(), [&](const elf::Segment& segment) {
        return IsHeadSegment(segment.type) && section.offset >= segment.offset &&
               FitsWithin(section.offset - segment.offset, section.size, segment.filesz);
      });
      if (!occupant.slides) occupant.pointer = FindPointer(host, section.address);
    }
    occupants.push_back(std::move(occupant));
  }
  return occupants;
}

// For a file without section headers: what leads to a table says where it begins; its own content must say where it ends.
std::vector<Occupant> OccupantsFromDynamic(const HostModel& host, std::uint64_t table_end) {
  std::vector<Occupant> occupants;
  for (const elf::Segment& segment : host.segments) {
    if (!IsHeadSegment(segment.type) || segment.offset < table_end || segment.filesz == 0) continue;
    const bool known = std::any_of(occupants.begin(), occupants.end(), [&](const Occupant& other) {
      return segment.offset >= other.offset && segment.offset + segment.filesz <= other.offset + other.size;
    });
    if (!known)
      occupants.push_back({"a note", segment.offset, segment.filesz, std::max<std::uint64_t>(segment.align, 1), true, nullptr});
  }
  // LIEF guesses, and stops at the last that a relocation names when there are many more.
  const std::uint64_t symbol_count = elf::CountDynamicSymbols(host);
  for (const DynamicEntry& entry : host.dynamic) {
    if (FindPointer(host, entry.value) != &entry) continue;
    const auto offset = host.FileOffset(entry.value);
    if (!offset || *offset < table_end) continue;
    std::optional<std::uint64_t> size;
    if (entry.tag == elf::kTagHash || entry.tag == elf::kTagGnuHash) {
      if (const auto table = elf::ReadHashTable(host, entry.tag, *offset)) size = table->size;
    }
    if (entry.tag == elf::kTagSymbols && symbol_count > 0) size = symbol_count * elf::SymbolSize(host.header);
    const bool leaves = size && host.bytes.Contains(*offset, *size);
    occupants.push_back({std::string(FindTag(entry.tag)->section), *offset, leaves ? *size : 1, host.header.word_size(), false,
                         leaves ? &entry : nullptr});
  }
  return occupants;
}

std::vector<Occupant> OccupantsOf(const HostModel& host, std::uint64_t table_end) {
  std::vector<Occupant> occupants =
      host.sections.empty() ? OccupantsFromDynamic(host, table_end) : OccupantsFromSections(host, table_end);
  std::sort(occupants.begin(), occupants.end(), [](const Occupant& a, const Occupant& b) { return a.offset < b.offset; });
  return occupants;
}

// Bytes that no table of the file accounts for may be overwritten if they are filler: one value all over; or what patchelf leaves
// of sections that it moved, runs of 'X' or, by its version, 'Z', with the zeroes that aligned them.
bool IsFiller(const HostModel& host, std::uint64_t begin, std::uint64_t end) {
  if (begin >= end) return true;
  const auto gap = host.bytes.Slice(begin, end - begin);
  if (!gap) return false;
  const auto is_made_of = [&gap](std::uint8_t one, std::uint8_t other) {
    return std::all_of(gap->begin(), gap->end(), [=](std::uint8_t byte) { return byte == one || byte == other; });
  };
  return is_made_of(*gap->begin(), *gap->begin()) || is_made_of('X', 0) || is_made_of('Z', 0);
}

// Does the table, one entry longer, still lie in the segment that maps it, or else in none?
bool StaysInSegment(const HostModel& host, std::uint64_t table, std::uint64_t old_end, std::uint64_t new_end) {
  for (const elf::Segment& segment : host.segments) {
    if (segment.type != elf::kSegmentLoad || segment.filesz == 0) continue;
    if (table >= segment.offset && old_end <= segment.offset + segment.filesz) return new_end <= segment.offset + segment.filesz;
    // GNU strip would move such a segment away from the table, and out of step with its pages.
    if (segment.offset >= old_end && segment.offset < new_end) return false;
  }
  return true;
}

// An unused entry can be ours, unless a PT_LOAD follows: PT_LOADs must ascend by address, and ours is the highest.
std::optional<std::uint32_t> FindUnusedEntry(const HostModel& host) {
  for (std::uint32_t i = host.header.segment_count; i-- > 0;) {
    if (host.segments[i].type == elf::kSegmentNull) return i;
    if (host.segments[i].type == elf::kSegmentLoad) break;
  }
  return std::nullopt;
}

// Could the table of program headers grow, if nothing stood behind it?
Status CheckTable(const HostModel& host, std::uint64_t old_end, std::uint64_t new_end) {
  for (const elf::Segment& segment : host.segments) {
    if (IsHeadSegment(segment.type) && !FitsWithin(segment.offset, segment.filesz, host.bytes.size()))
      return Unsupported("a note's program header leads out of the file");
  }
  const elf::Header& header = host.header;
  if (header.segment_count + 1 >= elf::kExtendedSegmentCount) return Unsupported("there are too many program headers");
  if (!StaysInSegment(host, header.segment_offset, old_end, new_end))
    return Unsupported("a segment begins or ends right behind the program headers");
  if (header.section_offset != 0 && header.section_offset >= old_end && header.section_offset < new_end)
    return Unsupported(
        "the section headers follow the program headers");  // and tools that do not write them anew rely on the place
  return {};
}

MovedSection Moved(const Occupant& occupant, const elf::Header& header) {
  MovedSection moved;
  moved.name = occupant.name;
  moved.old_offset = occupant.offset;
  moved.size = occupant.size;
  moved.align = std::max<std::uint64_t>(occupant.align, 8);
  moved.pointer_offset = occupant.pointer->file_offset + header.word_size();
  return moved;
}

// patchelf makes the table longer, too. It moves what is in its way, going through the section headers until one lies further
// behind; a section that left for the payload does, and hides those that follow it. So they leave as well, as far as patchelf may
// reach (seen with 0.14): one more entry, and one for each note.
std::uint64_t PatchelfReach(const HostModel& host) {
  const auto notes = std::count_if(host.sections.begin(), host.sections.end(),
                                   [](const elf::Section& section) { return section.type == elf::kSectionNote; });
  return (1 + static_cast<std::uint64_t>(notes)) * host.header.segment_entry_size();
}

// Each program header of a note covers slid bytes only, or none.
Status CheckHeadSegments(const HostModel& host, const std::vector<SlidRange>& slid) {
  for (const elf::Segment& segment : host.segments) {
    if (!IsHeadSegment(segment.type) || segment.filesz == 0) continue;
    std::uint64_t covered = 0;
    for (const SlidRange& range : slid) {
      const std::uint64_t begin = std::max(range.offset, segment.offset);
      const std::uint64_t end = std::min(range.offset + range.size, segment.offset + segment.filesz);
      if (end > begin) covered += end - begin;
    }
    const bool starts_slid =
        std::any_of(slid.begin(), slid.end(), [&](const SlidRange& range) { return range.offset == segment.offset; });
    if (covered != 0 && !starts_slid) return Unsupported("a program header covers a part of the notes that have to move");
    if (covered == 0) continue;
    // Whatever the segment holds behind its sections (alignment) slides with it, so all of it must be before the last slid byte.
    if (segment.offset + segment.filesz > slid.back().offset + slid.back().size)
      return Unsupported("a note reaches beyond the sections that can move");
  }
  return {};
}

}  // namespace

Status MakeElfRoom(const HostModel& host, ElfPlacement& placement) {
  if (const auto unused = FindUnusedEntry(host)) {
    placement.segment_entry = *unused;
    return {};
  }
  const elf::Header& header = host.header;
  placement.segment_entry = header.segment_count;
  const std::uint64_t need = header.segment_entry_size();
  const std::uint64_t table_end = header.segment_offset + header.segment_count * need;
  PANNIER_CHECK_OK(CheckTable(host, table_end, table_end + need));
  const std::vector<Occupant> occupants = OccupantsOf(host, table_end);
  std::uint64_t slide = need;
  for (const Occupant& occupant : occupants) {
    if (occupant.slides) slide = AlignUp(slide, std::min<std::uint64_t>(occupant.align, 64));
  }
  std::uint64_t taken = table_end + need;  // the end of what stands in its new place
  std::uint64_t known = table_end;         // the end of what has been looked at, in its old place
  for (const Occupant& occupant : occupants) {
    if (occupant.offset >= taken) {
      const bool is_hidden = !placement.moved.empty() && occupant.offset < table_end + need + PatchelfReach(host);
      if (!is_hidden || occupant.pointer == nullptr) break;
      placement.moved.push_back(Moved(occupant, header));
      continue;
    }
    if (!IsFiller(host, known, occupant.offset)) return Unsupported("unknown bytes follow the program headers");
    known = std::max(known, occupant.offset + occupant.size);
    if (occupant.pointer != nullptr) {
      placement.moved.push_back(Moved(occupant, header));
    } else if (occupant.slides) {
      const std::uint64_t end = occupant.offset + occupant.size + slide;
      if (known <= kFirstPage && end > kFirstPage)
        return Unsupported("the notes would leave the file's first page, where core dumps look for the build id");
      placement.slid.push_back({occupant.offset, occupant.size});
      taken = end;
    } else {
      return Unsupported(StrCat(occupant.name.empty() ? "a section without a name" : Printable(occupant.name),
                                " follows the program headers and cannot be moved"));
    }
  }
  if (!IsFiller(host, known, taken)) return Unsupported("unknown bytes follow the program headers");
  if (placement.slid.empty()) return {};
  placement.slide = slide;
  return CheckHeadSegments(host, placement.slid);
}

}  // namespace pannier
