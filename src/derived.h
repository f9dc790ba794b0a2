// Derived bytes: those that follow from all others of a bundle (a checksum, an ad-hoc code signature), made last.
#ifndef PANNIER_SRC_DERIVED_H_
#define PANNIER_SRC_DERIVED_H_

#include <cstdint>
#include <vector>

#include "manifest_generated.h"
#include "src/bytes.h"
#include "src/mapped_file.h"
#include "src/result.h"

namespace pannier {

// What must stand at [offset, offset + size) of the file, whatever stands there now. Ranges and parameters may be hostile. Pages
// of `file` that were read are given back.
Result<std::vector<std::uint8_t>> MakeDerived(format::DerivedKind kind, const MappedFile& file, std::uint64_t offset,
                                              std::uint64_t size, ByteView parameters);

}  // namespace pannier

#endif  // PANNIER_SRC_DERIVED_H_
