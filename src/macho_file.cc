// Mach-O header, load commands, segments and fat headers, parsed with every field checked before it is used.
#include "src/macho_file.h"

#include <algorithm>
#include <cstring>

#include "src/text.h"

namespace pannier::macho {
namespace {

constexpr std::uint32_t kMagic32 = 0xfeedface;
constexpr std::uint32_t kMagic64 = 0xfeedfacf;
constexpr std::uint32_t kFatMagic32 = 0xcafebabe;
constexpr std::uint32_t kFatMagic64 = 0xcafebabf;
constexpr std::size_t kNameSize = 16;
constexpr std::uint32_t kMaxSlices = 42;
constexpr std::uint32_t kLargestSliceAlign = 30;

// Reads fields one after another; the caller has checked that all are there.
class FieldReader {
 public:
  FieldReader(const std::uint8_t* bytes, bool is_64, ByteOrder order = ByteOrder::kLittle)
      : bytes_(bytes), is_64_(is_64), order_(order) {}
  std::uint32_t Word() { return Take<std::uint32_t>(); }
  std::uint64_t Address() { return is_64_ ? Take<std::uint64_t>() : Take<std::uint32_t>(); }
  std::string_view Name() {
    const auto* text = reinterpret_cast<const char*>(bytes_);
    bytes_ += kNameSize;
    return {text, static_cast<std::size_t>(std::find(text, text + kNameSize, '\0') - text)};
  }

 private:
  template <typename T>
  T Take() {
    const T value = LoadInteger<T>(bytes_, order_);
    bytes_ += sizeof(T);
    return value;
  }
  const std::uint8_t* bytes_;
  bool is_64_;
  ByteOrder order_;
};

class FieldWriter {
 public:
  FieldWriter(std::uint8_t* out, bool is_64) : out_(out), is_64_(is_64) {}
  void Word(std::uint32_t value) { Put(value); }
  void Address(std::uint64_t value) {
    if (is_64_) {
      Put(value);
    } else {
      Put(static_cast<std::uint32_t>(value));
    }
  }
  void Name(std::string_view name) {
    std::memset(out_, 0, kNameSize);
    std::memcpy(out_, name.data(), std::min(name.size(), kNameSize));
    out_ += kNameSize;
  }

