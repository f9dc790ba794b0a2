// Params as a safetensors file: a JSON header, then all data.
#ifndef PANNIER_EMBEDDER_EXPORT_SAFETENSORS_H_
#define PANNIER_EMBEDDER_EXPORT_SAFETENSORS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "embedder/content/artifact_stream.h"
#include "src/bundle_reader.h"
#include "src/bytes.h"
#include "src/result.h"

namespace pannier {

class SafetensorsFile {
 public:
  // kUnsupported where the format has no such type or name.
  static Result<SafetensorsFile> Plan(const TensorReader& tensors);

  std::uint64_t size() const { return size_; }

  // From the first byte to the last.
  Status Write(ContentStream& stream, const std::function<Status(ByteView)>& sink) const;

 private:
  explicit SafetensorsFile(const TensorReader& tensors) : tensors_(tensors) {}

  TensorReader tensors_;
  std::string header_;
  std::vector<std::uint32_t> order_;  // of the tensors in the file
  std::uint64_t size_ = 0;
};

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_EXPORT_SAFETENSORS_H_
