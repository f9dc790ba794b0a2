// What an ELF host must be; the payload's place behind the end of the file, and behind all addresses.
#include "embedder/formats/place_elf.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "embedder/edit_plan.h"
#include "embedder/formats/elf_export.h"
#include "embedder/formats/elf_room.h"
#include "src/format.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::uint64_t kLargePage = 65536;
constexpr std::uint64_t kLargestSegmentAlign = std::uint64_t{1} << 30;

// Dynamic tag and flag of a position-independent executable.
constexpr std::uint64_t kTagFlags1 = 0x6ffffffb;
constexpr std::uint64_t kFlagExecutable = 0x08000000;

// Machines whose kernels never use pages above 4 KiB; elsewhere 64 KiB is the largest page in use (max-page-size of their linkers).
std::uint64_t LargestPage(std::uint16_t machine) {
  constexpr std::array<std::uint16_t, 5> kSmallPages = {3 /* i386 */, 62 /* x86-64 */, 22 /* s390 */, 243 /* riscv */,
                                                        4 /* 68000 */};
  return std::find(kSmallPages.begin(), kSmallPages.end(), machine) != kSmallPages.end() ? kPage : kLargePage;
}

// The end of all bytes that the file's own tables account for.
std::uint64_t EndOfFileContent(const HostModel& host) {
  const elf::Header& header = host.header;
  std::uint64_t end = header.segment_offset + std::uint64_t{header.segment_count} * header.segment_entry_size();
  end = std::max<std::uint64_t>(end, header.size());
  if (header.section_offset != 0)
    end = std::max(end, header.section_offset + std::uint64_t{header.section_count} * header.section_entry_size());
  for (const elf::Segment& segment : host.segments) {
    if (FitsWithin(segment.offset, segment.filesz, host.bytes.size())) end = std::max(end, segment.offset + segment.filesz);
  }
  for (const elf::Section& section : host.sections) {
    if (section.has_bytes()) end = std::max(end, section.offset + section.size);
  }
  return end;
}

Status CheckIsSharedLibrary(const HostModel& host) {
  switch (host.header.type) {
    case elf::kTypeShared:
      break;
    case elf::kTypeRelocatable:
      return Unsupported("found a relocatable object, expected a shared library; link it with -shared first");
    case elf::kTypeExecutable:
      return Unsupported("found an executable, expected a shared library; link the model as one (-shared) and load it");
    case elf::kTypeCore:
      return Unsupported("found a core file, expected a shared library");
    default:
      return Unsupported(StrCat("elf type: found ", host.header.type, ", expected 3 (shared library)"));
  }
  for (const DynamicEntry& entry : host.dynamic) {
    if (entry.tag == kTagFlags1 && (entry.value & kFlagExecutable) != 0) {
      return Unsupported(
          "found a position-independent executable, expected a shared library; link the model as one (-shared) and load it");
    }
  }
  const bool has_load =
      std::any_of(host.segments.begin(), host.segments.end(), [](const elf::Segment& s) { return s.type == elf::kSegmentLoad; });
  const bool has_dynamic =
      std::any_of(host.segments.begin(), host.segments.end(), [](const elf::Segment& s) { return s.type == elf::kSegmentDynamic; });
  if (!has_load || !has_dynamic)
    return Unsupported("found no PT_LOAD with a PT_DYNAMIC, expected a shared library (is this a file of debug symbols?)");
  for (const elf::Section& section : host.sections) {
    // objcopy --only-keep-debug leaves the program headers and takes the bytes.
    if (section.name == ".dynamic" && section.type == elf::kSectionNoBits)
      return Unsupported("found a file of debug symbols, expected a shared library");
  }
  return {};
}

// OpenHarmony maps code only from pages that have the hashes in this section (its developtools_hapsigner writes it).
Status CheckIsUnsigned(const HostModel& host) {
  for (const elf::Section& section : host.sections) {
    if (section.name == ".codesign")
      return Unsupported("found OpenHarmony's code signature (.codesign), which any change breaks; embed first, then sign");
  }
  return {};
}

