// TVM's .params files: one pass over the headers, each written again and compared with what was read.
#include "src/tvm_params.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "src/bytes.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::uint64_t kParamsMagic = 0xF7E58D4F05049CB7;
constexpr std::uint64_t kTensorMagic = 0xDD5E40F096B4A13F;
constexpr std::size_t kTensorFixedSize = 32;  // up to the shape

// Reads ahead, so that small headers do not cost a call each. Behind large data it reads little, as most of it would be data again.
class HeaderReader {
 public:
  explicit HeaderReader(const ByteSource& source) : source_(source), size_(source.size()) {}

  std::uint64_t offset() const { return offset_; }
  std::uint64_t remaining() const { return size_ - offset_; }
  void Skip(std::uint64_t size) { offset_ += size; }

  // The next bytes; they stay valid until the next call.
  Result<ByteView> Peek(std::size_t size) {
    if (size > remaining()) return Malformed(StrCat("found ", remaining(), " bytes, expected ", size));
    if (!FitsWithin(offset_ - window_offset_, size, window_.size())) {
      const bool jumped = offset_ - window_offset_ > window_.size();
      const std::size_t ahead = std::max(size, jumped ? kWindowAfterJump : kWindow);
      window_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(ahead, remaining())));
      window_offset_ = offset_;
      PANNIER_CHECK_OK(source_.ReadAt(offset_, window_.data(), window_.size()));
    }
    return ByteView(window_.data() + (offset_ - window_offset_), size);
  }

 private:
  static constexpr std::size_t kWindow = 64 * 1024;
  static constexpr std::size_t kWindowAfterJump = 4 * 1024;

  const ByteSource& source_;
  const std::uint64_t size_;
  std::uint64_t offset_ = 0;  // never below window_offset_
  std::uint64_t window_offset_ = 0;
  std::vector<std::uint8_t> window_;
};

template <typename T>
T Little(ByteView bytes, std::size_t offset) {
  return LoadInteger<T>(bytes.data() + offset, ByteOrder::kLittle);
}

std::string ShapeText(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::int64_t dimension : shape) text += StrCat(text.size() == 1 ? "" : ", ", dimension);
  return text + "]";
}

Status CheckMagic(std::uint64_t found, std::uint64_t expected) {
  if (found != expected) return Malformed(StrCat("magic: found ", Hex(found), ", expected ", Hex(expected)));
  return {};
}

// The promise that a bundle gives the file back byte for byte rests on this comparison, not on parser and writer being thought
// alike.
Status CheckWrittenAlike(const std::vector<std::uint8_t>& written, ByteView found) {
  if (!(View(written) == found)) return Malformed("found bytes that would be written differently");
  return {};
}

Status MakeRoom(const HeaderReader& reader, std::uint64_t count, ParamsFile& file) {
  const std::uint64_t room = reader.remaining() / (ParamsNameSize(0) + TensorHeaderSize(0));
  const std::uint64_t limit = std::min(room, kMaxParamsTensors);
  if (count > limit) return Malformed(StrCat("tensor count: found ", count, ", expected at most ", limit));
  file.tensors.resize(static_cast<std::size_t>(count));
  return {};
}

Status ParseStart(HeaderReader& reader, std::vector<std::uint8_t>& scratch, ParamsFile& file) {
  PANNIER_TRY(const ByteView start, reader.Peek(kParamsStartSize));
  PANNIER_CHECK_OK(CheckMagic(Little<std::uint64_t>(start, 0), kParamsMagic));
  file.reserved = Little<std::uint64_t>(start, 8);
  const auto count = Little<std::uint64_t>(start, 16);
  scratch.clear();
  AppendParamsStart(scratch, file.reserved, count);
  PANNIER_CHECK_OK(CheckWrittenAlike(scratch, start));
  reader.Skip(start.size());
  return MakeRoom(reader, count, file);
}

