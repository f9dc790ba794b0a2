// Finisher: all of a bundle that tells of the rest: index, undo record, manifest, anchor, and the plan of the host's changes.
#ifndef PANNIER_EMBEDDER_FINISHER_H_
#define PANNIER_EMBEDDER_FINISHER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "embedder/content/manifest_builder.h"
#include "embedder/edit_plan.h"
#include "embedder/host.h"
#include "embedder/layout.h"
#include "embedder/output_file.h"
#include "src/format.h"
#include "src/result.h"
#include "src/sha256.h"

namespace pannier {

// Borrows all that it is given.
class Finisher {
 public:
  // `fat`: the file that the host is a slice of, or null.
  Finisher(const Host& host, const Sha256Digest& host_sha256, const FatFacts* fat, unsigned threads, Layout& layout)
      : host_(host), placement_(host.placement()), host_sha256_(host_sha256), fat_(fat), threads_(threads), layout_(layout) {}

  // Headers, digests and manifest tell of one another: so first with sizes alone, then with the values.
  Status Run();

  // After Run.
  const EditPlan& plan() const { return plan_; }
  std::vector<PlannedSection> AllSections() const;
  // Everything but the artifacts, into a file in which the bundle begins at `base`; the host begins at `host_base` of its file.
  Status Write(const FileSource& host, std::uint64_t host_base, OutputFile& out, std::uint64_t base) const;

 private:
  Status FillIndex();
  void PlaceSections();
  void FillParts();

  const Host& host_;
  const Placement& placement_;
  Sha256Digest host_sha256_;
  const FatFacts* fat_;
  unsigned threads_;
  Layout& layout_;
  std::size_t artifacts_tables_ = 0;  // of the index
  ManifestFacts facts_;
  Anchor anchor_;
  EditPlan plan_;
  std::vector<std::uint8_t> undo_;
  std::size_t undo_size_ = 0;
  std::vector<std::uint8_t> manifest_;
};

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_FINISHER_H_
