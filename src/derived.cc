// Derived bytes, by kind.
#include "src/derived.h"

#include "src/code_signature.h"
#include "src/pe_checksum.h"
#include "src/text.h"

namespace pannier {
namespace {

// The signature ends the file and covers all that is before it.
Result<std::vector<std::uint8_t>> MakeMachOSignature(const MappedFile& file, std::uint64_t offset, std::uint64_t size,
                                                     ByteView parameters) {
  PANNIER_TRY(const SignatureFacts facts, DecodeSignatureFacts(parameters));
  if (!file.bytes().Contains(offset, size) || offset > UINT32_MAX)
    return Malformed(
        StrCat("found ", size, " bytes at ", Hex(offset), ", expected a range within ", file.bytes().size(), " bytes"));
  if (CodeSignatureSize(facts, offset) != size)
    return Malformed(StrCat("found ", size, " bytes, expected ", CodeSignatureSize(facts, offset)));
  return MakeCodeSignature(facts, file, offset, 0);
}

}  // namespace

Result<std::vector<std::uint8_t>> MakeDerived(format::DerivedKind kind, const MappedFile& file, std::uint64_t offset,
                                              std::uint64_t size, ByteView parameters) {
  if (kind == format::DerivedKind::MachOSignature) return MakeMachOSignature(file, offset, size, parameters);
  if (kind == format::DerivedKind::PeChecksum) {
    if (size != 4) return Malformed(StrCat("checksum: found ", size, " bytes, expected 4"));
    std::vector<std::uint8_t> bytes(4);
    StoreInteger(bytes.data(), PeChecksum(file, offset), ByteOrder::kLittle);
    return bytes;
  }
  return Unsupported(StrCat("derived bytes: kind: found ", static_cast<unsigned>(kind), ", expected none"));
}

}  // namespace pannier
