// Derived bytes, by kind.
#include "embedder/derived.h"

#include "src/text.h"

namespace pannier {

Result<std::vector<std::uint8_t>> MakeDerived(format::DerivedKind kind, const MappedFile& /*file*/, std::uint64_t /*offset*/,
                                              std::uint64_t /*size*/, ByteView /*parameters*/) {
  return {ErrorCode::kUnsupported, StrCat("derived bytes: kind: found ", static_cast<unsigned>(kind), ", expected none")};
}

}  // namespace pannier
