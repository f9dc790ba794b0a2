// The undo record carried out: the host's bytes copied, the old ones put back, the digest compared.
#include "embedder/restore.h"

#include <algorithm>

#include "src/format.h"
#include "src/mapped_file.h"
#include "src/sha256.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::uint64_t kWindow = 1 << 20;

Result<const format::UndoRecord*> OpenUndoRecord(const BundleReader& reader) {
  const ByteView bytes = reader.undo();
  // FlatBuffers reads its scalars where they lie, and takes less than 2 GiB.
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % 8 != 0 || bytes.size() > kMaxTensorTableSize)
    return Malformed(
        StrCat("undo record: found ", bytes.size(), " bytes, expected an aligned section of at most ", kMaxTensorTableSize));
  flatbuffers::Verifier verifier(bytes.data(), bytes.size(), 8, static_cast<flatbuffers::uoffset_t>(bytes.size() / 8 + 1));
  if (bytes.size() < 8 || !verifier.VerifyBuffer<format::UndoRecord>(nullptr))
    return Malformed("undo record: not a sound FlatBuffer");
  return flatbuffers::GetRoot<format::UndoRecord>(bytes.data());
}

Status CheckEdits(const format::UndoRecord& undo) {
  std::uint64_t end = 0;
  for (const format::Edit* edit : *undo.edits()) {
    if (edit->offset() < end || !FitsWithin(edit->offset(), edit->old()->size(), undo.host_size())) {
      return Malformed(StrCat("undo record: found ", edit->old()->size(), " bytes at ", Hex(edit->offset()),
                              ", expected a range from ", Hex(end), " to ", Hex(undo.host_size())));
    }
    end = edit->offset() + edit->old()->size();
  }
  return {};
}

Status Changed(const std::string& why) {
  return {ErrorCode::kHostChanged, StrCat("cannot be restored: it was changed since it was made (", why,
                                          "); strip, patchelf and signers rewrite files for good")};
}

}  // namespace

Status RestoreHost(const FileSource& bundle, ByteView bytes, const BundleReader& reader, OutputFile& out) {
  PANNIER_TRY(const format::UndoRecord* undo, OpenUndoRecord(reader));
  PANNIER_CHECK_OK(CheckEdits(*undo));
  const format::Manifest& manifest = reader.manifest();
  if (reader.payload().anchor_file_offset != manifest.anchor_file_offset()) {
    return Changed(
        StrCat("the payload was at ", Hex(manifest.anchor_file_offset()), ", found at ", Hex(reader.payload().anchor_file_offset)));
  }
  if (undo->host_size() > bytes.size())
    return Changed(StrCat("found ", bytes.size(), " bytes, expected at least the host's ", undo->host_size()));

  PANNIER_CHECK_OK(out.CopyFrom(bundle, 0, 0, undo->host_size()));
  Sha256 sha256;
  auto edit = undo->edits()->begin();
  std::vector<std::uint8_t> window;
  for (std::uint64_t at = 0; at < undo->host_size(); at += window.size()) {
    window.resize(static_cast<std::size_t>(std::min(kWindow, undo->host_size() - at)));
    PANNIER_CHECK_OK(bundle.ReadAt(at, window.data(), window.size()));
    const std::uint64_t end = at + window.size();
    for (auto here = edit; here != undo->edits()->end() && (*here)->offset() < end; ++here) {
      const std::uint64_t edit_end = (*here)->offset() + (*here)->old()->size();
      const std::uint64_t from = std::max((*here)->offset(), at);
      const std::uint64_t to = std::min(edit_end, end);
      if (from < to)
        std::copy_n((*here)->old()->data() + (from - (*here)->offset()), to - from,
                    window.begin() + static_cast<std::ptrdiff_t>(from - at));
      if (edit_end <= end) edit = here + 1;
    }
    sha256.Update(ByteView(window.data(), window.size()));
  }
  for (const format::Edit* change : *undo->edits())
    PANNIER_CHECK_OK(out.WriteAt(change->offset(), ByteView(change->old()->data(), change->old()->size())));
  const Sha256Digest found = sha256.Finish();
  // The manifest's digest, not the undo record's own: that one would agree with whatever else was changed in the record.
  const Sha256Digest expected = ToDigest(*manifest.host()->sha256());
  if (found != expected) return Changed(StrCat("the host's sha-256 would be ", found.Hex(), ", expected ", expected.Hex()));
  return {};
}

Status Restore(const std::string& path, const std::string& target) {
  auto run = [&]() -> Status {
    PANNIER_TRY(const FileSource bundle, FileSource::Open(path));
    PANNIER_TRY(const MappedFile mapped, MappedFile::Map(bundle.fd(), 0, bundle.size()));
    PANNIER_TRY(const Payload payload, FindPayload(mapped.bytes()));
    PANNIER_TRY(const BundleReader reader, BundleReader::Open(payload));
    PANNIER_TRY(OutputFile out, OutputFile::Create(target, &bundle));
    PANNIER_CHECK_OK(RestoreHost(bundle, mapped.bytes(), reader, out));
    return out.Commit();
  };
  return run().WithContext(Printable(path));
}

}  // namespace pannier
