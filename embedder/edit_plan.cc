// Parts of a plan as the writer needs them: sections joined, places of the host in the bundle.
#include "embedder/edit_plan.h"

#include <algorithm>
#include <utility>

#include "src/format.h"
#include "src/text.h"

namespace pannier {
namespace {

bool IsTail(const PlannedSection& section) {
  return section.name == kIndexSection || section.name == kUndoSection || section.name == kManifestSection ||
         section.name == kSignatureSection;
}

// [first, last] as one section.
PlannedSection Join(std::string_view name, const PlannedSection& first, const PlannedSection& last) {
  return {std::string(name), first.offset, last.offset + last.size - first.offset, first.align};
}

}  // namespace

std::vector<PlannedSection> GroupSections(const std::vector<PlannedSection>& sections, Grouping grouping) {
  if (grouping == Grouping::kSeparate) return sections;
  if (grouping == Grouping::kAll) return {Join(kWholeSection, sections.front(), sections.back())};
  const auto tail = std::find_if(sections.begin(), sections.end(), IsTail);
  std::vector<PlannedSection> groups(sections.begin(), tail);
  groups.push_back(Join(kTailSection, *tail, sections.back()));
  return groups;
}

std::vector<Edit> MergeEdits(std::vector<Edit> edits) {
  std::sort(edits.begin(), edits.end(), [](const Edit& a, const Edit& b) { return a.offset < b.offset; });
  std::vector<Edit> merged;
  for (Edit& edit : edits) {
    if (!merged.empty() && merged.back().offset + merged.back().bytes.size() == edit.offset) {
      merged.back().bytes.insert(merged.back().bytes.end(), edit.bytes.begin(), edit.bytes.end());
    } else {
      merged.push_back(std::move(edit));
    }
  }
  return merged;
}

Status CheckEdits(const EditPlan& plan) {
  std::uint64_t end = 0;
  for (const Edit& edit : plan.edits) {
    const bool is_within_piece = std::any_of(plan.pieces.begin(), plan.pieces.end(), [&](const Piece& piece) {
      return edit.offset >= piece.host_offset && FitsWithin(edit.offset - piece.host_offset, edit.bytes.size(), piece.size);
    });
    if (edit.offset < end || !is_within_piece)
      return Malformed(StrCat("found ", edit.bytes.size(), " bytes of a table at ", Hex(edit.offset), " within another"));
    end = edit.offset + edit.bytes.size();
  }
  return {};
}

std::uint64_t BundleOffset(const EditPlan& plan, std::uint64_t host_offset) {
  const auto behind =
      std::find_if(plan.pieces.begin(), plan.pieces.end(), [&](const Piece& piece) { return piece.host_offset > host_offset; });
  const Piece& piece = *(behind - 1);
  return piece.bundle_offset + (host_offset - piece.host_offset);
}

}  // namespace pannier
