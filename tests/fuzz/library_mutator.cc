// Mutations of libraries and bundles for libFuzzer: fields of headers, tables and chunks change; then digests are mostly made
// right.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <vector>

#include "src/bundle_reader.h"
#include "src/elf_file.h"
#include "src/format.h"
#include "src/macho_file.h"
#include "src/payload.h"
#include "src/pe_file.h"
#include "tests/fuzz/bundle_sealer.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed);

namespace pannier {
namespace {

// A part of the input that mutations keep to.
struct Region {
  std::size_t offset = 0;
  std::size_t size = 0;
};

class Mutator {
 public:
  Mutator(std::uint8_t* data, std::size_t size, unsigned seed) : data_(data), size_(size), random_(seed) {}

  std::size_t Run(std::size_t max_size) {
    if (size_ == 0 || OneIn(12)) {
      size_ = LLVMFuzzerMutate(data_, size_, max_size);
    } else {
      FindRegions();
      for (std::size_t count = 1 + Below(4); count > 0; --count) Change(regions_[Below(regions_.size())]);
    }
    if (!OneIn(10)) SealBundle(data_, size_);
    return size_;
  }

 private:
  std::size_t Below(std::size_t limit) { return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_); }
  bool OneIn(std::size_t count) { return Below(count) == 0; }

  void Add(ByteView bytes, int weight) {
    if (bytes.size() < 8) return;
    const auto offset = static_cast<std::size_t>(bytes.data() - data_);
    for (int i = 0; i < weight; ++i) regions_.push_back({offset, bytes.size()});
  }

  // What readers decide by, more often than what they only hand on.
  void FindRegions() {
    const ByteView file(data_, size_);
    constexpr std::size_t kHeaders = 2048;
    regions_ = {{0, size_}, {0, std::min(size_, kHeaders)}};
    if (!macho::HasFatMagic(file)) return FindInLibrary(file);
    const Result<macho::FatFile> fat = macho::ParseFat(file, size_);
    if (!fat.ok()) return;
    for (const macho::Slice& slice : fat->slices) FindInLibrary(*file.Slice(slice.offset, slice.size));
  }

  void FindInLibrary(ByteView file) {
    switch (DetectFormat(file)) {
      case FileFormat::kElf:
        FindInElf(file);
        break;
      case FileFormat::kMachO:
        FindInMachO(file);
        break;
      case FileFormat::kPe:
        FindInPe(file);
        break;
      default:
        break;
    }
    FindInBundle(file);
  }

  void AddRange(ByteView file, std::uint64_t offset, std::uint64_t size, int weight) {
    if (const auto bytes = file.Slice(offset, size)) Add(*bytes, weight);
  }

  void FindInElf(ByteView file) {
    Result<elf::Header> header = elf::ParseHeader(file);
    if (!header.ok()) return;
    AddRange(file, header->segment_offset, std::uint64_t{header->segment_count} * header->segment_entry_size(), 3);
    const Result<std::vector<elf::Segment>> segments = elf::ParseSegments(file, *header);
    if (segments.ok()) {
      for (const elf::Segment& segment : *segments) {
        if (segment.type != elf::kSegmentLoad)
          AddRange(file, segment.offset, segment.filesz, segment.type == elf::kSegmentDynamic ? 2 : 1);
      }
    }
    const Result<std::vector<elf::Section>> sections = elf::ParseSections(file, *header);
    if (!sections.ok()) return;
    AddRange(file, header->section_offset, std::uint64_t{header->section_count} * header->section_entry_size(), 3);
    for (const elf::Section& section : *sections) {
      if (section.has_bytes() && !section.name.empty() && section.name.substr(0, 4) != ".tvm")
        AddRange(file, section.offset, section.size, 1);
    }
  }

  void FindInMachO(ByteView file) {
    const Result<macho::Header> header = macho::ParseHeader(file);
    if (!header.ok()) return;
    AddRange(file, 0, header->commands_end(), 6);
    const Result<std::vector<macho::Command>> commands = macho::ParseCommands(file, *header);
    if (!commands.ok()) return;
    for (const macho::Command& command : *commands) {
      Add(command.bytes, 1);
      const bool is_fixups = command.type == macho::kChainedFixups || command.type == macho::kCodeSignature;
      if (is_fixups && command.bytes.size() >= 16)
        AddRange(file, *command.bytes.Read<std::uint32_t>(8), *command.bytes.Read<std::uint32_t>(12), 2);
    }
  }

