// A bundle's tensor as DLPack's DLManagedTensor, for whoever takes those. Header only; dlpack.h must be on the include path.
#ifndef PANNIER_DLPACK_H_
#define PANNIER_DLPACK_H_

#include <dlpack/dlpack.h>

#include "pannier/bundle.h"

namespace pannier {

// The memory is TensorView::mutable_data(), whose writes nobody else sees: consumers may write, and types do not tell. It stays
// until the consumer calls the deleter, which gives the handle back, too. Errors as mutable_data().
inline DLManagedTensor* ManagedTensor(const Bundle& bundle, const TensorView& tensor) {
  struct Managed {
    DLManagedTensor tensor;
    Bundle bundle;  // keeps memory and shape
  };
  auto* const managed = new Managed{{tensor.mutable_dl_tensor().As<DLTensor>(), nullptr, nullptr}, bundle};
  managed->tensor.manager_ctx = managed;
  managed->tensor.deleter = [](DLManagedTensor* self) { delete static_cast<Managed*>(self->manager_ctx); };
  return &managed->tensor;
}

}  // namespace pannier

#endif  // PANNIER_DLPACK_H_
