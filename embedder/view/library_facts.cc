// What the readers of all formats share.
#include "embedder/view/library_facts.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "src/text.h"

namespace pannier {
namespace {

// Where the code section around an address ends; the address itself where there is none.
std::uint64_t CodeEnd(const LibraryFacts& facts, std::uint64_t address) {
  for (const LibrarySection& section : facts.sections) {
    if (section.is_code && address >= section.address && address - section.address < section.size)
      return section.address + section.size;
  }
  return address;
}

void SetUnknownSizes(LibraryFacts& facts) {
  std::uint64_t next = UINT64_MAX;  // the lowest address behind this one
  std::uint64_t here = UINT64_MAX;
  for (auto function = facts.functions.rbegin(); function != facts.functions.rend(); ++function) {
    if (function->address != here) next = std::exchange(here, function->address);
    if (function->size != 0) continue;
    function->size = std::min(next, CodeEnd(facts, here)) - here;
    function->bytes = ByteView(function->bytes.data(), std::min<std::size_t>(function->bytes.size(), function->size));
  }
}

}  // namespace

std::string_view FormatText(FileFormat format) {
  if (format == FileFormat::kMachO) return "macho";
  return format == FileFormat::kPe ? "pe" : "elf";
}

std::string_view TextAt(ByteView strings, std::uint64_t offset) {
  if (offset >= strings.size()) return {};
  const std::string_view rest = strings.text().substr(offset);
  const std::size_t end = rest.find('\0');
  return end == std::string_view::npos ? std::string_view() : rest.substr(0, end);
}

void SortFunctions(LibraryFacts& facts) {
  auto& functions = facts.functions;
  std::sort(functions.begin(), functions.end(), [](const LibraryFunction& a, const LibraryFunction& b) {
    return std::tie(a.address, a.name, b.is_exported, b.size) < std::tie(b.address, b.name, a.is_exported, a.size);
  });
  functions.erase(
      std::unique(functions.begin(), functions.end(),
                  [](const LibraryFunction& a, const LibraryFunction& b) { return a.address == b.address && a.name == b.name; }),
      functions.end());
  std::sort(facts.sections.begin(), facts.sections.end(), [](const LibrarySection& a, const LibrarySection& b) {
    return std::tie(a.offset, a.size, a.name) < std::tie(b.offset, b.size, b.name);
  });
  SetUnknownSizes(facts);
  facts.exported = static_cast<std::uint64_t>(
      std::count_if(functions.begin(), functions.end(), [](const LibraryFunction& function) { return function.is_exported; }));
}

Result<LibraryFacts> ReadLibraryFacts(ByteView library) {
  switch (DetectFormat(library)) {
    case FileFormat::kElf:
      return ReadElfFacts(library);
    case FileFormat::kMachO:
      return ReadMachOFacts(library);
    case FileFormat::kPe:
      return ReadPeFacts(library);
    default:
      return {ErrorCode::kUnsupported,
              StrCat("found ", FormatName(DetectFormat(library)), ", expected an ELF, Mach-O or PE library")};
  }
}

}  // namespace pannier