Status ParseName(HeaderReader& reader, std::vector<std::uint8_t>& scratch, std::string& name) {
  PANNIER_TRY(const ByteView size_field, reader.Peek(ParamsNameSize(0)));
  const auto size = Little<std::uint64_t>(size_field, 0);
  if (size > kMaxParamsNameSize) return Malformed(StrCat("size: found ", size, ", expected at most ", kMaxParamsNameSize));
  PANNIER_TRY(const ByteView entry, reader.Peek(ParamsNameSize(static_cast<std::size_t>(size))));
  name.assign(entry.text().substr(ParamsNameSize(0)));
  if (!IsPrintableUtf8(name)) return Malformed(StrCat("found \"", Printable(name), "\", expected printable UTF-8"));
  scratch.clear();
  AppendParamsName(scratch, name);
  PANNIER_CHECK_OK(CheckWrittenAlike(scratch, entry));
  reader.Skip(entry.size());
  return {};
}

Status CheckDistinctNames(const std::vector<ParamsTensor>& tensors) {
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const int names = tensors[a].name.compare(tensors[b].name);
    return names != 0 ? names < 0 : a < b;
  });
  auto same = [&](std::size_t a, std::size_t b) { return tensors[a].name == tensors[b].name; };
  const auto twin = std::adjacent_find(order.begin(), order.end(), same);
  if (twin == order.end()) return {};
  return Malformed(StrCat("name ", twin[1], ": found \"", Printable(tensors[*twin].name), "\" again (name ", twin[0],
                          "), expected distinct names"));
}

Status ParseMiddle(HeaderReader& reader, std::vector<std::uint8_t>& scratch, std::uint64_t name_count) {
  PANNIER_TRY(const ByteView middle, reader.Peek(kParamsMiddleSize));
  const auto count = Little<std::uint64_t>(middle, 0);
  if (count != name_count) return Malformed(StrCat("found ", count, ", expected ", name_count, " as there are names"));
  scratch.clear();
  AppendParamsMiddle(scratch, count);
  PANNIER_CHECK_OK(CheckWrittenAlike(scratch, middle));
  reader.Skip(middle.size());
  return {};
}

Status ParseTensor(HeaderReader& reader, std::vector<std::uint8_t>& scratch, ParamsTensor& tensor) {
  PANNIER_TRY(const ByteView fixed, reader.Peek(kTensorFixedSize).WithContext("header"));
  PANNIER_CHECK_OK(CheckMagic(Little<std::uint64_t>(fixed, 0), kTensorMagic));
  const auto dimensions = Little<std::uint32_t>(fixed, 24);  // a negative one is above the limit, too
  if (dimensions > kMaxTensorDimensions) {
    return Malformed(StrCat("dimensions: found ", static_cast<std::int32_t>(dimensions), ", expected 0 to ", kMaxTensorDimensions));
  }

  PANNIER_TRY(const ByteView header, reader.Peek(TensorHeaderSize(dimensions)).WithContext("header"));
  tensor.reserved = Little<std::uint64_t>(header, 8);
  tensor.device = {static_cast<std::int32_t>(Little<std::uint32_t>(header, 16)),
                   static_cast<std::int32_t>(Little<std::uint32_t>(header, 20))};
  tensor.dtype = {Little<std::uint8_t>(header, 28), Little<std::uint8_t>(header, 29), Little<std::uint16_t>(header, 30)};
  tensor.shape.resize(dimensions);
  for (std::size_t i = 0; i < dimensions; ++i) {
    tensor.shape[i] = static_cast<std::int64_t>(Little<std::uint64_t>(header, kTensorFixedSize + 8 * i));
  }
  tensor.data_size = Little<std::uint64_t>(header, header.size() - 8);
  scratch.clear();
  AppendTensorHeader(scratch, tensor.header());
  PANNIER_CHECK_OK(CheckWrittenAlike(scratch, header).WithContext("header"));

  if (tensor.dtype.bits == 0 || tensor.dtype.lanes == 0) {
    return Malformed(
        StrCat("dtype: found ", tensor.dtype.bits, " bits in ", tensor.dtype.lanes, " lanes, expected at least 1 in 1"));
  }
  const std::optional<std::uint64_t> size = TensorBytes(tensor.dtype, tensor.header().shape);
  if (!size) {
    return Malformed(
        StrCat("shape: found ", ShapeText(tensor.shape), ", expected dimensions of 0 or more, and fewer than 2^63 bytes"));
  }
  // SaveDLTensor (ndarray.h in 0.9, tensor.h today) forgets the lanes: it writes product * ceil(bits / 8) bytes. With more than one
  // lane that is a part of the data, and a view of such a tensor would reach beyond it; the file is then kept as it is. No frontend
  // makes such params.
  if (tensor.data_size != *size) return Malformed(StrCat("data size: found ", tensor.data_size, ", expected ", *size));

  reader.Skip(header.size());
  if (tensor.data_size > reader.remaining()) {
    return Malformed(StrCat("data: found ", reader.remaining(), " bytes, expected ", tensor.data_size));
  }
  tensor.data_offset = reader.offset();
  reader.Skip(tensor.data_size);
  return {};
}

