// Sections of ours and of the library in order; what lies between them is padding or tables.
#include "embedder/view/file_map.h"

#include <algorithm>
#include <array>

#include "src/format.h"
#include "src/text.h"

namespace pannier {
namespace {

using Kind = FileRange::Kind;

class Mapper {
 public:
  Mapper(ByteView file, const BundleReader& reader) : file_(file), reader_(reader) {}

  void AddPayload() {
    if (!reader_.has_digests()) return;  // the tables are made up, and lie in no file
    Add(std::string(kAnchorSection), Kind::kPayload, {reader_.payload().anchor.data(), Anchor::kSize});
    const auto& sections = *reader_.manifest().sections();
    for (std::uint32_t i = 0; i < sections.size(); ++i)
      Add(std::string(ToText(sections.Get(i)->name())), Kind::kPayload, reader_.section(i));
    Add(std::string(kManifestSection), Kind::kPayload, reader_.manifest_bytes());
    Add(std::string(kSignatureSection), Kind::kSignature, reader_.signature_room());
  }

  void AddHost(const LibraryFacts& library) {
    payload_end_ = ranges_.size();
    for (const LibrarySection& section : library.sections) {
      if (!IsOurs(section)) ranges_.push_back({section.name, Kind::kHost, section.offset, section.size});
    }
  }

  std::vector<FileRange> Take() {
    std::stable_sort(ranges_.begin(), ranges_.end(), [](const FileRange& a, const FileRange& b) { return a.offset < b.offset; });
    std::vector<FileRange> map;
    std::uint64_t at = 0;
    for (FileRange& range : ranges_) {
      if (range.size == 0 || range.offset < at || range.size > file_.size() - range.offset) continue;
      AddGap(at, range.offset, map);
      at = range.offset + range.size;
      map.push_back(std::move(range));
    }
    AddGap(at, file_.size(), map);
    return map;
  }

 private:
  void Add(std::string name, Kind kind, ByteView bytes) {
    if (bytes.data() < file_.begin() || bytes.data() > file_.end()) return;
    ranges_.push_back({std::move(name), kind, static_cast<std::uint64_t>(bytes.data() - file_.begin()), bytes.size()});
  }

  // A section header that stands for one or more of our own sections.
  bool IsOurs(const LibrarySection& section) const {
    return std::any_of(ranges_.begin(), ranges_.begin() + static_cast<std::ptrdiff_t>(payload_end_), [&](const FileRange& range) {
      return range.offset >= section.offset && range.offset - section.offset < section.size;
    });
  }

  void AddGap(std::uint64_t begin, std::uint64_t end, std::vector<FileRange>& map) const {
    if (begin >= end) return;
    const bool is_padding = IsAllZero(*file_.Slice(begin, end - begin));
    map.push_back({is_padding ? "padding" : (begin == 0 ? "headers" : "tables"), is_padding ? Kind::kPadding : Kind::kHeaders,
                   begin, end - begin});
  }

  ByteView file_;
  const BundleReader& reader_;
  std::vector<FileRange> ranges_;
  std::size_t payload_end_ = 0;
};

}  // namespace

std::string_view KindName(Kind kind) {
  static constexpr std::array<std::string_view, 5> kNames = {"host", "headers", "payload", "signature", "padding"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::vector<FileRange> MapOfFile(ByteView file, const BundleReader& reader, const LibraryFacts& library) {
  Mapper mapper(file, reader);
  mapper.AddPayload();
  mapper.AddHost(library);
  return mapper.Take();
}

}  // namespace pannier
