// What the manifest says of the file's and the image's bytes, compared with the bytes.
#include "embedder/verify.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>
#include <optional>
#include <utility>

#include "embedder/manifest_builder.h"
#include "src/elf_file.h"
#include "src/format.h"
#include "src/parallel.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::size_t kMaxLines = 100;

// Bytes with a digest of their own.
struct Checked {
  ByteView bytes;
  Sha256Digest expected;
  std::uint32_t label = 0;  // into Verifier::labels_
  bool may_be_zero = false;
};

// GNU strip cuts a segment off behind its last section: what is lost there is a gap, which the spans allow for.
bool IsSameSegment(const elf::Segment& found, const elf::Segment& expected) {
  if (found.type != expected.type || found.flags != expected.flags || found.vaddr != expected.vaddr) return false;
  if (found.filesz == expected.filesz && found.memsz == expected.memsz) return true;
  const bool keeps_size = found.memsz == expected.memsz;
  const bool had_no_zeroes = found.memsz == found.filesz && expected.memsz == expected.filesz;
  return found.type == elf::kSegmentLoad && found.filesz < expected.filesz && (keeps_size || had_no_zeroes);
}

class Verifier {
 public:
  Verifier(const MappedFile& file, const BundleReader& reader, unsigned threads)
      : file_(file), reader_(reader), threads_(threads) {}

  Status File() {
    CheckEnds();
    PANNIER_CHECK_OK(AddHost());
    PANNIER_CHECK_OK(AddArtifacts());
    AddParts(reader_.manifest().file_size());
    CheckSignatureRoom();
    PANNIER_CHECK_OK(CompareAll());
    CheckCoverage();
    return {};
  }