Status ParseNames(HeaderReader& reader, std::vector<std::uint8_t>& scratch, std::vector<ParamsTensor>& tensors) {
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    Status status = ParseName(reader, scratch, tensors[i].name);
    if (!status.ok()) return std::move(status).WithContext(StrCat("name ", i));
  }
  return CheckDistinctNames(tensors);
}

Status ParseTensors(HeaderReader& reader, std::vector<std::uint8_t>& scratch, std::vector<ParamsTensor>& tensors) {
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    Status status = ParseTensor(reader, scratch, tensors[i]);
    if (!status.ok()) return std::move(status).WithContext(StrCat("tensor ", i, " \"", Printable(tensors[i].name), "\""));
  }
  return {};
}

Result<ParamsFile> ParseFile(const ByteSource& source) {
  HeaderReader reader(source);
  std::vector<std::uint8_t> scratch;
  ParamsFile file{};
  file.file_size = source.size();

  PANNIER_CHECK_OK(ParseStart(reader, scratch, file).WithContext("header"));
  PANNIER_CHECK_OK(ParseNames(reader, scratch, file.tensors));
  PANNIER_CHECK_OK(ParseMiddle(reader, scratch, file.tensors.size()).WithContext("tensor count"));
  PANNIER_CHECK_OK(ParseTensors(reader, scratch, file.tensors));
  if (reader.remaining() != 0) {
    return Malformed(StrCat("end of file: found ", reader.remaining(), " bytes behind the last tensor, expected none"));
  }
  return file;
}

// Names and tensors are read as those of a file, so that they give one.
Result<FactoryParams> ParseInFactory(const ByteSource& source) {
  HeaderReader reader(source);
  std::vector<std::uint8_t> scratch;
  FactoryParams params{};
  constexpr std::size_t kCountsSize = 16;
  PANNIER_TRY(const ByteView counts, reader.Peek(kCountsSize));
  const auto count = Little<std::uint64_t>(counts, 0);
  const auto name_count = Little<std::uint64_t>(counts, 8);
  if (name_count != count) return Malformed(StrCat("names: found ", name_count, ", expected ", count, " as there are tensors"));
  reader.Skip(counts.size());
  PANNIER_CHECK_OK(MakeRoom(reader, count, params.file));
  PANNIER_CHECK_OK(ParseNames(reader, scratch, params.file.tensors));
  PANNIER_CHECK_OK(ParseTensors(reader, scratch, params.file.tensors));
  params.size = reader.offset();
  params.file.file_size = kParamsStartSize + kParamsMiddleSize + (params.size - kCountsSize);
  return params;
}

