// The Mach-O planner: what a host must be, where the payload goes, then every changed byte of load commands and fixups.
#include "embedder/plan_macho.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "embedder/bundle_bytes.h"
#include "embedder/macho_export.h"
#include "embedder/macho_room.h"
#include "src/format.h"
#include "src/image_macho.h"
#include "src/text.h"

namespace pannier {
namespace {

using macho::Blob;
using macho::Command;
using macho::Segment;

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kLargePage = 16384;  // arm64's; a multiple of it suits all
constexpr std::size_t kLongestSectionName = 16;
constexpr std::uint64_t kFileLimit = std::uint64_t{1} << 32;  // load commands have 32-bit offsets
constexpr std::uint64_t kAlign = 16;                          // of what follows inserted bytes: dyld wants pointer-aligned tables

Status Refuse(std::string why) { return {ErrorCode::kUnsupported, std::move(why)}; }

bool NeedsSignature(const macho::Header& header) {
  return header.cpu_type == macho::kCpuArm64 || header.cpu_type == macho::kCpuArm64Ilp32;
}

Status CheckIsLibrary(const macho::Header& header) {
  switch (header.file_type) {
    case macho::kTypeLibrary:
    case macho::kTypeBundle:
      break;
    case macho::kTypeObject:
      return Refuse("found a relocatable object, expected a shared library; link it with -dynamiclib first");
    case macho::kTypeExecutable:
      return Refuse("found an executable, expected a shared library; link the model as one (-dynamiclib) and load it");
    case macho::kTypeCore:
      return Refuse("found a core file, expected a shared library");
    case macho::kTypeLibraryStub:
      return Refuse("found a library's stub, expected the library itself");
    case macho::kTypeSymbols:
      return Refuse("found a file of debug symbols (dSYM), expected a shared library");
    case macho::kTypeKernelExtension:
      return Refuse("found a kernel extension, expected a shared library");
    default:
      return Refuse(StrCat("mach-o type: found ", header.file_type, ", expected 6 (library) or 8 (bundle)"));
  }
  if ((header.flags & macho::kFlagInSharedCache) != 0)
    return Refuse("found a library taken out of the system's shared cache, expected one as the linker wrote it");
  return {};
}

// One __LINKEDIT, behind all other segments in every respect.
Status FindLinkEdit(MachOHost& host) {
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < host.segments.size(); ++i) {
    const Segment& segment = host.segments[i];
    if (segment.name == macho::kPayloadSegment)
      return Refuse(StrCat("found a segment ", macho::kPayloadSegment, " that is not pannier's, expected none of that name"));
    if (segment.name == macho::kLinkEdit) found = i;
    for (const macho::Section& section : segment.sections) {
      if (section.relocation_count != 0)
        return Refuse(StrCat("section ", Printable(section.name), ": found relocations, expected none in a linked library"));
    }
  }
  if (!found) return Refuse("found no segment __LINKEDIT, expected a linked library");
  host.link_edit = *found;
  const Segment& last = host.link_edit_segment();
  if (*found + 1 != host.segments.size())
    return Refuse(
        StrCat("segment ", Printable(host.segments.back().name), ": found it behind __LINKEDIT, expected that to be the last"));
  if (!last.sections.empty()) return Refuse(StrCat("segment __LINKEDIT: found ", last.sections.size(), " sections, expected none"));
  if (last.offset % kPage != 0 || last.address % kPage != 0)
    return Refuse(StrCat("segment __LINKEDIT: found it at ", Hex(last.offset), ", address ", Hex(last.address),
                         ", expected multiples of ", kPage));
  std::uint64_t mapped = 0;
  for (const Segment& segment : host.segments) {
    mapped += segment.file_size;  // within the file: no overflow
    const auto end = CheckedAdd(segment.address, segment.memory_size);
    const bool is_last = &segment == &last;
    if (!end || segment.file_size > segment.memory_size ||
        (!is_last && (*end > last.address || segment.offset + segment.file_size > last.offset))) {
      return Malformed(StrCat("segment ", Printable(segment.name), ": found ", segment.file_size, " bytes at ", Hex(segment.offset),
                              ", address ", Hex(segment.address), ", expected what fits in front of __LINKEDIT"));
    }
  }
  // Every mapped byte is digested, segment by segment.
  if (mapped / 2 > host.bytes.size())
    return Malformed(
        StrCat("segments: found ", mapped, " bytes mapped of a file of ", host.bytes.size(), ", expected at most twice as many"));
  const bool header_is_mapped = std::any_of(host.segments.begin(), host.segments.end(), [&](const Segment& segment) {
    return segment.offset == 0 && segment.file_size >= host.header.commands_end();
  });
  if (!header_is_mapped) return Malformed("segments: found none that holds the load commands");
  return {};
}

Status CheckCommands(MachOHost& host) {
  for (std::size_t i = 0; i < host.commands.size(); ++i) {
    const Command& command = host.commands[i];
    if (command.type == macho::kCodeSignature) {
      if (host.signature) return Malformed("code signature: found two load commands, expected one");
      host.signature = i;
    }
    PANNIER_TRY(std::vector<Blob> blobs, BlobsOf(host.header, command));
    host.blobs.push_back(std::move(blobs));
    if (command.type == macho::kEncryption32 || command.type == macho::kEncryption64) {
      const auto encryption = command.bytes.Read<std::uint32_t>(16);
      if (!encryption || *encryption != 0)
        return Refuse("found an encrypted library (its store's copy protection), expected a plain one");
    }
  }
  return {};
}

// Where the host's bytes end: the old signature, which is at the end, is made anew; zeroes behind it are padding.
Result<std::uint64_t> FindHostEnd(const MachOHost& host) {
  const Segment& last = host.link_edit_segment();
  std::uint64_t end = last.offset + last.file_size;
  const ByteView overlay = *host.bytes.Slice(end, host.bytes.size() - end);
  if (!IsAllZero(overlay)) {
    return Refuse(StrCat("found ", overlay.size(), " bytes behind the end of __LINKEDIT (at ", Hex(end),
                         "), expected none; code signatures do not allow them"));
  }
  if (host.signature) {
    const Blob& blob = host.blobs[*host.signature].front();
    if (blob.size != 0) {
      if (blob.offset < last.offset || !FitsWithin(blob.offset, blob.size, end))
        return Malformed(
            StrCat("code signature: found ", blob.size, " bytes at ", Hex(blob.offset), ", expected them in __LINKEDIT"));
      const std::uint64_t behind = blob.offset + blob.size;
      if (!IsAllZero(*host.bytes.Slice(behind, end - behind)))
        return Refuse(StrCat("found ", end - behind, " bytes behind the code signature, expected it to end the file"));
      end = blob.offset;
    }
  }
  for (std::size_t i = 0; i < host.commands.size(); ++i) {
    if (host.signature == i) continue;
    for (const Blob& blob : host.blobs[i]) {
      const std::uint64_t limit = blob.offset < last.offset ? last.offset : end;
      if (blob.size == 0 || FitsWithin(blob.offset, blob.size, limit)) continue;
      return Malformed(StrCat("load command ", Hex(host.commands[i].type), ": found ", blob.size, " bytes at ", Hex(blob.offset),
                              ", expected a range that ends by ", Hex(limit)));
    }
  }
  return end;
}

// The table of segments at the start of chained fixups: dyld compares its count with the number of segments.
Result<std::optional<FixupGrowth>> FindFixups(const MachOHost& host) {
  const Blob* blob = nullptr;
  for (std::size_t i = 0; i < host.commands.size(); ++i) {
    if (host.commands[i].type != macho::kChainedFixups || host.blobs[i].front().size == 0) continue;
    if (blob != nullptr) return Malformed("chained fixups: found two load commands, expected one");
    blob = &host.blobs[i].front();
  }
  if (blob == nullptr) return std::optional<FixupGrowth>();
  const ByteView bytes = *host.bytes.Slice(blob->offset, blob->size);
  const auto starts = bytes.Read<std::uint32_t>(4);
  const auto count = starts ? bytes.Read<std::uint32_t>(*starts) : std::nullopt;
  if (!count || *starts < 28 || *starts > kPage)
    return Malformed(
        StrCat("chained fixups: found the table of segments at ", Hex(starts.value_or(0)), " of ", bytes.size(), " bytes"));
  if (*count != host.segments.size())
    return Malformed(StrCat("chained fixups: found ", *count, " segments, expected ", host.segments.size()));
  const std::uint64_t end = *starts + 4 + std::uint64_t{*count} * 4;
  if (end > bytes.size()) return Malformed(StrCat("chained fixups: found ", *count, " segments in ", bytes.size(), " bytes"));
  // What follows the table begins at the least offset of all.
  std::uint64_t next = bytes.size();
  auto follows = [&](std::uint64_t at) {
    if (at >= *starts) next = std::min(next, at);
  };
  follows(*bytes.Read<std::uint32_t>(8));   // imports
  follows(*bytes.Read<std::uint32_t>(12));  // symbols
  for (std::uint32_t i = 0; i < *count; ++i) {
    const std::uint32_t info = *bytes.Read<std::uint32_t>(*starts + 4 + std::uint64_t{i} * 4);
    if (info != 0) follows(*starts + std::uint64_t{info});
    if (info != 0 && i == host.link_edit) return Malformed("chained fixups: found some in __LINKEDIT, expected none");
  }
  if (next < end) return Malformed(StrCat("chained fixups: found what follows the table at ", Hex(next), ", expected ", Hex(end)));
  FixupGrowth growth;
  growth.table = blob->offset + *starts;
  growth.end = blob->offset + end;
  const bool has_room = next - end >= 4 && IsAllZero(*bytes.Slice(end, 4));
  growth.inserted = has_room ? 0 : kAlign;
  if (growth.inserted != 0) {
    for (std::size_t i = 0; i < host.commands.size(); ++i) {
      for (const Blob& other : host.blobs[i]) {
        const bool is_cut = other.offset < growth.end && other.offset + other.size > growth.end;
        if (&other != blob && is_cut) return Malformed("chained fixups: found another table that overlaps them");
      }
    }
  }
  return std::optional<FixupGrowth>(growth);
}

std::string InstallName(const MachOHost& host) {
  for (const Command& command : host.commands) {
    if (command.type != macho::kIdDylib) continue;
    const auto at = command.bytes.Read<std::uint32_t>(8);
    if (!at || *at >= command.bytes.size()) continue;
    std::string_view name = command.bytes.text().substr(*at);
    name = name.substr(0, name.find('\0'));
    name = name.substr(name.rfind('/') + 1);
    if (!name.empty()) return std::string(name);
  }
  return "library";
}

// The one that begins the file.
const Segment& HeaderSegment(const MachOHost& host) {
  return *std::find_if(host.segments.begin(), host.segments.end(),
                       [](const Segment& segment) { return segment.offset == 0 && segment.file_size != 0; });
}

Status PlaceSignature(const MachOHost& host, const HostOptions& options, MachOPlacement& placement) {
  if (host.signature && host.blobs[*host.signature].front().size != 0) {
    const Blob& blob = host.blobs[*host.signature].front();
    PANNIER_TRY(OldSignature old, ParseCodeSignature(*host.bytes.Slice(blob.offset, blob.size)));
    if (!old.why_not_adhoc.empty()) {
      if (!options.drop_signature) {
        return Refuse(StrCat("code signature: ", old.why_not_adhoc,
                             ", so it cannot be made again for changed bytes; embed with "
                             "--drop-signature to sign ad hoc instead (and sign the bundle yourself), or embed before signing"));
      }
      placement.notes.push_back(
          StrCat("code signature dropped (", old.why_not_adhoc, "), signed ad hoc; identifier and entitlements are kept"));
    }
    placement.signature = std::move(old.facts);
  } else if (host.signature || NeedsSignature(host.header)) {
    const Segment& text = HeaderSegment(host);
    placement.signature = NewSignatureFacts(InstallName(host), text.offset, text.file_size);
    placement.new_signature_command = !host.signature;
  }
  return {};
}

std::uint64_t PageSize(const MachOHost& host) {
  const bool is_large = NeedsSignature(host.header) || host.link_edit_segment().memory_size % kLargePage == 0;
  return is_large ? kLargePage : kPage;
}

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
  Shift(const MachOHost& host, const std::vector<Insertion>& insertions, std::uint64_t payload)
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

std::vector<std::uint8_t> PayloadCommand(const MachOHost& host, const MachOPlacement& placement,
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

NewCommands WriteCommands(const MachOHost& host, const MachOPlacement& placement, const std::vector<PlannedSection>& sections,
                          const Ends& ends, std::uint64_t trie_size, const Shift& shift) {
  NewCommands commands;
  commands.first_change = host.header.commands_end();
  auto append = [&commands](const std::vector<std::uint8_t>& bytes) {
    commands.bytes.insert(commands.bytes.end(), bytes.begin(), bytes.end());
    ++commands.count;
  };
  auto contains = [](const std::vector<std::size_t>& list, std::size_t i) {
    return std::find(list.begin(), list.end(), i) != list.end();
  };
  const Segment& last = host.link_edit_segment();
  for (std::size_t i = 0; i < host.commands.size(); ++i) {
    const Command& command = host.commands[i];
    const bool is_dropped = contains(placement.dropped, i);
    const bool is_toolless = contains(placement.toolless, i);
    if (is_dropped || is_toolless || i == last.command || !host.blobs[i].empty())
      commands.first_change = std::min(commands.first_change, command.offset);
    if (is_dropped) continue;
    std::vector<std::uint8_t> bytes(command.bytes.begin(), command.bytes.end());
    if (is_toolless) {
      bytes.resize(kBuildVersionSize);
      Put(bytes, 4, kBuildVersionSize, false);
      Put(bytes, 20, 0, false);
    }
    if (i == last.command) {
      append(PayloadCommand(host, placement, sections, ends.payload));
      Segment moved = last;
      moved.address += ends.payload;
      moved.offset += ends.payload;
      moved.file_size = ends.file - moved.offset;
      if (moved.file_size > last.memory_size) moved.memory_size = AlignUp(moved.file_size, PageSize(host));
      if (moved.file_size < last.file_size) moved.memory_size = AlignUp(moved.file_size, PageSize(host));
      bytes = Encoded(host.header, moved);
    }
    if (host.signature == i) {
      Put(bytes, 8, ends.code, false);
      Put(bytes, 12, ends.signature, false);
    } else {
      for (const Blob& blob : host.blobs[i]) Put(bytes, blob.offset_field, shift(blob.offset), blob.is_wide);
      if (command.type == macho::kChainedFixups && placement.fixups && host.blobs[i].front().size != 0)
        Put(bytes, 12, host.blobs[i].front().size + placement.fixups->inserted, false);
      if (placement.exported && placement.exported->trie.command == i) {
        const Blob& trie = placement.exported->trie.blob;
        Put(bytes, trie.offset_field, shift(trie.offset) - trie_size, false);
        Put(bytes, trie.offset_field + 4, trie.size + trie_size, false);
      }
    }
    append(bytes);
  }
  if (placement.new_signature_command) {
    std::vector<std::uint8_t> bytes(kLinkEditCommandSize);
    Put(bytes, 0, macho::kCodeSignature, false);
    Put(bytes, 4, kLinkEditCommandSize, false);
    Put(bytes, 8, ends.code, false);
    Put(bytes, 12, ends.signature, false);
    append(bytes);
  }
  return commands;
}

// Fixups' header and table, with a segment without fixups put in before __LINKEDIT.
Edit FixupEdit(const MachOHost& host, const FixupGrowth& growth, std::uint64_t blob_offset) {
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
Result<std::vector<std::uint8_t>> NewTrie(const MachOHost& host, const MachOPlacement& placement,
                                          const std::vector<PlannedSection>& sections) {
  if (!placement.exported) return std::vector<std::uint8_t>();
  const std::uint64_t address = ExportedAddress(placement, sections) - HeaderSegment(host).address;
  PANNIER_TRY(std::vector<std::uint8_t> bytes, WriteTrie(host, *placement.exported, address));
  bytes.resize(static_cast<std::size_t>(AlignUp(bytes.size(), kAlign)));
  return bytes;
}

// The symbol table counts sections from 1. Where none of ours has a number, debuggers go on to see the old symbol.
void EditSymbols(const MachOHost& host, const MachOPlacement& placement, const std::vector<PlannedSection>& sections,
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

Status CheckLimits(const MachOHost& host, const Ends& ends) {
  const Segment& last = host.link_edit_segment();
  if (ends.file >= kFileLimit) {
    return {ErrorCode::kLimit,
            StrCat("found ", ends.file, " bytes for the whole library, expected less than 4 GiB (Mach-O's offsets have ",
                   "32 bits); embed less, or compress it with --codec zstd")};
  }
  const std::uint64_t limit = host.header.is_64 ? UINT64_MAX / 2 : kFileLimit;
  const std::uint64_t size = ends.payload + AlignUp(ends.file - last.offset, kLargePage);
  if (!FitsWithin(last.address, size, limit))
    return {ErrorCode::kLimit,
            StrCat("found ", size, " bytes at address ", Hex(last.address), ", expected what ends below ", Hex(limit))};
  return {};
}

}  // namespace

Result<MachOHost> ReadMachOHost(ByteView bytes) {
  MachOHost host;
  host.bytes = bytes;
  PANNIER_TRY(host.header, macho::ParseHeader(bytes));
  PANNIER_CHECK_OK(CheckIsLibrary(host.header));
  PANNIER_TRY(host.commands, macho::ParseCommands(bytes, host.header));
  PANNIER_TRY(host.segments, macho::ParseSegments(host.header, host.commands));
  PANNIER_CHECK_OK(macho::CheckSegmentsInFile(host.segments, bytes.size()));
  PANNIER_CHECK_OK(CheckCommands(host));
  PANNIER_CHECK_OK(FindLinkEdit(host));
  return host;
}

Result<MachOPlacement> PlaceMachOPayload(const MachOHost& host, const HostOptions& options) {
  MachOPlacement placement;
  placement.is_mapped = true;
  placement.anchor_offset = host.link_edit_segment().offset;
  placement.anchor_address = host.link_edit_segment().address;
  placement.content_offset = Anchor::kSize;
  placement.longest_name = kLongestSectionName - 2;
  placement.payload_align = kLargePage;
  placement.largest_payload = kFileLimit - std::min<std::uint64_t>(kFileLimit, host.bytes.size());
  PANNIER_TRY(placement.host_end, FindHostEnd(host));
  PANNIER_TRY(placement.fixups, FindFixups(host));
  PANNIER_CHECK_OK(PlaceSignature(host, options, placement));
  if (!options.exported.empty()) {
    PANNIER_TRY(placement.exported, FindMachOExport(host, options.exported, placement.host_end));
  }
  PANNIER_CHECK_OK(MakeMachORoom(host, options, placement));
  return placement;
}

Result<EditPlan> PlanMachO(const MachOHost& host, const MachOPlacement& placement, const std::vector<PlannedSection>& sections) {
  const Segment& last = host.link_edit_segment();
  Ends ends;
  // The first of the two plans knows no sizes yet.
  ends.payload = AlignUp(sections.back().offset + sections.back().size, kLargePage);
  PANNIER_TRY(std::vector<std::uint8_t> trie, NewTrie(host, placement, sections));
  const std::vector<Insertion> insertions = InsertionsOf(placement, trie.size());
  const Shift shift(host, insertions, ends.payload);
  ends.file = ends.code = shift(placement.host_end);
  if (placement.signature) {
    ends.code = AlignUp(ends.code, kAlign);
    ends.signature = CodeSignatureSize(*placement.signature, ends.code);
    ends.file = ends.code + ends.signature;
  }
  PANNIER_CHECK_OK(CheckLimits(host, ends));

  EditPlan plan;
  plan.file_size = ends.file;
  const NewCommands commands = WriteCommands(host, placement, sections, ends, trie.size(), shift);
  std::vector<std::uint8_t> counts(8);
  Put(counts, 0, commands.count, false);
  Put(counts, 4, commands.bytes.size(), false);
  plan.edits.push_back({macho::kCommandCountField, std::move(counts)});
  const std::size_t kept = static_cast<std::size_t>(commands.first_change - host.header.size());
  Edit changed = {commands.first_change, {commands.bytes.begin() + static_cast<std::ptrdiff_t>(kept), commands.bytes.end()}};
  if (commands.bytes.size() < host.header.commands_size) changed.bytes.resize(host.header.commands_size - kept);
  plan.edits.push_back(std::move(changed));

  auto add_piece = [&](std::uint64_t begin, std::uint64_t end) {
    if (begin < end) plan.pieces.push_back({begin, end - begin, shift(begin)});
  };
  add_piece(0, last.offset);
  std::uint64_t at = last.offset;
  for (const Insertion& insertion : insertions) {
    add_piece(at, insertion.at);
    at = insertion.at;
  }
  add_piece(at, placement.host_end);
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
