// Derived bytes of a bundle that is being written: which there are, and how they get there.
#ifndef PANNIER_EMBEDDER_DERIVED_BYTES_H_
#define PANNIER_EMBEDDER_DERIVED_BYTES_H_

#include <cstdint>
#include <vector>

#include "embedder/edit_plan.h"
#include "embedder/output_file.h"
#include "src/bundle_reader.h"
#include "src/result.h"

namespace pannier {

// As the manifest has them.
std::vector<Derived> DerivedOf(const BundleReader& reader);

// Of the bundle of `size` bytes at `base`, whose other bytes are written, in the list's order: each may depend on the one before.
Status WriteDerived(OutputFile& out, std::uint64_t base, std::uint64_t size, const std::vector<Derived>& derived);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_DERIVED_BYTES_H_
