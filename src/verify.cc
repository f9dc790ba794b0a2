// What the manifest says of the file's and the image's bytes, compared with the bytes.
#include "src/verify.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <tuple>
#include <utility>

#include "src/derived.h"
#include "src/format.h"
#include "src/image.h"
#include "src/image_headers.h"
#include "src/parallel.h"
#include "src/released_pages.h"
#include "src/signatures.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::size_t kMaxLines = 100;
constexpr flatbuffers::uoffset_t kMaxDerived = 16;  // each may need a pass over the file
constexpr std::uint64_t kMaxPasses = 3;             // segments may share pages, so spans may share bytes
constexpr std::size_t kMaxRests = 16;               // each needs a walk over all that is covered
constexpr std::uint32_t kNoTensor = UINT32_MAX;

// Bytes with a digest of their own.
struct Checked {
  ByteView bytes;
  Sha256Digest expected;
  std::uint32_t label = 0;  // into Verifier::labels_
  bool is_gap = false;
  std::uint32_t tensor = kNoTensor;  // of the artifact's
};

// Bytes that follow from all others.
struct DerivedRange {
  format::DerivedKind kind = format::DerivedKind::None;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  ByteView parameters;
};

std::string_view DerivedName(format::DerivedKind kind) {
  if (kind == format::DerivedKind::PeChecksum) return "checksum";
  return kind == format::DerivedKind::MachOSignature ? "code signature" : "derived bytes";
}

// What strip and objcopy put between sections: zeroes, or behind the code of a PE section breakpoints.
bool IsFiller(ByteView bytes) {
  constexpr std::uint8_t kBreakpoint = 0xcc;
  return IsAllZero(bytes) || std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == kBreakpoint; });
}

class Verifier {
 public:
  Verifier(const MappedFile& file, const BundleReader& reader, const Effort& effort)
      : file_(file), reader_(reader), effort_(effort) {}

  Status File() {
    CheckEnds();
    PANNIER_CHECK_OK(AddDerived());
    PANNIER_CHECK_OK(AddHost());
    PANNIER_CHECK_OK(AddArtifacts());
    AddParts([](const format::Part&) { return true; });
    CheckSignatureRoom();
    PANNIER_CHECK_OK(CompareAll());
    PANNIER_CHECK_OK(CompareRests());
    for (std::string& wrong : CompareDerived()) Differ(std::move(wrong));
    CheckCoverage();
    return {};
  }

  Status Image() {
    CheckSignatureRoom();
    PANNIER_CHECK_OK(CheckImageDigest());
    PANNIER_CHECK_OK(CheckHeaders());
    PANNIER_CHECK_OK(AddSpans());
    PANNIER_CHECK_OK(AddArtifacts());
    AddParts([this](const format::Part& part) {
      return part.offset() < reader_.anchor().payload_size && part.kind() != format::PartKind::FileAlone;
    });
    PANNIER_CHECK_OK(CompareAll());
    PANNIER_CHECK_OK(CompareRests());
    return {};
  }

  VerifyReport TakeReport() { return std::move(report_); }

 private:
  std::uint64_t OffsetOf(ByteView bytes) const { return static_cast<std::uint64_t>(bytes.data() - file_.bytes().data()); }

  void Differ(std::string line) {
    if (report_.differences.size() < kMaxLines) report_.differences.push_back(std::move(line));
  }

  std::uint32_t Label(std::string text) {
    labels_.push_back(std::move(text));
    return static_cast<std::uint32_t>(labels_.size() - 1);
  }

