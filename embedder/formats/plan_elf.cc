// Every changed byte of headers, tables and pointers.
#include "embedder/formats/plan_elf.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include "src/format.h"
#include "src/image_elf.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::string_view kSegmentTableSection = ".tvm.phdrs";

Status CheckLimits(const HostModel& host, const ElfPlacement& placement, std::uint64_t payload_size, std::uint64_t file_size) {
  if (host.header.is_64) return {};
  const bool fits = file_size <= UINT32_MAX && (!placement.is_mapped || placement.anchor_address + payload_size <= UINT32_MAX);
  if (fits) return {};
  return {ErrorCode::kLimit, StrCat("a 32-bit ELF library holds 4 GiB: found ", payload_size,
                                    " bytes of payload; embed less, or compress it (--codec zstd)")};
}

// Collects changes of the host's bytes and gives them back merged.
class Edits {
 public:
  explicit Edits(const elf::Header& header) : header_(header) {}

  void Bytes(std::uint64_t offset, std::vector<std::uint8_t> bytes) { edits_.push_back({offset, std::move(bytes)}); }
  void Half(std::uint64_t offset, std::uint16_t value) {
    std::vector<std::uint8_t> bytes(2);
    StoreInteger(bytes.data(), value, header_.order);
    Bytes(offset, std::move(bytes));
  }
  void Word(std::uint64_t offset, std::uint64_t value) {
    std::vector<std::uint8_t> bytes(header_.word_size());
    elf::EncodeWord(header_, value, bytes.data());
    Bytes(offset, std::move(bytes));
  }
  void Segment(std::uint32_t index, const elf::Segment& segment) {
    std::vector<std::uint8_t> bytes(header_.segment_entry_size());
    elf::EncodeSegment(header_, segment, bytes.data());
    Bytes(header_.segment_offset + std::uint64_t{index} * header_.segment_entry_size(), std::move(bytes));
  }
  std::vector<Edit> Take() { return MergeEdits(std::move(edits_)); }

 private:
  const elf::Header& header_;
  std::vector<Edit> edits_;
};

const SlidRange* FindSlid(const ElfPlacement& placement, std::uint64_t offset, std::uint64_t size) {
  for (const SlidRange& range : placement.slid) {
    if (offset >= range.offset && FitsWithin(offset - range.offset, size, range.size)) return &range;
  }
  return nullptr;
}

const MovedSection* FindMoved(const ElfPlacement& placement, std::uint64_t offset) {
  for (const MovedSection& section : placement.moved) {
    if (section.old_offset == offset) return &section;
  }
  return nullptr;
}

// How far the address of a section (by its old offset) changes.
std::optional<std::uint64_t> NewAddress(const ElfPlacement& placement, const elf::Section& section) {
  if (!section.has_bytes() || section.size == 0 || !section.is_allocated()) return std::nullopt;
  if (const MovedSection* moved = FindMoved(placement, section.offset)) return placement.anchor_address + moved->payload_offset;
  if (FindSlid(placement, section.offset, section.size) != nullptr) return section.address + placement.slide;
  return std::nullopt;
}

std::vector<elf::Segment> NewSegments(const HostModel& host, const ElfPlacement& placement, std::uint64_t payload_size) {
  std::vector<elf::Segment> segments = host.segments;
  for (elf::Segment& segment : segments) {
    if (segment.type == elf::kSegmentHeaders && placement.segment_entry == host.header.segment_count) {
      segment.filesz += host.header.segment_entry_size();
      segment.memsz += host.header.segment_entry_size();
    }
    const bool is_head =
        segment.type == elf::kSegmentNote || segment.type == elf::kSegmentGnuProperty || segment.type == elf::kSegmentInterpreter;
    if (is_head && segment.filesz != 0 && FindSlid(placement, segment.offset, 1) != nullptr) {
      segment.offset += placement.slide;
      segment.vaddr += placement.slide;
      segment.paddr += placement.slide;
    }
  }
  elf::Segment ours;
  ours.type = elf::kSegmentLoad;
  ours.flags = elf::kSegmentReadable;
  ours.offset = placement.anchor_offset;
  ours.vaddr = ours.paddr = placement.anchor_address;
  ours.filesz = ours.memsz = payload_size;
  ours.align = placement.segment_align;
  if (placement.segment_entry == segments.size()) {
    segments.push_back(ours);
  } else {
    segments[placement.segment_entry] = ours;
  }
  return segments;
}

