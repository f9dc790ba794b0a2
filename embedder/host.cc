// The one place that chooses between formats when a payload goes in.
#include "embedder/host.h"

#include "src/text.h"

namespace pannier {

Result<std::unique_ptr<Host>> Host::Open(const std::string& path, ByteView bytes, const HostOptions& options) {
  const FileFormat format = DetectFormat(bytes);
  switch (format) {
    case FileFormat::kElf:
      return OpenElfHost(path, bytes, options);
    case FileFormat::kMachO:
      return OpenMachOHost(path, bytes, options);
    case FileFormat::kPe:
      return OpenPeHost(path, bytes, options);
    case FileFormat::kArchive:
    case FileFormat::kUnknown:
      break;
  }
  return {ErrorCode::kUnsupported, StrCat("found ", FormatName(format), ", expected a shared library")};
}

}  // namespace pannier
