// ZIP: PKWARE's APPNOTE.TXT, 6.3.10; npy: NumPy's numpy/lib/format.py, version 1.0.
#include "embedder/export_npz.h"

#include <algorithm>
#include <string_view>

#include "embedder/crc32.h"
#include "src/params_walk.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::uint32_t kLocalMagic = 0x04034b50;
constexpr std::uint32_t kCentralMagic = 0x02014b50;
constexpr std::uint32_t kEndMagic = 0x06054b50;
constexpr std::uint32_t kEnd64Magic = 0x06064b50;
constexpr std::uint32_t kLocator64Magic = 0x07064b50;
constexpr std::uint16_t kUtf8Names = 0x0800;
constexpr std::uint16_t kVersion = 20;
constexpr std::uint16_t kVersion64 = 45;
constexpr std::uint16_t kExtra64 = 1;
constexpr std::uint16_t kNoDate = 0x0021;         // 1980-01-01: the same params make the same file
constexpr std::uint32_t kElsewhere = UINT32_MAX;  // the number is in what ZIP64 has for it
constexpr std::size_t kSizesExtra = 4 + 16;
constexpr std::string_view kEnding = ".npy";
constexpr std::size_t kLongestName = UINT16_MAX - kEnding.size();

bool IsLarge(std::uint64_t number) { return number >= kElsewhere; }
std::uint32_t Small(std::uint64_t number) { return IsLarge(number) ? kElsewhere : static_cast<std::uint32_t>(number); }

// NumPy's name of a type; empty: it has none.
std::string TypeName(DataType type) {
  const auto is = [&](std::uint8_t code, std::uint8_t least, std::uint8_t most) {
    return type.code == code && type.bits >= least && type.bits <= most && (type.bits & (type.bits - 1)) == 0;
  };
  if (type.lanes != 1) return "";
  if (type == DataType{1, 1, 1} || type == DataType{6, 8, 1}) return "|b1";
  const std::string bytes = std::to_string(type.bits / 8);
  const std::string order = type.bits == 8 ? "|" : "<";
  if (is(0, 8, 64)) return order + "i" + bytes;
  if (is(1, 8, 64)) return order + "u" + bytes;
  if (is(2, 16, 64)) return order + "f" + bytes;
  if (is(5, 64, 128)) return order + "c" + bytes;
  constexpr std::uint8_t kBfloat = 4;
  constexpr std::uint8_t kFirstFloat8 = 8;  // 7 has had two meanings (DataTypeName)
  constexpr std::uint8_t kLastFloat8 = 14;
  if (is(kBfloat, 16, 16) || (type.bits == 8 && type.code >= kFirstFloat8 && type.code <= kLastFloat8)) return "|V" + bytes;
  return "";
}

std::string NpyStart(const std::string& type, const std::vector<std::int64_t>& shape) {
  std::string text = StrCat("{'descr': '", type, "', 'fortran_order': False, 'shape': (");
  for (std::size_t i = 0; i < shape.size(); ++i)
    text += StrCat(i == 0 ? "" : " ", shape[i], i == 0 || i + 1 < shape.size() ? "," : "");
  text += "), }";
  constexpr std::string_view kMagic("\x93NUMPY\x01\x00", 8);
  constexpr std::size_t kAlign = 64;
  const std::size_t in_front = kMagic.size() + 2;
  text.resize((in_front + text.size() + 1 + kAlign - 1) / kAlign * kAlign - in_front - 1, ' ');
  text += '\n';
  std::string start(kMagic);
  start += static_cast<char>(text.size() & 0xFF);
  start += static_cast<char>(text.size() >> 8);
  return start + text;
}

// Why an archive's member must not be called so; empty: it may.
std::string_view WhyUnsafe(std::string_view name) {
  if (name.find('\\') != std::string_view::npos) return "a backslash";
  if (name.substr(0, 1) == "/" || (name.size() > 2 && name.substr(1, 2) == ":/")) return "a whole path";
  for (std::size_t at = 0; at <= name.size();) {
    const std::size_t end = std::min(name.find('/', at), name.size());
    if (name.substr(at, end - at) == "..") return "\"..\" as a folder";
    at = end + 1;
  }
  return "";
}

}  // namespace

