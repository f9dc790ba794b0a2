// A PE library as a Host: headers read by us and compared with LIEF's, placed and planned by plan_pe.
#include <memory>
#include <utility>

#include "embedder/formats/lief_pe.h"
#include "embedder/formats/plan_pe.h"
#include "embedder/host.h"

namespace pannier {
namespace {

class PeHost : public Host {
 public:
  PeHost(PeModel model, PePlacement placement) : Host(model.bytes), model_(std::move(model)), pe_placement_(std::move(placement)) {
    placement_ = pe_placement_;
  }

  FileFormat format() const override { return FileFormat::kPe; }
  Result<EditPlan> Plan(const std::vector<PlannedSection>& sections) const override {
    return PlanPe(model_, pe_placement_, sections);
  }

 private:
  PeModel model_;
  PePlacement pe_placement_;
};

}  // namespace

Result<std::unique_ptr<Host>> OpenPeHost(ByteView bytes, const HostOptions& options) {
  PANNIER_TRY(PeModel model, ReadPeModel(bytes));
  PANNIER_TRY(PePlacement placement, PlacePePayload(model, options));
  if (options.asks_lief) PANNIER_CHECK_OK(CompareWithLief(model));
  return std::unique_ptr<Host>(std::make_unique<PeHost>(std::move(model), std::move(placement)));
}

}  // namespace pannier
