// What a PE host must be; the payload's place before trailing debug sections, and room for section headers.
#include "embedder/formats/place_pe.h"

#include <algorithm>
#include <string>
#include <utility>

#include "embedder/edit_plan.h"
#include "embedder/formats/pe_export.h"
#include "src/format.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::uint64_t kMaxSectionCount = 96;
constexpr std::uint64_t kLargestPage = 2 << 20;  // the payload is a multiple of the sections' alignment
constexpr std::uint64_t kSector = 512;
constexpr std::uint32_t kStrongNameSigned = 8;  // flag of the CLR header

std::uint64_t EndInMemory(const pe::Section& section, std::uint64_t alignment) {
  return AlignUp(std::uint64_t{section.address} + section.memory_size(), alignment);
}

Status CheckHeaders(const PeModel& host) {
  const pe::Header& header = host.header;
  if ((header.characteristics & pe::kExecutableImage) == 0)
    return Unsupported("found a file that its linker did not finish (no IMAGE_FILE_EXECUTABLE_IMAGE), expected a DLL");
  if (host.sections.empty()) return Unsupported("found no sections, expected a DLL with some");
  if (header.section_alignment < kPage) {
    return Unsupported(StrCat("section alignment: found ", header.section_alignment,
                              ", expected at least 4096; such files are mapped as they are, without room for more sections"));
  }
  if (header.section_alignment > kLargestPage)
    return Unsupported(StrCat("section alignment: found ", header.section_alignment, ", expected at most ", kLargestPage));
  const bool aligned = IsPowerOfTwo(header.section_alignment) && IsPowerOfTwo(header.file_alignment) &&
                       header.file_alignment >= kSector && header.file_alignment <= header.section_alignment;
  if (!aligned) {
    return Unsupported(StrCat("alignments: found ", header.section_alignment, " of sections and ", header.file_alignment,
                              " in the file, expected powers of two, and from 512 to the sections' in the file"));
  }
  if (header.headers_size < header.section_table_end() || header.headers_size > host.bytes.size() ||
      header.headers_size > host.sections.front().address) {
    return Unsupported(StrCat("size of headers: found ", header.headers_size, ", expected from ", header.section_table_end(),
                              " to ", host.sections.front().address));
  }
  if (header.directories[pe::kDebugDirectory].size > kMaxPeDebugEntries * kPeDebugEntrySize) {
    return Unsupported(StrCat("debug directory: found ", header.directories[pe::kDebugDirectory].size, " bytes, expected at most ",
                              kMaxPeDebugEntries * kPeDebugEntrySize));
  }
  return {};
}

// What Windows demands of the sections: addresses one after another without a hole. Raw data in the same order is what tools
// expect.
Status CheckSections(const PeModel& host) {
  const pe::Header& header = host.header;
  std::uint64_t address = host.sections.front().address;
  std::uint64_t raw_end = header.headers_size;
  if (address % header.section_alignment != 0)
    return Unsupported(StrCat("section 0: address: found ", Hex(address), ", expected a multiple of ", header.section_alignment));
  for (std::size_t i = 0; i < host.sections.size(); ++i) {
    const pe::Section& section = host.sections[i];
    if (section.address != address)
      return Unsupported(StrCat("section ", i, ": address: found ", Hex(section.address), ", expected ", Hex(address)));
    address = EndInMemory(section, header.section_alignment);
    if (!section.has_bytes()) continue;
    if (section.raw_offset < raw_end) {
      return Unsupported(StrCat("section ", i, ": raw data: found at ", Hex(section.raw_offset), ", expected at ", Hex(raw_end),
                                " or behind: headers and sections in the order of their addresses"));
    }
    raw_end = std::uint64_t{section.raw_offset} + section.raw_size;
  }
  if (AlignUp(header.image_size, header.section_alignment) != address)
    return Unsupported(StrCat("size of image: found ", Hex(header.image_size), ", expected ", Hex(address)));
  return {};
}

