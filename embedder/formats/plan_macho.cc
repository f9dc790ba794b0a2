// Every changed byte of load commands and fixups.
#include "embedder/formats/plan_macho.h"

#include <algorithm>
#include <utility>

#include "embedder/bundle_bytes.h"
#include "embedder/formats/macho_export.h"
#include "embedder/formats/macho_room.h"
#include "src/format.h"
#include "src/image_macho.h"
#include "src/text.h"

namespace pannier {
namespace {

using macho::Blob;
using macho::Command;
using macho::Segment;

// Bytes put into __LINKEDIT, before what is there in the host.
struct Insertion {
  std::uint64_t at = 0;  // in the host
  std::uint64_t size = 0;
};

// In their order. The trie comes last of those at one place.
std::vector<Insertion> InsertionsOf(const MachOPlacement& placement, std::uint64_t trie_size) {
  std::vector<Insertion> insertions;
  if (placement.fixups && placement.fixups->inserted != 0)
    insertions.push_back({placement.fixups->end, placement.fixups->inserted});
  if (placement.exported) insertions.push_back({placement.exported->trie.blob.offset, trie_size});
  std::stable_sort(insertions.begin(), insertions.end(), [](const Insertion& a, const Insertion& b) { return a.at < b.at; });
  return insertions;
}

// Offsets of the host in the bundle.
class Shift {
 public:
  Shift(const MachOModel& host, const std::vector<Insertion>& insertions, std::uint64_t payload)
      : begin_(host.link_edit_segment().offset), payload_(payload), insertions_(insertions) {}

  std::uint64_t operator()(std::uint64_t offset) const {
    if (offset < begin_) return offset;
    std::uint64_t shifted = offset + payload_;
    for (const Insertion& insertion : insertions_) shifted += offset >= insertion.at ? insertion.size : 0;
    return shifted;
  }

 private:
  std::uint64_t begin_;
  std::uint64_t payload_;
  const std::vector<Insertion>& insertions_;
};

// What the bundle's headers will say.
struct Ends {
  std::uint64_t payload = 0;    // size
  std::uint64_t code = 0;       // where the signature begins, if there is one
  std::uint64_t signature = 0;  // size
  std::uint64_t file = 0;
};

void Put(std::vector<std::uint8_t>& bytes, std::size_t at, std::uint64_t value, bool is_wide) {
  if (is_wide) {
    StoreInteger<std::uint64_t>(bytes.data() + at, value, ByteOrder::kLittle);
  } else {
    StoreInteger(bytes.data() + at, static_cast<std::uint32_t>(value), ByteOrder::kLittle);
  }
}

std::vector<std::uint8_t> Encoded(const macho::Header& header, const Segment& segment) {
  std::vector<std::uint8_t> bytes(header.segment_size() + segment.sections.size() * header.section_size());
  EncodeSegment(header, segment, bytes.data());
  return bytes;
}

std::vector<std::uint8_t> PayloadCommand(const MachOModel& host, const MachOPlacement& placement,
                                         const std::vector<PlannedSection>& sections, std::uint64_t payload) {
  const Segment& last = host.link_edit_segment();
  std::vector<std::string> names;
  Segment ours;
  ours.name = macho::kPayloadSegment;
  ours.address = last.address;
  ours.memory_size = payload;
  ours.offset = last.offset;
  ours.file_size = payload;
  ours.max_protection = ours.protection = macho::kReadable;
  if (placement.sectionless) return Encoded(host.header, ours);
  const std::vector<PlannedSection> groups = GroupSections(sections, placement.grouping);
  // ".tvm.graph" is __graph here, ".tvm" (all in one) __tvm.
  for (const PlannedSection& group : groups) names.push_back("__" + (group.name == kWholeSection ? "tvm" : group.name.substr(5)));
  for (std::size_t i = 0; i < groups.size(); ++i) {
    macho::Section section;
    section.name = names[i];
    section.segment_name = macho::kPayloadSegment;
    section.address = ours.address + groups[i].offset;
    section.size = groups[i].size;
    // A section begins where the last one ends, but for its alignment; TVM's blob begins where its tensors want it to.
    if (i + 1 < groups.size() && groups[i + 1].offset != AlignUp(groups[i].offset + groups[i].size, groups[i + 1].align))
      section.size = groups[i + 1].offset - groups[i].offset;
    section.offset = static_cast<std::uint32_t>(ours.offset + groups[i].offset);
    while ((std::uint64_t{1} << section.align) < groups[i].align) ++section.align;
    ours.sections.push_back(section);
  }
  return Encoded(host.header, ours);
}

// All load commands as the bundle has them.
struct NewCommands {
  std::vector<std::uint8_t> bytes;
  std::uint32_t count = 0;
  std::uint64_t first_change = 0;  // in the file: what is before stays as it is
};

class CommandWriter {
 public:
  CommandWriter(const MachOModel& host, const MachOPlacement& placement, const std::vector<PlannedSection>& sections,
                const Ends& ends, std::uint64_t trie_size, const Shift& shift)
      : host_(host), placement_(placement), sections_(sections), ends_(ends), trie_size_(trie_size), shift_(shift) {}

