// What fuzz targets of hosts share: a library opened by our own reader, placed and planned; the plan must be one that can be
// carried out and undone.
#ifndef PANNIER_TESTS_FUZZ_HOST_TARGET_H_
#define PANNIER_TESTS_FUZZ_HOST_TARGET_H_

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "embedder/finisher.h"
#include "embedder/formats/factory_layout.h"
#include "embedder/host.h"
#include "embedder/layout.h"
#include "src/exported_symbol.h"
#include "src/module_blob.h"
#include "src/sha256.h"
#include "tests/file_fixture.h"
#include "tests/fuzz/fuzz_support.h"
#include "tests/params_builder.h"

namespace pannier {

// A graph, params of two tensors, and one artifact of the user's.
inline const std::vector<ArtifactInput>& SmallArtifacts() {
  static const TemporaryDirectory folder;
  static const std::vector<ArtifactInput> inputs = [] {
    WriteFile(folder / "graph", "{\"nodes\": []}");
    WriteFile(folder / "params", BuildParams({{Pattern(16, 1)}, {Pattern(8, 2)}}));
    WriteFile(folder / "labels", "cat dog");
    Result<std::vector<ArtifactInput>> opened =
        OpenArtifacts({{"graph", folder / "graph"}, {"params", folder / "params"}, {"labels", folder / "labels"}});
    Require(opened.status(), "artifacts can be opened");
    return std::move(*opened);
  }();
  return inputs;
}

inline void RequireSoundPlan(const EditPlan& plan, std::uint64_t host_size) {
  constexpr std::uint64_t kLargestGrowth = 8 << 20;
  Require(plan.file_size <= host_size + kLargestGrowth, "a small payload makes a host a little larger");
  std::uint64_t host_end = 0;
  std::uint64_t bundle_end = 0;
  for (const Piece& piece : plan.pieces) {
    Require(piece.host_offset >= host_end && FitsWithin(piece.host_offset, piece.size, host_size), "pieces ascend in the host");
    Require(piece.bundle_offset >= bundle_end && FitsWithin(piece.bundle_offset, piece.size, plan.file_size),
            "pieces ascend in the bundle");
    host_end = piece.host_offset + piece.size;
    bundle_end = piece.bundle_offset + piece.size;
  }
  std::uint64_t end = 0;
  for (const Edit& edit : plan.edits) {
    Require(edit.offset >= end, "edits ascend, and none overlaps another");
    end = edit.offset + edit.bytes.size();
    Require(std::any_of(plan.pieces.begin(), plan.pieces.end(),
                        [&](const Piece& piece) {
                          return edit.offset >= piece.host_offset &&
                                 FitsWithin(edit.offset - piece.host_offset, edit.bytes.size(), piece.size);
                        }),
            "edits lie within a piece");
  }
  for (const AddedBytes& added : plan.added)
    Require(FitsWithin(added.offset, added.bytes.size(), plan.file_size), "added bytes lie within the bundle");
  for (const Derived& derived : plan.derived)
    Require(FitsWithin(derived.offset, derived.size, plan.file_size), "derived bytes lie within the bundle");
}

inline void PlanHost(ByteView bytes, HostOptions options) {
  options.asks_lief = false;
  const Result<std::unique_ptr<Host>> host = Host::Open(bytes, options);
  if (!host.ok()) return;
  const Placement& placement = (*host)->placement();
  std::optional<FactoryFacts> factory;
  if (!options.exported.empty()) {
    factory = FactoryFacts{kFactoryKey, {}};
    const Result<std::optional<ByteView>> own = FindExported(bytes, options.exported);
    if (!own.ok()) return;
    if (*own) {
      const Result<ModuleBlob> blob = ParseModuleBlob(**own);
      if (!blob.ok()) return;
      factory->imported = *blob;
    }
  }
  EncodeOptions encode;
  encode.codec = CodecChoice::kStore;
  encode.threads = 1;
  Result<Layout> layout = EncodeArtifacts(SmallArtifacts(), factory ? &*factory : nullptr, placement,
                                          {nullptr, placement.anchor_offset, placement.anchor_address}, encode);
  if (!layout.ok()) return;
  Finisher finisher(**host, Sha256Of(bytes), nullptr, 1, *layout);
  if (finisher.Run().ok()) RequireSoundPlan(finisher.plan(), bytes.size());
}

// All ways that options lead.
inline int FuzzHost(FileFormat format, const std::uint8_t* data, std::size_t size) {
  const ByteView bytes(data, size);
  if (DetectFormat(bytes) != format) return -1;
  HostOptions options;
  options.artifacts = SmallArtifacts().size();
  PlanHost(bytes, options);
  options.exported = kBlobSymbol;
  PlanHost(bytes, options);
  options.exported = {};
  if (format == FileFormat::kElf) return 0;
  options.drop_signature = true;
  options.sectionless = true;
  PlanHost(bytes, options);
  return 0;
}

}  // namespace pannier

#endif  // PANNIER_TESTS_FUZZ_HOST_TARGET_H_