// A signature would be void: it covers nearly all bytes.
Status PlaceCertificate(const PeModel& host, const HostOptions& options, PePlacement& placement) {
  placement.host_end = host.bytes.size();
  const pe::DataDirectory& table = host.header.directories[pe::kCertificateDirectory];
  if (table.address == 0 && table.size == 0) return {};
  if (!options.drop_signature) {
    return Unsupported(
        "found an Authenticode signature, which any change voids; embed with --drop-signature to leave it out, then sign the "
        "bundle");
  }
  if (table.address < placement.payload_split || !FitsWithin(table.address, table.size, host.bytes.size()) ||
      !IsAllZero(*host.bytes.Slice(table.address + std::uint64_t{table.size},
                                   host.bytes.size() - table.address - std::uint64_t{table.size}))) {
    return Unsupported(StrCat("certificate table: found ", table.size, " bytes at ", Hex(table.address),
                              ", expected the file's end, ", Hex(host.bytes.size())));
  }
  placement.host_end = table.address;
  placement.notes.push_back(
      StrCat("its Authenticode signature (", host.bytes.size() - table.address, " bytes) is left out: sign the bundle again"));
  return {};
}

// Offset of the first of the sections' raw data, behind the headers.
std::uint64_t FirstRawOffset(const PeModel& host) {
  const auto first =
      std::find_if(host.sections.begin(), host.sections.end(), [](const pe::Section& section) { return section.has_bytes(); });
  return first == host.sections.end() ? host.header.headers_size : first->raw_offset;
}

void PlacePayload(const PeModel& host, PePlacement& placement) {
  placement.first_section = FirstTrailingDebugSection(host);
  placement.headers_end = FirstRawOffset(host);
  placement.payload_split = placement.headers_end;
  for (std::size_t i = 0; i < placement.first_section; ++i) {
    const pe::Section& section = host.sections[i];
    if (section.has_bytes()) placement.payload_split = std::uint64_t{section.raw_offset} + section.raw_size;
  }
  for (std::size_t i = placement.first_section; i < host.sections.size(); ++i) {
    if (!host.sections[i].has_bytes()) continue;
    placement.payload_split = host.sections[i].raw_offset;
    break;
  }
  placement.anchor_address = placement.first_section < host.sections.size()
                                 ? host.sections[placement.first_section].address
                                 : EndInMemory(host.sections.back(), host.header.section_alignment);
}

// A section header for each artifact, as far as they go; but both graph and params, or none.
void ChooseGrouping(std::size_t slots, std::size_t artifacts, PePlacement& placement) {
  placement.grouping = Grouping::kTail;
  const std::size_t others = 2;  // anchor; index to signature room
  if (slots >= artifacts + others) {
    placement.own_sections = artifacts;
  } else if (slots >= others + 1 + std::min<std::size_t>(artifacts, 2)) {
    placement.own_sections = slots - others - 1;  // and one for all the rest
  } else {
    placement.grouping = Grouping::kAll;
    placement.notes.push_back("one section header for all of the payload: there is no room for more");
  }
  placement.own_sections = std::min(placement.own_sections, kMaxOwnSections);
  // The section that the symbol leads to is one of them.
  if (placement.exported && placement.own_sections > 0) --placement.own_sections;
}

