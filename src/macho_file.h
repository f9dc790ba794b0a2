// Mach-O: header, load commands, segments and sections of both word sizes in one widened form; universal ("fat") files.
// Source: Apple's mach-o/loader.h, mach-o/fat.h and mach/machine.h (cctools).
#ifndef PANNIER_SRC_MACHO_FILE_H_
#define PANNIER_SRC_MACHO_FILE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/bytes.h"
#include "src/result.h"

namespace pannier::macho {

inline constexpr std::uint32_t kTypeObject = 1;
inline constexpr std::uint32_t kTypeExecutable = 2;
inline constexpr std::uint32_t kTypeCore = 4;
inline constexpr std::uint32_t kTypeLibrary = 6;
inline constexpr std::uint32_t kTypeBundle = 8;
inline constexpr std::uint32_t kTypeLibraryStub = 9;
inline constexpr std::uint32_t kTypeSymbols = 10;
inline constexpr std::uint32_t kTypeKernelExtension = 11;

inline constexpr std::uint32_t kFlagInSharedCache = 0x80000000;

inline constexpr std::uint32_t kCpuI386 = 7;
inline constexpr std::uint32_t kCpuArm = 12;
inline constexpr std::uint32_t kCpuX64 = 0x01000007;
inline constexpr std::uint32_t kCpuArm64 = 0x0100000c;
inline constexpr std::uint32_t kCpuArm64Ilp32 = 0x0200000c;

// Load commands. Those that dyld must know carry the uppermost bit.
inline constexpr std::uint32_t kSegment32 = 0x1;
inline constexpr std::uint32_t kSymbolTable = 0x2;
inline constexpr std::uint32_t kDynamicSymbolTable = 0xb;
inline constexpr std::uint32_t kIdDylib = 0xd;
inline constexpr std::uint32_t kSegment64 = 0x19;
inline constexpr std::uint32_t kCodeSignature = 0x1d;
inline constexpr std::uint32_t kEncryption32 = 0x21;
inline constexpr std::uint32_t kEncryption64 = 0x2c;
inline constexpr std::uint32_t kDyldInfo = 0x22;
inline constexpr std::uint32_t kDyldInfoOnly = 0x80000022;
inline constexpr std::uint32_t kFunctionStarts = 0x26;
inline constexpr std::uint32_t kDataInCode = 0x29;
inline constexpr std::uint32_t kSourceVersion = 0x2a;
inline constexpr std::uint32_t kBuildVersion = 0x32;
inline constexpr std::uint32_t kExportsTrie = 0x80000033;
inline constexpr std::uint32_t kChainedFixups = 0x80000034;
inline constexpr std::uint32_t kFunctionVariants = 0x37;
inline constexpr std::uint32_t kFunctionVariantFixups = 0x38;

inline constexpr std::uint32_t kReadable = 1;  // of initprot and maxprot

inline constexpr std::string_view kPayloadSegment = "__TVM";
inline constexpr std::string_view kLinkEdit = "__LINKEDIT";

struct Header {
  bool is_64 = true;
  std::uint32_t cpu_type = 0;
  std::uint32_t cpu_subtype = 0;
  std::uint32_t file_type = 0;
  std::uint32_t command_count = 0;
  std::uint32_t commands_size = 0;
  std::uint32_t flags = 0;

  std::size_t size() const { return is_64 ? 32 : 28; }
  std::size_t word_size() const { return is_64 ? 8 : 4; }
  std::uint32_t segment_command() const { return is_64 ? kSegment64 : kSegment32; }
  std::size_t segment_size() const { return is_64 ? 72 : 56; }
  std::size_t section_size() const { return is_64 ? 80 : 68; }
  std::uint64_t commands_end() const { return size() + std::uint64_t{commands_size}; }
};
inline constexpr std::size_t kCommandCountField = 16;  // its offset; that of the commands' size follows

struct Command {
  std::uint32_t type = 0;
  std::uint64_t offset = 0;
  ByteView bytes;  // borrowed; all of cmdsize
};

struct Section {
  std::string_view name;  // borrowed, like a segment's
  std::string_view segment_name;
  std::uint64_t address = 0;
  std::uint64_t size = 0;
  std::uint32_t offset = 0;
  std::uint32_t align = 0;  // a power of two's exponent
  std::uint32_t relocation_offset = 0;
  std::uint32_t relocation_count = 0;
  std::uint32_t flags = 0;
  std::uint32_t reserved1 = 0;
  std::uint32_t reserved2 = 0;

  // Zero-filled sections (of three types) have no bytes in the file.
  bool has_bytes() const { return (flags & 0xff) != 1 && (flags & 0xff) != 0xc && (flags & 0xff) != 0x12; }
};

struct Segment {
  std::string_view name;
  std::uint64_t address = 0;
  std::uint64_t memory_size = 0;
  std::uint64_t offset = 0;
  std::uint64_t file_size = 0;
  std::uint32_t max_protection = 0;
  std::uint32_t protection = 0;
  std::uint32_t flags = 0;
  std::vector<Section> sections;
  std::size_t command = 0;  // index into the load commands
};

// Thin files, little-endian.
bool HasMagic(ByteView file);

// Header, then load commands; `file` may be a prefix of the file as long as all of them are in it.
Result<Header> ParseHeader(ByteView file);
Result<std::vector<Command>> ParseCommands(ByteView file, const Header& header);
// Counts and sizes within the commands are checked, ranges in the file and in memory are not.
Result<std::vector<Segment>> ParseSegments(const Header& header, const std::vector<Command>& commands);

void EncodeSegment(const Header& header, const Segment& segment, std::uint8_t* out);  // with its sections

// All of the segments' bytes are in the file.
Status CheckSegmentsInFile(const std::vector<Segment>& segments, std::uint64_t file_size);

// From an address on, up to the end of what the file has of its segment.
std::optional<ByteView> BytesFrom(ByteView file, const std::vector<Segment>& segments, std::uint64_t address);

// "arm64", "x86_64", as lipo calls them; numbers where there is no name.
std::string ArchName(std::uint32_t cpu_type, std::uint32_t cpu_subtype);

// One architecture's library in a fat file.
struct Slice {
  std::uint32_t cpu_type = 0;
  std::uint32_t cpu_subtype = 0;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::uint32_t align = 0;  // a power of two's exponent
};

struct FatFile {
  bool is_64 = false;  // its offsets, not what is in it
  std::vector<Slice> slices;

  std::size_t entry_size() const { return is_64 ? 32 : 20; }
  std::size_t header_size() const { return 8 + slices.size() * entry_size(); }
};

bool HasFatMagic(ByteView file);
// Slices lie within a file of `file_size` bytes, none overlapping another or the header; the header is in `file`, which may be a
// prefix.
Result<FatFile> ParseFat(ByteView file, std::uint64_t file_size);

// The architecture that this program runs as; 0 where there is no Mach-O.
std::uint32_t OwnCpuType();

}  // namespace pannier::macho

#endif  // PANNIER_SRC_MACHO_FILE_H_
