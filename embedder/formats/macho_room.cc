// The ladder of header room: fewer section headers, then load commands that nobody needs at run time, then no section at all.
#include "embedder/formats/macho_room.h"

#include <algorithm>

#include "embedder/edit_plan.h"
#include "src/text.h"

namespace pannier {
namespace {

using macho::Command;

constexpr std::size_t kTailSections = 4;  // index, undo record, manifest, signature room

// A load command, or a part of it, that can go.
struct Giveable {
  std::size_t command = 0;
  bool tools_only = false;
  std::uint64_t size = 0;
  std::string name;
};

std::vector<Giveable> FindGiveables(const MachOModel& host) {
  std::vector<Giveable> found;
  for (std::size_t i = 0; i < host.commands.size(); ++i) {
    const Command& command = host.commands[i];
    const std::uint64_t size = command.bytes.size();
    const bool is_empty = !host.blobs[i].empty() && host.blobs[i].front().size == 0;
    if (command.type == macho::kSourceVersion) found.push_back({i, false, size, "LC_SOURCE_VERSION"});
    if (command.type == macho::kFunctionStarts && is_empty) found.push_back({i, false, size, "an empty LC_FUNCTION_STARTS"});
    if (command.type == macho::kDataInCode && is_empty) found.push_back({i, false, size, "an empty LC_DATA_IN_CODE"});
  }
  for (std::size_t i = 0; i < host.commands.size(); ++i) {
    const std::uint64_t size = host.commands[i].bytes.size();
    if (host.commands[i].type == macho::kBuildVersion && size > kBuildVersionSize)
      found.push_back({i, true, size - kBuildVersionSize, "the tools' versions in LC_BUILD_VERSION"});
  }
  return found;
}

// Where the first section or segment begins that is not the load commands' own.
std::uint64_t EndOfRoom(const MachOModel& host) {
  std::uint64_t end = host.link_edit_segment().offset;
  for (const macho::Segment& segment : host.segments) {
    if (segment.offset != 0 && segment.file_size != 0) end = std::min(end, segment.offset);
    if (segment.offset == 0 && segment.file_size != 0) end = std::min(end, segment.file_size);
    for (const macho::Section& section : segment.sections) {
      if (section.has_bytes() && section.offset != 0) end = std::min<std::uint64_t>(end, section.offset);
    }
  }
  return end;
}

class RoomFinder {
 public:
  RoomFinder(const MachOModel& host, std::size_t artifacts, std::uint64_t room, MachOPlacement& placement)
      : host_(host), artifacts_(artifacts), room_(room), placement_(placement), giveables_(FindGiveables(host)) {}

  bool Fits(std::size_t sections) const { return Needed(sections) <= room_; }

  // Fewer section headers, down to one in all.
  bool TryGrouping() {
    const std::size_t all = std::min(artifacts_, kMaxOwnSections + 1);
    if (Choose(Grouping::kSeparate, kMaxOwnSections, 1 + all + kTailSections)) return true;
    if (Choose(Grouping::kTail, kMaxOwnSections, 1 + all + 1)) return true;
    // The section that an exported symbol leads to takes the place of an artifact's own.
    for (std::size_t own = all; own-- > (placement_.exported ? 1U : 0U);) {
      if (Choose(Grouping::kTail, own, 1 + std::min(artifacts_, own + 1) + 1)) return true;
    }
    return Choose(Grouping::kAll, kMaxOwnSections, 1);
  }

  // One load command after another, until `sections` section headers fit.
  bool GiveUpCommands(std::size_t sections) {
    for (const Giveable& giveable : giveables_) {
      if (Fits(sections)) break;
      room_ += giveable.size;
      (giveable.tools_only ? placement_.toolless : placement_.dropped).push_back(giveable.command);
      placement_.notes.push_back(StrCat("left out for the room: ", giveable.name));
    }
    return Fits(sections);
  }

