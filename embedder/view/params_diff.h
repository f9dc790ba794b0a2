// CompareParams: which tensors of two bundles differ, and by how much.
#ifndef PANNIER_EMBEDDER_VIEW_PARAMS_DIFF_H_
#define PANNIER_EMBEDDER_VIEW_PARAMS_DIFF_H_

#include <nlohmann/json_fwd.hpp>

#include "src/bundle_reader.h"
#include "src/effort.h"
#include "src/result.h"

namespace pannier {

struct ParamsSide {
  TensorReader tensors;
  bool has_digests;  // then chunks are checked, and those with equal ones count as equal
};

// {"added": [{"name", "dtype", "shape", "bytes"}], "removed", "changed": [...], "equal", "recoded": [{"name", "a_codec",
// "b_codec"}]}. Of a changed one: "name", then "a_dtype" and "b_dtype", or "a_shape" and "b_shape", where they differ; else
// "elements", "differing", "greatest" and "mean" (of differences between finite values; null where there are none, or the type has
// no numbers), and "same_as": the tensor of a that has these values, if one has. Tensors belong together by name. `progress` gets
// the bytes compared; from any thread.
Result<nlohmann::json> CompareParams(const ParamsSide& a, const ParamsSide& b, const Effort& effort);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_VIEW_PARAMS_DIFF_H_
