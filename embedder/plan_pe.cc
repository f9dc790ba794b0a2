// The PE planner: placement before trailing debug sections, room for section headers, then every changed byte of headers and
// tables.
#include "embedder/plan_pe.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "embedder/pe_export.h"
#include "src/format.h"
#include "src/image_pe.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::size_t kMaxOwnSections = 32;  // further artifacts share .tvm.ext
constexpr std::uint64_t kMaxSectionCount = 96;
constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kLargestPage = 2 << 20;  // the payload is a multiple of the sections' alignment
constexpr std::uint64_t kSector = 512;
constexpr std::uint64_t kMaxImageSize = 0x77000000;
constexpr std::uint32_t kPayloadCharacteristics = pe::kInitializedData | pe::kSectionReadable;
constexpr std::uint32_t kStrongNameSigned = 8;  // flag of the CLR header

Status Refuse(std::string why) { return {ErrorCode::kUnsupported, std::move(why)}; }

std::uint64_t EndInMemory(const pe::Section& section, std::uint64_t alignment) {
  return AlignUp(std::uint64_t{section.address} + section.memory_size(), alignment);
}

Status CheckHeaders(const PeModel& host) {
  const pe::Header& header = host.header;
  if ((header.characteristics & pe::kExecutableImage) == 0)
    return Refuse("found a file that its linker did not finish (no IMAGE_FILE_EXECUTABLE_IMAGE), expected a DLL");
  if (host.sections.empty()) return Refuse("found no sections, expected a DLL with some");
  if (header.section_alignment < kPage) {
    return Refuse(StrCat("section alignment: found ", header.section_alignment,
                         ", expected at least 4096; such files are mapped as they are, without room for more sections"));
  }
  if (header.section_alignment > kLargestPage)
    return Refuse(StrCat("section alignment: found ", header.section_alignment, ", expected at most ", kLargestPage));
  const bool aligned = IsPowerOfTwo(header.section_alignment) && IsPowerOfTwo(header.file_alignment) &&
                       header.file_alignment >= kSector && header.file_alignment <= header.section_alignment;
  if (!aligned) {
    return Refuse(StrCat("alignments: found ", header.section_alignment, " of sections and ", header.file_alignment,
                         " in the file, expected powers of two, and from 512 to the sections' in the file"));
  }
  if (header.headers_size < header.section_table_end() || header.headers_size > host.bytes.size() ||
      header.headers_size > host.sections.front().address) {
    return Refuse(StrCat("size of headers: found ", header.headers_size, ", expected from ", header.section_table_end(), " to ",
                         host.sections.front().address));
  }
  if (header.directories[pe::kDebugDirectory].size > kMaxPeDebugEntries * kPeDebugEntrySize) {
    return Refuse(StrCat("debug directory: found ", header.directories[pe::kDebugDirectory].size, " bytes, expected at most ",
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
    return Refuse(StrCat("section 0: address: found ", Hex(address), ", expected a multiple of ", header.section_alignment));
  for (std::size_t i = 0; i < host.sections.size(); ++i) {
    const pe::Section& section = host.sections[i];
    if (section.address != address)
      return Refuse(StrCat("section ", i, ": address: found ", Hex(section.address), ", expected ", Hex(address)));
    address = EndInMemory(section, header.section_alignment);
    if (!section.has_bytes()) continue;
    if (section.raw_offset < raw_end) {
      return Refuse(StrCat("section ", i, ": raw data: found at ", Hex(section.raw_offset), ", expected at ", Hex(raw_end),
                           " or behind: headers and sections in the order of their addresses"));
    }
    raw_end = std::uint64_t{section.raw_offset} + section.raw_size;
  }
  if (AlignUp(header.image_size, header.section_alignment) != address)
    return Refuse(StrCat("size of image: found ", Hex(header.image_size), ", expected ", Hex(address)));
  return {};
}

// A signature would be void: it covers nearly all bytes.
Status PlaceCertificate(const PeModel& host, const HostOptions& options, PePlacement& placement) {
  placement.host_end = host.bytes.size();
  const pe::DataDirectory& table = host.header.directories[pe::kCertificateDirectory];
  if (table.address == 0 && table.size == 0) return {};
  if (!options.drop_signature) {
    return Refuse(
        "found an Authenticode signature, which any change voids; embed with --drop-signature to leave it out, then sign the "
        "bundle");
  }
  if (table.address < placement.payload_split || !FitsWithin(table.address, table.size, host.bytes.size()) ||
      !IsAllZero(*host.bytes.Slice(table.address + std::uint64_t{table.size},
                                   host.bytes.size() - table.address - std::uint64_t{table.size}))) {
    return Refuse(StrCat("certificate table: found ", table.size, " bytes at ", Hex(table.address), ", expected the file's end, ",
                         Hex(host.bytes.size())));
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
    return Refuse(StrCat("found ", header.section_count, " sections, expected fewer than ", kMaxSectionCount));
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
      return Refuse(StrCat("no room for a section header: found ",
                           header.directories[pe::kBoundImportDirectory].address != 0 ? "bound imports" : "data",
                           " behind the section headers, expected zeroes; link it again",
                           header.directories[pe::kBoundImportDirectory].address != 0 ? " and do not bind it" : ""));
    }
    placement.new_headers_size = AlignUp(table_end + pe::kSectionHeaderSize, header.file_alignment);
    if (placement.new_headers_size > host.sections.front().address) {
      return Refuse(StrCat("no room for a section header: headers could grow to ", Hex(host.sections.front().address),
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

// The host's place in the bundle.
class Places {
 public:
  Places(const PePlacement& placement, std::uint64_t payload_size) {
    const std::uint64_t behind = placement.anchor_offset + payload_size;
    auto add = [&](std::uint64_t begin, std::uint64_t end, std::uint64_t at) {
      if (begin < end) pieces_.push_back({begin, end - begin, at});
    };
    if (placement.headers_growth == 0) {
      add(0, placement.payload_split, 0);
    } else {
      add(0, placement.headers_end, 0);
      add(placement.headers_end, placement.payload_split, placement.headers_end + placement.headers_growth);
    }
    add(placement.payload_split, placement.host_end, behind);
  }
  const std::vector<Piece>& pieces() const { return pieces_; }
  std::uint64_t end() const { return pieces_.back().bundle_offset + pieces_.back().size; }

  // Where a byte that a header leads to is in the bundle. One that is in no piece stays: the pointer led nowhere before.
  std::uint64_t Of(std::uint64_t offset) const {
    for (const Piece& piece : pieces_) {
      if (offset >= piece.host_offset && offset - piece.host_offset < piece.size)
        return piece.bundle_offset + (offset - piece.host_offset);
    }
    return offset;
  }
  std::uint32_t OfPointer(std::uint32_t offset) const { return offset == 0 ? 0 : static_cast<std::uint32_t>(Of(offset)); }

 private:
  std::vector<Piece> pieces_;
};

class Edits {
 public:
  void Bytes(std::uint64_t offset, std::vector<std::uint8_t> bytes) { edits_.push_back({offset, std::move(bytes)}); }
  template <typename T>
  void Put(std::uint64_t offset, T value) {
    std::vector<std::uint8_t> bytes(sizeof(T));
    StoreInteger(bytes.data(), value, ByteOrder::kLittle);
    Bytes(offset, std::move(bytes));
  }
  std::vector<Edit> Take() { return MergeEdits(std::move(edits_)); }

 private:
  std::vector<Edit> edits_;
};

Status CheckLimits(const PePlacement& placement, const Places& places, std::uint64_t image_size, std::uint64_t payload_size) {
  if (image_size <= kMaxImageSize && places.end() <= UINT32_MAX && placement.anchor_offset + payload_size <= UINT32_MAX) return {};
  return {ErrorCode::kLimit, StrCat("a PE image holds ", kMaxImageSize, " bytes, its file 4 GiB: found ", image_size, " with ",
                                    payload_size, " bytes of payload; embed less, or compress it (--codec zstd)")};
}

std::array<std::uint8_t, 8> ShortName(const std::string& name) {
  std::array<std::uint8_t, 8> padded{};
  std::copy_n(name.begin(), std::min(name.size(), padded.size()), padded.begin());
  return padded;
}

std::vector<pe::Section> NewSections(const PeModel& host, const PePlacement& placement, const Places& places,
                                     const std::vector<PlannedSection>& groups, std::uint64_t payload_size) {
  std::vector<pe::Section> table = host.sections;
  for (std::size_t i = 0; i < table.size(); ++i) {
    pe::Section& section = table[i];
    section.raw_offset = places.OfPointer(section.raw_offset);
    section.relocation_offset = places.OfPointer(section.relocation_offset);
    section.line_offset = places.OfPointer(section.line_offset);
    if (i >= placement.first_section) section.address += static_cast<std::uint32_t>(payload_size);
  }
  std::vector<pe::Section> ours;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const std::uint64_t end = i + 1 < groups.size() ? groups[i + 1].offset : payload_size;
    pe::Section section;
    section.name = ShortName(groups[i].name);
    section.address = static_cast<std::uint32_t>(placement.anchor_address + groups[i].offset);
    section.raw_offset = static_cast<std::uint32_t>(placement.anchor_offset + groups[i].offset);
    section.raw_size = section.virtual_size = static_cast<std::uint32_t>(end - groups[i].offset);
    section.characteristics = kPayloadCharacteristics;
    ours.push_back(section);
  }
  table.insert(table.begin() + static_cast<std::ptrdiff_t>(placement.first_section), ours.begin(), ours.end());
  return table;
}

// The new table over the old one and the zeroes behind; what does not fit there is new bytes.
void EditSectionTable(const PeModel& host, const PePlacement& placement, const std::vector<pe::Section>& table, Edits& edits,
                      EditPlan& plan) {
  const std::size_t first = placement.headers_growth == 0 ? placement.first_section : 0;
  std::vector<std::uint8_t> bytes((table.size() - first) * pe::kSectionHeaderSize);
  for (std::size_t i = first; i < table.size(); ++i)
    pe::EncodeSection(table[i], bytes.data() + (i - first) * pe::kSectionHeaderSize);
  const std::uint64_t offset = host.header.section_table_offset() + first * pe::kSectionHeaderSize;
  if (offset + bytes.size() > placement.headers_end) {
    const auto split = bytes.begin() + static_cast<std::ptrdiff_t>(placement.headers_end - offset);
    plan.added.push_back({"section headers", placement.headers_end, {split, bytes.end()}});
    bytes.erase(split, bytes.end());
  }
  edits.Bytes(offset, std::move(bytes));
}

void EditDebugDirectory(const PeModel& host, const Places& places, Edits& edits) {
  for (const std::uint64_t field : PeDebugPointerFields(host)) {
    const std::uint32_t old = *host.bytes.Read<std::uint32_t>(field);
    if (places.OfPointer(old) != old) edits.Put(field, places.OfPointer(old));
  }
}

// COFF symbols name their sections by number, from 1; the debug sections' rise by what is put before them.
void EditSymbols(const PeModel& host, const PePlacement& placement, std::size_t added, Edits& edits) {
  constexpr std::size_t kSectionNumber = 12;
  constexpr std::size_t kStorageClass = 16;
  constexpr std::size_t kAuxCount = 17;
  constexpr std::uint8_t kStatic = 3;
  // Within the auxiliary record of a section's symbol.
  constexpr std::size_t kAssociated = 12;
  constexpr std::size_t kSelection = 14;
  constexpr std::uint8_t kAssociative = 5;
  const pe::Header& header = host.header;
  const auto table = host.bytes.Slice(header.symbol_offset, std::uint64_t{header.symbol_count} * pe::kSymbolSize);
  if (header.symbol_offset == 0 || !table || placement.first_section == host.sections.size()) return;
  auto raise = [&](std::uint64_t at) {
    const std::uint16_t number = *table->Read<std::uint16_t>(at);
    if (number > placement.first_section && number <= host.sections.size())
      edits.Put(header.symbol_offset + at, static_cast<std::uint16_t>(number + added));
  };
  for (std::uint64_t i = 0; i < header.symbol_count; ++i) {
    const std::uint64_t at = i * pe::kSymbolSize;
    raise(at + kSectionNumber);
    const std::uint8_t aux_count = table->data()[at + kAuxCount];
    const std::uint64_t aux = at + pe::kSymbolSize;
    if (table->data()[at + kStorageClass] == kStatic && aux_count != 0 && i + 1 < header.symbol_count &&
        table->data()[aux + kSelection] == kAssociative) {
      raise(aux + kAssociated);
    }
    i += aux_count;
  }
}

// The exported symbol leads to the start of its section.
void EditExported(const PePlacement& placement, const std::vector<PlannedSection>& sections, PeModel& after, Edits& edits,
                  EditPlan& plan) {
  const auto factory =
      std::find_if(sections.begin(), sections.end(), [](const PlannedSection& section) { return section.name == kFactorySection; });
  const auto address = static_cast<std::uint32_t>(placement.anchor_address + factory->offset);
  for (const std::uint64_t entry : placement.exported->entries) edits.Put(entry, address);
  if (placement.exported->tables.empty()) return;
  std::vector<std::uint8_t> bytes = placement.exported->tables;
  StoreInteger(bytes.data() + placement.exported->added, address, ByteOrder::kLittle);
  if (placement.exported->directory) {
    edits.Bytes(placement.exported->directory->offset, placement.exported->directory->bytes);
  } else {
    pe::DataDirectory& directory = after.header.directories[pe::kExportDirectory];
    directory = {static_cast<std::uint32_t>(placement.anchor_address + Anchor::kSize), static_cast<std::uint32_t>(bytes.size())};
    const std::uint64_t field = after.header.directory_field(pe::kExportDirectory);
    edits.Put(field, directory.address);
    edits.Put(field + 4, directory.size);
  }
  plan.added.push_back({"export tables", placement.anchor_offset + Anchor::kSize, std::move(bytes)});
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

Result<EditPlan> PlanPe(const PeModel& host, const PePlacement& placement, const std::vector<PlannedSection>& sections) {
  const pe::Header& header = host.header;
  // The first pass does not know the size yet.
  const std::uint64_t payload_size = AlignUp(sections.back().offset + sections.back().size, header.section_alignment);
  const std::uint64_t image_size = AlignUp(header.image_size, header.section_alignment) + payload_size;
  const Places places(placement, payload_size);
  PANNIER_CHECK_OK(CheckLimits(placement, places, image_size, payload_size));

  EditPlan plan;
  plan.pieces = places.pieces();
  plan.file_size = std::max(places.end(), placement.anchor_offset + payload_size);
  Edits edits;
  const std::vector<PlannedSection> groups = GroupSections(sections, placement.grouping);
  PeModel after = host;
  after.sections = NewSections(host, placement, places, groups, payload_size);
  edits.Put(header.section_count_field(), static_cast<std::uint16_t>(after.sections.size()));
  if (places.OfPointer(header.symbol_offset) != header.symbol_offset)
    edits.Put(header.symbol_offset_field(), places.OfPointer(header.symbol_offset));
  edits.Put(header.initialized_size_field(), static_cast<std::uint32_t>(header.initialized_size + payload_size));
  edits.Put(header.image_size_field(), static_cast<std::uint32_t>(image_size));
  if (placement.new_headers_size != header.headers_size)
    edits.Put(header.headers_size_field(), static_cast<std::uint32_t>(placement.new_headers_size));
  if (header.directories[pe::kCertificateDirectory].address != 0 || header.directories[pe::kCertificateDirectory].size != 0)
    edits.Put(header.directory_field(pe::kCertificateDirectory), std::uint64_t{0});
  if (header.checksum != 0) {
    edits.Put(header.checksum_field(), std::uint32_t{0});
    plan.derived.push_back({format::DerivedKind::PeChecksum, header.checksum_field(), 4, {}});
  }
  EditSectionTable(host, placement, after.sections, edits, plan);
  EditDebugDirectory(host, places, edits);
  EditSymbols(host, placement, groups.size(), edits);
  if (placement.exported) EditExported(placement, sections, after, edits, plan);
  plan.edits = edits.Take();
  plan.image = PeImage(after, placement.first_section + groups.size(), placement.anchor_address, payload_size);
  return plan;
}

}  // namespace pannier