Status CheckOverlay(const HostModel& host) {
  const std::uint64_t end = EndOfFileContent(host);
  const std::uint64_t size = host.bytes.size();
  if (end >= size || IsAllZero(*host.bytes.Slice(end, size - end))) return {};
  return Unsupported(StrCat("found ", size - end, " bytes behind the end of the ELF file (an overlay, at ", Hex(end),
                            "), expected none; whoever reads them from the file's end would no longer find them"));
}

// Chooses address and alignment of the payload's segment; the reason if there is none.
Status PlaceSegment(const HostModel& host, ElfPlacement& placement) {
  std::uint64_t end = 0;
  std::uint64_t align = LargestPage(host.header.machine);
  for (const elf::Segment& segment : host.segments) {
    if (segment.type != elf::kSegmentLoad) continue;
    const auto segment_end = CheckedAdd(segment.vaddr, segment.memsz);
    if (!segment_end) return Unsupported("a segment's address range overflows");
    end = std::max(end, *segment_end);
    if (segment.align > 1 && (!IsPowerOfTwo(segment.align) || segment.align > kLargestSegmentAlign))
      return Unsupported(StrCat("a segment has the alignment ", segment.align));
    align = std::max(align, segment.align);
  }
  // eu-elflint looks for relocations that write into read-only segments by adding the size of the symbol to the place of the
  // relocation, and so finds some in whatever segment follows closely. Address space costs nothing, so ours starts behind all it
  // can reach.
  constexpr std::uint64_t kFarthest = std::uint64_t{64} << 20;
  if (host.relocation_reach > end && host.relocation_reach - end <= kFarthest) end = host.relocation_reach;

  const std::uint64_t limit = host.header.is_64 ? UINT64_MAX / 2 : UINT32_MAX;
  if (end > limit - 2 * align) return Unsupported("there is no address space behind its last segment");
  placement.segment_align = align;
  // Congruent to the file offset modulo the alignment, as loaders demand; so the file needs no padding up to a page.
  placement.anchor_address = AlignUp(end, align) + placement.anchor_offset % align;
  return {};
}

void PlaceMovedSections(ElfPlacement& placement) {
  std::uint64_t at = Anchor::kSize;
  for (MovedSection& section : placement.moved) {
    at = AlignUp(at, section.align);
    section.payload_offset = at;
    at += section.grown.empty() ? section.size : section.grown.size();
  }
  placement.content_offset = AlignUp(at, kTensorAlignment);
}

}  // namespace

Result<ElfPlacement> PlaceElfPayload(const HostModel& host, std::string_view exported) {
  PANNIER_CHECK_OK(CheckIsSharedLibrary(host));
  PANNIER_CHECK_OK(CheckIsUnsigned(host));
  PANNIER_CHECK_OK(CheckOverlay(host));
  if (!host.sections.empty() && host.header.name_section == 0)
    return Unsupported("found section headers without names, expected both or none");

  ElfPlacement placement;
  placement.own_sections = kMaxOwnSections;
  placement.anchor_offset = AlignUp(host.bytes.size(), kTensorAlignment);
  Status room = PlaceSegment(host, placement);
  if (room.ok()) room = MakeElfRoom(host, placement);
  placement.is_mapped = room.ok();
  if (!placement.is_mapped) {
    if (host.sections.empty()) {
      return Unsupported(StrCat("found no section headers, and no room for a program header (", room.message(),
                                "); embed before section headers are removed"));
    }
    placement = ElfPlacement();
    placement.own_sections = kMaxOwnSections;
    placement.why_not_mapped = room.message();
    placement.anchor_offset = AlignUp(host.bytes.size(), kPage);
  }
  if (!exported.empty()) {
    if (!placement.is_mapped) return Unsupported(StrCat("no symbol can lead to a payload that is not mapped: ", room.message()));
    PANNIER_CHECK_OK(ExportElfSymbol(host, exported, placement));
  }
  PlaceMovedSections(placement);
  return placement;
}

}  // namespace pannier
