// EditPlan: the list of changes that turns a host of any format into a bundle; what every planner answers and the one writer
// carries out.
#ifndef PANNIER_EMBEDDER_EDIT_PLAN_H_
#define PANNIER_EMBEDDER_EDIT_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "manifest_generated.h"
#include "src/image.h"
#include "src/result.h"

namespace pannier {

inline constexpr std::uint64_t kPage = 4096;        // the smallest of all machines
inline constexpr std::size_t kMaxOwnSections = 32;  // of artifacts; further ones share a section

// A section of an ELF host that leaves its place for the payload, because the program headers need the room.
struct MovedSection {
  std::string name;
  std::uint64_t old_offset = 0;
  std::uint64_t size = 0;
  std::uint64_t align = 1;
  std::uint64_t pointer_offset = 0;  // in the file: the address that leads to it
  std::uint64_t payload_offset = 0;  // from the anchor
  std::vector<std::uint8_t> grown;   // what it holds from now on; empty: what it held
};

// How many section headers the payload gets: its sections are always in the same order, but headers need room.
enum class Grouping {
  kSeparate,  // one for each section
  kTail,      // index, undo record, manifest and signature room share one
  kAll,       // one in all
};

// The first half of a plan: all that does not depend on the payload's size.
struct Placement {
  bool is_mapped = false;
  std::string why_not_mapped;      // for a person; empty when it is mapped
  std::vector<std::string> notes;  // for a person: what was given up for the room

  std::uint64_t anchor_offset = 0;   // in the bundle
  std::uint64_t anchor_address = 0;  // when mapped
  std::uint64_t content_offset = 0;  // from the anchor: behind the anchor and the moved sections

  Grouping grouping = Grouping::kSeparate;
  std::size_t own_sections = 0;     // artifacts that may have a section of their own; the others share one
  std::size_t longest_name = 255;   // of an artifact that has a section of its own, graph and params aside
  std::uint64_t section_align = 1;  // what a section header's range begins at a multiple of, from the anchor
  std::uint64_t payload_align = 1;  // what the payload's size is a multiple of; the signature room takes up the rest
  // What the format can hold, were there no headers and signatures: artifacts beyond it are refused before they are written.
  std::uint64_t largest_payload = UINT64_MAX;
  std::vector<MovedSection> moved;
};

// One of pannier's own sections, by its name in the manifest. Offsets count from the anchor.
struct PlannedSection {
  std::string name;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::uint64_t align = 1;
};

// The ranges that get a section header each, by names of `sections` or ".tvm.meta" (kTail) and ".tvm" (kAll) for several.
std::vector<PlannedSection> GroupSections(const std::vector<PlannedSection>& sections, Grouping grouping);

// New bytes over old ones within the host; within one piece.
struct Edit {
  std::uint64_t offset = 0;  // in the host
  std::vector<std::uint8_t> bytes;
};

// Bytes of the host, the edits applied, and where they stand in the bundle. What no piece holds is not in the bundle.
struct Piece {
  std::uint64_t host_offset = 0;
  std::uint64_t size = 0;
  std::uint64_t bundle_offset = 0;
};

// Bytes that are new in the bundle and no section of the payload: header tables written anew, moved sections of the host.
struct AddedBytes {
  std::string name;
  std::uint64_t offset = 0;  // in the bundle
  std::vector<std::uint8_t> bytes;
  format::PartKind kind = format::PartKind::All;
};

// Bytes that follow from all others, and so are made last and covered by no digest: see src/derived.h.
struct Derived {
  format::DerivedKind kind = format::DerivedKind::None;
  std::uint64_t offset = 0;  // in the bundle
  std::uint64_t size = 0;
  std::vector<std::uint8_t> parameters;
};

struct EditPlan {
  std::vector<Edit> edits;    // by ascending offset, none touching another
  std::vector<Piece> pieces;  // by ascending offset, in host and bundle alike
  std::vector<AddedBytes> added;
  std::vector<Derived> derived;
  std::uint64_t file_size = 0;
  LibraryImage image;  // what the OS will map of the host
};

// In order, those that touch one another as one.
std::vector<Edit> MergeEdits(std::vector<Edit> edits);

// Do the edits ascend, none over another nor over a piece's end? Not where a damaged file has one table over another.
Status CheckEdits(const EditPlan& plan);

// Where a byte of the host, which some piece holds, stands in the bundle.
std::uint64_t BundleOffset(const EditPlan& plan, std::uint64_t host_offset);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_EDIT_PLAN_H_
