// Payload: where a bundle's own sections are, in the bytes of a file or in a mapped image.
#ifndef PANNIER_SRC_PAYLOAD_H_
#define PANNIER_SRC_PAYLOAD_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "manifest_generated.h"
#include "src/bytes.h"
#include "src/result.h"

namespace pannier {

enum class FileFormat { kElf, kArchive, kMachO, kPe, kUnknown };

// By magic number alone.
FileFormat DetectFormat(ByteView file);
std::string_view FormatName(FileFormat format);
Status NotALibrary(FileFormat format);

// Borrows the image's bytes.
struct Payload {
  struct NamedSection {
    std::string_view name;
    ByteView bytes;
    std::uint64_t file_offset;
  };

  format::ImageFormat format = format::ImageFormat::Elf;  // of the library
  ByteView anchor;                                        // at least Anchor::kSize bytes
  // In a mapped segment: everything from the anchor on. Then sections are found by their offset from the anchor.
  ByteView segment;
  // In the file only: sections are found by name, since strip may move each on its own.
  std::vector<NamedSection> sections;
  std::uint64_t anchor_file_offset = 0;  // in the library's file; 0 for an image mapped by the OS
  // Of a fat Mach-O file: the library of one architecture, whose file that slice then is. Empty for all other files.
  ByteView slice;
  // Of what TVM itself exported (factory_reader.h): anchor, tables and manifest, made to describe it. Nobody made any digests.
  std::shared_ptr<const std::vector<std::uint8_t>> made;

  bool has_digests() const { return made == nullptr; }
  bool is_mapped() const { return !segment.empty(); }
  std::optional<ByteView> Find(std::string_view name, std::uint64_t offset, std::uint64_t size) const;
};

// Looks through the bytes of a whole file. kNotABundle when it is a sound library without a payload. Of a fat file: in the slice of
// architecture `arch`; or, where that is empty, in the slice of this program's own, else in the first that carries a payload.
Result<Payload> FindPayload(ByteView file, std::string_view arch = {});

// The same in a PE image as the OS mapped it: from the module's base, SizeOfImage bytes (pe::Header::image_size; the module's first
// page is enough for pe::ParseHeader). Touches the headers and the first bytes of readable sections.
Result<Payload> FindMappedPe(ByteView image);

// The same in a Mach-O image as dyld mapped it, by its mach_header in memory. The image is trusted as far as dyld trusted it.
Result<Payload> FindMappedMachO(const void* header);

// The error for a library without a payload; says what may have become of it.
Status NoPayload();

}  // namespace pannier

#endif  // PANNIER_SRC_PAYLOAD_H_