  void CheckEnds() {
    const format::Manifest& manifest = reader_.manifest();
    if (std::string since = SignedSince(file_.bytes()); !since.empty()) Differ(std::move(since));
    if (file_.bytes().size() != manifest.file_size())
      Differ(StrCat("file: found ", file_.bytes().size(), " bytes, expected ", manifest.file_size()));
    if (reader_.payload().anchor_file_offset != manifest.anchor_file_offset()) {
      Differ(StrCat("payload: found at ", Hex(reader_.payload().anchor_file_offset), ", expected at ",
                    Hex(manifest.anchor_file_offset())));
    }
    covered_.push_back({reader_.payload().anchor_file_offset, Anchor::kSize});
    covered_.push_back({OffsetOf(reader_.manifest_bytes()), reader_.manifest_bytes().size()});
    covered_.push_back({OffsetOf(reader_.signature_room()), reader_.signature_room().size()});
  }

  // The host's pieces as they stand in the bundle; derived bytes count as zero.
  Status AddHost() {
    const format::Host& host = *reader_.manifest().host();
    PANNIER_TRY(const ByteView digests, reader_.IndexBytes(*host.chunks(), "host digests"));
    const std::uint32_t label = Label("host");
    std::uint64_t number = 0;
    for (const HostRun& run : reader_.host_runs()) {
      for (std::uint64_t at = 0; at < run.size; at += host.chunk_size()) {
        const std::uint64_t size = std::min<std::uint64_t>(host.chunk_size(), run.size - at);
        const auto bytes = file_.bytes().Slice(run.bundle_offset + at, size);
        if (!bytes) {
          Differ(StrCat("host: found the end of the file, expected ", run.size, " bytes at ", Hex(run.bundle_offset)));
          return {};
        }
        Sha256Digest expected;
        std::memcpy(expected.bytes.data(), digests.data() + number++ * expected.bytes.size(), expected.bytes.size());
        checked_.push_back({*bytes, expected, label, false, kNoTensor});
      }
    }
    return {};
  }

  // Bytes that follow from all others: what they must be is made again and compared. Answers with what is wrong.
  std::vector<std::string> CompareDerived() const {
    std::vector<std::string> wrong;
    for (const DerivedRange& derived : derived_) {
      const std::string_view name = DerivedName(derived.kind);
      const auto bytes = file_.bytes().Slice(derived.offset, derived.size);
      if (!bytes) {
        wrong.push_back(StrCat(name, ": found the end of the file, expected ", derived.size, " bytes at ", Hex(derived.offset)));
        continue;
      }
      const Result<std::vector<std::uint8_t>> expected =
          MakeDerived(derived.kind, file_, derived.offset, derived.size, derived.parameters);
      if (!expected.ok()) {
        wrong.push_back(StrCat(name, ": ", expected.status().message()));
      } else if (*bytes != View(*expected)) {
        wrong.push_back(
            StrCat(name, ": ", derived.size, " bytes at ", Hex(derived.offset), ": found others than follow from the file"));
      }
    }
    return wrong;
  }

  // The bytes as a digest covers them, and a copy of them where they hold derived bytes.
  ByteView WithoutDerived(ByteView bytes, std::vector<std::uint8_t>& copy) const {
    const std::uint64_t begin = OffsetOf(bytes);
    for (const DerivedRange& derived : derived_) {
      const std::uint64_t from = std::max(begin, derived.offset);
      const std::uint64_t to = std::min(begin + bytes.size(), derived.offset + derived.size);
      if (from >= to) continue;
      if (copy.empty()) copy.assign(bytes.begin(), bytes.end());
      std::fill(copy.begin() + static_cast<std::ptrdiff_t>(from - begin), copy.begin() + static_cast<std::ptrdiff_t>(to - begin),
                std::uint8_t{0});
    }
    return copy.empty() ? bytes : View(copy);
  }

  // A checksum lies within the host's bytes; a signature in a place of its own.
  Status AddDerived() {
    const auto* list = reader_.manifest().derived();
    if (list == nullptr) return {};
    if (list->size() > kMaxDerived)
      return Malformed(StrCat("manifest: found ", list->size(), " derived ranges, expected at most ", kMaxDerived));
    for (const format::Derived* entry : *list) {
      const ByteView parameters =
          entry->parameters() == nullptr ? ByteView() : ByteView(entry->parameters()->data(), entry->parameters()->size());
      derived_.push_back({entry->kind(), entry->offset(), entry->size(), parameters});
    }
    return {};
  }

