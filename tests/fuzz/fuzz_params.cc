// Fuzz target: a .params file. What is parsed gives the file back when it is written again.
#include <vector>

#include "src/tvm_params.h"
#include "tests/fuzz/fuzz_support.h"

namespace pannier {

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  const Result<ParamsFile> file = ParseParams(MemorySource(input));
  if (!file.ok()) return 0;
  std::vector<std::uint8_t> written;
  AppendParamsStart(written, file->reserved, file->tensors.size());
  for (const ParamsTensor& tensor : file->tensors) AppendParamsName(written, tensor.name);
  AppendParamsMiddle(written, file->tensors.size());
  for (const ParamsTensor& tensor : file->tensors) {
    Require(TensorBytes(tensor.dtype, tensor.header().shape) == tensor.data_size, "a tensor's size is that of its shape");
    AppendTensorHeader(written, tensor.header());
    const auto values = input.Slice(tensor.data_offset, tensor.data_size);
    Require(values.has_value(), "a tensor's values lie in the file");
    written.insert(written.end(), values->begin(), values->end());
    Require(!DataTypeName(tensor.dtype).empty(), "a type has a name");
  }
  Require(View(written) == input, "params are written again as they were");
  return 0;
}

}  // namespace pannier
