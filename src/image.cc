// The image of any format: its digest, its span table, and where its addresses are in the file.
#include "src/image.h"

#include "src/format.h"
#include "src/parallel.h"
#include "src/payload.h"

namespace pannier {

Sha256Digest ImageDigest(const LibraryImage& image, ByteView span_table) {
  std::vector<std::uint8_t> bytes(image.identification.begin(), image.identification.end());
  auto append = [&bytes](std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  };
  append(image.type, 2);
  append(image.machine, 2);
  append(image.flags, 4);
  append(image.entry, 8);
  for (const ImageSegment& segment : image.segments) {
    append(segment.type, 4);
    append(segment.flags, 4);
    append(segment.vaddr, 8);
    append(segment.filesz, 8);
    append(segment.memsz, 8);
  }
  bytes.insert(bytes.end(), image.headers.begin(), image.headers.end());
  bytes.insert(bytes.end(), span_table.begin(), span_table.end());
  return Sha256Of(View(bytes));
}

Result<std::vector<std::uint8_t>> SpanTable(const ByteSource& file, const LibraryImage& image, unsigned threads) {
  std::vector<SpanRecord> records(image.spans.size());
  PANNIER_CHECK_OK(ParallelFor(records.size(), threads, [&](std::uint64_t number) -> Status {
    const auto i = static_cast<std::size_t>(number);
    const ImageSpan& span = image.spans[i];
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(span.size));
    PANNIER_CHECK_OK(file.ReadAt(span.file_offset, bytes.data(), bytes.size()));
    records[i] = {span.address, span.size, span.is_gap, Sha256Of(View(bytes))};
    return {};
  }));
  std::vector<std::uint8_t> table;
  for (const SpanRecord& record : records) AppendSpanRecord(table, record);
  return table;
}

std::optional<std::uint64_t> MappedImage::FileOffset(std::uint64_t address, std::uint64_t size) const {
  for (const ImageSpan& range : ranges) {
    if (address >= range.address && FitsWithin(address - range.address, size, range.size))
      return range.file_offset + (address - range.address);
  }
  return std::nullopt;
}

std::string SignedSince(ByteView file) { return DetectFormat(file) == FileFormat::kPe ? PeSignedSince(file) : std::string(); }

Result<MappedImage> ReadImage(ByteView file) {
  const FileFormat format = DetectFormat(file);
  if (format == FileFormat::kElf) return ReadElfImage(file);
  if (format == FileFormat::kMachO) return ReadMachOImage(file);
  if (format == FileFormat::kPe) return ReadPeImage(file);
  return NotALibrary(format);
}

}  // namespace pannier
