// The one place that chooses between formats when a payload goes in.
#include "embedder/host.h"

namespace pannier {

Result<std::unique_ptr<Host>> Host::Open(ByteView bytes, const HostOptions& options) {
  const FileFormat format = DetectFormat(bytes);
  switch (format) {
    case FileFormat::kElf:
      return OpenElfHost(bytes, options);
    case FileFormat::kMachO:
      return OpenMachOHost(bytes, options);
    case FileFormat::kPe:
      return OpenPeHost(bytes, options);
    case FileFormat::kArchive:
    case FileFormat::kUnknown:
      break;
  }
  return NotALibrary(format);
}

}  // namespace pannier
