// The format: https://huggingface.co/docs/safetensors, and what its library refuses to read.
#include "embedder/export_safetensors.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string_view>

#include "src/params_walk.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::size_t kLongestHeader = 100'000'000;  // that the library reads
constexpr std::string_view kMetadata = "__metadata__";

// Nullptr: there is none.
const char* SafetensorsType(DataType type) {
  struct Known {
    DataType type;
    const char* name;
  };
  constexpr Known kKnown[] = {
      {{0, 8, 1}, "I8"},       {{0, 16, 1}, "I16"},     {{0, 32, 1}, "I32"}, {{0, 64, 1}, "I64"}, {{1, 8, 1}, "U8"},
      {{1, 16, 1}, "U16"},     {{1, 32, 1}, "U32"},     {{1, 64, 1}, "U64"}, {{2, 16, 1}, "F16"}, {{2, 32, 1}, "F32"},
      {{2, 64, 1}, "F64"},     {{4, 16, 1}, "BF16"},    {{5, 64, 1}, "C64"}, {{1, 1, 1}, "BOOL"}, {{6, 8, 1}, "BOOL"},
      {{10, 8, 1}, "F8_E4M3"}, {{12, 8, 1}, "F8_E5M2"},
  };
  for (const Known& known : kKnown) {
    if (known.type == type) return known.name;
  }
  return nullptr;
}

}  // namespace

Result<SafetensorsFile> SafetensorsFile::Plan(const TensorReader& tensors) {
  SafetensorsFile file(tensors);
  file.order_.resize(tensors.size());
  std::iota(file.order_.begin(), file.order_.end(), 0);
  // No gaps are allowed, and readers want each tensor aligned to its elements: as the library does it, large elements come first.
  std::stable_sort(file.order_.begin(), file.order_.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return tensors[a].dtype()->bits() > tensors[b].dtype()->bits(); });
  file.header_ = "{";
  std::uint64_t offset = 0;
  for (const std::uint32_t i : file.order_) {
    const format::Tensor& tensor = tensors[i];
    const std::string name(ToText(tensor.name()));
    const DataType type = DataTypeOf(tensor);
    const char* const type_name = SafetensorsType(type);
    if (type_name == nullptr) {
      return {ErrorCode::kUnsupported,
              StrCat("tensor \"", Printable(name), "\": dtype: found ", DataTypeName(type),
                     ", expected one that safetensors has: bool, int8 to int64, uint8 to uint64, float16 to float64, "
                     "bfloat16, float8_e4m3fn, float8_e5m2, complex64")};
    }
    if (name == kMetadata)
      return Unsupported(StrCat("tensor \"", kMetadata, "\": found a name that means something else in safetensors"));
    std::string shape;
    for (const std::int64_t dimension : ShapeOf(tensor)) shape += StrCat(shape.empty() ? "" : ",", dimension);
    file.header_ += StrCat(file.header_.size() == 1 ? "" : ",", nlohmann::json(name).dump(), ":{\"dtype\":\"", type_name,
                           "\",\"shape\":[", shape, "],\"data_offsets\":[", offset, ",", offset + tensor.size(), "]}");
    offset += tensor.size();
    if (file.header_.size() + 8 > kLongestHeader)
      return Unsupported(StrCat("safetensors header: found more than ", kLongestHeader, " bytes for ", tensors.size(),
                                " tensors, expected less, as readers do"));
  }
  file.header_ += '}';
  file.header_.resize(AlignUp(file.header_.size(), 8), ' ');
  file.size_ = 8 + file.header_.size() + offset;
  return file;
}

Status SafetensorsFile::Write(ContentStream& stream, const std::function<Status(ByteView)>& sink) const {
  std::vector<std::uint8_t> start;
  AppendLittle(start, std::uint64_t{header_.size()});
  start.insert(start.end(), header_.begin(), header_.end());
  PANNIER_CHECK_OK(sink(View(start)));
  for (const std::uint32_t i : order_) {
    const auto write = [&]() -> Status {
      PANNIER_TRY(const ChunkedContent content, tensors_.Content(i));
      return stream.Run(content, sink);
    };
    PANNIER_CHECK_OK(write().WithContext(Named(tensors_[i])));
  }
  return {};
}

}  // namespace pannier
