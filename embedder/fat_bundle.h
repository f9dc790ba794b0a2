// A fat file some of whose slices are bundles: opened, verified and restored as a whole.
//
// Each slice is a bundle of its own, and stays one when lipo takes it out. What the fat file was is kept in each one's undo record.
#ifndef PANNIER_EMBEDDER_FAT_BUNDLE_H_
#define PANNIER_EMBEDDER_FAT_BUNDLE_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "embedder/file_source.h"
#include "embedder/opened_bundle.h"
#include "embedder/output_file.h"
#include "src/macho_file.h"
#include "src/mapped_file.h"
#include "src/result.h"
#include "src/verify.h"

namespace pannier {

struct FatBundle {
  MappedFile file;
  macho::FatFile fat;
  std::vector<std::optional<OpenedBundle>> bundles;  // one for each slice; none for one without a payload

  // Of a file that has a fat header.
  static Result<FatBundle> Open(int file_descriptor, std::uint64_t size);
};

// Every slice that is a bundle, the others by their digest, header and gaps.
Result<VerifyReport> VerifyFat(const FatBundle& bundle, const Effort& effort);
// The image of each slice that is a bundle.
Result<VerifyReport> VerifyFatImages(const FatBundle& bundle, const Effort& effort);

// For the end of a message about a slice that is not there: near_miss.h.
std::string DidYouMeanSlice(std::string_view arch, const macho::FatFile& fat);

// The fat file as it was; or, with `arch`, with that slice alone as it was.
Status RestoreFat(const FileSource& source, std::string_view arch, OutputFile& out, const Effort& effort);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_FAT_BUNDLE_H_
