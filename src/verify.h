// Verification: every byte of a bundle's file, or of its image, against the digests in its manifest.
#ifndef PANNIER_SRC_VERIFY_H_
#define PANNIER_SRC_VERIFY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "src/bundle_reader.h"
#include "src/effort.h"
#include "src/mapped_file.h"
#include "src/result.h"

namespace pannier {

struct VerifyReport {
  std::vector<std::string> differences;  // what differs, and where: one line each
  std::vector<std::string> notes;        // what changed without harm (image only): one line each
  std::uint64_t bytes_checked = 0;

  bool passed() const { return differences.empty(); }
};

// Every byte of the file belongs to the host, the anchor, the manifest, a part, an artifact's chunk or the signature room, or is
// zero padding; and each is as it was. A Status only when the file cannot be read as a bundle at all.
Result<VerifyReport> VerifyFile(const MappedFile& file, const BundleReader& reader, const Effort& effort);

// The image (what the OS maps of the host) and the artifacts; passes on a stripped bundle.
Result<VerifyReport> VerifyImage(const MappedFile& file, const BundleReader& reader, const Effort& effort);

}  // namespace pannier

#endif  // PANNIER_SRC_VERIFY_H_
