// The map of a library's file: every byte belongs to one range.
#ifndef PANNIER_EMBEDDER_VIEW_FILE_MAP_H_
#define PANNIER_EMBEDDER_VIEW_FILE_MAP_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "embedder/view/library_facts.h"
#include "src/bundle_reader.h"
#include "src/bytes.h"

namespace pannier {

struct FileRange {
  enum class Kind : std::uint8_t { kHost, kHeaders, kPayload, kSignature, kPadding };

  std::string name;
  Kind kind = Kind::kHost;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

std::string_view KindName(FileRange::Kind kind);

// Ascending, without holes or overlaps, from the file's first byte to its last. Of ranges that overlap in a damaged file the first
// one counts.
std::vector<FileRange> MapOfFile(ByteView file, const BundleReader& reader, const LibraryFacts& library);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_VIEW_FILE_MAP_H_
