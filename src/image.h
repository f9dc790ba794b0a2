// LibraryImage: what the OS maps of a library, in a form that strip and signers leave as it is. docs/format.md, "The image digest".
#ifndef PANNIER_SRC_IMAGE_H_
#define PANNIER_SRC_IMAGE_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/byte_source.h"
#include "src/bytes.h"
#include "src/result.h"
#include "src/sha256.h"

namespace pannier {

struct ImageSegment {
  std::uint32_t type = 0;
  std::uint32_t flags = 0;
  std::uint64_t vaddr = 0;
  std::uint64_t filesz = 0;
  std::uint64_t memsz = 0;
};

// A run of the host's mapped bytes. A gap belongs to no section: strip may have filled it with zeroes.
struct ImageSpan {
  std::uint64_t address = 0;
  std::uint64_t size = 0;
  bool is_gap = false;
  std::uint64_t file_offset = 0;
};

struct LibraryImage {
  std::array<std::uint8_t, 16> identification{};
  std::uint16_t type = 0;
  std::uint16_t machine = 0;
  std::uint32_t flags = 0;
  std::uint64_t entry = 0;
  std::vector<ImageSegment> segments;
  std::vector<std::uint8_t> headers;  // what else the headers mean, in a form of the format's own; empty for ELF
  std::vector<ImageSpan> spans;       // of at most kLongestSpan bytes
};

inline constexpr std::uint64_t kLongestSpan = 1 << 20;

// The image digest.
Sha256Digest ImageDigest(const LibraryImage& image, ByteView span_table);

// SpanRecords for the image's spans.
Result<std::vector<std::uint8_t>> SpanTable(const ByteSource& file, const LibraryImage& image, unsigned threads);

// A library as it is now: its image without spans, and where its addresses are in the file.
struct MappedImage {
  LibraryImage image;
  std::vector<ImageSpan> ranges;

  // The file offset of `size` bytes at an address; none if they are not all in the file.
  std::optional<std::uint64_t> FileOffset(std::uint64_t address, std::uint64_t size) const;
};

Result<MappedImage> ReadImage(ByteView file);

// What a signer has put into a bundle since, for a person; empty if it has not, or the format does not tell.
std::string SignedSince(ByteView file);
std::string PeSignedSince(ByteView file);

Result<MappedImage> ReadElfImage(ByteView file);
Result<MappedImage> ReadMachOImage(ByteView file);
Result<MappedImage> ReadPeImage(ByteView file);

}  // namespace pannier

#endif  // PANNIER_SRC_IMAGE_H_
