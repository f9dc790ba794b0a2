// EditPlan: the list of changes that turns a host into a bundle; what every format's planner answers and the one writer carries
// out.
#ifndef PANNIER_EMBEDDER_EDIT_PLAN_H_
#define PANNIER_EMBEDDER_EDIT_PLAN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "src/elf_file.h"

namespace pannier {

// New bytes over old ones within the host.
struct Edit {
  std::uint64_t offset = 0;
  std::vector<std::uint8_t> bytes;
};

// A section of the host that leaves its place for the payload, because the program headers need the room.
struct MovedSection {
  std::string name;
  std::uint64_t old_offset = 0;
  std::uint64_t size = 0;
  std::uint64_t align = 1;
  std::uint64_t pointer_offset = 0;  // in the file: the address that leads to it
  std::uint64_t payload_offset = 0;  // from the anchor
};

// One of pannier's own sections. Offsets count from the anchor.
struct PlannedSection {
  std::string name;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::uint64_t align = 1;
};

struct EditPlan {
  std::vector<Edit> edits;         // by ascending offset, none touching another
  std::vector<std::uint8_t> tail;  // what follows the payload: header tables written anew; may be empty
  std::uint64_t tail_offset = 0;   // in the bundle
  std::uint64_t file_size = 0;

  // The headers as the bundle has them, for the image digest.
  std::vector<elf::Segment> segments;
  std::vector<elf::Section> sections;
};

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_EDIT_PLAN_H_
