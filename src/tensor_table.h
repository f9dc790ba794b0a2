// BuildTensorTable: a params artifact's tensor table (manifest.fbs) as a FlatBuffer, the same bytes for the same facts.
#ifndef PANNIER_SRC_TENSOR_TABLE_H_
#define PANNIER_SRC_TENSOR_TABLE_H_

#include <cstdint>
#include <vector>

#include "manifest_generated.h"
#include "src/chunked_content.h"
#include "src/sha256.h"
#include "src/tvm_params.h"

namespace pannier {

struct TensorFacts {
  std::uint64_t first_chunk = 0;
  GroupPlace group;
  Sha256Digest chunks_sha256;
};

// No less than what the table takes.
std::uint64_t TensorTableRoom(const ParamsFile& params);

// `facts` has an entry for each tensor. The table's room is at most kMaxTensorTableSize: FlatBuffers cannot do twice as much.
flatbuffers::DetachedBuffer BuildTensorTable(const ParamsFile& params, const std::vector<TensorFacts>& facts);

}  // namespace pannier

#endif  // PANNIER_SRC_TENSOR_TABLE_H_
