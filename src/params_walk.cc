// A .params file's pieces in their order: start, names, middle, then header and data of each tensor.
#include "src/params_walk.h"

#include "src/tvm_params.h"

namespace pannier {

std::vector<std::int64_t> ShapeOf(const format::Tensor& tensor) { return {tensor.shape()->begin(), tensor.shape()->end()}; }

Status WalkParams(const TensorReader& tensors, const std::function<Status(ByteView)>& on_bytes,
                  const std::function<Status(std::uint32_t index, const ChunkedContent& content)>& on_tensor) {
  std::vector<std::uint8_t> buffer;
  AppendParamsStart(buffer, tensors.params_reserved(), tensors.size());
  for (std::uint32_t i = 0; i < tensors.size(); ++i) {
    AppendParamsName(buffer, ToText(tensors[i].name()));
  }
  AppendParamsMiddle(buffer, tensors.size());
  PANNIER_CHECK_OK(on_bytes(View(buffer)));
  for (std::uint32_t i = 0; i < tensors.size(); ++i) {
    const format::Tensor& tensor = tensors[i];
    const std::vector<std::int64_t> shape = ShapeOf(tensor);
    buffer.clear();
    AppendTensorHeader(buffer, {tensor.reserved(),
                                {tensor.device_type(), tensor.device_id()},
                                DataTypeOf(tensor),
                                {shape.data(), shape.size()},
                                tensor.size()});
    PANNIER_CHECK_OK(on_bytes(View(buffer)));
    PANNIER_TRY(const ChunkedContent content, tensors.Content(i));
    PANNIER_CHECK_OK(on_tensor(i, content));
  }
  return {};
}

}  // namespace pannier
