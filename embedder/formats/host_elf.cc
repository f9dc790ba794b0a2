// An ELF library as a Host: read by our own reader, checked against LIEF's, placed and planned by plan_elf.
#include <memory>
#include <utility>

#include "embedder/formats/lief_adapter.h"
#include "embedder/formats/plan_elf.h"
#include "embedder/host.h"

namespace pannier {
namespace {

class ElfHost : public Host {
 public:
  ElfHost(HostModel model, ElfPlacement placement)
      : Host(model.bytes), model_(std::move(model)), elf_placement_(std::move(placement)) {
    placement_ = elf_placement_;
  }

  FileFormat format() const override { return FileFormat::kElf; }
  Result<EditPlan> Plan(const std::vector<PlannedSection>& sections) const override {
    return PlanElf(model_, elf_placement_, sections);
  }

 private:
  HostModel model_;
  ElfPlacement elf_placement_;
};

}  // namespace

Result<std::unique_ptr<Host>> OpenElfHost(ByteView bytes, const HostOptions& options) {
  PANNIER_TRY(HostModel model, ReadElfHost(bytes));
  if (options.asks_lief) PANNIER_CHECK_OK(CompareWithLief(model));
  PANNIER_TRY(ElfPlacement placement, PlaceElfPayload(model, options.exported));
  return std::unique_ptr<Host>(std::make_unique<ElfHost>(std::move(model), std::move(placement)));
}

}  // namespace pannier
