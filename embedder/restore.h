// Restore: from a bundle back to its host, byte for byte.
#ifndef PANNIER_EMBEDDER_RESTORE_H_
#define PANNIER_EMBEDDER_RESTORE_H_

#include <string>

#include "embedder/file_source.h"
#include "embedder/output_file.h"
#include "src/bundle_reader.h"
#include "src/bytes.h"
#include "src/result.h"

namespace pannier {

// Writes the host into `out`, which is committed by the caller. kHostChanged with the reason when strip or a signer changed the
// bundle so that the undo record no longer fits.
Status RestoreHost(const FileSource& bundle, ByteView bytes, const BundleReader& reader, OutputFile& out);

// Replaces `target` (or makes it) in one step by the host of the bundle at `path`.
Status Restore(const std::string& path, const std::string& target);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_RESTORE_H_
