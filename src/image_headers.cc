// Headers compared field by field.
#include "src/image_headers.h"

#include <algorithm>

#include "src/elf_file.h"
#include "src/text.h"

namespace pannier {
namespace {

// GNU strip cuts an ELF segment off behind its last section: what is lost there is a gap, which the spans allow for.
bool IsSameSegment(const ImageSegment& found, const ImageSegment& expected, bool is_elf) {
  if (found.type != expected.type || found.flags != expected.flags || found.vaddr != expected.vaddr) return false;
  if (found.filesz == expected.filesz && found.memsz == expected.memsz) return true;
  const bool keeps_size = found.memsz == expected.memsz;
  const bool had_no_zeroes = found.memsz == found.filesz && expected.memsz == expected.filesz;
  return is_elf && found.type == elf::kSegmentLoad && found.filesz < expected.filesz && (keeps_size || had_no_zeroes);
}

}  // namespace

Result<LibraryImage> RecordedImage(const format::Image& recorded) {
  LibraryImage image;
  if (recorded.identification()->size() != image.identification.size())
    return Malformed("image: identification: expected 16 bytes");
  std::copy(recorded.identification()->begin(), recorded.identification()->end(), image.identification.begin());
  image.type = recorded.type();
  image.machine = recorded.machine();
  image.flags = recorded.flags();
  image.entry = recorded.entry();
  for (const format::Segment* segment : *recorded.segments())
    image.segments.push_back({segment->type(), segment->flags(), segment->vaddr(), segment->filesz(), segment->memsz()});
  if (recorded.headers() != nullptr) image.headers.assign(recorded.headers()->begin(), recorded.headers()->end());
  return image;
}

void CompareHeaders(const LibraryImage& found, const LibraryImage& expected, bool is_elf,
                    const std::function<void(std::string line)>& differ) {
  if (found.identification != expected.identification || found.type != expected.type || found.machine != expected.machine ||
      found.flags != expected.flags || found.entry != expected.entry) {
    differ("file header: type, machine, flags or entry: found others than when it was embedded");
  }
  if (found.headers != expected.headers) differ("headers: found others than when it was embedded");
  if (found.segments.size() != expected.segments.size())
    differ(StrCat("segments: found ", found.segments.size(), ", expected ", expected.segments.size()));
  for (std::size_t i = 0; i < std::min(found.segments.size(), expected.segments.size()); ++i) {
    const ImageSegment& a = found.segments[i];
    const ImageSegment& b = expected.segments[i];
    if (!IsSameSegment(a, b, is_elf)) {
      differ(StrCat("segment ", i, ": found type ", Hex(a.type), " flags ", Hex(a.flags), " address ", Hex(a.vaddr), " sizes ",
                    a.filesz, "/", a.memsz, ", expected type ", Hex(b.type), " flags ", Hex(b.flags), " address ", Hex(b.vaddr),
                    " sizes ", b.filesz, "/", b.memsz));
    }
  }
}

}  // namespace pannier
