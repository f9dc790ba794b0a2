// What TVM's own export_library made of a graph executor's factory, read as if it were a bundle: graph and params are taken from
// the blob of modules (module_blob.h) that the library exports.
#ifndef PANNIER_SRC_FACTORY_READER_H_
#define PANNIER_SRC_FACTORY_READER_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "src/bytes.h"
#include "src/module_blob.h"
#include "src/payload.h"
#include "src/result.h"
#include "src/tvm_params.h"

namespace pannier {

// Borrows the blob's bytes.
struct Factory {
  std::string_view key;
  ByteView graph;         // JSON
  ByteView params;        // from the count of tensors up to the last one's end
  ParamsFile file;        // that the params make; data_offset counts from where `params` begin
  std::string_view name;  // of the module, mostly "default"
  // Of the modules that are imported; up to the first that is not the library, since only its own reader knows where it ends.
  std::vector<std::string_view> imported_keys;
  std::uint64_t unknown_imports = 0;  // so many follow
};

// kMalformed; kUnsupported where the blob's root is no factory.
Result<Factory> ReadFactory(const ModuleBlob& blob);

// A payload in the file only, whose sections lead into the blob. Reads no tensor. `library`: the bytes that hold the blob.
Payload DescribeFactory(const Factory& factory, const ModuleBlob& blob, ByteView library);

// The same of the factory that a library, ELF, PE or thin Mach-O, exports: kNotABundle where there is none.
Result<Payload> FindFactory(ByteView library);

// FindPayload, and FindFactory where there is none.
Result<Payload> FindPayloadOrFactory(ByteView file, std::string_view arch = {});

// FindPayload, for who needs digests: where there is none, but a factory, the error says so.
Result<Payload> FindPayloadWithDigests(ByteView file, std::string_view arch = {});

// The error where a factory's digests are asked for.
Status NoDigests();

}  // namespace pannier

#endif  // PANNIER_SRC_FACTORY_READER_H_