  Status Image() {
    PANNIER_CHECK_OK(CheckImageDigest());
    PANNIER_CHECK_OK(CheckHeaders());
    PANNIER_CHECK_OK(AddSpans());
    PANNIER_CHECK_OK(AddArtifacts());
    AddParts(reader_.anchor().payload_size);
    PANNIER_CHECK_OK(CompareAll());
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

  Status AddHost() {
    const format::Host& host = *reader_.manifest().host();
    PANNIER_TRY(const ByteView digests, reader_.IndexBytes(*host.chunks(), "host digests"));
    const std::uint32_t label = Label("host");
    for (std::uint64_t i = 0; i * host.chunk_size() < host.size(); ++i) {
      const std::uint64_t begin = i * host.chunk_size();
      const auto bytes = file_.bytes().Slice(begin, std::min<std::uint64_t>(host.chunk_size(), host.size() - begin));
      if (!bytes) {
        Differ(StrCat("host: found the end of the file, expected ", host.size(), " bytes"));
        return {};
      }
      Sha256Digest expected;
      std::memcpy(expected.bytes.data(), digests.data() + i * expected.bytes.size(), expected.bytes.size());
      checked_.push_back({*bytes, expected, label});
    }
    return {};
  }

  Status AddContent(const ChunkedContent& content, std::uint32_t label) {
    for (std::uint64_t i = 0; i < content.chunk_count(); ++i) {
      PANNIER_TRY(const ChunkRecord record, content.Record(i));
      PANNIER_TRY(const ByteView stored, content.Stored(i));
      checked_.push_back({stored, record.sha256, label});
    }
    return {};
  }

  // A damaged table is a difference of its artifact, not the end of the verification.
  Status AddArtifacts() {
    for (std::uint32_t i = 0; i < reader_.artifact_count(); ++i) {
      const format::Artifact& artifact = reader_.artifact(i);
      const std::string name = StrCat("artifact \"", Printable(ToText(artifact.name())), "\"");
      const Status status = [&]() -> Status {
        if (!BundleReader::CheckKind(artifact).ok()) {
          PANNIER_TRY(const ChunkedContent content, reader_.OpaqueContent(artifact));
          return AddContent(content, Label(name));
        }
        if (artifact.kind() == format::ArtifactKind::Blob) {
          PANNIER_TRY(const ChunkedContent content, reader_.BlobContent(artifact));
          return AddContent(content, Label(name));
        }
        PANNIER_TRY(const TensorReader tensors, reader_.Tensors(artifact));
        for (std::uint32_t t = 0; t < tensors.size(); ++t) {
          PANNIER_TRY(const ChunkedContent content, tensors.Content(t));
          PANNIER_CHECK_OK(AddContent(content, Label(StrCat("tensor \"", Printable(ToText(tensors[t].name())), "\""))));
        }
        return {};
      }();
      if (!status.ok()) Differ(StrCat(name, ": ", status.message()));
    }
    return {};
  }

  // The manifest's parts that begin before `end` (counted from the anchor).
  void AddParts(std::uint64_t end) {
    for (const format::Part* part : *reader_.manifest().parts()) {
      if (part->offset() >= end) continue;
      const std::string name(Printable(ToText(part->name())));
      const std::optional<ByteView> bytes = FindPart(*part);
      if (!bytes) {
        Differ(StrCat(name, ": found no ", part->size(), " bytes at ", Hex(part->offset()), " from the payload's start"));
        continue;
      }
      checked_.push_back({*bytes, ToDigest(*part->sha256()), Label(name)});
    }
  }

  std::optional<ByteView> FindPart(const format::Part& part) const {
    const Payload& payload = reader_.payload();
    if (!payload.is_mapped() || part.offset() < reader_.anchor().payload_size) {
      if (const auto section = payload.Find(ToText(part.name()), part.offset(), part.size())) return section;
    }
    const auto offset = CheckedAdd(payload.anchor_file_offset, part.offset());
    return offset ? file_.bytes().Slice(*offset, part.size()) : std::nullopt;
  }

  // No signature yet: the room is empty. What may stand in it: docs/format.md, "Signatures".
  void CheckSignatureRoom() {
    if (!IsAllZero(reader_.signature_room()))
      report_.notes.push_back("signature room: holds data that this version does not check");
  }

  Status CompareAll() {
    constexpr std::uint64_t kGroup = 8;
    std::mutex mutex;
    std::vector<std::pair<std::uint64_t, std::string>> found;
    PANNIER_CHECK_OK(ParallelFor(ChunkCount(checked_.size(), kGroup), threads_, [&](std::uint64_t group) -> Status {
      const std::size_t first = static_cast<std::size_t>(group * kGroup);
      const std::size_t count = std::min<std::size_t>(kGroup, checked_.size() - first);
      std::array<ByteView, kGroup> bytes;
      std::array<Sha256Digest, kGroup> digests;
      for (std::size_t i = 0; i < count; ++i) bytes[i] = checked_[first + i].bytes;
      Sha256Many(bytes.data(), count, digests.data());
      for (std::size_t i = 0; i < count; ++i) {
        const Checked& item = checked_[first + i];
        const bool same = digests[i] == item.expected || (item.may_be_zero && IsAllZero(item.bytes));
        if (!same) {
          const std::lock_guard<std::mutex> lock(mutex);
          found.emplace_back(OffsetOf(item.bytes),
                             StrCat(labels_[item.label], ": ", item.bytes.size(), " bytes at ", Hex(OffsetOf(item.bytes)),
                                    ": sha-256: found ", digests[i].Hex(), ", expected ", item.expected.Hex()));
        }
        file_.Release(item.bytes);
      }
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

  // Every byte belongs to exactly one part; what belongs to none is padding, and zero.
  void CheckCoverage() {
    std::sort(covered_.begin(), covered_.end());
    std::uint64_t end = 0;
    auto check_padding = [&](std::uint64_t begin, std::uint64_t limit) {
      const auto padding = limit > begin ? file_.bytes().Slice(begin, limit - begin) : std::nullopt;
      if (padding && !IsAllZero(*padding))
        Differ(StrCat("padding: ", limit - begin, " bytes at ", Hex(begin), ": found non-zero, expected zero"));
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

  Status CheckImageDigest() {
    const format::Image& image = *reader_.manifest().image();
    PANNIER_TRY(spans_, reader_.IndexBytes(*image.spans(), "image spans"));
    ImageFacts facts;
    if (image.identification()->size() != facts.identification.size()) return Malformed("image: identification: expected 16 bytes");
    std::copy(image.identification()->begin(), image.identification()->end(), facts.identification.begin());
    facts.header.type = image.type();
    facts.header.machine = image.machine();
    facts.header.flags = image.flags();
    facts.header.entry = image.entry();
    for (const format::Segment* segment : *image.segments())
      facts.segments.push_back({segment->type(), segment->flags(), 0, segment->vaddr(), 0, segment->filesz(), segment->memsz(), 0});
    const Sha256Digest found = ImageDigest(facts, spans_);
    if (found != ToDigest(*image.sha256()))
      Differ(StrCat("image digest: found ", found.Hex(), ", expected ", ToDigest(*image.sha256()).Hex()));
    return {};
  }

  Status CheckHeaders() {
    const format::Image& image = *reader_.manifest().image();
    PANNIER_TRY(const elf::Header header, elf::ParseHeader(file_.bytes()));
    PANNIER_TRY(segments_, elf::ParseSegments(file_.bytes(), header));
    if (std::memcmp(file_.bytes().data(), image.identification()->data(), image.identification()->size()) != 0 ||
        header.type != image.type() || header.machine != image.machine() || header.flags != image.flags() ||
        header.entry != image.entry()) {
      Differ("elf header: type, machine, flags or entry: found others than when it was embedded");
    }
    std::vector<elf::Segment> expected;
    for (const format::Segment* segment : *image.segments())
      expected.push_back({segment->type(), segment->flags(), 0, segment->vaddr(), 0, segment->filesz(), segment->memsz(), 0});
    if (segments_.size() != expected.size())
      Differ(StrCat("program headers: found ", segments_.size(), ", expected ", expected.size()));
    for (std::size_t i = 0; i < std::min(segments_.size(), expected.size()); ++i) {
      const elf::Segment& a = segments_[i];
      const elf::Segment& b = expected[i];
      if (!IsSameSegment(a, b)) {
        Differ(StrCat("program header ", i, ": found type ", Hex(a.type), " flags ", a.flags, " address ", Hex(a.vaddr), " sizes ",
                      a.filesz, "/", a.memsz, ", expected type ", Hex(b.type), " flags ", b.flags, " address ", Hex(b.vaddr),
                      " sizes ", b.filesz, "/", b.memsz));
      }
    }
    NoteRewritten();
    return {};
  }

  void NoteRewritten() {
    const format::Manifest& manifest = reader_.manifest();
    if (file_.bytes().size() == manifest.file_size() && reader_.payload().anchor_file_offset == manifest.anchor_file_offset())
      return;
    report_.notes.push_back(StrCat("the file was rewritten since it was embedded: ", file_.bytes().size(), " bytes, it was ",
                                   manifest.file_size(), "; the payload is at ", Hex(reader_.payload().anchor_file_offset),
                                   ", it was at ", Hex(manifest.anchor_file_offset())));
  }

  Status AddSpans() {
    const std::uint32_t label = Label("image");
    const std::uint32_t gap_label = Label("image, between sections");
    for (std::uint64_t i = 0; i * SpanRecord::kSize < spans_.size(); ++i) {
      PANNIER_TRY(const SpanRecord span, ParseSpanRecord(spans_, i));
      const auto bytes = AtAddress(span.address, span.size);
      if (!bytes && span.is_gap) continue;  // no longer in the file: IsSameSegment
      if (!bytes) {
        Differ(StrCat("image: found no ", span.size, " bytes at address ", Hex(span.address)));
        continue;
      }
      checked_.push_back({*bytes, span.sha256, span.is_gap ? gap_label : label, span.is_gap});
    }
    return {};
  }

  std::optional<ByteView> AtAddress(std::uint64_t address, std::uint64_t size) const {
    for (const elf::Segment& segment : segments_) {
      if (segment.type != elf::kSegmentLoad || address < segment.vaddr ||
          !FitsWithin(address - segment.vaddr, size, segment.filesz))
        continue;
      return file_.bytes().Slice(segment.offset + (address - segment.vaddr), size);
    }
    return std::nullopt;
  }

  const MappedFile& file_;
  const BundleReader& reader_;
  unsigned threads_;
  VerifyReport report_;
  std::vector<std::string> labels_;
  std::vector<Checked> checked_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> covered_;  // offset and size in the file
  ByteView spans_;
  std::vector<elf::Segment> segments_;
};

}  // namespace

Result<VerifyReport> VerifyFile(const MappedFile& file, const BundleReader& reader, unsigned threads) {
  Verifier verifier(file, reader, threads);
  PANNIER_CHECK_OK(verifier.File());
  return verifier.TakeReport();
}

Result<VerifyReport> VerifyImage(const MappedFile& file, const BundleReader& reader, unsigned threads) {
  Verifier verifier(file, reader, threads);
  PANNIER_CHECK_OK(verifier.Image());
  return verifier.TakeReport();
}

}  // namespace pannier