  Status AddContent(const ChunkedContent& content, std::uint32_t label, std::uint32_t tensor = kNoTensor) {
    for (std::uint64_t i = 0; i < content.chunk_count(); ++i) {
      PANNIER_TRY(const ChunkRecord record, content.Record(i));
      PANNIER_TRY(const ByteView stored, content.Stored(i));
      checked_.push_back({stored, record.sha256, label, false, tensor});
    }
    return {};
  }

  Status AddTensors(const format::Artifact& artifact, std::uint32_t label) {
    PANNIER_TRY(const TensorReader tensors, reader_.Tensors(artifact));
    const TensorReader& kept = tensors_.emplace(label, tensors).first->second;
    for (std::uint32_t i = 0; i < kept.size(); ++i) {
      PANNIER_TRY(const ChunkedContent content, kept.Content(i));
      PANNIER_CHECK_OK(AddContent(content, label, i));
    }
    return {};
  }

  std::string LabelOf(const Checked& item) const {
    if (item.tensor == kNoTensor) return labels_[item.label];
    return Named(tensors_.at(item.label)[item.tensor]);
  }

  // A damaged table is a difference of its artifact, not the end of the verification.
  Status AddArtifacts() {
    const std::size_t first = checked_.size();
    for (std::uint32_t i = 0; i < reader_.artifact_count(); ++i) {
      const format::Artifact& artifact = reader_.artifact(i);
      const std::string name = Named(artifact);
      const std::uint32_t label = Label(name);
      const Status status = [&]() -> Status {
        if (!BundleReader::CheckKind(artifact).ok()) {
          PANNIER_TRY(const ChunkedContent content, reader_.OpaqueContent(artifact));
          return AddContent(content, label);
        }
        if (artifact.kind() == format::ArtifactKind::Blob) {
          PANNIER_TRY(const ChunkedContent content, reader_.BlobContent(artifact));
          return AddContent(content, label);
        }
        return AddTensors(artifact, label);
      }();
      if (!status.ok()) Differ(StrCat(name, ": ", status.message()));
    }
    CheckSharedOnce(first);
    return {};
  }

  // Equal chunks are kept once: records may lead to the same stored bytes, if to all of them and with the same digest.
  void CheckSharedOnce(std::size_t first) {
    const auto begin = checked_.begin() + static_cast<std::ptrdiff_t>(first);
    const auto key = [](const Checked& item) { return std::make_tuple(item.bytes.data(), item.bytes.size(), item.expected.bytes); };
    std::stable_sort(begin, checked_.end(), [&](const Checked& a, const Checked& b) { return key(a) < key(b); });
    checked_.erase(std::unique(begin, checked_.end(), [&](const Checked& a, const Checked& b) { return key(a) == key(b); }),
                   checked_.end());
  }

  // Those of the manifest's parts that count.
  template <typename Predicate>
  void AddParts(Predicate counts) {
    for (const format::Part* part : *reader_.manifest().parts()) {
      if (!counts(*part)) continue;
      const std::string name(Printable(ToText(part->name())));
      const std::optional<ByteView> bytes = FindPart(*part);
      if (!bytes) {
        Differ(StrCat(name, ": found no ", part->size(), " bytes at ", Hex(part->offset()), " from the payload's start"));
        continue;
      }
      (part->kind() == format::PartKind::Rest ? rests_ : checked_)
          .push_back({*bytes, ToDigest(*part->sha256()), Label(name), false, kNoTensor});
    }
  }