  NewCommands Write() {
    commands_.first_change = host_.header.commands_end();
    for (std::size_t i = 0; i < host_.commands.size(); ++i) WriteCommand(i);
    if (placement_.new_signature_command) {
      std::vector<std::uint8_t> bytes(kLinkEditCommandSize);
      Put(bytes, 0, macho::kCodeSignature, false);
      Put(bytes, 4, kLinkEditCommandSize, false);
      PutSignature(bytes);
      Append(bytes);
    }
    return std::move(commands_);
  }

 private:
  static bool Contains(const std::vector<std::size_t>& list, std::size_t i) {
    return std::find(list.begin(), list.end(), i) != list.end();
  }

  void Append(const std::vector<std::uint8_t>& bytes) {
    commands_.bytes.insert(commands_.bytes.end(), bytes.begin(), bytes.end());
    ++commands_.count;
  }

  void WriteCommand(std::size_t i) {
    const Command& command = host_.commands[i];
    const bool is_dropped = Contains(placement_.dropped, i);
    const bool is_toolless = Contains(placement_.toolless, i);
    const bool is_link_edit = i == host_.link_edit_segment().command;
    if (is_dropped || is_toolless || is_link_edit || !host_.blobs[i].empty())
      commands_.first_change = std::min(commands_.first_change, command.offset);
    if (is_dropped) return;
    std::vector<std::uint8_t> bytes(command.bytes.begin(), command.bytes.end());
    if (is_toolless) {
      bytes.resize(kBuildVersionSize);
      Put(bytes, 4, kBuildVersionSize, false);
      Put(bytes, 20, 0, false);
    }
    if (is_link_edit) {
      Append(PayloadCommand(host_, placement_, sections_, ends_.payload));
      bytes = MovedLinkEdit();
    }
    if (host_.signature == i) {
      PutSignature(bytes);
    } else {
      PutBlobs(i, bytes);
    }
    Append(bytes);
  }

  std::vector<std::uint8_t> MovedLinkEdit() const {
    const Segment& last = host_.link_edit_segment();
    Segment moved = last;
    moved.address += ends_.payload;
    moved.offset += ends_.payload;
    moved.file_size = ends_.file - moved.offset;
    if (moved.file_size > last.memory_size) moved.memory_size = AlignUp(moved.file_size, host_.page_size());
    if (moved.file_size < last.file_size) moved.memory_size = AlignUp(moved.file_size, host_.page_size());
    return Encoded(host_.header, moved);
  }

  void PutSignature(std::vector<std::uint8_t>& bytes) const {
    Put(bytes, 8, ends_.code, false);
    Put(bytes, 12, ends_.signature, false);
  }

  // Where the command's tables are now, and how large those that grow.
  void PutBlobs(std::size_t i, std::vector<std::uint8_t>& bytes) const {
    for (const Blob& blob : host_.blobs[i]) Put(bytes, blob.offset_field, shift_(blob.offset), blob.is_wide);
    if (host_.commands[i].type == macho::kChainedFixups && placement_.fixups && host_.blobs[i].front().size != 0)
      Put(bytes, 12, host_.blobs[i].front().size + placement_.fixups->inserted, false);
    if (placement_.exported && placement_.exported->trie.command == i) {
      const Blob& trie = placement_.exported->trie.blob;
      Put(bytes, trie.offset_field, shift_(trie.offset) - trie_size_, false);
      Put(bytes, trie.offset_field + 4, trie.size + trie_size_, false);
    }
  }

