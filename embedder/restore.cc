// The undo record carried out: the host's bytes copied, the old ones put back, the digest compared.
#include "embedder/restore.h"

#include <algorithm>

#include "embedder/fat_bundle.h"
#include "src/byte_source.h"
#include "src/factory_reader.h"
#include "src/format.h"
#include "src/image.h"
#include "src/macho_file.h"
#include "src/mapped_file.h"
#include "src/sha256.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::uint64_t kWindow = 1 << 20;

// The host as the undo record tells it, read from the bundle.
class RestoredHost : public ByteSource {
 public:
  RestoredHost(ByteView bundle, const std::vector<HostRun>& runs, const format::UndoRecord& undo)
      : bundle_(bundle), runs_(runs), undo_(undo) {}
  std::uint64_t size() const override { return undo_.host_size(); }

  Status ReadAt(std::uint64_t offset, void* out, std::size_t size) const override {
    auto* const to = static_cast<std::uint8_t*>(out);
    auto put = [&](std::uint64_t at, ByteView bytes) {
      const std::uint64_t begin = std::max(at, offset);
      const std::uint64_t end = std::min(at + bytes.size(), offset + size);
      if (begin < end) std::copy_n(bytes.data() + (begin - at), end - begin, to + (begin - offset));
    };
    std::fill_n(to, size, std::uint8_t{0});
    for (const HostRun& run : runs_) {
      const auto bytes = bundle_.Slice(run.bundle_offset, run.size);
      if (!bytes) return Malformed("host: found the end of the file");
      put(run.host_offset, *bytes);
    }
    for (const format::Edit* edit : *undo_.edits()) put(edit->offset(), ByteView(edit->old()->data(), edit->old()->size()));
    return {};
  }

 private:
  ByteView bundle_;
  const std::vector<HostRun>& runs_;
  const format::UndoRecord& undo_;
};

// A small bundle could stand for an endless host otherwise.
Status CheckHostIsKept(const std::vector<HostRun>& runs, const format::UndoRecord& undo) {
  std::uint64_t end = 0;
  auto run = runs.begin();
  for (flatbuffers::uoffset_t i = 0; i < undo.edits()->size() || run != runs.end();) {
    const format::Edit* edit = i < undo.edits()->size() ? undo.edits()->Get(i) : nullptr;
    const bool is_run = edit == nullptr || (run != runs.end() && run->host_offset <= edit->offset());
    const std::uint64_t begin = is_run ? run->host_offset : edit->offset();
    const std::uint64_t size = is_run ? run->size : edit->old()->size();
    if (begin > end) break;
    end = std::max(end, begin + size);
    is_run ? static_cast<void>(++run) : static_cast<void>(++i);
  }
  if (end >= undo.host_size()) return {};
  return Malformed(StrCat("undo record: host: found none of its bytes at ", Hex(end), ", expected all ", undo.host_size()));
}

Status Changed(const std::string& why) {
  return {ErrorCode::kHostChanged, StrCat("cannot be restored: it was changed since it was made (", why,
                                          "); strip, patchelf and signers rewrite files for good")};
}

}  // namespace

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

Status NamingTarget(Status status, const FileSource& bundle, const OutputFile& out) {
  if (out.target() == bundle.path()) return status;
  return std::move(status).WithContext(Printable(out.target()));
}

Result<const format::UndoRecord*> CheckRestorable(ByteView bytes, const BundleReader& reader) {
  PANNIER_TRY(const format::UndoRecord* undo, OpenUndoRecord(reader));
  PANNIER_CHECK_OK(CheckEdits(*undo));
  const format::Manifest& manifest = reader.manifest();
  if (const std::string since = SignedSince(bytes); !since.empty()) return Changed(since);
  if (reader.payload().anchor_file_offset != manifest.anchor_file_offset()) {
    return Changed(
        StrCat("the payload was at ", Hex(manifest.anchor_file_offset()), ", found at ", Hex(reader.payload().anchor_file_offset)));
  }
  if (undo->host_size() != manifest.host()->size())
    return Malformed(StrCat("undo record: host: found ", undo->host_size(), " bytes, expected ", manifest.host()->size()));
  PANNIER_CHECK_OK(CheckHostIsKept(reader.host_runs(), *undo));
  for (const HostRun& run : reader.host_runs()) {
    if (!bytes.Contains(run.bundle_offset, run.size))
      return Changed(StrCat("found ", bytes.size(), " bytes, expected ", run.size, " of the host's at ", Hex(run.bundle_offset)));
  }
  return undo;
}