  // Parts whose digest is that of the bytes that nothing else covers.
  Status CompareRests() {
    if (rests_.size() > kMaxRests)
      return Malformed(StrCat("manifest: found ", rests_.size(), " parts that are what is left, expected at most ", kMaxRests));
    for (const Checked& rest : rests_) {
      std::sort(covered_.begin(), covered_.end());
      const std::uint64_t begin = OffsetOf(rest.bytes);
      const std::uint64_t end = begin + rest.bytes.size();
      std::vector<std::pair<std::uint64_t, std::uint64_t>> left;
      std::uint64_t at = begin;
      for (const auto& [offset, size] : covered_) {
        if (offset >= end) break;
        if (offset > at) left.emplace_back(at, offset - at);
        at = std::max(at, offset + size);
      }
      if (at < end) left.emplace_back(at, end - at);
      Sha256 sha256;
      ReleasedPages released(file_);
      std::uint64_t total = 0;
      for (const auto& [offset, size] : left) {
        const ByteView bytes = *file_.bytes().Slice(offset, size);
        std::vector<std::uint8_t> copy;
        sha256.Update(WithoutDerived(bytes, copy));
        released.Read(bytes);
        total += size;
      }
      const Sha256Digest found = sha256.Finish();
      if (found != rest.expected) {
        Differ(StrCat(labels_[rest.label], ": ", total, " bytes between ", Hex(begin), " and ", Hex(end),
                      " that are in no artifact: sha-256: found ", found.Hex(), ", expected ", rest.expected.Hex()));
      }
      report_.bytes_checked += total;
      covered_.insert(covered_.end(), left.begin(), left.end());
    }
    return {};
  }

  std::optional<ByteView> FindPart(const format::Part& part) const {
    const Payload& payload = reader_.payload();
    if (!payload.is_mapped() || part.offset() < reader_.anchor().payload_size) {
      if (const auto section = payload.Find(ToText(part.name()), part.offset(), part.size())) return section;
    }
    // A part before the anchor has a negative offset: the sum is meant modulo 2^64.
    return file_.bytes().Slice(payload.anchor_file_offset + part.offset(), part.size());
  }

  // No digest covers it. Whether signatures are right, only who has keys can tell.
  void CheckSignatureRoom() {
    const Status status = ReadSignatures(reader_).TakeStatus();
    if (!status.ok()) Differ(status.message());
  }

  Status CompareAll() {
    PANNIER_CHECK_OK(CheckPasses());
    // Until a group holds this much, or so many: pages are given back in one go, since each time interrupts all processors that
    // this process runs on.
    constexpr std::uint64_t kGroupBytes = 2 << 20;
    constexpr std::size_t kGroupItems = 4096;
    std::vector<std::size_t> ends;
    std::uint64_t bytes = 0;
    std::uint64_t total = 0;
    for (std::size_t i = 0, first = 0; i < checked_.size(); ++i) {
      bytes += checked_[i].bytes.size();
      total += checked_[i].bytes.size();
      if (bytes < kGroupBytes && i + 1 - first < kGroupItems && i + 1 < checked_.size()) continue;
      ends.push_back(first = i + 1);
      bytes = 0;
    }
    effort_.Begin("verifying", total);
    std::mutex mutex;
    std::vector<std::pair<std::uint64_t, std::string>> found;
    PANNIER_CHECK_OK(ParallelFor(ends.size(), effort_.threads, [&](std::uint64_t number) -> Status {
      const auto group = static_cast<std::size_t>(number);
      const std::size_t first = group == 0 ? 0 : ends[group - 1];
      for (const auto& [item, digest] : Differing(first, ends[group])) {
        const std::lock_guard<std::mutex> lock(mutex);
        found.emplace_back(OffsetOf(item->bytes),
                           StrCat(LabelOf(*item), ": ", item->bytes.size(), " bytes at ", Hex(OffsetOf(item->bytes)),
                                  ": sha-256: found ", digest.Hex(), ", expected ", item->expected.Hex()));
      }
      std::uint64_t done = 0;
      for (std::size_t i = first; i < ends[group]; ++i) done += checked_[i].bytes.size();
      effort_.Advance(done);
      return {};
    }));
    std::sort(found.begin(), found.end());
    for (auto& [offset, line] : found) Differ(std::move(line));
    for (const Checked& item : checked_) {
      report_.bytes_checked += item.bytes.size();
      covered_.push_back({OffsetOf(item.bytes), item.bytes.size()});
    }
    return {};
  }