void EditSegments(const HostModel& host, const std::vector<elf::Segment>& segments, Edits& edits) {
  for (std::uint32_t i = 0; i < segments.size(); ++i) {
    const bool unchanged = i < host.segments.size() && segments[i].type == host.segments[i].type &&
                           segments[i].offset == host.segments[i].offset && segments[i].filesz == host.segments[i].filesz;
    if (!unchanged) edits.Segment(i, segments[i]);
  }
  if (segments.size() != host.segments.size())
    edits.Half(host.header.segment_count_field(), static_cast<std::uint16_t>(segments.size()));
}

// The slid bytes in their new place. Where that overlaps the old one, both are one range of the file.
void EditSlidBytes(const HostModel& host, const ElfPlacement& placement, Edits& edits) {
  for (const SlidRange& range : placement.slid) {
    const ByteView bytes = *host.bytes.Slice(range.offset, range.size);
    edits.Bytes(range.offset + placement.slide, {bytes.begin(), bytes.end()});
  }
}

void EditPointers(const ElfPlacement& placement, Edits& edits) {
  for (const MovedSection& section : placement.moved)
    edits.Word(section.pointer_offset, placement.anchor_address + section.payload_offset);
  for (const ElfWord& word : placement.words) edits.Word(word.offset, word.value);
}

std::uint32_t AppendName(std::string_view name, std::vector<std::uint8_t>& names) {
  const auto offset = static_cast<std::uint32_t>(names.size());
  names.insert(names.end(), name.begin(), name.end());
  names.push_back(0);
  return offset;
}

std::uint64_t SymbolValueField(const elf::Header& header) { return header.is_64 ? 8 : 4; }

// Symbols that follow their section: eu-elflint and debuggers compare the two.
template <typename Function>
void ForEachMovedSymbol(const HostModel& host, const ElfPlacement& placement, const Function& function) {
  for (const HostSymbol& symbol : host.symbols) {
    if (!symbol.follows_section || symbol.section >= host.sections.size()) continue;
    const elf::Section& section = host.sections[symbol.section];
    const auto address = NewAddress(placement, section);
    if (address) function(symbol.file_offset + SymbolValueField(host.header), *address + (symbol.address - section.address));
  }
}

void EditMovedSymbols(const HostModel& host, const ElfPlacement& placement, Edits& edits) {
  ForEachMovedSymbol(host, placement, [&](std::uint64_t field, std::uint64_t address) {
    for (const MovedSection& moved : placement.moved) {
      if (field >= moved.old_offset && field - moved.old_offset < moved.size) return;  // edited in the copy: see MovedBytes
    }
    edits.Word(field, address);
  });
}

// A moved section's bytes as they are to stand in the payload.
std::vector<std::uint8_t> MovedBytes(const HostModel& host, const ElfPlacement& placement, const MovedSection& section) {
  const ByteView old = *host.bytes.Slice(section.old_offset, section.size);
  std::vector<std::uint8_t> bytes = section.grown.empty() ? std::vector<std::uint8_t>(old.begin(), old.end()) : section.grown;
  ForEachMovedSymbol(host, placement, [&](std::uint64_t field, std::uint64_t address) {
    if (field < section.old_offset || !FitsWithin(field - section.old_offset, host.header.word_size(), bytes.size())) return;
    elf::EncodeWord(host.header, address, bytes.data() + (field - section.old_offset));
  });
  return bytes;
}

// What tools that move sections may change of the exported symbol's entry is a part of its own.
void SplitAtNumber(std::uint64_t entry, const elf::Header& header, AddedBytes& symbols, std::vector<AddedBytes>& parts) {
  const std::uint64_t at = entry + elf::SymbolSectionField(header);
  const auto begin = symbols.bytes.begin();
  const auto number = begin + static_cast<std::ptrdiff_t>(at);
  parts.push_back({symbols.name, symbols.offset, {begin, number}});
  parts.push_back(
      {"number of " + symbols.name + "'s section", symbols.offset + at, {number, number + 2}, format::PartKind::FileAlone});
  symbols = {symbols.name, symbols.offset + at + 2, {number + 2, symbols.bytes.end()}};
}

