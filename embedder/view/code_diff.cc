// Functions are compared by name. Code that has grown moves what lies behind it, and with it the distances in calls and in accesses
// to data; so where two bodies differ, the differing fields are read as distances: if they lead to the same place by name, the
// code is the same. Sources: Intel SDM volume 2 (32-bit displacements), Arm ARM (B, BL, ADRP and the instructions that take the low
// 12 bits). Of other machines only equal bytes count as equal.
#include "embedder/view/code_diff.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>

namespace pannier {
namespace {

using Json = nlohmann::json;

// The functions and sections of a library by address.
class Places {
 public:
  explicit Places(const LibraryFacts& library) : library_(library) {
    for (const LibrarySection& section : library.sections) {
      if (section.memory_size != 0) sections_.push_back(&section);
    }
    std::sort(sections_.begin(), sections_.end(),
              [](const LibrarySection* a, const LibrarySection* b) { return a->address < b->address; });
  }

  // The name of what is at an address, with the distance from a function's begin; of data the section alone, since data may move
  // within it. Empty: nothing is known to be there.
  std::string NameOf(std::uint64_t address) const {
    const auto function = std::upper_bound(library_.functions.begin(), library_.functions.end(), address,
                                           [](std::uint64_t at, const LibraryFunction& other) { return at < other.address; });
    if (function != library_.functions.begin()) {
      const LibraryFunction& before = *std::prev(function);
      if (address - before.address < before.size) return before.name + "+" + std::to_string(address - before.address);
    }
    const auto section = std::upper_bound(sections_.begin(), sections_.end(), address,
                                          [](std::uint64_t at, const LibrarySection* other) { return at < other->address; });
    if (section == sections_.begin()) return {};
    const LibrarySection& before = **std::prev(section);
    // The end itself, too: code asks for it (__bss_end).
    return address - before.address <= before.memory_size ? before.name : std::string();
  }

