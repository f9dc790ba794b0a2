// Restore: from a bundle back to its host, byte for byte.
#ifndef PANNIER_EMBEDDER_RESTORE_H_
#define PANNIER_EMBEDDER_RESTORE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "embedder/file_source.h"
#include "embedder/output_file.h"
#include "src/bundle_reader.h"
#include "src/bytes.h"
#include "src/effort.h"
#include "src/result.h"

namespace pannier {

// Checked as a FlatBuffer, not for what it says.
Result<const format::UndoRecord*> OpenUndoRecord(const BundleReader& reader);
// Its edits ascend and lie within the host.
Status CheckEdits(const format::UndoRecord& undo);

// Where a bundle begins in its file, and where its host is to begin in the other; 0 but for slices of fat files.
struct HostPlace {
  std::uint64_t source = 0;
  std::uint64_t target = 0;
};

// A status of writing to `out`, with its target's name where that is not the bundle's own, which is the caller's to add.
Status NamingTarget(Status status, const FileSource& bundle, const OutputFile& out);

// The undo record, if it still fits the bundle and tells of a host that is all there. kHostChanged with the reason when strip or a
// signer changed the bundle so that it does not.
Result<const format::UndoRecord*> CheckRestorable(ByteView bytes, const BundleReader& reader);

// Writes the host of the bundle in `bytes` into `out`, which is made long enough and committed by the caller. Errors as of
// CheckRestorable.
Status RestoreHost(const FileSource& source, ByteView bytes, const BundleReader& reader, const HostPlace& place, OutputFile& out,
                   const Effort& effort);

// The same for a whole file, which may be fat; `arch`: for that slice of it alone.
Status RestoreFile(const FileSource& source, std::string_view arch, OutputFile& out, const Effort& effort = 1);

// Replaces `target` (or makes it) in one step by the host of the bundle at `path`.
Status Restore(const std::string& path, const std::string& target, std::string_view arch = {}, const Effort& effort = 1);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_RESTORE_H_
