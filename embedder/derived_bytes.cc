// Derived bytes made from the file as it is, and written into it.
#include "embedder/derived_bytes.h"

#include "src/derived.h"
#include "src/mapped_file.h"

namespace pannier {

std::vector<Derived> DerivedOf(const BundleReader& reader) {
  std::vector<Derived> list;
  if (reader.manifest().derived() == nullptr) return list;
  for (const format::Derived* entry : *reader.manifest().derived()) {
    Derived derived{entry->kind(), entry->offset(), entry->size(), {}};
    if (entry->parameters() != nullptr) derived.parameters.assign(entry->parameters()->begin(), entry->parameters()->end());
    list.push_back(std::move(derived));
  }
  return list;
}

Status WriteDerived(OutputFile& out, std::uint64_t base, std::uint64_t size, const std::vector<Derived>& derived) {
  for (const Derived& one : derived) {
    PANNIER_TRY(const MappedFile file, MappedFile::Map(out.fd(), base, size));
    PANNIER_TRY(const std::vector<std::uint8_t> bytes, MakeDerived(one.kind, file, one.offset, one.size, View(one.parameters)));
    if (bytes.size() != one.size || !FitsWithin(one.offset, one.size, size)) return Malformed("derived bytes: found another size");
    PANNIER_CHECK_OK(out.WriteAt(base + one.offset, View(bytes)));
  }
  return {};
}

}  // namespace pannier