Status MakeHeaderRoom(const PeModel& host, const HostOptions& options, PePlacement& placement) {
  const pe::Header& header = host.header;
  const std::uint64_t table_end = header.section_table_end();
  if (header.section_count >= kMaxSectionCount)
    return Unsupported(StrCat("found ", header.section_count, " sections, expected fewer than ", kMaxSectionCount));
  const std::uint64_t most = kMaxSectionCount - header.section_count;
  const ByteView behind = *host.bytes.Slice(table_end, placement.headers_end - table_end);
  const auto used = std::find_if(behind.begin(), behind.end(), [](std::uint8_t byte) { return byte != 0; });
  const bool all_zero = used == behind.end();
  const std::uint64_t zeroes =
      std::min<std::uint64_t>(static_cast<std::uint64_t>(used - behind.begin()), header.headers_size - table_end);
  std::uint64_t slots = std::min(zeroes / pe::kSectionHeaderSize, most);
  placement.new_headers_size = header.headers_size;
  if (slots == 0) {
    if (!all_zero) {
      return Unsupported(StrCat("no room for a section header: found ",
                                header.directories[pe::kBoundImportDirectory].address != 0 ? "bound imports" : "data",
                                " behind the section headers, expected zeroes; link it again",
                                header.directories[pe::kBoundImportDirectory].address != 0 ? " and do not bind it" : ""));
    }
    placement.new_headers_size = AlignUp(table_end + pe::kSectionHeaderSize, header.file_alignment);
    if (placement.new_headers_size > host.sections.front().address) {
      return Unsupported(StrCat("no room for a section header: headers could grow to ", Hex(host.sections.front().address),
                                ", expected ", Hex(placement.new_headers_size),
                                "; link it with fewer sections or with a larger /ALIGN"));
    }
    if (placement.new_headers_size > placement.headers_end)
      placement.headers_growth = AlignUp(placement.new_headers_size - placement.headers_end, header.file_alignment);
    slots = std::min((placement.new_headers_size - table_end) / pe::kSectionHeaderSize, most);
    placement.notes.push_back(StrCat("the headers grow by ", placement.new_headers_size - header.headers_size,
                                     " bytes: there was no room for another section header"));
  }
  ChooseGrouping(static_cast<std::size_t>(slots), options.artifacts, placement);
  return {};
}

void NoteWhatMayMind(const PeModel& host, PePlacement& placement) {
  std::uint64_t end = placement.payload_split;
  for (const pe::Section& section : host.sections) {
    if (section.has_bytes()) end = std::max(end, std::uint64_t{section.raw_offset} + section.raw_size);
  }
  if (host.header.symbol_offset != 0) {
    const std::uint64_t strings = host.header.symbol_offset + std::uint64_t{host.header.symbol_count} * pe::kSymbolSize;
    end = std::max(end, strings + host.bytes.Read<std::uint32_t>(strings).value_or(0));
  }
  // Signers and linkers pad with zeroes.
  if (end < placement.host_end && !IsAllZero(*host.bytes.Slice(end, placement.host_end - end))) {
    placement.notes.push_back(
        StrCat("the ", placement.host_end - end, " bytes behind the end of the PE file (an overlay) stay at its end"));
  }
  const pe::DataDirectory& clr = host.header.directories[pe::kClrDirectory];
  const auto offset = PeFileOffset(host.sections, clr.address, 20);
  if (clr.address != 0 && offset && (*host.bytes.Read<std::uint32_t>(*offset + 16) & kStrongNameSigned) != 0)
    placement.notes.push_back(
        "it is a .NET assembly with a strong name, which no longer fits: sign it again where that is checked");
}

}  // namespace

Result<PePlacement> PlacePePayload(const PeModel& host, const HostOptions& options) {
  PANNIER_CHECK_OK(CheckHeaders(host));
  PANNIER_CHECK_OK(CheckSections(host));
  PePlacement placement;
  placement.is_mapped = true;
  placement.longest_name = 3;
  placement.section_align = placement.payload_align = host.header.section_alignment;
  placement.content_offset = AlignUp(Anchor::kSize, kTensorAlignment);
  PlacePayload(host, placement);
  if (!options.exported.empty()) {
    PANNIER_TRY(placement.exported, ExportPeSymbol(host, options.exported, placement.anchor_address + Anchor::kSize));
    placement.content_offset = AlignUp(Anchor::kSize + placement.exported->tables.size(), kTensorAlignment);
  }
  PANNIER_CHECK_OK(PlaceCertificate(host, options, placement));
  PANNIER_CHECK_OK(MakeHeaderRoom(host, options, placement));
  placement.anchor_offset = AlignUp(placement.payload_split + placement.headers_growth, host.header.file_alignment);
  NoteWhatMayMind(host, placement);
  return placement;
}

}  // namespace pannier