 private:
  const LibraryFacts& library_;
  std::vector<const LibrarySection*> sections_;
};

struct Side {
  const LibraryFacts& library;
  const Places& places;
  const LibraryFunction& function;
};

bool LeadToSame(const Side& a, std::uint64_t a_address, const Side& b, std::uint64_t b_address) {
  const std::string name = a.places.NameOf(a_address);
  return !name.empty() && name == b.places.NameOf(b_address);
}

// x86: a field of 32 bits that holds the distance from behind it. An immediate may follow it within the instruction, which the
// distance counts from the end of; both sides have the same one, so it hardly matters here.
bool IsSameX86(const Side& a, const Side& b) {
  const ByteView left = a.function.bytes;
  const ByteView right = b.function.bytes;
  std::size_t explained = 0;  // all before it
  for (std::size_t at = 0; at < left.size(); ++at) {
    if (at < explained || left.data()[at] == right.data()[at]) continue;
    bool is_explained = false;
    for (std::size_t back = 0; back < 4 && !is_explained; ++back) {
      if (at < back + explained || at - back + 4 > left.size()) continue;
      const std::size_t field = at - back;
      const auto target = [field](const Side& side) {
        const auto distance = static_cast<std::int32_t>(*side.function.bytes.Read<std::uint32_t>(field));
        return side.function.address + field + 4 + static_cast<std::uint64_t>(std::int64_t{distance});
      };
      is_explained = LeadToSame(a, target(a), b, target(b));
      if (is_explained) explained = field + 4;
    }
    if (!is_explained) return false;
  }
  return true;
}

bool IsSameArm64Instruction(const Side& a, const Side& b, std::size_t at) {
  const std::uint32_t left = *a.function.bytes.Read<std::uint32_t>(at);
  const std::uint32_t right = *b.function.bytes.Read<std::uint32_t>(at);
  if (left == right) return true;
  if ((left & 0x7C000000) == 0x14000000 && (left & 0xFC000000) == (right & 0xFC000000)) {  // B, BL
    const auto target = [at](const Side& side, std::uint32_t code) {
      const auto words = static_cast<std::int32_t>(code << 6) >> 6;
      return side.function.address + at + static_cast<std::uint64_t>(std::int64_t{words} * 4);
    };
    return LeadToSame(a, target(a, left), b, target(b, right));
  }
  constexpr std::uint32_t kAddressField = 0x60FFFFE0;  // of ADRP and ADR
  if ((left & 0x1F000000) == 0x10000000) return (left & ~kAddressField) == (right & ~kAddressField);
  constexpr std::uint32_t kLowField = 0x003FFC00;                                                 // the low 12 bits of an address
  const bool takes_low = (left & 0x7FC00000) == 0x11000000 || (left & 0x3B000000) == 0x39000000;  // ADD immediate; loads, stores
  return takes_low && (left & ~kLowField) == (right & ~kLowField);
}

bool IsSameCode(const Side& a, const Side& b) {
  if (a.function.bytes.size() != b.function.bytes.size() || a.library.machine != b.library.machine) return false;
  if (a.library.machine == "x86-64" || a.library.machine == "x86_64" || a.library.machine == "i386") return IsSameX86(a, b);
  if (a.library.machine != "aarch64" && a.library.machine != "arm64" && a.library.machine != "arm64e") return false;
  for (std::size_t at = 0; at + 4 <= a.function.bytes.size(); at += 4) {
    if (!IsSameArm64Instruction(a, b, at)) return false;
  }
  return true;
}

// Several functions of one file may have the same name: then they are told apart by their order.
std::map<std::string, const LibraryFunction*> ByName(const LibraryFacts& library) {
  std::map<std::string, const LibraryFunction*> functions;
  std::map<std::string_view, unsigned> counts;
  for (const LibraryFunction& function : library.functions) {
    const unsigned number = ++counts[function.name];
    functions.emplace(number == 1 ? function.name : function.name + " #" + std::to_string(number), &function);
  }
  return functions;
}

Json CompareFunctions(const LibraryFacts& a, const LibraryFacts& b) {
  const auto left = ByName(a);
  const auto right = ByName(b);
  const Places a_places(a);
  const Places b_places(b);
  Json added = Json::array();
  Json removed = Json::array();
  Json changed = Json::array();
  std::uint64_t equal = 0;
  std::uint64_t moved = 0;
  for (const auto& [name, function] : left) {
    const auto other = right.find(name);
    if (other == right.end()) {
      removed.push_back({{"name", name}, {"bytes", function->size}});
    } else if (function->bytes == other->second->bytes) {
      ++equal;
    } else if (IsSameCode({a, a_places, *function}, {b, b_places, *other->second})) {
      ++moved;
    } else {
      changed.push_back({{"name", name}, {"a_bytes", function->size}, {"b_bytes", other->second->size}});
    }
  }
  for (const auto& [name, function] : right) {
    if (left.find(name) == left.end()) added.push_back({{"name", name}, {"bytes", function->size}});
  }
  return {{"added", std::move(added)},
          {"removed", std::move(removed)},
          {"changed", std::move(changed)},
          {"equal", equal},
          {"moved", moved}};
}

// Bytes of the sections of each name, one after another. Ours are compared elsewhere.
std::map<std::string, std::vector<ByteView>> SectionsByName(const LibraryFacts& library, ByteView file) {
  std::map<std::string, std::vector<ByteView>> sections;
  for (const LibrarySection& section : library.sections) {
    const auto bytes = file.Slice(section.offset, section.size);
    if (bytes && section.size != 0 && !section.name.starts_with(".tvm") && !section.name.starts_with("__TVM,"))
      sections[section.name].push_back(*bytes);
  }
  return sections;
}

Json SizeOf(const std::map<std::string, std::vector<ByteView>>& sections, const std::string& name) {
  const auto found = sections.find(name);
  if (found == sections.end()) return {};
  std::uint64_t size = 0;
  for (const ByteView bytes : found->second) size += bytes.size();
  return size;
}

Json CompareSections(const LibraryFacts& a, ByteView a_file, const LibraryFacts& b, ByteView b_file) {
  const auto left = SectionsByName(a, a_file);
  const auto right = SectionsByName(b, b_file);
  std::set<std::string> names;
  for (const auto& [name, bytes] : left) names.insert(name);
  for (const auto& [name, bytes] : right) names.insert(name);
  Json differing = Json::array();
  for (const std::string& name : names) {
    const auto one = left.find(name);
    const auto other = right.find(name);
    if (one != left.end() && other != right.end() && one->second == other->second) continue;
    differing.push_back({{"name", name}, {"a_bytes", SizeOf(left, name)}, {"b_bytes", SizeOf(right, name)}});
  }
  return differing;
}

Json CompareFacts(const LibraryFacts& a, const LibraryFacts& b) {
  Json facts = Json::array();
  const auto compare = [&](const char* name, const Json& left, const Json& right) {
    if (left != right) facts.push_back({{"name", name}, {"a", left}, {"b", right}});
  };
  compare("format", FormatText(a.format), FormatText(b.format));
  compare("machine", a.machine, b.machine);
  compare("bits", a.bits, b.bits);
  compare("byte_order", a.order == ByteOrder::kBig ? "big" : "little", b.order == ByteOrder::kBig ? "big" : "little");
  compare("build_id", a.build_id, b.build_id);
  compare("name", a.name, b.name);
  compare("linker", a.linker, b.linker);
  compare("compilers", a.compilers, b.compilers);
  compare("needed", a.needed, b.needed);
  return facts;
}

}  // namespace

Json CompareLibraries(const LibraryFacts& a, ByteView a_file, const LibraryFacts& b, ByteView b_file) {
  return {
      {"facts", CompareFacts(a, b)}, {"functions", CompareFunctions(a, b)}, {"sections", CompareSections(a, a_file, b, b_file)}};
}

}  // namespace pannier