  // Tables of a few bytes each could ask for endless digests of the same bytes otherwise.
  Status CheckPasses() const {
    std::uint64_t total = 0;
    for (const Checked& item : checked_) total += item.bytes.size();  // of ranges of memory that is there: cannot overflow
    if (total / kMaxPasses <= file_.bytes().size()) return {};
    return Malformed(StrCat("layout: found digests of ", total, " bytes in a file of ", file_.bytes().size()));
  }

  // Those of checked_[first..last) whose digest is another, with that.
  std::vector<std::pair<const Checked*, Sha256Digest>> Differing(std::size_t first, std::size_t last) const {
    constexpr std::size_t kAbreast = 8;  // since independent digests are made faster side by side
    std::vector<std::pair<const Checked*, Sha256Digest>> differing;
    const std::uint8_t* begin = checked_[first].bytes.begin();
    const std::uint8_t* end = checked_[first].bytes.end();
    for (std::size_t at = first; at < last; at += kAbreast) {
      const std::size_t count = std::min(kAbreast, last - at);
      std::array<ByteView, kAbreast> bytes;
      std::array<std::vector<std::uint8_t>, kAbreast> copies;
      std::array<Sha256Digest, kAbreast> digests;
      for (std::size_t i = 0; i < count; ++i) bytes[i] = WithoutDerived(checked_[at + i].bytes, copies[i]);
      Sha256Many(bytes.data(), count, digests.data());
      for (std::size_t i = 0; i < count; ++i) {
        const Checked& item = checked_[at + i];
        if (digests[i] != item.expected && !(item.is_gap && IsFiller(item.bytes))) differing.emplace_back(&item, digests[i]);
        begin = std::min(begin, item.bytes.begin());
        end = std::max(end, item.bytes.end());
      }
    }
    file_.Release(ByteView(begin, static_cast<std::size_t>(end - begin)));
    return differing;
  }

  // Every byte belongs to exactly one part; what belongs to none is padding, and zero.
  void CheckCoverage() {
    for (const DerivedRange& derived : derived_) {
      const bool is_within_host = std::any_of(covered_.begin(), covered_.end(), [&](const auto& range) {
        return derived.offset >= range.first && FitsWithin(derived.offset - range.first, derived.size, range.second);
      });
      if (!is_within_host) covered_.push_back({derived.offset, derived.size});
    }
    std::sort(covered_.begin(), covered_.end());
    std::uint64_t end = 0;
    ReleasedPages released(file_);
    auto check_padding = [&](std::uint64_t begin, std::uint64_t limit) {
      const auto padding = limit > begin ? file_.bytes().Slice(begin, limit - begin) : std::nullopt;
      if (padding && !IsAllZero(*padding))
        Differ(StrCat("padding: ", limit - begin, " bytes at ", Hex(begin), ": found non-zero, expected zero"));
      if (padding && !padding->empty()) released.Read(*padding);
    };
    for (const auto& [offset, size] : covered_) {
      if (size == 0) continue;
      if (offset < end) {
        Differ(StrCat("layout: bytes at ", Hex(offset), " belong to two parts"));
        return;
      }
      check_padding(end, offset);
      end = offset + size;
    }
    check_padding(end, file_.bytes().size());
  }