  const MachOModel& host_;
  const MachOPlacement& placement_;
  const std::vector<PlannedSection>& sections_;
  const Ends& ends_;
  const std::uint64_t trie_size_;
  const Shift& shift_;
  NewCommands commands_;
};

// The header's counts, and all that is different in the commands behind it.
void EditCommands(const MachOModel& host, const NewCommands& commands, std::vector<Edit>& edits) {
  std::vector<std::uint8_t> counts(8);
  Put(counts, 0, commands.count, false);
  Put(counts, 4, commands.bytes.size(), false);
  edits.push_back({macho::kCommandCountField, std::move(counts)});
  const std::size_t kept = static_cast<std::size_t>(commands.first_change - host.header.size());
  Edit changed = {commands.first_change, {commands.bytes.begin() + static_cast<std::ptrdiff_t>(kept), commands.bytes.end()}};
  if (commands.bytes.size() < host.header.commands_size) changed.bytes.resize(host.header.commands_size - kept);
  edits.push_back(std::move(changed));
}

// The host, cut where bytes are put in.
std::vector<Piece> PiecesOf(const MachOModel& host, const MachOPlacement& placement, const std::vector<Insertion>& insertions,
                            const Shift& shift) {
  std::vector<std::uint64_t> cuts = {0, host.link_edit_segment().offset};
  for (const Insertion& insertion : insertions) cuts.push_back(insertion.at);
  cuts.push_back(placement.host_end);
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
    if (cuts[i] < cuts[i + 1]) pieces.push_back({cuts[i], cuts[i + 1] - cuts[i], shift(cuts[i])});
  }
  return pieces;
}

// Fixups' header and table, with a segment without fixups put in before __LINKEDIT.
Edit FixupEdit(const MachOModel& host, const FixupGrowth& growth, std::uint64_t blob_offset) {
  // One entry more than in the host, if it goes into spare bytes; __LINKEDIT's own and ours both are zero.
  const std::uint64_t end = growth.end + (growth.inserted == 0 ? 4 : 0);
  const ByteView old = *host.bytes.Slice(blob_offset, end - blob_offset);
  Edit edit = {blob_offset, {old.begin(), old.end()}};
  auto add = [&edit](std::uint64_t at, std::uint64_t value) {
    Put(edit.bytes, static_cast<std::size_t>(at), LoadInteger<std::uint32_t>(edit.bytes.data() + at, ByteOrder::kLittle) + value,
        false);
  };
  const std::uint64_t table = growth.table - blob_offset;
  const std::uint32_t count = *old.Read<std::uint32_t>(table);
  if (growth.inserted != 0) {
    for (const std::uint64_t field : {std::uint64_t{8}, std::uint64_t{12}}) {
      if (*old.Read<std::uint32_t>(field) >= growth.end - blob_offset) add(field, growth.inserted);
    }
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint64_t field = table + 4 + std::uint64_t{i} * 4;
      if (*old.Read<std::uint32_t>(field) != 0) add(field, growth.inserted);
    }
  }
  add(table, 1);
  return edit;
}

// Of the exported symbol, which is where its section begins.
std::uint64_t ExportedAddress(const MachOPlacement& placement, const std::vector<PlannedSection>& sections) {
  const auto factory =
      std::find_if(sections.begin(), sections.end(), [](const PlannedSection& section) { return section.name == kFactorySection; });
  return placement.anchor_address + factory->offset;
}

// The new trie, up to a size that leaves what follows aligned; nothing where no symbol is exported.
Result<std::vector<std::uint8_t>> NewTrie(const MachOModel& host, const MachOPlacement& placement,
                                          const std::vector<PlannedSection>& sections) {
  if (!placement.exported) return std::vector<std::uint8_t>();
  const std::uint64_t address = ExportedAddress(placement, sections) - host.header_segment().address;
  PANNIER_TRY(std::vector<std::uint8_t> bytes, WriteTrie(host, *placement.exported, address));
  bytes.resize(static_cast<std::size_t>(AlignUp(bytes.size(), kMachOAlign)));
  return bytes;
}

