// The payload's place before __LINKEDIT: where the host's bytes end, how fixups grow, how it is signed, then the load commands'
// room.
#include "embedder/formats/place_macho.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "embedder/edit_plan.h"
#include "embedder/formats/macho_export.h"
#include "embedder/formats/macho_room.h"
#include "src/format.h"
#include "src/text.h"

namespace pannier {
namespace {

using macho::Blob;
using macho::Command;
using macho::Segment;

constexpr std::size_t kLongestSectionName = 16;

// Where the host's bytes end: the old signature, which is at the end, is made anew; zeroes behind it are padding.
Result<std::uint64_t> FindHostEnd(const MachOModel& host) {
  const Segment& last = host.link_edit_segment();
  std::uint64_t end = last.offset + last.file_size;
  const ByteView overlay = *host.bytes.Slice(end, host.bytes.size() - end);
  if (!IsAllZero(overlay)) {
    return Unsupported(StrCat("found ", overlay.size(), " bytes behind the end of __LINKEDIT (at ", Hex(end),
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
        return Unsupported(StrCat("found ", end - behind, " bytes behind the code signature, expected it to end the file"));
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
Result<std::optional<FixupGrowth>> FindFixups(const MachOModel& host) {
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
  growth.inserted = has_room ? 0 : kMachOAlign;
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

std::string InstallName(const MachOModel& host) {
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

Status PlaceSignature(const MachOModel& host, const HostOptions& options, MachOPlacement& placement) {
  if (host.signature && host.blobs[*host.signature].front().size != 0) {
    const Blob& blob = host.blobs[*host.signature].front();
    PANNIER_TRY(OldSignature old, ParseCodeSignature(*host.bytes.Slice(blob.offset, blob.size)));
    if (!old.why_not_adhoc.empty()) {
      if (!options.drop_signature) {
        return Unsupported(
            StrCat("code signature: ", old.why_not_adhoc,
                   ", so it cannot be made again for changed bytes; embed with "
                   "--drop-signature to sign ad hoc instead (and sign the bundle yourself), or embed before signing"));
      }
      placement.notes.push_back(
          StrCat("code signature dropped (", old.why_not_adhoc, "), signed ad hoc; identifier and entitlements are kept"));
    }
    placement.signature = std::move(old.facts);
  } else if (host.signature || host.needs_signature()) {
    const Segment& text = host.header_segment();
    placement.signature = NewSignatureFacts(InstallName(host), text.offset, text.file_size);
    placement.new_signature_command = !host.signature;
  }
  return {};
}

}  // namespace

Result<MachOPlacement> PlaceMachOPayload(const MachOModel& host, const HostOptions& options) {
  MachOPlacement placement;
  placement.is_mapped = true;
  placement.anchor_offset = host.link_edit_segment().offset;
  placement.anchor_address = host.link_edit_segment().address;
  placement.content_offset = Anchor::kSize;
  placement.longest_name = kLongestSectionName - 2;
  placement.payload_align = kMachOLargePage;
  placement.largest_payload = kMachOFileLimit - std::min<std::uint64_t>(kMachOFileLimit, host.bytes.size());
  PANNIER_TRY(placement.host_end, FindHostEnd(host));
  PANNIER_TRY(placement.fixups, FindFixups(host));
  PANNIER_CHECK_OK(PlaceSignature(host, options, placement));
  if (!options.exported.empty()) {
    PANNIER_TRY(placement.exported, FindMachOExport(host, options.exported, placement.host_end));
  }
  PANNIER_CHECK_OK(MakeMachORoom(host, options, placement));
  return placement;
}

}  // namespace pannier
