// Facts of a PE library that planner and image share.
#include "src/pe_model.h"

#include <algorithm>
#include <string_view>

namespace pannier {
namespace {

constexpr std::size_t kDebugPointer = 24;  // within an entry
constexpr std::size_t kDebugAddress = 20;

bool IsDebugName(std::string_view name) {
  for (const std::string_view prefix : {".debug", ".zdebug", ".stab", ".gnu_debuglink"}) {
    if (name.substr(0, prefix.size()) == prefix) return true;
  }
  return false;
}

bool IsAligned(std::uint32_t value, std::uint32_t alignment) { return IsPowerOfTwo(alignment) && value % alignment == 0; }

bool LeadsInto(const pe::Section& section, std::uint64_t address) {
  return address >= section.address && address - section.address < std::max(section.memory_size(), section.raw_size);
}

// The debug directory's entries, as offsets in the file.
std::vector<std::uint64_t> DebugEntries(const PeModel& model) {
  const pe::DataDirectory& directory = model.header.directories[pe::kDebugDirectory];
  std::vector<std::uint64_t> entries;
  const std::uint32_t count = std::min(directory.size / kPeDebugEntrySize, kMaxPeDebugEntries);
  const auto offset = PeFileOffset(model.sections, directory.address, std::uint64_t{count} * kPeDebugEntrySize);
  for (std::uint32_t i = 0; offset && i < count; ++i) entries.push_back(*offset + std::uint64_t{i} * kPeDebugEntrySize);
  return entries;
}

bool IsReferred(const PeModel& model, const pe::Section& section) {
  for (std::size_t i = 0; i < model.header.directories.size(); ++i) {
    const pe::DataDirectory& directory = model.header.directories[i];
    if (i != pe::kCertificateDirectory && directory.address != 0 && LeadsInto(section, directory.address)) return true;
  }
  for (const std::uint64_t entry : DebugEntries(model)) {
    const std::uint32_t address = *model.bytes.Read<std::uint32_t>(entry + kDebugAddress);
    if (address != 0 && LeadsInto(section, address)) return true;
  }
  return LeadsInto(section, model.header.entry);
}

}  // namespace

Result<PeModel> ReadPeModel(ByteView file) {
  PeModel model;
  model.bytes = file;
  PANNIER_TRY(model.header, pe::ParseHeader(file));
  PANNIER_TRY(model.sections, pe::ParseSections(file, model.header));
  PANNIER_CHECK_OK(pe::CheckSectionsInFile(model.sections, file.size()));
  return model;
}

std::optional<std::uint64_t> PeFileOffset(const std::vector<pe::Section>& sections, std::uint64_t address, std::uint64_t size) {
  for (const pe::Section& section : sections) {
    if (size != 0 && address >= section.address && FitsWithin(address - section.address, size, section.mapped_size()))
      return section.raw_offset + (address - section.address);
  }
  return std::nullopt;
}

std::optional<ByteView> PeBytesFrom(const PeModel& model, std::uint64_t address) {
  for (const pe::Section& section : model.sections) {
    if (address < section.address || address - section.address >= section.mapped_size()) continue;
    const std::uint64_t skipped = address - section.address;
    return model.bytes.Slice(section.raw_offset + skipped, section.mapped_size() - skipped);
  }
  return std::nullopt;
}

std::size_t FirstTrailingDebugSection(const PeModel& model) {
  std::size_t first = model.sections.size();
  while (first > 0) {
    const pe::Section& section = model.sections[first - 1];
    const bool is_debug = (section.characteristics & pe::kSectionDiscardable) != 0 &&
                          IsDebugName(pe::SectionName(model.bytes, model.header, section)) &&
                          (!section.has_bytes() || IsAligned(section.raw_offset, model.header.file_alignment));
    if (!is_debug || IsReferred(model, section)) break;
    --first;
  }
  return first;
}

std::vector<std::uint64_t> PeDebugPointerFields(const PeModel& model) {
  std::vector<std::uint64_t> fields = DebugEntries(model);
  for (std::uint64_t& field : fields) field += kDebugPointer;
  return fields;
}

}  // namespace pannier
