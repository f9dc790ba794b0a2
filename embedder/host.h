// Host: a library that is to carry a payload, in whatever format; dispatches to that format's planner.
#ifndef PANNIER_EMBEDDER_HOST_H_
#define PANNIER_EMBEDDER_HOST_H_

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "embedder/edit_plan.h"
#include "src/bytes.h"
#include "src/payload.h"
#include "src/result.h"

namespace pannier {

struct HostOptions {
  std::size_t artifacts = 0;    // how many there are
  bool drop_signature = false;  // a signature that any change voids may go
  bool sectionless = false;     // Mach-O: where there is no room, a segment without section headers will do
  bool asks_lief = true;        // LIEF must see the same; else our own reader alone does
  // A symbol that the bundle exports: it leads to the first byte of the section kFactorySection, which the payload then has. Where
  // the host exports it already, it leads there instead. Empty: none.
  std::string_view exported = {};
};

class Host {
 public:
  // `bytes` are borrowed. kUnsupported: it is no host for a payload; the message says why and what to do.
  static Result<std::unique_ptr<Host>> Open(ByteView bytes, const HostOptions& options);

  virtual ~Host() = default;
  virtual FileFormat format() const = 0;

  ByteView bytes() const { return bytes_; }
  const Placement& placement() const { return placement_; }

  // `sections` are in ascending order; the last one ends with the payload. kLimit when the format cannot hold it.
  virtual Result<EditPlan> Plan(const std::vector<PlannedSection>& sections) const = 0;

 protected:
  explicit Host(ByteView bytes) : bytes_(bytes) {}

  ByteView bytes_;  // borrowed
  Placement placement_;
};

// One for each format; each in a file of its own.
Result<std::unique_ptr<Host>> OpenElfHost(ByteView bytes, const HostOptions& options);
Result<std::unique_ptr<Host>> OpenMachOHost(ByteView bytes, const HostOptions& options);
Result<std::unique_ptr<Host>> OpenPeHost(ByteView bytes, const HostOptions& options);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_HOST_H_