  void FindInPe(ByteView file) {
    const Result<pe::Header> header = pe::ParseHeader(file);
    if (!header.ok()) return;
    AddRange(file, header->signature_offset, header->section_table_end() - header->signature_offset, 4);
    AddRange(file, header->section_table_offset(), header->section_table_end() - header->section_table_offset(), 4);
    AddRange(file, header->symbol_offset, std::uint64_t{header->symbol_count} * pe::kSymbolSize, 1);
  }

  void FindInBundle(ByteView file) {
    const Result<Payload> payload = FindPayload(file);
    if (!payload.ok()) return;
    Add(ByteView(payload->anchor.data(), Anchor::kSize), 1);
    const Result<BundleReader> reader = BundleReader::Open(*payload);
    if (!reader.ok()) return;
    Add(reader->manifest_bytes(), 8);
    Add(reader->undo(), 2);
    for (std::uint32_t i = 0; i < reader->artifact_count(); ++i) {
      const format::Artifact& artifact = reader->artifact(i);
      Add(reader->StoredBytes(artifact), 1);
      for (const format::IndexRange* range : {artifact.chunks(), artifact.tensors()}) {
        const auto table = range == nullptr ? std::nullopt : reader->index().Slice(range->offset(), range->size());
        if (table) Add(*table, range == artifact.tensors() ? 6 : 2);
      }
      const auto records = reader->index().Slice(artifact.chunk_table_offset(),
                                                 std::min<std::uint64_t>(artifact.chunk_count(), size_) * ChunkRecord::kSize);
      if (records) Add(*records, 3);
    }
    const format::IndexRange& spans = *reader->manifest().image()->spans();
    if (const auto table = reader->index().Slice(spans.offset(), spans.size())) Add(*table, 1);
  }

  std::uint64_t Load(std::size_t at, std::size_t width) const {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < width; ++i) value |= std::uint64_t{data_[at + i]} << (8 * i);
    return value;
  }
  void Store(std::size_t at, std::size_t width, std::uint64_t value) {
    for (std::size_t i = 0; i < width; ++i) data_[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
  }

  std::size_t Place(const Region& region, std::size_t width) {
    const std::size_t places = (region.size - width) / width + 1;
    return region.offset + width * Below(places);
  }

  void Change(const Region& region) {
    if (OneIn(4)) {
      std::vector<std::uint8_t> bytes(data_ + region.offset, data_ + region.offset + region.size);
      const std::size_t changed = LLVMFuzzerMutate(bytes.data(), bytes.size(), bytes.size());
      std::copy_n(bytes.begin(), changed, data_ + region.offset);
      return;
    }
    constexpr std::size_t kWidths[] = {1, 2, 4, 4, 8};
    const std::size_t width = std::min(kWidths[Below(5)], region.size);
    const std::size_t at = Place(region, width);
    Store(at, width, NewValue(region, at, width));
  }

  std::uint64_t NewValue(const Region& region, std::size_t at, std::size_t width) {
    const std::uint64_t old = Load(at, width);
    const std::uint64_t bits = 8 * width;
    switch (Below(8)) {
      case 0:
        return 0;
      case 1:
        return UINT64_MAX >> Below(bits);
      case 2:
        return std::uint64_t{1} << Below(bits);
      case 3:
        return Load(Place(region, width), width);
      case 4:
        return Load(Place({0, size_}, width), width);
      case 5:
        return size_ - std::min<std::size_t>(size_, Below(64));
      case 6:
        return old ^ (std::uint64_t{1} << Below(bits));
      default:
        return old + Below(33) - 16;
    }
  }

  std::uint8_t* data_;
  std::size_t size_;
  std::minstd_rand random_;
  std::vector<Region> regions_;
};

}  // namespace
}  // namespace pannier

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed) {
  return pannier::Mutator(data, size, seed).Run(max_size);
}
