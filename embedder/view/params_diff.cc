// Tensors decoded side by side. What both store in the same way is compared as it is stored, by its digest.
#include "embedder/view/params_diff.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "embedder/view/description.h"
#include "embedder/view/tensor_values.h"
#include "src/parallel.h"
#include "src/params_walk.h"
#include "src/sha256.h"

namespace pannier {
namespace {

using Json = nlohmann::json;

// A tensor's bytes from front to back; chunks of two tensors need not have the same size.
class Cursor {
 public:
  Cursor(const ChunkedContent& content, bool check) : content_(content), check_(check) {}

  // What is decoded and not taken yet; empty at the end.
  Result<ByteView> Rest() {
    while (at_ == buffer_.size() && next_ < content_.chunk_count()) {
      buffer_.resize(content_.chunk_bytes(next_));
      at_ = 0;
      PANNIER_CHECK_OK(content_.DecodeChunk(next_++, buffer_.data(), check_, decoder_));
    }
    return ByteView(buffer_.data() + at_, buffer_.size() - at_);
  }
  void Take(std::size_t size) { at_ += size; }

 private:
  const ChunkedContent& content_;
  const bool check_;
  ChunkDecoder decoder_;
  std::vector<std::uint8_t> buffer_;
  std::size_t at_ = 0;
  std::uint64_t next_ = 0;
};

struct Contents {
  ChunkedContent content;
  bool has_digests;
};

// Calls function(left, right) with pieces of equal size, from front to back.
template <typename Function>
Status ForEachPair(const Contents& a, const Contents& b, const Function& function) {
  Cursor left(a.content, a.has_digests);
  Cursor right(b.content, b.has_digests);
  while (true) {
    PANNIER_TRY(const ByteView one, left.Rest());
    PANNIER_TRY(const ByteView other, right.Rest());
    const std::size_t size = std::min(one.size(), other.size());
    if (size == 0) return {};
    function(ByteView(one.data(), size), ByteView(other.data(), size));
    left.Take(size);
    right.Take(size);
  }
}

struct Difference {
  std::uint64_t differing = 0;
  std::uint64_t finite = 0;  // pairs of numbers that differ
  double greatest = 0;
  double sum = 0;
};

// Of two tensors of one type and shape. Chunks end at whole values, but for types whose size is no power of two: there a value that
// is cut counts as none.
Result<Difference> CompareValues(const Contents& a, const Contents& b, DataType dtype, const ValueLayout& layout) {
  const ValueDecoder decode = DecoderOf(dtype);
  Difference found;
  std::uint64_t left = layout.count;
  PANNIER_CHECK_OK(ForEachPair(a, b, [&](ByteView one, ByteView other) {
    if (one == other) {
      left -= std::min<std::uint64_t>(left, one.size() * std::uint64_t{8} / layout.width);
      return;
    }
    std::vector<std::uint64_t> values;
    std::uint64_t count = left;
    ForEachValue(one, layout.width, count, [&](std::uint64_t bits) { values.push_back(bits); });
    std::size_t i = 0;
    ForEachValue(other, layout.width, left, [&](std::uint64_t bits) {
      const std::uint64_t before = values[i++];
      const std::uint64_t mask = layout.width < 8 ? (std::uint64_t{1} << layout.width) - 1 : UINT64_MAX;
      if ((before & mask) == (bits & mask)) return;
      ++found.differing;
      const double distance = decode == nullptr ? NAN : std::abs(decode(before) - decode(bits));
      if (!std::isfinite(distance)) return;
      ++found.finite;
      found.sum += distance;
      found.greatest = std::max(found.greatest, distance);
    });
  }));
  return found;
}

Result<Sha256Digest> DigestOf(const Contents& contents) {
  Sha256 sha256;
  Cursor cursor(contents.content, contents.has_digests);
  while (true) {
    PANNIER_TRY(const ByteView bytes, cursor.Rest());
    if (bytes.empty()) return sha256.Finish();
    sha256.Update(bytes);
    cursor.Take(bytes.size());
  }
}

// Chunk by chunk the same stored bytes, decoded in the same way.
Result<bool> AreStoredAlike(const Contents& left, const Contents& right) {
  const ChunkedContent& a = left.content;
  const ChunkedContent& b = right.content;
  if (!left.has_digests || !right.has_digests || a.chunk_count() != b.chunk_count() || a.is_grouped() || b.is_grouped())
    return false;
  for (std::uint64_t i = 0; i < a.chunk_count(); ++i) {
    PANNIER_TRY(const ChunkRecord one, a.Record(i));
    PANNIER_TRY(const ChunkRecord other, b.Record(i));
    if (a.chunk_bytes(i) != b.chunk_bytes(i) || one.codec != other.codec || one.stored_size != other.stored_size ||
        one.sha256 != other.sha256)
      return false;
  }
  return true;
}

Result<Contents> ContentsOf(const ParamsSide& side, std::uint32_t i) {
  PANNIER_TRY(const ChunkedContent content, side.tensors.Content(i));
  return Contents{content, side.has_digests};
}

Json TensorJson(const format::Tensor& tensor) {
  return {{"name", ToText(tensor.name())},
          {"dtype", DataTypeName(DataTypeOf(tensor))},
          {"shape", ShapeOf(tensor)},
          {"bytes", tensor.size()}};
}

// Null where two tensors of the same name are equal.
Result<Json> CompareTensor(const ParamsSide& one, std::uint32_t i, const ParamsSide& other, std::uint32_t j) {
  const TensorReader& a = one.tensors;
  const TensorReader& b = other.tensors;
  const DataType dtype = DataTypeOf(a[i]);
  Json change = {{"name", ToText(a[i].name())}};
  if (dtype != DataTypeOf(b[j]) || ShapeOf(a[i]) != ShapeOf(b[j])) {
    change["a_dtype"] = DataTypeName(dtype);
    change["b_dtype"] = DataTypeName(DataTypeOf(b[j]));
    change["a_shape"] = ShapeOf(a[i]);
    change["b_shape"] = ShapeOf(b[j]);
    return change;
  }
  PANNIER_TRY(const Contents left, ContentsOf(one, i));
  PANNIER_TRY(const Contents right, ContentsOf(other, j));
  PANNIER_TRY(const bool are_alike, AreStoredAlike(left, right));
  if (are_alike) return Json();
  const ValueLayout layout = LayoutOf(dtype, ShapeOf(a[i]), left.content.size());
  PANNIER_TRY(const Difference found, CompareValues(left, right, dtype, layout));
  if (found.differing == 0) return Json();
  change["elements"] = layout.count;
  change["differing"] = found.differing;
  change["greatest"] = found.finite != 0 ? Json(found.greatest) : Json();
  change["mean"] = found.finite != 0 ? Json(found.sum / static_cast<double>(found.finite)) : Json();
  return change;
}

// Whose values a tensor of b has, among those of a; by digests of the values, which are made for tensors of the same size alone.
class SameValues {
 public:
  explicit SameValues(const ParamsSide& a) : a_(a) {
    for (std::uint32_t i = 0; i < a.tensors.size(); ++i) by_size_[a.tensors[i].size()].push_back(i);
  }