// The exported symbol as it is from now on: at the start of the section, and of its size.
void EditExported(const HostModel& host, const ElfPlacement& placement, const PlannedSection& factory,
                  const std::vector<elf::Section>& sections, std::vector<AddedBytes>& moved, Edits& edits) {
  const std::uint64_t address = placement.anchor_address + factory.offset;
  // Without section headers any number will do that does not stand for "undefined" or "absolute".
  std::uint16_t number = 1;
  for (std::size_t i = 0; i < sections.size(); ++i) {
    if (sections[i].is_allocated() && address >= sections[i].address && address - sections[i].address < sections[i].size)
      number = static_cast<std::uint16_t>(i);
  }
  const auto lead = [&](ByteView bytes, std::uint64_t at, std::uint8_t* out) {
    elf::Symbol symbol = *elf::ParseSymbol(bytes, host.header, at);
    symbol.section = number;
    symbol.value = address;
    symbol.size = factory.size;
    elf::EncodeSymbol(host.header, symbol, out);
  };
  const MovedSection& table = placement.moved[placement.exported->symbols];
  AddedBytes& symbols = moved[placement.exported->symbols];
  std::vector<std::uint64_t> in_table;
  if (placement.exported->added) in_table.push_back(*placement.exported->added);
  for (const std::uint64_t entry : placement.exported->entries) {
    if (entry >= table.old_offset && entry - table.old_offset < table.size) {
      in_table.push_back(entry - table.old_offset);
      continue;
    }
    std::vector<std::uint8_t> bytes(elf::SymbolSize(host.header));
    lead(host.bytes, entry, bytes.data());
    edits.Bytes(entry, std::move(bytes));
  }
  std::sort(in_table.begin(), in_table.end());
  for (const std::uint64_t entry : in_table) lead(View(symbols.bytes), entry, symbols.bytes.data() + entry);
  std::vector<AddedBytes> parts;
  std::uint64_t taken = 0;
  for (const std::uint64_t entry : in_table) {
    SplitAtNumber(entry - taken, host.header, symbols, parts);
    taken = entry + elf::SymbolSectionField(host.header) + 2;
  }
  const auto at = moved.begin() + static_cast<std::ptrdiff_t>(placement.exported->symbols);
  moved.insert(at, std::make_move_iterator(parts.begin()), std::make_move_iterator(parts.end()));
}

// eu-strip fills with zeroes what lies between allocated sections, and sections of ours lie behind whatever is last in the host. A
// program header table that follows the ELF header is out of its reach; one that lies elsewhere (BOLT's, LIEF's) needs a section.
void CoverSegmentTable(const HostModel& host, std::uint64_t segment_count, std::vector<elf::Section>& sections,
                       std::vector<std::uint8_t>& names) {
  const elf::Header& header = host.header;
  const std::uint64_t begin = header.segment_offset;
  const std::uint64_t size = segment_count * header.segment_entry_size();
  if (begin == header.size()) return;
  for (elf::Section& section : sections) {
    if (!section.has_bytes() || !section.is_allocated() || begin < section.offset || begin - section.offset >= section.size)
      continue;
    section.size = std::max(section.size, begin - section.offset + size);  // whoever moved the table knew of eu-strip
    return;
  }
  const auto load = std::find_if(host.segments.begin(), host.segments.end(), [&](const elf::Segment& segment) {
    return segment.type == elf::kSegmentLoad && begin >= segment.offset && begin - segment.offset < segment.filesz;
  });
  if (load == host.segments.end()) return;  // a section outside of all segments would be a fault of its own
  elf::Section cover;
  cover.name_offset = AppendName(kSegmentTableSection, names);
  cover.type = elf::kSectionProgramBits;
  cover.flags = elf::kSectionAllocated;
  cover.address = load->vaddr + (begin - load->offset);
  cover.offset = begin;
  cover.size = size;
  cover.align = header.word_size();
  sections.push_back(cover);
}

// BOLT leaves symbols with section numbers that do not exist. eu-strip refuses such a library; but it would take the numbers for
// ours, and change the symbols, if there were that many sections. So fewer headers cover the payload then.
std::vector<PlannedSection> WithinNumbers(const HostModel& host, std::size_t taken, const std::vector<PlannedSection>& ours) {
  // Host sections that left their place may follow the anchor, so it keeps a header of its own.
  const std::vector<PlannedSection> rest(ours.begin() + 1, ours.end());
  if (rest.empty()) return ours;
  for (const Grouping grouping : {Grouping::kSeparate, Grouping::kTail, Grouping::kAll}) {
    std::vector<PlannedSection> groups = GroupSections(rest, grouping);
    groups.insert(groups.begin(), ours.front());
    const bool reaches_missing = std::any_of(host.symbols.begin(), host.symbols.end(), [&](const HostSymbol& symbol) {
      return symbol.section >= host.sections.size() && symbol.section < taken + groups.size();
    });
    if (!reaches_missing) return groups;
  }
  return ours;
}

