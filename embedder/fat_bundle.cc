// Fat bundles: slice by slice through the one-library code, and what only the whole file shows.
#include "embedder/fat_bundle.h"

#include <utility>

#include "embedder/formats/fat_layout.h"
#include "embedder/near_miss.h"
#include "embedder/restore.h"
#include "src/sha256.h"
#include "src/text.h"

namespace pannier {
namespace {

std::string NameOf(const macho::Slice& slice) { return macho::ArchName(slice.cpu_type, slice.cpu_subtype); }

ByteView BytesOf(const flatbuffers::Vector<std::uint8_t>* bytes) { return {bytes->data(), bytes->size()}; }

bool IsSame(const format::FatRecord& a, const format::FatRecord& b) {
  if (a.file_size() != b.file_size() || ToDigest(*a.file_sha256()) != ToDigest(*b.file_sha256())) return false;
  if (BytesOf(a.header()) != BytesOf(b.header()) || a.slices()->size() != b.slices()->size()) return false;
  for (flatbuffers::uoffset_t i = 0; i < a.slices()->size(); ++i) {
    if (ToDigest(*a.slices()->Get(i)) != ToDigest(*b.slices()->Get(i))) return false;
  }
  return true;
}

// What the bundle's slices tell of the fat file that they were in.
struct Original {
  const format::FatRecord* record = nullptr;  // in the bundle's bytes
  macho::FatFile fat;
};

Status Changed(const std::string& why) {
  return {ErrorCode::kHostChanged, StrCat("fat file: ", why, "; a tool such as lipo put it together since it was made")};
}

Result<Original> FindOriginal(const FatBundle& bundle) {
  Original original;
  for (std::size_t i = 0; i < bundle.bundles.size(); ++i) {
    if (!bundle.bundles[i]) continue;
    const std::string name = NameOf(bundle.fat.slices[i]);
    PANNIER_TRY(const format::UndoRecord* undo, OpenUndoRecord(bundle.bundles[i]->reader).WithContext(StrCat("slice ", name)));
    if (undo->fat() == nullptr) return Changed(StrCat("found slice ", name, ", which was made as a file of its own"));
    if (original.record == nullptr) original.record = undo->fat();
    if (!IsSame(*original.record, *undo->fat()))
      return Changed(StrCat("found slice ", name, " of another fat file than the others"));
  }
  if (original.record == nullptr) return NoPayload();
  PANNIER_TRY(original.fat, macho::ParseFat(BytesOf(original.record->header()), original.record->file_size()));
  PANNIER_CHECK_OK(CheckGapSizes(original.fat, original.record->file_size()));
  const std::size_t count = original.fat.slices.size();
  if (original.record->slices()->size() != count || original.record->header()->size() != original.fat.header_size())
    return Malformed("undo record: fat header: found one of another size");
  if (bundle.fat.slices.size() != count || bundle.fat.is_64 != original.fat.is_64)
    return Changed(StrCat("found ", bundle.fat.slices.size(), " slices, expected ", count));
  for (std::size_t i = 0; i < count; ++i) {
    const std::string expected = NameOf(original.fat.slices[i]);
    if (NameOf(bundle.fat.slices[i]) != expected)
      return Changed(StrCat("found slice ", NameOf(bundle.fat.slices[i]), ", expected ", expected));
  }
  return original;
}

ByteView SliceBytes(const FatBundle& bundle, std::size_t i) {
  return *bundle.file.bytes().Slice(bundle.fat.slices[i].offset, bundle.fat.slices[i].size);
}

void Append(VerifyReport& to, const VerifyReport& from, const std::string& name) {
  for (const std::string& line : from.differences) to.differences.push_back(StrCat("slice ", name, ": ", line));
  for (const std::string& line : from.notes) to.notes.push_back(StrCat("slice ", name, ": ", line));
  to.bytes_checked += from.bytes_checked;
}

// Header, gaps, and slices without a payload.
Status VerifyRest(const FatBundle& bundle, const Original& original, VerifyReport& report) {
  const ByteView file = bundle.file.bytes();
  std::vector<std::uint64_t> sizes;
  for (std::size_t i = 0; i < bundle.bundles.size(); ++i) {
    if (bundle.bundles[i]) {
      sizes.push_back(bundle.bundles[i]->reader.manifest().file_size());
      continue;
    }
    sizes.push_back(original.fat.slices[i].size);
    const Sha256Digest found = Sha256Of(SliceBytes(bundle, i));
    const Sha256Digest expected = ToDigest(*original.record->slices()->Get(static_cast<flatbuffers::uoffset_t>(i)));
    if (found != expected) {
      report.differences.push_back(
          StrCat("slice ", NameOf(bundle.fat.slices[i]), ": sha-256: found ", found.Hex(), ", expected ", expected.Hex()));
    }
    report.bytes_checked += bundle.fat.slices[i].size;
  }
  PANNIER_TRY(const FatLayout layout, LayOutSlices(original.fat, sizes));
  const std::vector<std::uint8_t> header = EncodeFatHeader(original.fat, BytesOf(original.record->header()), layout);
  if (file.size() < header.size() || *file.Slice(0, header.size()) != View(header))
    report.differences.emplace_back("fat header: found another than follows from the slices");
  if (file.size() != layout.file_size)
    report.differences.push_back(StrCat("fat file: found ", file.size(), " bytes, expected ", layout.file_size));
  const Status gaps = CheckGaps(file, bundle.fat);
  if (!gaps.ok()) report.differences.push_back(gaps.message());
  return {};
}

Status RestoreSlice(const FileSource& source, const FatBundle& bundle, std::size_t i, std::uint64_t target, OutputFile& out,
                    const Effort& effort) {
  const OpenedBundle& opened = *bundle.bundles[i];
  const HostPlace place = {bundle.fat.slices[i].offset, target};
  return RestoreHost(source, opened.file.bytes(), opened.reader, place, out, effort)
      .WithContext(StrCat("slice ", NameOf(bundle.fat.slices[i])));
}

}  // namespace

Result<FatBundle> FatBundle::Open(int file_descriptor, std::uint64_t size) {
  FatBundle bundle;
  PANNIER_TRY(bundle.file, MappedFile::Map(file_descriptor, 0, size));
  PANNIER_TRY(bundle.fat, macho::ParseFat(bundle.file.bytes(), size));
  for (const macho::Slice& slice : bundle.fat.slices) {
    Result<OpenedBundle> opened = OpenedBundle::OpenRange(file_descriptor, slice.offset, slice.size);
    const ErrorCode code = opened.status().code();
    if (!opened.ok() && code != ErrorCode::kNotABundle && code != ErrorCode::kUnsupported)
      return opened.TakeStatus().WithContext(StrCat("slice ", NameOf(slice)));
    bundle.bundles.push_back(opened.ok() ? std::optional<OpenedBundle>(std::move(*opened)) : std::nullopt);
  }
  return bundle;
}

Result<VerifyReport> VerifyFat(const FatBundle& bundle, const Effort& effort) {
  VerifyReport report;
  for (std::size_t i = 0; i < bundle.bundles.size(); ++i) {
    if (!bundle.bundles[i]) continue;
    const std::string name = NameOf(bundle.fat.slices[i]);
    PANNIER_TRY(const VerifyReport of_slice,
                VerifyFile(bundle.bundles[i]->file, bundle.bundles[i]->reader, effort).WithContext(StrCat("slice ", name)));
    Append(report, of_slice, name);
  }
  const Result<Original> original = FindOriginal(bundle);
  if (original.status().code() == ErrorCode::kNotABundle) return NoPayload();
  if (!original.ok()) {
    report.differences.push_back(original.status().message());
  } else {
    PANNIER_CHECK_OK(VerifyRest(bundle, *original, report));
  }
  return report;
}

Result<VerifyReport> VerifyFatImages(const FatBundle& bundle, const Effort& effort) {
  VerifyReport report;
  bool is_bundle = false;
  for (std::size_t i = 0; i < bundle.bundles.size(); ++i) {
    if (!bundle.bundles[i]) continue;
    is_bundle = true;
    const std::string name = NameOf(bundle.fat.slices[i]);
    PANNIER_TRY(const VerifyReport of_slice,
                VerifyImage(bundle.bundles[i]->file, bundle.bundles[i]->reader, effort).WithContext(StrCat("slice ", name)));
    Append(report, of_slice, name);
  }
  if (!is_bundle) return NoPayload();
  return report;
}

std::string DidYouMeanSlice(std::string_view arch, const macho::FatFile& fat) {
  std::vector<std::string> names;
  for (const macho::Slice& slice : fat.slices) names.push_back(NameOf(slice));
  return DidYouMean(arch, names);
}

Status RestoreFat(const FileSource& source, std::string_view arch, OutputFile& out, const Effort& effort) {
  PANNIER_TRY(const FatBundle bundle, FatBundle::Open(source.fd(), source.size()));
  PANNIER_TRY(const Original original, FindOriginal(bundle));
  std::vector<std::uint64_t> sizes;
  bool found = arch.empty();
  bool all = true;  // no slice stays a bundle
  std::vector<bool> restores;
  for (std::size_t i = 0; i < bundle.bundles.size(); ++i) {
    const bool is_chosen = arch.empty() || NameOf(bundle.fat.slices[i]) == arch;
    found = found || (is_chosen && bundle.bundles[i]);
    restores.push_back(is_chosen && bundle.bundles[i]);
    all = all && (is_chosen || !bundle.bundles[i]);
    sizes.push_back(restores[i] ? original.fat.slices[i].size : bundle.fat.slices[i].size);
  }
  if (!found)
    return {ErrorCode::kNotFound,
            StrCat("no slice ", Printable(arch), " that carries a payload", DidYouMeanSlice(arch, bundle.fat))};
  FatLayout layout = {original.fat.slices, original.record->file_size()};
  if (!all) {
    PANNIER_TRY(layout, LayOutSlices(original.fat, sizes));
  }
  // Before room is made for sizes that only the bundle tells.
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const macho::Slice& to = layout.slices[i];
    if (to.size != sizes[i]) return Changed(StrCat("slice ", NameOf(to), ": found ", sizes[i], " bytes, expected ", to.size));
    if (!restores[i]) continue;
    const OpenedBundle& opened = *bundle.bundles[i];
    PANNIER_CHECK_OK(CheckRestorable(opened.file.bytes(), opened.reader).TakeStatus().WithContext(StrCat("slice ", NameOf(to))));
    if (opened.reader.manifest().host()->size() != to.size)
      return Malformed(StrCat("slice ", NameOf(to), ": host: found another size than in the fat header"));
  }
  PANNIER_CHECK_OK(NamingTarget(out.Truncate(layout.file_size), source, out));
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const macho::Slice& to = layout.slices[i];
    if (restores[i]) {
      PANNIER_CHECK_OK(RestoreSlice(source, bundle, i, to.offset, out, effort));
    } else {
      effort.Begin("copying", to.size);
      PANNIER_CHECK_OK(NamingTarget(out.CopyFrom(source, bundle.fat.slices[i].offset, to.offset, to.size, effort), source, out));
    }
  }
  const std::vector<std::uint8_t> header = EncodeFatHeader(original.fat, BytesOf(original.record->header()), layout);
  PANNIER_CHECK_OK(NamingTarget(out.WriteAt(0, View(header)), source, out));
  if (!all) return {};
  PANNIER_TRY(const MappedFile written, MappedFile::Map(out.fd(), 0, layout.file_size));
  const Sha256Digest digest = Sha256Of(written.bytes());
  const Sha256Digest expected = ToDigest(*original.record->file_sha256());
  if (digest != expected) return Changed(StrCat("the original's sha-256 would be ", digest.Hex(), ", expected ", expected.Hex()));
  return {};
}

}  // namespace pannier
