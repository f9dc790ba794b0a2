// A Mach-O library as a Host: read by our own reader, checked against LIEF's, placed and planned by plan_macho.
#include <memory>
#include <utility>

#include "embedder/formats/lief_macho.h"
#include "embedder/formats/plan_macho.h"
#include "embedder/host.h"

namespace pannier {
namespace {

class MachOHost : public Host {
 public:
  MachOHost(MachOModel host, MachOPlacement placement)
      : Host(host.bytes), host_(std::move(host)), macho_placement_(std::move(placement)) {
    placement_ = macho_placement_;
  }

  FileFormat format() const override { return FileFormat::kMachO; }
  Result<EditPlan> Plan(const std::vector<PlannedSection>& sections) const override {
    return PlanMachO(host_, macho_placement_, sections);
  }

 private:
  MachOModel host_;
  MachOPlacement macho_placement_;
};

}  // namespace

Result<std::unique_ptr<Host>> OpenMachOHost(ByteView bytes, const HostOptions& options) {
  PANNIER_TRY(MachOModel host, ReadMachOHost(bytes));
  if (options.asks_lief) PANNIER_CHECK_OK(CompareWithLief(host));
  PANNIER_TRY(MachOPlacement placement, PlaceMachOPayload(host, options));
  return std::unique_ptr<Host>(std::make_unique<MachOHost>(std::move(host), std::move(placement)));
}

}  // namespace pannier
