// The dynamic section read, and the search path of each needed library followed. Source: System V gABI, chapter 5, "Dynamic
// Linking"; ld.so(8), "Dynamic string tokens".
#include "loader/origin_dependencies.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "src/elf_file.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::uint64_t kNull = 0;
constexpr std::uint64_t kNeeded = 1;
constexpr std::uint64_t kStringTable = 5;
constexpr std::uint64_t kStringTableSize = 10;
constexpr std::uint64_t kRpath = 15;
constexpr std::uint64_t kRunpath = 29;

struct Dynamic {
  std::vector<std::string> needed;
  std::vector<std::string> paths;
};

std::optional<ByteView> AtAddress(ByteView file, const std::vector<elf::Segment>& segments, std::uint64_t address,
                                  std::uint64_t size) {
  for (const elf::Segment& segment : segments) {
    if (segment.type == elf::kSegmentLoad && address >= segment.vaddr && FitsWithin(address - segment.vaddr, size, segment.filesz))
      return file.Slice(segment.offset + (address - segment.vaddr), size);
  }
  return std::nullopt;
}

Result<Dynamic> ReadDynamic(ByteView file) {
  PANNIER_TRY(const elf::Header header, elf::ParseHeader(file));
  PANNIER_TRY(const std::vector<elf::Segment> segments, elf::ParseSegments(file, header));
  Dynamic dynamic;
  const auto segment =
      std::find_if(segments.begin(), segments.end(), [](const elf::Segment& one) { return one.type == elf::kSegmentDynamic; });
  if (segment == segments.end()) return dynamic;
  const std::optional<ByteView> table = AtAddress(file, segments, segment->vaddr, segment->filesz);
  if (!table) return Malformed("dynamic section: found it outside of the file");

  struct Entry {
    std::uint64_t tag;
    std::uint64_t value;
  };
  std::vector<Entry> entries;
  const std::size_t word = header.word_size();
  const auto read = [&](std::uint64_t at) -> std::uint64_t {
    return word == 8 ? *table->Read<std::uint64_t>(at, header.order) : *table->Read<std::uint32_t>(at, header.order);
  };
  std::uint64_t strings_address = 0;
  std::uint64_t strings_size = 0;
  for (std::uint64_t at = 0; table->Contains(at, 2 * word); at += 2 * word) {
    const Entry entry{read(at), read(at + word)};
    if (entry.tag == kNull) break;
    if (entry.tag == kStringTable) strings_address = entry.value;
    if (entry.tag == kStringTableSize) strings_size = entry.value;
    entries.push_back(entry);
  }
  const std::optional<ByteView> strings = AtAddress(file, segments, strings_address, strings_size);
  for (const Entry& entry : entries) {
    if (entry.tag != kNeeded && entry.tag != kRpath && entry.tag != kRunpath) continue;
    if (!strings || entry.value >= strings->size()) return Malformed("dynamic section: found a name outside of its strings");
    std::string_view text = strings->text().substr(static_cast<std::size_t>(entry.value));
    text = text.substr(0, text.find('\0'));
    if (entry.tag == kNeeded) {
      dynamic.needed.emplace_back(text);
      continue;
    }
    for (std::size_t end = 0; end != std::string_view::npos;) {
      end = text.find(':');
      dynamic.paths.emplace_back(text.substr(0, end));
      if (end != std::string_view::npos) text.remove_prefix(end + 1);
    }
  }
  return dynamic;
}

// The text with the folder in place of $ORIGIN; nothing if it does not have that.
std::optional<std::string> WithOrigin(std::string text, const std::string& folder) {
  bool found = false;
  for (const std::string_view token : {"${ORIGIN}", "$ORIGIN"}) {
    for (std::size_t at = text.find(token); at != std::string::npos; at = text.find(token, at + folder.size())) {
      text.replace(at, token.size(), folder);
      found = true;
    }
  }
  return found ? std::optional<std::string>(text) : std::nullopt;
}

bool IsLoaded(const std::string& name) {
  void* const handle = dlopen(name.c_str(), RTLD_LAZY | RTLD_NOLOAD);
  if (handle != nullptr) dlclose(handle);
  return handle != nullptr;
}

std::string FolderOf(const std::string& path) {
  struct Free {
    void operator()(char* text) const { std::free(text); }
  };
  const std::unique_ptr<char, Free> real(realpath(path.c_str(), nullptr));
  const std::string found = real != nullptr ? real.get() : path;
  return found.substr(0, std::max<std::size_t>(found.find_last_of('/'), 1));
}

}  // namespace

Status CheckOriginDependencies(ByteView file, const std::string& path) {
  PANNIER_TRY(const Dynamic dynamic, ReadDynamic(file));
  const std::string folder = FolderOf(path);
  for (const std::string& name : dynamic.needed) {
    std::vector<std::string> places;
    if (const auto place = WithOrigin(name, folder)) places.push_back(*place);
    for (const std::string& search : dynamic.paths) {
      if (const auto place = WithOrigin(search, folder); place && name.find('/') == std::string::npos)
        places.push_back(StrCat(*place, "/", name));
    }
    for (const std::string& place : places) {
      if (access(place.c_str(), F_OK) != 0 || IsLoaded(name) || IsLoaded(place)) continue;
      return {ErrorCode::kUnsupported,
              StrCat("trusted keys: it needs ", Printable(name),
                     " from its own folder ($ORIGIN), which its signature does not cover; load ", Printable(place), " before")};
    }
  }
  return {};
}

}  // namespace pannier
