// A Mach-O library read, and refused where no payload could go into it.
#include "embedder/formats/macho_model.h"

#include <algorithm>
#include <string>
#include <utility>

#include "embedder/edit_plan.h"
#include "src/text.h"

namespace pannier {
namespace {

using macho::Blob;
using macho::Command;
using macho::Segment;

Status CheckIsLibrary(const macho::Header& header) {
  switch (header.file_type) {
    case macho::kTypeLibrary:
    case macho::kTypeBundle:
      break;
    case macho::kTypeObject:
      return Unsupported("found a relocatable object, expected a shared library; link it with -dynamiclib first");
    case macho::kTypeExecutable:
      return Unsupported("found an executable, expected a shared library; link the model as one (-dynamiclib) and load it");
    case macho::kTypeCore:
      return Unsupported("found a core file, expected a shared library");
    case macho::kTypeLibraryStub:
      return Unsupported("found a library's stub, expected the library itself");
    case macho::kTypeSymbols:
      return Unsupported("found a file of debug symbols (dSYM), expected a shared library");
    case macho::kTypeKernelExtension:
      return Unsupported("found a kernel extension, expected a shared library");
    default:
      return Unsupported(StrCat("mach-o type: found ", header.file_type, ", expected 6 (library) or 8 (bundle)"));
  }
  if ((header.flags & macho::kFlagInSharedCache) != 0)
    return Unsupported("found a library taken out of the system's shared cache, expected one as the linker wrote it");
  return {};
}

// One __LINKEDIT, behind all other segments in every respect.
Status FindLinkEdit(MachOModel& host) {
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < host.segments.size(); ++i) {
    const Segment& segment = host.segments[i];
    if (segment.name == macho::kPayloadSegment)
      return Unsupported(StrCat("found a segment ", macho::kPayloadSegment, " that is not pannier's, expected none of that name"));
    if (segment.name == macho::kLinkEdit) found = i;
    for (const macho::Section& section : segment.sections) {
      if (section.relocation_count != 0)
        return Unsupported(StrCat("section ", Printable(section.name), ": found relocations, expected none in a linked library"));
    }
  }
  if (!found) return Unsupported("found no segment __LINKEDIT, expected a linked library");
  host.link_edit = *found;
  const Segment& last = host.link_edit_segment();
  if (*found + 1 != host.segments.size())
    return Unsupported(
        StrCat("segment ", Printable(host.segments.back().name), ": found it behind __LINKEDIT, expected that to be the last"));
  if (!last.sections.empty())
    return Unsupported(StrCat("segment __LINKEDIT: found ", last.sections.size(), " sections, expected none"));
  if (last.offset % kPage != 0 || last.address % kPage != 0)
    return Unsupported(StrCat("segment __LINKEDIT: found it at ", Hex(last.offset), ", address ", Hex(last.address),
                              ", expected multiples of ", kPage));
  std::uint64_t mapped = 0;
  for (const Segment& segment : host.segments) {
    mapped += segment.file_size;  // within the file: no overflow
    const auto end = CheckedAdd(segment.address, segment.memory_size);
    const bool is_last = &segment == &last;
    if (!end || segment.file_size > segment.memory_size ||
        (!is_last && (*end > last.address || segment.offset + segment.file_size > last.offset))) {
      return Malformed(StrCat("segment ", Printable(segment.name), ": found ", segment.file_size, " bytes at ", Hex(segment.offset),
                              ", address ", Hex(segment.address), ", expected what fits in front of __LINKEDIT"));
    }
  }
  // Every mapped byte is digested, segment by segment.
  if (mapped / 2 > host.bytes.size())
    return Malformed(
        StrCat("segments: found ", mapped, " bytes mapped of a file of ", host.bytes.size(), ", expected at most twice as many"));
  const bool header_is_mapped = std::any_of(host.segments.begin(), host.segments.end(), [&](const Segment& segment) {
    return segment.offset == 0 && segment.file_size >= host.header.commands_end();
  });
  if (!header_is_mapped) return Malformed("segments: found none that holds the load commands");
  return {};
}

Status CheckCommands(MachOModel& host) {
  for (std::size_t i = 0; i < host.commands.size(); ++i) {
    const Command& command = host.commands[i];
    if (command.type == macho::kCodeSignature) {
      if (host.signature) return Malformed("code signature: found two load commands, expected one");
      host.signature = i;
    }
    PANNIER_TRY(std::vector<Blob> blobs, BlobsOf(host.header, command));
    host.blobs.push_back(std::move(blobs));
    if (command.type == macho::kEncryption32 || command.type == macho::kEncryption64) {
      const auto encryption = command.bytes.Read<std::uint32_t>(16);
      if (!encryption || *encryption != 0)
        return Unsupported("found an encrypted library (its store's copy protection), expected a plain one");
    }
  }
  return {};
}

}  // namespace

const Segment& MachOModel::header_segment() const {
  return *std::find_if(segments.begin(), segments.end(),
                       [](const Segment& segment) { return segment.offset == 0 && segment.file_size != 0; });
}

bool MachOModel::needs_signature() const { return header.cpu_type == macho::kCpuArm64 || header.cpu_type == macho::kCpuArm64Ilp32; }

std::uint64_t MachOModel::page_size() const {
  const bool is_large = needs_signature() || link_edit_segment().memory_size % kMachOLargePage == 0;
  return is_large ? kMachOLargePage : kPage;
}

Result<MachOModel> ReadMachOHost(ByteView bytes) {
  MachOModel host;
  host.bytes = bytes;
  PANNIER_TRY(host.header, macho::ParseHeader(bytes));
  PANNIER_CHECK_OK(CheckIsLibrary(host.header));
  PANNIER_TRY(host.commands, macho::ParseCommands(bytes, host.header));
  PANNIER_TRY(host.segments, macho::ParseSegments(host.header, host.commands));
  PANNIER_CHECK_OK(macho::CheckSegmentsInFile(host.segments, bytes.size()));
  PANNIER_CHECK_OK(CheckCommands(host));
  PANNIER_CHECK_OK(FindLinkEdit(host));
  return host;
}

}  // namespace pannier