Result<NpzFile> NpzFile::Plan(const TensorReader& tensors) {
  NpzFile file(tensors);
  std::uint64_t offset = 0;
  std::uint64_t directory = 0;
  for (std::uint32_t i = 0; i < tensors.size(); ++i) {
    const format::Tensor& tensor = tensors[i];
    const std::string_view name = ToText(tensor.name());
    const auto refuse = [&](const std::string& why) -> Status {
      return Unsupported(StrCat("tensor \"", Printable(name), "\": ", why));
    };
    const std::string type = TypeName(DataTypeOf(tensor));
    if (type.empty()) {
      return refuse(StrCat("dtype: found ", DataTypeName(DataTypeOf(tensor)),
                           ", expected one that NumPy has: bool, int8 to int64, uint8 to uint64, float16 to float64, complex64, "
                           "complex128, or as bytes bfloat16 and float8"));
    }
    if (name.size() > kLongestName) return refuse(StrCat("name: found ", name.size(), " bytes, expected at most ", kLongestName));
    if (const std::string_view why = WhyUnsafe(name); !why.empty())
      return refuse(StrCat("name: found ", why, ", expected one that an archive's member may have"));
    // NumPy takes a member's name with and without its ending.
    if (name.size() >= kEnding.size() && name.substr(name.size() - kEnding.size()) == kEnding &&
        tensors.Find(name.substr(0, name.size() - kEnding.size()))) {
      return refuse("name: found one that NumPy takes for that of another tensor");
    }
    const Member& member = file.members_.emplace_back(Member{offset, file.StartOf(i).size() + tensor.size()});
    std::vector<std::uint8_t> central;
    file.AppendCentralHeader(central, i, 0);
    directory += central.size();
    offset += file.LocalHeader(i, 0).size() + member.size;
  }
  file.size_ = offset + directory + file.End(offset, directory).size();
  return file;
}

std::string NpzFile::NameOf(std::uint32_t i) const { return StrCat(ToText(tensors_[i].name()), kEnding); }

std::string NpzFile::StartOf(std::uint32_t i) const { return NpyStart(TypeName(DataTypeOf(tensors_[i])), ShapeOf(tensors_[i])); }

std::vector<std::uint8_t> NpzFile::LocalHeader(std::uint32_t i, std::uint32_t crc) const {
  const Member& member = members_[i];
  const std::string name = NameOf(i);
  const bool is_large = IsLarge(member.size);
  std::vector<std::uint8_t> out;
  AppendLittle(out, kLocalMagic);
  AppendLittle(out, is_large ? kVersion64 : kVersion);
  AppendLittle(out, kUtf8Names);
  AppendLittle(out, std::uint16_t{0});  // stored as it is
  AppendLittle(out, std::uint16_t{0});
  AppendLittle(out, kNoDate);
  AppendLittle(out, crc);
  AppendLittle(out, Small(member.size));
  AppendLittle(out, Small(member.size));
  AppendLittle(out, static_cast<std::uint16_t>(name.size()));
  AppendLittle(out, static_cast<std::uint16_t>(is_large ? kSizesExtra : 0));
  out.insert(out.end(), name.begin(), name.end());
  if (!is_large) return out;
  AppendLittle(out, kExtra64);
  AppendLittle(out, static_cast<std::uint16_t>(kSizesExtra - 4));
  AppendLittle(out, member.size);
  AppendLittle(out, member.size);
  return out;
}

