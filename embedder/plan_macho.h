// PlanMachO: where the payload goes in a Mach-O library, and every change that needs. Pure: facts in, plan out.
//
// The payload becomes a read-only segment __TVM directly before __LINKEDIT, which dyld demands to be the last: in the file, in
// memory and among the load commands. __LINKEDIT moves up by the payload's size, and with it every offset that leads into it.
// docs/architecture.md, "The Mach-O layout, and why".
#ifndef PANNIER_EMBEDDER_PLAN_MACHO_H_
#define PANNIER_EMBEDDER_PLAN_MACHO_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "embedder/edit_plan.h"
#include "embedder/host.h"
#include "src/code_signature.h"
#include "src/macho_commands.h"
#include "src/macho_file.h"
#include "src/macho_trie.h"

namespace pannier {

struct MachOHost {
  ByteView bytes;  // borrowed: the whole library, a fat file's slice alone
  macho::Header header;
  std::vector<macho::Command> commands;
  std::vector<macho::Segment> segments;
  std::vector<std::vector<macho::Blob>> blobs;  // of each command
  std::size_t link_edit = 0;                    // index of the last segment
  std::optional<std::size_t> signature;         // index of its command

  const macho::Segment& link_edit_segment() const { return segments[link_edit]; }
};

// The table of segments that chained fixups begin with gets one entry more: in spare bytes behind it, or in `inserted` ones.
struct FixupGrowth {
  std::uint64_t table = 0;  // in the host: seg_count
  std::uint64_t end = 0;    // in the host: behind seg_info_offset
  std::uint64_t inserted = 0;
};

// A symbol that leads into the payload.
struct MachOExport {
  std::string name;  // with its underscore
  macho::TriePlace trie;
  std::uint64_t flags = 0;             // of the export
  std::vector<std::uint64_t> symbols;  // in the host: its entries of the symbol table, where it has some
};

struct MachOPlacement : Placement {
  bool sectionless = false;
  std::vector<std::size_t> dropped;   // commands that nobody needs at run time
  std::vector<std::size_t> toolless;  // LC_BUILD_VERSIONs that lose their list of tools
  std::uint64_t host_end = 0;         // of the host's bytes that stay: without old signature and padding
  std::optional<FixupGrowth> fixups;
  std::optional<SignatureFacts> signature;  // that is made
  bool new_signature_command = false;
  std::optional<MachOExport> exported;
};

// kUnsupported, kMalformed: not a library that can carry a payload; the message says why and what to do.
Result<MachOHost> ReadMachOHost(ByteView bytes);
Result<MachOPlacement> PlaceMachOPayload(const MachOHost& host, const HostOptions& options);
Result<EditPlan> PlanMachO(const MachOHost& host, const MachOPlacement& placement, const std::vector<PlannedSection>& sections);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_PLAN_MACHO_H_
