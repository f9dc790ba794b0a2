// BundleFile: a bundle's own file, found again by its path after the bundle was opened, or known to be gone or another one.
#ifndef PANNIER_LOADER_BUNDLE_FILE_H_
#define PANNIER_LOADER_BUNDLE_FILE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "src/bundle_reader.h"
#include "src/mapped_file.h"

namespace pannier {

class BundleFile {
 public:
  // `path` is that of the bundle that `reader` reads; `opened` what file that was, where it is known. Nothing when there is no file
  // with this bundle's manifest any more.
  static std::optional<BundleFile> Find(const std::string& path, const BundleReader& reader,
                                        const std::optional<FileIdentity>& opened);

  // A mapping of `bytes`, a part of the artifact's stored bytes, that can be written to: from the file, so that pages stay shared
  // until they are. Nothing when the file has other bytes there by now, or the system refuses.
  std::optional<MappedFile> MapCopyOnWrite(ByteView bytes, const BundleReader& reader, const format::Artifact& artifact) const;

 private:
  std::string path_;
  FileIdentity identity_;
  bool is_same_file_ = false;                  // the one that was opened
  std::vector<std::uint64_t> section_starts_;  // where each section is in the file
};

}  // namespace pannier

#endif  // PANNIER_LOADER_BUNDLE_FILE_H_
