// Derived bytes, by kind.
#include "embedder/derived.h"

#include "embedder/pe_checksum.h"
#include "src/text.h"

namespace pannier {

Result<std::vector<std::uint8_t>> MakeDerived(format::DerivedKind kind, const MappedFile& file, std::uint64_t offset,
                                              std::uint64_t size, ByteView /*parameters*/) {
  if (kind == format::DerivedKind::PeChecksum) {
    if (size != 4) return Malformed(StrCat("checksum: found ", size, " bytes, expected 4"));
    std::vector<std::uint8_t> bytes(4);
    StoreInteger(bytes.data(), PeChecksum(file, offset), ByteOrder::kLittle);
    return bytes;
  }
  return {ErrorCode::kUnsupported, StrCat("derived bytes: kind: found ", static_cast<unsigned>(kind), ", expected none")};
}

}  // namespace pannier