Status RestoreHost(const FileSource& source, ByteView bytes, const BundleReader& reader, const HostPlace& place, OutputFile& out,
                   const Effort& effort) {
  PANNIER_TRY(const format::UndoRecord* undo, CheckRestorable(bytes, reader));
  const auto write = [&]() -> Status {
    effort.Begin("copying", undo->host_size());
    for (const HostRun& run : reader.host_runs())
      PANNIER_CHECK_OK(out.CopyFrom(source, place.source + run.bundle_offset, place.target + run.host_offset, run.size, effort));
    for (const format::Edit* change : *undo->edits())
      PANNIER_CHECK_OK(out.WriteAt(place.target + change->offset(), ByteView(change->old()->data(), change->old()->size())));
    return {};
  };
  PANNIER_CHECK_OK(NamingTarget(write(), source, out));
  const RestoredHost host(bytes, reader.host_runs(), *undo);
  effort.Begin("verifying", host.size());
  Sha256 sha256;
  std::vector<std::uint8_t> window;
  for (std::uint64_t at = 0; at < host.size(); at += window.size()) {
    window.resize(static_cast<std::size_t>(std::min(kWindow, host.size() - at)));
    PANNIER_CHECK_OK(host.ReadAt(at, window.data(), window.size()));
    sha256.Update(View(window));
    effort.Advance(window.size());
  }
  const Sha256Digest found = sha256.Finish();
  // The manifest's digest, not the undo record's own: that one would agree with whatever else was changed in the record.
  const Sha256Digest expected = ToDigest(*reader.manifest().host()->sha256());
  if (found != expected) return Changed(StrCat("the host's sha-256 would be ", found.Hex(), ", expected ", expected.Hex()));
  return {};
}

Status RestoreFile(const FileSource& source, std::string_view arch, OutputFile& out, const Effort& effort) {
  PANNIER_TRY(const MappedFile mapped, MappedFile::Map(source.fd(), 0, source.size()));
  if (macho::HasFatMagic(mapped.bytes())) return RestoreFat(source, arch, out, effort);
  PANNIER_TRY(const Payload payload, FindPayloadWithDigests(mapped.bytes(), arch));
  PANNIER_TRY(const BundleReader reader, BundleReader::Open(payload));
  // Before room is made for a size that only the bundle tells.
  PANNIER_CHECK_OK(CheckRestorable(mapped.bytes(), reader).TakeStatus());
  PANNIER_CHECK_OK(NamingTarget(out.Truncate(reader.manifest().host()->size()), source, out));
  return RestoreHost(source, mapped.bytes(), reader, {}, out, effort);
}

Status Restore(const std::string& path, const std::string& target, std::string_view arch, const Effort& effort) {
  auto restore = [&]() -> Result<OutputFile> {
    PANNIER_TRY(const FileSource bundle, FileSource::Open(path).WithContext(Printable(path)));
    PANNIER_TRY(OutputFile out, OutputFile::Create(target, &bundle).WithContext(Printable(target)));
    PANNIER_CHECK_OK(RestoreFile(bundle, arch, out, effort).WithContext(Printable(path)));
    return out;
  };
  PANNIER_TRY(OutputFile out, restore());
  // Now that the bundle is closed: Windows replaces no file that is open or mapped.
  return out.Commit().WithContext(Printable(target));
}

}  // namespace pannier