 private:
  template <typename T>
  void Put(T value) {
    StoreInteger(out_, value, ByteOrder::kLittle);
    out_ += sizeof(T);
  }
  std::uint8_t* out_;
  bool is_64_;
};

Section ReadSection(const std::uint8_t* bytes, bool is_64) {
  FieldReader fields(bytes, is_64);
  Section section;
  section.name = fields.Name();
  section.segment_name = fields.Name();
  section.address = fields.Address();
  section.size = fields.Address();
  section.offset = fields.Word();
  section.align = fields.Word();
  section.relocation_offset = fields.Word();
  section.relocation_count = fields.Word();
  section.flags = fields.Word();
  section.reserved1 = fields.Word();
  section.reserved2 = fields.Word();
  return section;
}

Status CheckNoOverlap(const FatFile& fat) {
  std::vector<const Slice*> order;
  for (const Slice& slice : fat.slices) order.push_back(&slice);
  std::sort(order.begin(), order.end(), [](const Slice* a, const Slice* b) { return a->offset < b->offset; });
  std::uint64_t end = fat.header_size();
  for (const Slice* slice : order) {
    if (slice->offset < end) {
      return Malformed(StrCat("fat header: slice ", ArchName(slice->cpu_type, slice->cpu_subtype), ": found offset ",
                              Hex(slice->offset), ", expected at least ", Hex(end)));
    }
    end = slice->offset + slice->size;
  }
  return {};
}

}  // namespace

bool HasMagic(ByteView file) {
  const auto magic = file.Read<std::uint32_t>(0);
  return magic && (*magic == kMagic32 || *magic == kMagic64);
}

Result<Header> ParseHeader(ByteView file) {
  const auto magic = file.Read<std::uint32_t>(0);
  if (!HasMagic(file)) {
    const auto swapped = file.Read<std::uint32_t>(0, ByteOrder::kBig);
    if (swapped && (*swapped == kMagic32 || *swapped == kMagic64))
      return Unsupported("found a big-endian Mach-O file (PowerPC), expected a little-endian one");
    return Unsupported("found no Mach-O magic number");
  }
  Header header;
  header.is_64 = *magic == kMagic64;
  if (file.size() < header.size()) return Malformed(StrCat("mach header: found ", file.size(), " bytes, expected ", header.size()));
  FieldReader fields(file.data() + 4, header.is_64);
  header.cpu_type = fields.Word();
  header.cpu_subtype = fields.Word();
  header.file_type = fields.Word();
  header.command_count = fields.Word();
  header.commands_size = fields.Word();
  header.flags = fields.Word();
  return header;
}

Result<std::vector<Command>> ParseCommands(ByteView file, const Header& header) {
  if (!file.Contains(header.size(), header.commands_size)) {
    return Malformed(StrCat("load commands: found ", header.commands_size, " bytes, expected at most ",
                            file.size() - std::min<std::uint64_t>(file.size(), header.size())));
  }
  if (header.command_count > header.commands_size / 8)
    return Malformed(
        StrCat("load commands: found ", header.command_count, " in ", header.commands_size, " bytes, expected 8 bytes for each"));
  std::vector<Command> commands;
  std::uint64_t at = header.size();
  for (std::uint32_t i = 0; i < header.command_count; ++i) {
    const std::uint64_t left = header.commands_end() - at;
    if (left < 8) return Malformed(StrCat("load command ", i, ": found ", left, " bytes left, expected at least 8"));
    Command command;
    command.type = *file.Read<std::uint32_t>(at);
    command.offset = at;
    const std::uint32_t size = *file.Read<std::uint32_t>(at + 4);
    if (size < 8 || size % 4 != 0 || size > left)
      return Malformed(StrCat("load command ", i, " (", Hex(command.type), "): size: found ", size,
                              ", expected a multiple of 4 from 8 to ", left));
    command.bytes = *file.Slice(at, size);
    commands.push_back(command);
    at += size;
  }
  if (at != header.commands_end())
    return Malformed(StrCat("load commands: found ", at - header.size(), " bytes, expected ", header.commands_size));
  return commands;
}

Result<std::vector<Segment>> ParseSegments(const Header& header, const std::vector<Command>& commands) {
  std::vector<Segment> segments;
  for (std::size_t i = 0; i < commands.size(); ++i) {
    const Command& command = commands[i];
    if (command.type != kSegment32 && command.type != kSegment64) continue;
    if (command.type != header.segment_command())
      return Malformed(
          StrCat("load command ", i, ": found a segment of the other word size, expected ", header.is_64 ? 64 : 32, " bits"));
    if (command.bytes.size() < header.segment_size())
      return Malformed(StrCat("load command ", i, ": segment: found ", command.bytes.size(), " bytes, expected at least ",
                              header.segment_size()));
    FieldReader fields(command.bytes.data() + 8, header.is_64);
    Segment segment;
    segment.command = i;
    segment.name = fields.Name();
    segment.address = fields.Address();
    segment.memory_size = fields.Address();
    segment.offset = fields.Address();
    segment.file_size = fields.Address();
    segment.max_protection = fields.Word();
    segment.protection = fields.Word();
    const std::uint32_t count = fields.Word();
    segment.flags = fields.Word();
    const std::uint64_t size = header.segment_size() + std::uint64_t{count} * header.section_size();
    if (size != command.bytes.size()) {
      return Malformed(StrCat("segment ", Printable(segment.name), ": found ", count, " sections in ", command.bytes.size(),
                              " bytes, expected ", size, " bytes"));
    }
    for (std::uint32_t s = 0; s < count; ++s)
      segment.sections.push_back(
          ReadSection(command.bytes.data() + header.segment_size() + s * header.section_size(), header.is_64));
    segments.push_back(std::move(segment));
  }
  return segments;
}

void EncodeSegment(const Header& header, const Segment& segment, std::uint8_t* out) {
  FieldWriter fields(out, header.is_64);
  fields.Word(header.segment_command());
  fields.Word(static_cast<std::uint32_t>(header.segment_size() + segment.sections.size() * header.section_size()));
  fields.Name(segment.name);
  fields.Address(segment.address);
  fields.Address(segment.memory_size);
  fields.Address(segment.offset);
  fields.Address(segment.file_size);
  fields.Word(segment.max_protection);
  fields.Word(segment.protection);
  fields.Word(static_cast<std::uint32_t>(segment.sections.size()));
  fields.Word(segment.flags);
  for (const Section& section : segment.sections) {
    fields.Name(section.name);
    fields.Name(section.segment_name);
    fields.Address(section.address);
    fields.Address(section.size);
    fields.Word(section.offset);
    fields.Word(section.align);
    fields.Word(section.relocation_offset);
    fields.Word(section.relocation_count);
    fields.Word(section.flags);
    fields.Word(section.reserved1);
    fields.Word(section.reserved2);
    if (header.is_64) fields.Word(0);
  }
}

Status CheckSegmentsInFile(const std::vector<Segment>& segments, std::uint64_t file_size) {
  for (const Segment& segment : segments) {
    if (FitsWithin(segment.offset, segment.file_size, file_size)) continue;
    return Malformed(StrCat("segment ", Printable(segment.name), ": found ", segment.file_size, " bytes at ", Hex(segment.offset),
                            ", expected a range within the file's ", file_size, " bytes; the file is cut off or damaged"));
  }
  return {};
}

std::optional<ByteView> BytesFrom(ByteView file, const std::vector<Segment>& segments, std::uint64_t address) {
  for (const Segment& segment : segments) {
    if (address < segment.address || address - segment.address >= segment.file_size) continue;
    const std::uint64_t skipped = address - segment.address;
    return file.Slice(segment.offset + skipped, segment.file_size - skipped);
  }
  return std::nullopt;
}

std::string ArchName(std::uint32_t cpu_type, std::uint32_t cpu_subtype) {
  struct Name {
    std::uint32_t cpu_type;
    std::uint32_t cpu_subtype;
    const char* name;
  };
  constexpr Name kNames[] = {
      {kCpuX64, 3, "x86_64"},   {kCpuX64, 8, "x86_64h"},  {kCpuI386, 3, "i386"},           {kCpuArm64, 0, "arm64"},
      {kCpuArm64, 1, "arm64"},  {kCpuArm64, 2, "arm64e"}, {kCpuArm64Ilp32, 0, "arm64_32"}, {kCpuArm64Ilp32, 1, "arm64_32"},
      {kCpuArm, 5, "armv4t"},   {kCpuArm, 6, "armv6"},    {kCpuArm, 7, "armv5"},           {kCpuArm, 9, "armv7"},
      {kCpuArm, 10, "armv7f"},  {kCpuArm, 11, "armv7s"},  {kCpuArm, 12, "armv7k"},         {18, 0, "ppc"},
      {0x01000012, 0, "ppc64"},
  };
  constexpr std::uint32_t kCapabilities = 0xff000000;  // bits of cpu_subtype that say no more about the architecture
  for (const Name& name : kNames) {
    if (name.cpu_type == cpu_type && name.cpu_subtype == (cpu_subtype & ~kCapabilities)) return name.name;
  }
  return StrCat("cpu ", Hex(cpu_type), " subtype ", Hex(cpu_subtype));
}

bool HasFatMagic(ByteView file) {
  const auto magic = file.Read<std::uint32_t>(0, ByteOrder::kBig);
  if (!magic || (*magic != kFatMagic32 && *magic != kFatMagic64)) return false;
  // A Java class begins with the same four bytes; its version, 45 at least, stands where the number of slices would.
  const auto count = file.Read<std::uint32_t>(4, ByteOrder::kBig);
  return !count || *count <= kMaxSlices;
}

Result<FatFile> ParseFat(ByteView file, std::uint64_t file_size) {
  if (!HasFatMagic(file)) return Unsupported("found no fat Mach-O magic number");
  FatFile fat;
  fat.is_64 = *file.Read<std::uint32_t>(0, ByteOrder::kBig) == kFatMagic64;
  const auto count = file.Read<std::uint32_t>(4, ByteOrder::kBig);
  if (!count) return Malformed(StrCat("fat header: found ", file.size(), " bytes, expected 8"));
  const auto table = file.Slice(8, *count * fat.entry_size());
  if (!table) return Malformed(StrCat("fat header: found ", *count, " slices in ", file.size(), " bytes"));
  for (std::uint32_t i = 0; i < *count; ++i) {
    FieldReader fields(table->data() + i * fat.entry_size(), fat.is_64, ByteOrder::kBig);
    Slice slice;
    slice.cpu_type = fields.Word();
    slice.cpu_subtype = fields.Word();
    slice.offset = fields.Address();
    slice.size = fields.Address();
    slice.align = fields.Word();
    const std::string name = ArchName(slice.cpu_type, slice.cpu_subtype);
    if (!FitsWithin(slice.offset, slice.size, file_size)) {
      return Malformed(StrCat("fat header: slice ", name, ": found ", slice.size, " bytes at ", Hex(slice.offset),
                              ", expected a range within the file's ", file_size, " bytes; the file is cut off or damaged"));
    }
    if (slice.align > kLargestSliceAlign)
      return Malformed(
          StrCat("fat header: slice ", name, ": alignment: found 2^", slice.align, ", expected at most 2^", kLargestSliceAlign));
    fat.slices.push_back(slice);
  }
  PANNIER_CHECK_OK(CheckNoOverlap(fat));
  return fat;
}

std::uint32_t OwnCpuType() {
#if defined(__x86_64__) || defined(_M_X64)
  return kCpuX64;
#elif defined(__aarch64__) || defined(_M_ARM64)
  return kCpuArm64;
#elif defined(__i386__) || defined(_M_IX86)
  return kCpuI386;
#elif defined(__arm__) || defined(_M_ARM)
  return kCpuArm;
#else
  return 0;
#endif
}

}  // namespace pannier::macho