void NpzFile::AppendCentralHeader(std::vector<std::uint8_t>& out, std::uint32_t i, std::uint32_t crc) const {
  const Member& member = members_[i];
  const std::string name = NameOf(i);
  std::vector<std::uint8_t> extra;
  if (IsLarge(member.size)) {
    AppendLittle(extra, member.size);
    AppendLittle(extra, member.size);
  }
  if (IsLarge(member.offset)) AppendLittle(extra, member.offset);
  AppendLittle(out, kCentralMagic);
  AppendLittle(out, kVersion64);  // of the specification that it was made by
  AppendLittle(out, extra.empty() ? kVersion : kVersion64);
  AppendLittle(out, kUtf8Names);
  AppendLittle(out, std::uint16_t{0});
  AppendLittle(out, std::uint16_t{0});
  AppendLittle(out, kNoDate);
  AppendLittle(out, crc);
  AppendLittle(out, Small(member.size));
  AppendLittle(out, Small(member.size));
  AppendLittle(out, static_cast<std::uint16_t>(name.size()));
  AppendLittle(out, static_cast<std::uint16_t>(extra.empty() ? 0 : 4 + extra.size()));
  AppendLittle(out, std::uint16_t{0});  // no comment
  AppendLittle(out, std::uint16_t{0});  // first disk
  AppendLittle(out, std::uint16_t{0});
  AppendLittle(out, std::uint32_t{0});
  AppendLittle(out, Small(member.offset));
  out.insert(out.end(), name.begin(), name.end());
  if (extra.empty()) return;
  AppendLittle(out, kExtra64);
  AppendLittle(out, static_cast<std::uint16_t>(extra.size()));
  out.insert(out.end(), extra.begin(), extra.end());
}

// What comes behind the central directory, of so many bytes at `offset`.
std::vector<std::uint8_t> NpzFile::End(std::uint64_t offset, std::uint64_t size) const {
  const std::uint64_t count = members_.size();
  std::vector<std::uint8_t> out;
  if (count >= UINT16_MAX || IsLarge(offset) || IsLarge(size)) {
    AppendLittle(out, kEnd64Magic);
    AppendLittle(out, std::uint64_t{44});  // of this record, behind this number
    AppendLittle(out, kVersion64);
    AppendLittle(out, kVersion64);
    AppendLittle(out, std::uint32_t{0});
    AppendLittle(out, std::uint32_t{0});
    AppendLittle(out, count);
    AppendLittle(out, count);
    AppendLittle(out, size);
    AppendLittle(out, offset);
    AppendLittle(out, kLocator64Magic);
    AppendLittle(out, std::uint32_t{0});
    AppendLittle(out, offset + size);
    AppendLittle(out, std::uint32_t{1});
  }
  const auto short_count = static_cast<std::uint16_t>(std::min<std::uint64_t>(count, UINT16_MAX));
  AppendLittle(out, kEndMagic);
  AppendLittle(out, std::uint16_t{0});
  AppendLittle(out, std::uint16_t{0});
  AppendLittle(out, short_count);
  AppendLittle(out, short_count);
  AppendLittle(out, Small(size));
  AppendLittle(out, Small(offset));
  AppendLittle(out, std::uint16_t{0});  // no comment
  return out;
}

Status NpzFile::Write(ContentStream& stream, OutputFile& out) const {
  std::vector<std::uint8_t> directory;
  std::uint64_t at = 0;
  for (std::uint32_t i = 0; i < tensors_.size(); ++i) {
    std::uint32_t crc = 0;
    at = members_[i].offset + LocalHeader(i, 0).size();
    const auto write = [&](ByteView bytes) {
      crc = Crc32(crc, bytes);
      const std::uint64_t begin = at;
      at += bytes.size();
      return out.WriteAt(begin, bytes);
    };
    const auto write_member = [&]() -> Status {
      const std::string start = StartOf(i);
      PANNIER_CHECK_OK(write(View(start)));
      PANNIER_TRY(const ChunkedContent content, tensors_.Content(i));
      return stream.Run(content, write);
    };
    PANNIER_CHECK_OK(write_member().WithContext(Named(tensors_[i])));
    const std::vector<std::uint8_t> header = LocalHeader(i, crc);
    PANNIER_CHECK_OK(out.WriteAt(members_[i].offset, View(header)));
    AppendCentralHeader(directory, i, crc);
  }
  PANNIER_CHECK_OK(out.WriteAt(at, View(directory)));
  const std::vector<std::uint8_t> end = End(at, directory.size());
  return out.WriteAt(at + directory.size(), View(end));
}

}  // namespace pannier