// The symbol table counts sections from 1. Where none of ours has a number, debuggers go on to see the old symbol.
void EditSymbols(const MachOModel& host, const MachOPlacement& placement, const std::vector<PlannedSection>& sections,
                 std::vector<Edit>& edits) {
  std::size_t number = 0;
  for (const Segment& segment : host.segments) number += segment.sections.size();
  const std::uint64_t address = ExportedAddress(placement, sections);
  for (const PlannedSection& group : GroupSections(sections, placement.grouping))
    number += placement.anchor_address + group.offset <= address ? 1 : 0;
  if (placement.sectionless || number > UINT8_MAX) return;
  for (const std::uint64_t entry : placement.exported->symbols)
    edits.push_back({entry, WriteSymbol(host, entry, address, static_cast<std::uint8_t>(number))});
}

Status CheckLimits(const MachOModel& host, const Ends& ends) {
  const Segment& last = host.link_edit_segment();
  if (ends.file >= kMachOFileLimit) {
    return {ErrorCode::kLimit,
            StrCat("found ", ends.file, " bytes for the whole library, expected less than 4 GiB (Mach-O's offsets have ",
                   "32 bits); embed less, or compress it with --codec zstd")};
  }
  const std::uint64_t limit = host.header.is_64 ? UINT64_MAX / 2 : kMachOFileLimit;
  const std::uint64_t size = ends.payload + AlignUp(ends.file - last.offset, kMachOLargePage);
  if (!FitsWithin(last.address, size, limit))
    return {ErrorCode::kLimit,
            StrCat("found ", size, " bytes at address ", Hex(last.address), ", expected what ends below ", Hex(limit))};
  return {};
}

}  // namespace

Result<EditPlan> PlanMachO(const MachOModel& host, const MachOPlacement& placement, const std::vector<PlannedSection>& sections) {
  Ends ends;
  // The first of the two plans knows no sizes yet.
  ends.payload = AlignUp(sections.back().offset + sections.back().size, kMachOLargePage);
  PANNIER_TRY(std::vector<std::uint8_t> trie, NewTrie(host, placement, sections));
  const std::vector<Insertion> insertions = InsertionsOf(placement, trie.size());
  const Shift shift(host, insertions, ends.payload);
  ends.file = ends.code = shift(placement.host_end);
  if (placement.signature) {
    ends.code = AlignUp(ends.code, kMachOAlign);
    ends.signature = CodeSignatureSize(*placement.signature, ends.code);
    ends.file = ends.code + ends.signature;
  }
  PANNIER_CHECK_OK(CheckLimits(host, ends));

  EditPlan plan;
  plan.file_size = ends.file;
  plan.pieces = PiecesOf(host, placement, insertions, shift);
  EditCommands(host, CommandWriter(host, placement, sections, ends, trie.size(), shift).Write(), plan.edits);
  for (std::size_t i = 0; placement.fixups && i < host.commands.size(); ++i) {
    if (host.commands[i].type == macho::kChainedFixups && host.blobs[i].front().size != 0)
      plan.edits.push_back(FixupEdit(host, *placement.fixups, host.blobs[i].front().offset));
  }
  if (placement.exported) {
    EditSymbols(host, placement, sections, plan.edits);
    plan.added.push_back({"export trie", shift(placement.exported->trie.blob.offset) - trie.size(), std::move(trie)});
  }
  std::sort(plan.edits.begin(), plan.edits.end(), [](const Edit& a, const Edit& b) { return a.offset < b.offset; });
  if (placement.signature) {
    plan.derived.push_back(
        {format::DerivedKind::MachOSignature, ends.code, ends.signature, EncodeSignatureFacts(*placement.signature)});
  }
  PANNIER_TRY(plan.image, MachOImage(BundleBytes(host.bytes, plan)));
  return plan;
}

}  // namespace pannier
