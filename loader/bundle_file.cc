// The file under the bundle's path, compared by its identity and its manifest's digest, else byte by byte.
#include "loader/bundle_file.h"

#include "loader/decoded_bytes.h"

namespace pannier {

std::optional<BundleFile> BundleFile::Find(const std::string& path, const BundleReader& reader,
                                           const std::optional<FileIdentity>& opened) {
  if (path.empty()) return std::nullopt;
  const Result<MappedFile> file = MappedFile::Open(path);
  if (!file.ok()) return std::nullopt;
  const Result<Payload> payload = FindPayload(file->bytes());
  if (!payload.ok()) return std::nullopt;
  const Result<BundleReader> other = BundleReader::Open(*payload);
  if (!other.ok() || other->anchor().manifest_sha256 != reader.anchor().manifest_sha256) return std::nullopt;
  BundleFile found;
  found.path_ = path;
  found.identity_ = file->identity();
  found.is_same_file_ = opened && *opened == file->identity();
  // One manifest, hence the same sections; but strip may have moved them.
  for (std::uint32_t i = 0; i < other->manifest().sections()->size(); ++i)
    found.section_starts_.push_back(static_cast<std::uint64_t>(other->section(i).data() - file->bytes().data()));
  return found;
}

std::optional<MappedFile> BundleFile::MapCopyOnWrite(ByteView bytes, const BundleReader& reader,
                                                     const format::Artifact& artifact) const {
  const auto offset = static_cast<std::uint64_t>(bytes.data() - reader.section(artifact.section()).data());
  Result<MappedFile> mapped = MappedFile::OpenCopyOnWrite(path_, section_starts_[artifact.section()] + offset, bytes.size());
  if (!mapped.ok() || mapped->identity() != identity_) return std::nullopt;
  if (reinterpret_cast<std::uintptr_t>(mapped->bytes().data()) % kDataAlignment != 0) return std::nullopt;
  // Of another file, or one that nobody remembers, the manifest alone does not tell what stands here.
  if (!is_same_file_ && mapped->bytes() != bytes) return std::nullopt;
  return std::move(*mapped);
}

}  // namespace pannier