// The host's where they are now, and ours behind them; `names` grows by ours.
std::vector<elf::Section> NewSections(const HostModel& host, const ElfPlacement& placement, const std::vector<PlannedSection>& ours,
                                      std::size_t segment_count, std::vector<std::uint8_t>& names) {
  std::vector<elf::Section> sections = host.sections;
  for (elf::Section& section : sections) {
    const auto address = NewAddress(placement, section);
    if (!address) continue;
    const MovedSection* moved = FindMoved(placement, section.offset);
    if (moved != nullptr && !moved->grown.empty()) section.size = moved->grown.size();
    section.offset = moved != nullptr ? placement.anchor_offset + moved->payload_offset : section.offset + placement.slide;
    section.address = *address;
  }
  CoverSegmentTable(host, segment_count, sections, names);
  // A payload in the file only is found by all of its headers.
  for (const PlannedSection& planned : placement.is_mapped ? WithinNumbers(host, sections.size(), ours) : ours) {
    elf::Section section;
    section.name_offset = AppendName(planned.name, names);
    section.type = elf::kSectionProgramBits;
    section.flags = placement.is_mapped ? elf::kSectionAllocated : 0;
    section.address = placement.is_mapped ? placement.anchor_address + planned.offset : 0;
    section.offset = placement.anchor_offset + planned.offset;
    section.size = planned.size;
    section.align = planned.align;
    sections.push_back(section);
  }
  return sections;
}

// The section header table and its names, written anew behind the payload; answers with the sections.
std::vector<elf::Section> WriteSectionHeaders(const HostModel& host, const ElfPlacement& placement,
                                              const std::vector<PlannedSection>& ours, std::uint64_t payload_end,
                                              std::size_t segment_count, EditPlan& plan, Edits& edits) {
  const elf::Header& header = host.header;
  const elf::Section& old_names = host.sections[header.name_section];
  const ByteView old_bytes = *host.bytes.Slice(old_names.offset, old_names.size);
  std::vector<std::uint8_t> names(old_bytes.begin(), old_bytes.end());
  if (names.empty() || names.back() != 0) names.push_back(0);
  std::vector<elf::Section> sections = NewSections(host, placement, ours, segment_count, names);
  elf::Section& new_names = sections[header.name_section];
  new_names.offset = payload_end;
  new_names.size = names.size();
  const std::uint64_t table_offset = AlignUp(payload_end + names.size(), 8);

  const auto count = static_cast<std::uint32_t>(sections.size());
  const bool extended = count >= elf::kReservedSectionNumbers;
  if (extended) sections[0].size = count;
  AddedBytes tail = {"section headers", payload_end, std::move(names)};
  tail.bytes.resize(static_cast<std::size_t>(table_offset - payload_end));
  const std::size_t table_start = tail.bytes.size();
  tail.bytes.resize(table_start + sections.size() * header.section_entry_size());
  for (std::size_t i = 0; i < sections.size(); ++i) {
    elf::EncodeSection(header, sections[i], tail.bytes.data() + table_start + i * header.section_entry_size());
  }
  plan.file_size = payload_end + tail.bytes.size();
  plan.added.push_back(std::move(tail));
  edits.Word(header.section_offset_field(), table_offset);
  edits.Half(header.section_count_field(), extended ? 0 : static_cast<std::uint16_t>(count));
  return sections;
}

}  // namespace

Result<EditPlan> PlanElf(const HostModel& host, const ElfPlacement& placement, const std::vector<PlannedSection>& sections) {
  const std::uint64_t payload_size = sections.back().offset + sections.back().size;
  const std::uint64_t payload_end = placement.anchor_offset + payload_size;
  EditPlan plan;
  plan.pieces = {{0, host.bytes.size(), 0}};
  plan.file_size = payload_end;
  std::vector<elf::Segment> segments = host.segments;
  std::vector<elf::Section> new_sections;
  Edits edits(host.header);
  if (placement.is_mapped) {
    segments = NewSegments(host, placement, payload_size);
    EditSegments(host, segments, edits);
    EditSlidBytes(host, placement, edits);
    EditPointers(placement, edits);
    EditMovedSymbols(host, placement, edits);
  }
  if (!host.sections.empty())
    new_sections = WriteSectionHeaders(host, placement, sections, payload_end, segments.size(), plan, edits);
  std::vector<AddedBytes> moved;
  for (const MovedSection& section : placement.moved)
    moved.push_back({section.name, placement.anchor_offset + section.payload_offset, MovedBytes(host, placement, section)});
  if (placement.exported) {
    const auto factory = std::find_if(sections.begin(), sections.end(),
                                      [](const PlannedSection& section) { return section.name == kFactorySection; });
    EditExported(host, placement, *factory, new_sections, moved, edits);
  }
  plan.added.insert(plan.added.begin(), std::make_move_iterator(moved.begin()), std::make_move_iterator(moved.end()));
  PANNIER_CHECK_OK(CheckLimits(host, placement, payload_size, plan.file_size));
  plan.edits = edits.Take();
  plan.image = ElfImage(host.bytes, host.header, segments, new_sections, placement.anchor_address);
  return plan;
}

}  // namespace pannier
