// TVM's blob of modules, as export_library links it into a library under the symbol __tvm_dev_mblob: taken apart, and written anew
// with a graph executor's factory in front.
//
// The layout, all integers little-endian u64, strings and vectors with a u64 length in front:
//   size of what follows, number of entries, and for each entry its key and, but for "_lib", what the module of that kind wrote
//   (no length: only that module's reader knows where it ends). The last entry, "_import_tree", holds two vectors: row pointers,
//   one more than there are modules, and the modules' numbers that they lead to. Module 0 is the root. Old blobs have no tree: then
//   the library, which is no entry, imports all modules.
// Written by TVM 0.7 to 0.19: src/target/codegen.cc (SerializeModule); read by src/runtime/library_module.cc (ProcessModuleBlob).
#ifndef PANNIER_SRC_MODULE_BLOB_H_
#define PANNIER_SRC_MODULE_BLOB_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "src/bytes.h"
#include "src/result.h"

namespace pannier {

inline constexpr std::string_view kBlobSymbol = "__tvm_dev_mblob";
inline constexpr std::string_view kFactoryKey = "GraphExecutorFactory";   // TVM 0.8 to 0.19
inline constexpr std::string_view kFactoryKey07 = "GraphRuntimeFactory";  // TVM 0.7
inline constexpr std::string_view kLibraryKey = "_lib";

struct ImportTree {
  std::vector<std::uint64_t> row_pointers;  // of module i: children from [i] up to [i + 1]
  std::vector<std::uint64_t> children;
};

// Borrows the blob's bytes.
struct ModuleBlob {
  ByteView bytes;             // all of it, its size included
  std::uint64_t entries = 0;  // with "_import_tree"
  std::string_view root_key;  // of the first entry: a factory's key, "_lib", a device's
  ByteView modules;           // all entries but "_import_tree", the first one's key included
  std::optional<ImportTree> tree;

  bool is_factory() const { return root_key == kFactoryKey || root_key == kFactoryKey07; }
};

// A string's bytes; moves `at` behind it. Nothing where it does not lie within `bytes`.
std::optional<ByteView> ReadBlobString(ByteView bytes, std::uint64_t& at);

// `bytes` begin with the blob and may go on behind it. kMalformed: it is none.
Result<ModuleBlob> ParseModuleBlob(ByteView bytes);

// What stands before a factory's graph JSON, between that and the tensors' names, and behind the last tensor.
struct FactoryBlob {
  std::vector<std::uint8_t> before_graph;
  std::vector<std::uint8_t> behind_tensors;
};

// A blob whose root is a factory that imports the library, and with it the modules of the library's own blob, where there is one.
// `key`: kFactoryKey or kFactoryKey07. `inner_size`: bytes from the graph JSON's first up to the last tensor's last.
Result<FactoryBlob> WrapInFactory(std::string_view key, const ModuleBlob* imported, std::uint64_t graph_size,
                                  std::uint64_t inner_size);

}  // namespace pannier

#endif  // PANNIER_SRC_MODULE_BLOB_H_
