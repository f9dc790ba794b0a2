// Tensors' facts written as a FlatBuffer, with their numbers sorted by name.
#include "src/tensor_table.h"

#include <algorithm>
#include <numeric>

#include "src/bundle_reader.h"
#include "src/format.h"

namespace pannier {

std::uint64_t TensorTableRoom(const ParamsFile& params) {
  std::uint64_t room = 1024;
  for (const ParamsTensor& tensor : params.tensors) room += 160 + tensor.name.size() + tensor.shape.size() * sizeof(std::int64_t);
  return room;
}

flatbuffers::DetachedBuffer BuildTensorTable(const ParamsFile& params, const std::vector<TensorFacts>& facts) {
  // A builder that grows holds twice or three times what it takes.
  flatbuffers::FlatBufferBuilder builder(static_cast<std::size_t>(TensorTableRoom(params)));
  std::vector<flatbuffers::Offset<format::Tensor>> tensors;
  for (std::size_t i = 0; i < params.tensors.size(); ++i) {
    const ParamsTensor& tensor = params.tensors[i];
    const format::DataType dtype(tensor.dtype.code, tensor.dtype.bits, tensor.dtype.lanes);
    const format::Sha256 chunks_sha256 = ToStored(facts[i].chunks_sha256);
    const auto name = builder.CreateString(tensor.name);
    const auto shape = builder.CreateVector(tensor.shape);
    tensors.push_back(format::CreateTensor(builder, name, &dtype, shape, tensor.data_size, facts[i].first_chunk, &chunks_sha256,
                                           tensor.device.device_type, tensor.device.device_id, tensor.reserved,
                                           facts[i].group.offset, facts[i].group.size));
  }
  std::vector<std::uint32_t> by_name(params.tensors.size());
  std::iota(by_name.begin(), by_name.end(), 0U);
  std::sort(by_name.begin(), by_name.end(),
            [&](std::uint32_t a, std::uint32_t b) { return params.tensors[a].name < params.tensors[b].name; });
  const auto tensor_vector = builder.CreateVector(tensors);
  const auto order = builder.CreateVector(by_name);
  builder.Finish(format::CreateTensorTable(builder, kChunkSize, params.reserved, tensor_vector, order));
  return builder.Release();
}

}  // namespace pannier
