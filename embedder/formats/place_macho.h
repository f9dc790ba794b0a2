// PlaceMachOPayload: where the payload goes in a Mach-O library. A pure function, as PlanMachO, which is next.
#ifndef PANNIER_EMBEDDER_FORMATS_PLACE_MACHO_H_
#define PANNIER_EMBEDDER_FORMATS_PLACE_MACHO_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "embedder/edit_plan.h"
#include "embedder/formats/macho_model.h"
#include "embedder/host.h"
#include "src/code_signature.h"
#include "src/macho_trie.h"
#include "src/result.h"

namespace pannier {

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
Result<MachOPlacement> PlaceMachOPayload(const MachOModel& host, const HostOptions& options);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_FORMATS_PLACE_MACHO_H_