  std::uint64_t Needed(std::size_t sections) const {
    return host_.header.segment_size() + sections * host_.header.section_size() +
           (placement_.new_signature_command ? kLinkEditCommandSize : 0);
  }
  std::uint64_t room() const { return room_; }

  bool Choose(Grouping grouping, std::size_t own_sections, std::size_t headers) {
    if (!Fits(headers)) return false;
    placement_.grouping = grouping;
    placement_.own_sections = own_sections - (placement_.exported ? 1 : 0);
    return true;
  }

 private:
  const MachOModel& host_;
  std::size_t artifacts_;
  std::uint64_t room_;
  MachOPlacement& placement_;
  std::vector<Giveable> giveables_;
};

// One way to make do with `room`. What does not lead to it leaves no trace.
bool TryRoom(const MachOModel& host, std::size_t artifacts, std::uint64_t room, bool sectionless, MachOPlacement& placement) {
  const std::vector<std::string> notes = placement.notes;
  RoomFinder finder(host, artifacts, room, placement);
  if (!sectionless && finder.TryGrouping()) return true;
  if (finder.GiveUpCommands(sectionless ? 0 : 1)) {
    finder.Choose(Grouping::kAll, kMaxOwnSections, sectionless ? 0 : 1);
    placement.sectionless = sectionless;
    if (sectionless) placement.notes.emplace_back("the segment has no section: llvm-strip and llvm-install-name-tool destroy it");
    return true;
  }
  placement.notes = notes;
  placement.dropped.clear();
  placement.toolless.clear();
  return false;
}

Status FindRoom(const MachOModel& host, const HostOptions& options, std::uint64_t room, MachOPlacement& placement) {
  // Whoever signs an unsigned library later needs a load command for that.
  const std::uint64_t spare = host.signature || placement.new_signature_command ? 0 : kLinkEditCommandSize;
  for (const bool sectionless : {false, true}) {
    if (sectionless && !options.sectionless) break;
    if (room >= spare && TryRoom(host, options.artifacts, room - spare, sectionless, placement)) return {};
    if (spare != 0 && TryRoom(host, options.artifacts, room, sectionless, placement)) {
      placement.notes.emplace_back(
          "no room is left for a code signature's load command; to sign it, link it again with -Wl,-headerpad,0x400");
      return {};
    }
  }
  RoomFinder finder(host, options.artifacts, room, placement);
  finder.GiveUpCommands(1);
  return {ErrorCode::kUnsupported,
          StrCat("found ", finder.room(), " bytes of room behind the load commands, expected ", finder.Needed(1),
                 "; link it again with -Wl,-headerpad,0x400",
                 finder.room() >= finder.Needed(0) && !options.sectionless
                     ? ", or embed with --sectionless (a segment without section headers, which llvm-strip destroys)"
                     : "")};
}

}  // namespace

Status MakeMachORoom(const MachOModel& host, const HostOptions& options, MachOPlacement& placement) {
  const std::uint64_t begin = host.header.commands_end();
  const std::uint64_t end = EndOfRoom(host);
  if (end < begin)
    return Malformed(StrCat("load commands: found ", begin, " bytes, expected at most ", end, " before the first section"));
  // Zeroes alone are room: what else stands there belongs to somebody.
  std::uint64_t room = 0;
  while (room < end - begin && host.bytes.data()[begin + room] == 0) ++room;
  Status found = FindRoom(host, options, room, placement);
  if (found.ok() || !placement.new_signature_command) return found;
  // It had no signature before, either.
  placement.dropped.clear();
  placement.toolless.clear();
  placement.notes.clear();
  placement.signature.reset();
  placement.new_signature_command = false;
  PANNIER_CHECK_OK(FindRoom(host, options, room, placement));
  placement.notes.emplace_back("it stays unsigned: macOS on arm64 does not load it before it is signed");
  return {};
}

}  // namespace pannier