  Result<Json> Find(const ParamsSide& b, std::uint32_t j) {
    const auto same_size = by_size_.find(b.tensors[j].size());
    if (same_size == by_size_.end() || b.tensors[j].size() == 0) return Json();
    PANNIER_TRY(const Contents contents, ContentsOf(b, j));
    PANNIER_TRY(const Sha256Digest digest, DigestOf(contents));
    for (const std::uint32_t i : same_size->second) {
      auto known = digests_.find(i);
      if (known == digests_.end()) {
        PANNIER_TRY(const Contents candidate, ContentsOf(a_, i));
        PANNIER_TRY(const Sha256Digest made, DigestOf(candidate));
        known = digests_.emplace(i, made).first;
      }
      if (known->second == digest && DataTypeOf(a_.tensors[i]) == DataTypeOf(b.tensors[j]))
        return Json(ToText(a_.tensors[i].name()));
    }
    return Json();
  }

 private:
  const ParamsSide a_;
  std::map<std::uint64_t, std::vector<std::uint32_t>> by_size_;
  std::map<std::uint32_t, Sha256Digest> digests_;
};

}  // namespace

Result<Json> CompareParams(const ParamsSide& one, const ParamsSide& other, const Effort& effort) {
  const TensorReader& a = one.tensors;
  const TensorReader& b = other.tensors;
  std::uint64_t bytes = 0;
  for (std::uint32_t i = 0; i < a.size(); ++i) bytes += a[i].size();
  effort.Begin("comparing", bytes);
  std::vector<Json> changes(a.size());
  std::vector<Json> recoded(a.size());
  std::vector<std::optional<std::uint32_t>> partners(a.size());
  PANNIER_CHECK_OK(ParallelFor(a.size(), effort.threads, [&](std::uint64_t number) -> Status {
    const auto i = static_cast<std::uint32_t>(number);
    partners[i] = b.Find(ToText(a[i].name()));
    if (partners[i]) {
      PANNIER_TRY(changes[i], CompareTensor(one, i, other, *partners[i]));
      PANNIER_TRY(const ChunkedContent left, a.Content(i));
      PANNIER_TRY(const ChunkedContent right, b.Content(*partners[i]));
      PANNIER_TRY(const std::string a_codec, CodecText(left));
      PANNIER_TRY(const std::string b_codec, CodecText(right));
      if (a_codec != b_codec) recoded[i] = {{"name", ToText(a[i].name())}, {"a_codec", a_codec}, {"b_codec", b_codec}};
    }
    effort.Advance(a[i].size());
    return {};
  }));
  Json report = {
      {"added", Json::array()}, {"removed", Json::array()}, {"changed", Json::array()}, {"recoded", Json::array()}, {"equal", 0}};
  SameValues same(one);
  std::vector<bool> is_kept(b.size());
  std::uint64_t equal = 0;
  for (std::uint32_t i = 0; i < a.size(); ++i) {
    if (partners[i]) is_kept[*partners[i]] = true;
    if (!partners[i]) {
      report["removed"].push_back(TensorJson(a[i]));
    } else if (changes[i].is_null()) {
      ++equal;
    } else {
      PANNIER_TRY(changes[i]["same_as"], same.Find(other, *partners[i]));
      report["changed"].push_back(std::move(changes[i]));
    }
    if (!recoded[i].is_null()) report["recoded"].push_back(std::move(recoded[i]));
  }
  for (std::uint32_t j = 0; j < b.size(); ++j) {
    if (is_kept[j]) continue;
    Json tensor = TensorJson(b[j]);
    PANNIER_TRY(tensor["same_as"], same.Find(other, j));
    report["added"].push_back(std::move(tensor));
  }
  report["equal"] = equal;
  return report;
}

}  // namespace pannier