// By DLPack's code; null if it has none. Those from 7 on carry their width in the name.
const char* DataTypeCodeName(std::uint8_t code) {
  static constexpr const char* kNames[] = {"int",
                                           "uint",
                                           "float",
                                           "handle",
                                           "bfloat",
                                           "complex",
                                           "bool",
                                           "float8_e3m4",
                                           "float8_e4m3",
                                           "float8_e4m3b11fnuz",
                                           "float8_e4m3fn",
                                           "float8_e4m3fnuz",
                                           "float8_e5m2",
                                           "float8_e5m2fnuz",
                                           "float8_e8m0fnu",
                                           "float6_e2m3fn",
                                           "float6_e3m2fn",
                                           "float4_e2m1fn"};
  return code < sizeof(kNames) / sizeof(kNames[0]) ? kNames[code] : nullptr;
}

}  // namespace

// As TVM 0.9 spells it (DLDataType2String in data_type.h), and tvm-ffi the codes above 5. TVM releases in between used codes 6 and
// 7 for e4m3_float and e5m2_float, before DLPack gave them to other types; a file does not say which was meant.
std::string DataTypeName(DataType dtype) {
  constexpr std::uint8_t kUInt = 1, kHandle = 3, kBool = 6, kFirstWithWidth = 7;
  if (dtype == DataType{kUInt, 1, 1}) return "bool";
  const char* code_name = DataTypeCodeName(dtype.code);
  std::string name;
  if (code_name == nullptr) {
    name = StrCat("code", dtype.code, "_", dtype.bits);
  } else if (dtype.code == kHandle) {
    return code_name;
  } else if (dtype.code >= kFirstWithWidth || (dtype.code == kBool && dtype.bits == 8)) {
    name = code_name;
  } else {
    name = StrCat(code_name, dtype.bits);
  }
  if (dtype.lanes != 1) name += StrCat("x", dtype.lanes);
  return name;
}

std::optional<std::uint64_t> TensorBytes(DataType dtype, ArrayView<std::int64_t> shape) {
  if (dtype.bits == 0 || dtype.lanes == 0 || shape.size() > kMaxTensorDimensions) return std::nullopt;
  std::uint64_t size = (std::uint64_t{dtype.bits} * dtype.lanes + 7) / 8;
  bool empty = false;
  for (std::int64_t dimension : shape) {
    if (dimension < 0) return std::nullopt;
    if (dimension == 0) {
      empty = true;
      continue;
    }
    const auto product = CheckedMultiply(size, static_cast<std::uint64_t>(dimension));
    if (!product || *product > INT64_MAX) return std::nullopt;
    size = *product;
  }
  return empty ? 0 : size;
}

Result<ParamsFile> ParseParams(const ByteSource& source) { return ParseFile(source).WithContext("params"); }

Result<FactoryParams> ParseFactoryParams(const ByteSource& source) { return ParseInFactory(source).WithContext("params"); }

void AppendParamsStart(std::vector<std::uint8_t>& out, std::uint64_t reserved, std::uint64_t tensor_count) {
  AppendLittle(out, kParamsMagic);
  AppendLittle(out, reserved);
  AppendLittle(out, tensor_count);
}

void AppendParamsName(std::vector<std::uint8_t>& out, std::string_view name) {
  AppendLittle(out, std::uint64_t{name.size()});
  out.insert(out.end(), name.begin(), name.end());
}

void AppendParamsMiddle(std::vector<std::uint8_t>& out, std::uint64_t tensor_count) { AppendLittle(out, tensor_count); }

void AppendTensorHeader(std::vector<std::uint8_t>& out, const TensorHeader& header) {
  AppendLittle(out, kTensorMagic);
  AppendLittle(out, header.reserved);
  AppendLittle(out, static_cast<std::uint32_t>(header.device.device_type));
  AppendLittle(out, static_cast<std::uint32_t>(header.device.device_id));
  AppendLittle(out, static_cast<std::uint32_t>(header.shape.size()));
  AppendLittle(out, header.dtype.code);
  AppendLittle(out, header.dtype.bits);
  AppendLittle(out, header.dtype.lanes);
  for (std::int64_t dimension : header.shape) AppendLittle(out, static_cast<std::uint64_t>(dimension));
  AppendLittle(out, header.data_size);
}

}  // namespace pannier