  // The image as the manifest has it.
  Status CheckImageDigest() {
    const format::Image& image = *reader_.manifest().image();
    PANNIER_TRY(spans_, reader_.IndexBytes(*image.spans(), "image spans"));
    PANNIER_TRY(expected_, RecordedImage(image));
    const Sha256Digest found = ImageDigest(expected_, spans_);
    if (found != ToDigest(*image.sha256()))
      Differ(StrCat("image digest: found ", found.Hex(), ", expected ", ToDigest(*image.sha256()).Hex()));
    return {};
  }

  Status CheckHeaders() {
    PANNIER_TRY(mapped_, ReadImage(file_.bytes()));
    CompareHeaders(mapped_.image, expected_, reader_.manifest().format() == format::ImageFormat::Elf,
                   [this](std::string line) { Differ(std::move(line)); });
    return NoteRewritten();
  }

  Status NoteRewritten() {
    const format::Manifest& manifest = reader_.manifest();
    if (std::string since = SignedSince(file_.bytes()); !since.empty()) report_.notes.push_back(std::move(since));
    // A signer's work, or that of a tool which left the signature as it was although it changed the file.
    PANNIER_CHECK_OK(AddDerived());
    for (const std::string& wrong : CompareDerived()) report_.notes.push_back(StrCat(wrong, "; changed since it was embedded"));
    derived_.clear();  // digests of the image know nothing of them
    if (file_.bytes().size() == manifest.file_size() && reader_.payload().anchor_file_offset == manifest.anchor_file_offset())
      return {};
    report_.notes.push_back(StrCat("the file was rewritten since it was embedded: ", file_.bytes().size(), " bytes, it was ",
                                   manifest.file_size(), "; the payload is at ", Hex(reader_.payload().anchor_file_offset),
                                   ", it was at ", Hex(manifest.anchor_file_offset())));
    return {};
  }

  Status AddSpans() {
    const std::uint32_t label = Label("image");
    const std::uint32_t gap_label = Label("image, between sections");
    for (std::uint64_t i = 0; i * SpanRecord::kSize < spans_.size(); ++i) {
      PANNIER_TRY(const SpanRecord span, ParseSpanRecord(spans_, i));
      const auto bytes = AtAddress(span.address, span.size);
      if (!bytes && span.is_gap) continue;  // no longer in the file: IsSameSegment (image_headers.cc)
      if (!bytes) {
        Differ(StrCat("image: found no ", span.size, " bytes at address ", Hex(span.address)));
        continue;
      }
      checked_.push_back({*bytes, span.sha256, span.is_gap ? gap_label : label, span.is_gap, kNoTensor});
    }
    return {};
  }

  std::optional<ByteView> AtAddress(std::uint64_t address, std::uint64_t size) const {
    const auto offset = mapped_.FileOffset(address, size);
    return offset ? file_.bytes().Slice(*offset, size) : std::nullopt;
  }

  const MappedFile& file_;
  const BundleReader& reader_;
  const Effort& effort_;
  VerifyReport report_;
  std::vector<std::string> labels_;
  std::map<std::uint32_t, TensorReader> tensors_;  // by their artifact's label
  std::vector<Checked> checked_;
  std::vector<Checked> rests_;                                    // of these ranges, what nothing else covers
  std::vector<std::pair<std::uint64_t, std::uint64_t>> covered_;  // offset and size in the file
  std::vector<DerivedRange> derived_;
  ByteView spans_;
  LibraryImage expected_;  // as the manifest has it
  MappedImage mapped_;     // as it is
};

}  // namespace

Result<VerifyReport> VerifyFile(const MappedFile& file, const BundleReader& reader, const Effort& effort) {
  Verifier verifier(file, reader, effort);
  PANNIER_CHECK_OK(verifier.File());
  return verifier.TakeReport();
}

Result<VerifyReport> VerifyImage(const MappedFile& file, const BundleReader& reader, const Effort& effort) {
  Verifier verifier(file, reader, effort);
  PANNIER_CHECK_OK(verifier.Image());
  return verifier.TakeReport();
}

}  // namespace pannier
