// The table of load commands. Source: mach-o/loader.h of cctools and dyld (up to LC_TARGET_TRIPLE).
#include "src/macho_commands.h"

#include <algorithm>
#include <iterator>

#include "src/text.h"

namespace pannier::macho {
namespace {

struct Field {
  std::uint32_t command;
  std::uint16_t offset_field;
  std::uint16_t size_field;
  std::uint16_t unit;     // bytes for each that the size field counts: 64-bit,
  std::uint16_t unit_32;  // and 32-bit
  bool is_wide = false;
};

constexpr Field kFields[] = {
    {0x3, 8, 12, 1, 1},  // SYMSEG
    {kSymbolTable, 8, 12, 16, 12},
    {kSymbolTable, 16, 20, 1, 1},         // its strings
    {kDynamicSymbolTable, 32, 36, 8, 8},  // table of contents
    {kDynamicSymbolTable, 40, 44, 56, 52},
    {kDynamicSymbolTable, 48, 52, 4, 4},  // references
    {kDynamicSymbolTable, 56, 60, 4, 4},  // indirect symbols
    {kDynamicSymbolTable, 64, 68, 8, 8},  // external relocations
    {kDynamicSymbolTable, 72, 76, 8, 8},  // local relocations
    {0x16, 8, 12, 4, 4},                  // TWOLEVEL_HINTS
    {kCodeSignature, 8, 12, 1, 1},
    {0x1e, 8, 12, 1, 1},  // SEGMENT_SPLIT_INFO
    {kEncryption32, 8, 12, 1, 1},
    {kEncryption64, 8, 12, 1, 1},
    {kDyldInfo, 8, 12, 1, 1},   // rebases
    {kDyldInfo, 16, 20, 1, 1},  // bindings
    {kDyldInfo, 24, 28, 1, 1},  // weak bindings
    {kDyldInfo, 32, 36, 1, 1},  // lazy bindings
    {kDyldInfo, 40, 44, 1, 1},  // exports
    {kDyldInfoOnly, 8, 12, 1, 1},
    {kDyldInfoOnly, 16, 20, 1, 1},
    {kDyldInfoOnly, 24, 28, 1, 1},
    {kDyldInfoOnly, 32, 36, 1, 1},
    {kDyldInfoOnly, 40, 44, 1, 1},
    {kFunctionStarts, 8, 12, 1, 1},
    {kDataInCode, 8, 12, 1, 1},
    {0x2b, 8, 12, 1, 1},         // DYLIB_CODE_SIGN_DRS
    {0x2e, 8, 12, 1, 1},         // LINKER_OPTIMIZATION_HINT
    {0x31, 24, 32, 1, 1, true},  // NOTE
    {0x36, 8, 12, 1, 1},         // ATOM_INFO
    {kFunctionVariants, 8, 12, 1, 1},
    {kFunctionVariantFixups, 8, 12, 1, 1},
    {kExportsTrie, 8, 12, 1, 1},
    {kChainedFixups, 8, 12, 1, 1},
};

// Those that lead nowhere: threads, shared libraries of old kinds, dylibs and what they are called, routines, sub-frameworks,
// versions, rpaths, LC_MAIN, LC_UUID, linker options, LC_TARGET_TRIPLE.
constexpr std::uint32_t kWithoutBlobs[] = {
    kSegment32, 0x4,  0x5,  0x6,  0x7,        0x8,  0x9,        0xa,  0xc,  kIdDylib,      0xe,           0xf,        0x10,
    0x11,       0x12, 0x13, 0x14, 0x15,       0x17, 0x80000018, 0x1a, 0x1b, kSegment64,    0x8000001c,    0x8000001f, 0x20,
    0x80000023, 0x24, 0x25, 0x27, 0x80000028, 0x2d, 0x2f,       0x30, 0x39, kBuildVersion, kSourceVersion};

}  // namespace

Result<std::vector<Blob>> BlobsOf(const Header& header, const Command& command) {
  std::vector<Blob> blobs;
  for (const Field& field : kFields) {
    if (field.command != command.type) continue;
    const std::size_t width = field.is_wide ? 8 : 4;
    if (command.bytes.size() < std::size_t{field.size_field} + width)
      return Malformed(StrCat("load command ", Hex(command.type), ": found ", command.bytes.size(), " bytes, expected at least ",
                              field.size_field + width));
    auto read = [&](std::size_t at) -> std::uint64_t {
      return field.is_wide ? *command.bytes.Read<std::uint64_t>(at) : *command.bytes.Read<std::uint32_t>(at);
    };
    const auto size = CheckedMultiply(read(field.size_field), header.is_64 ? field.unit : field.unit_32);
    if (!size) return Malformed(StrCat("load command ", Hex(command.type), ": size: found one that overflows"));
    blobs.push_back({read(field.offset_field), *size, field.offset_field, field.is_wide});
  }
  if (blobs.empty() && std::find(std::begin(kWithoutBlobs), std::end(kWithoutBlobs), command.type) == std::end(kWithoutBlobs)) {
    return {ErrorCode::kUnsupported,
            StrCat("load command ", Hex(command.type), ": found one that this version does not know, and that may lead to data",
                   " that has to move; please report the linker that wrote it")};
  }
  return blobs;
}

}  // namespace pannier::macho
