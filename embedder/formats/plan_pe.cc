// Every changed byte of headers and tables.
#include "embedder/formats/plan_pe.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "src/format.h"
#include "src/image_pe.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::uint64_t kMaxImageSize = 0x77000000;
constexpr std::uint32_t kPayloadCharacteristics = pe::kInitializedData | pe::kSectionReadable;

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
