// TVM's blob of modules: entries counted, the import tree found from the end, since only a module's own reader knows where it ends.
#include "src/module_blob.h"

#include <algorithm>

#include "src/text.h"

namespace pannier {
namespace {

constexpr std::string_view kTreeKey = "_import_tree";
constexpr std::string_view kModuleName = "default";
constexpr std::size_t kWord = 8;
constexpr int kMaxTries = 64;  // to find the tree: each may read all of the blob

void AppendWord(std::vector<std::uint8_t>& out, std::uint64_t value) {
  std::uint8_t bytes[kWord];
  StoreInteger(bytes, value, ByteOrder::kLittle);
  out.insert(out.end(), bytes, bytes + kWord);
}

void AppendString(std::vector<std::uint8_t>& out, std::string_view text) {
  AppendWord(out, text.size());
  out.insert(out.end(), text.begin(), text.end());
}

void AppendWords(std::vector<std::uint8_t>& out, const std::vector<std::uint64_t>& words) {
  AppendWord(out, words.size());
  for (const std::uint64_t word : words) AppendWord(out, word);
}

// A vector's words; moves `at` behind it.
std::optional<std::vector<std::uint64_t>> ReadWords(ByteView bytes, std::uint64_t& at) {
  const auto count = bytes.Read<std::uint64_t>(at, ByteOrder::kLittle);
  if (!count || *count > (bytes.size() - at - kWord) / kWord) return std::nullopt;
  at += kWord;
  std::vector<std::uint64_t> words(static_cast<std::size_t>(*count));
  for (std::uint64_t& word : words) {
    word = *bytes.Read<std::uint64_t>(at, ByteOrder::kLittle);
    at += kWord;
  }
  return words;
}

// A tree of so many modules that takes up all of the bytes from `at` on.
std::optional<ImportTree> ReadTree(ByteView bytes, std::uint64_t at, std::uint64_t modules) {
  auto row_pointers = ReadWords(bytes, at);
  if (!row_pointers) return std::nullopt;
  auto children = ReadWords(bytes, at);
  if (!children || at != bytes.size()) return std::nullopt;
  const std::vector<std::uint64_t>& rows = *row_pointers;
  const bool is_sound = rows.size() == modules + 1 && rows.front() == 0 && rows.back() == children->size() &&
                        std::is_sorted(rows.begin(), rows.end()) &&
                        std::all_of(children->begin(), children->end(), [&](std::uint64_t child) { return child < modules; });
  if (!is_sound) return std::nullopt;
  return ImportTree{std::move(*row_pointers), std::move(*children)};
}

}  // namespace

std::optional<ByteView> ReadBlobString(ByteView bytes, std::uint64_t& at) {
  const auto size = bytes.Read<std::uint64_t>(at, ByteOrder::kLittle);
  const auto text = size ? bytes.Slice(at + kWord, *size) : std::nullopt;
  if (text) at += kWord + *size;
  return text;
}

Result<ModuleBlob> ParseModuleBlob(ByteView bytes) {
  const auto size = bytes.Read<std::uint64_t>(0, ByteOrder::kLittle);
  const auto content = size ? bytes.Slice(kWord, *size) : std::nullopt;
  if (!content || *size < kWord)
    return Malformed(StrCat("module blob: size: found ", size.value_or(0), ", expected at most ", bytes.size()));
  ModuleBlob blob;
  blob.bytes = *bytes.Slice(0, kWord + *size);
  blob.entries = *content->Read<std::uint64_t>(0, ByteOrder::kLittle);
  // Each takes its key's length at least.
  if (blob.entries > content->size() / kWord)
    return Malformed(StrCat("module blob: found ", blob.entries, " entries in ", content->size(), " bytes"));
  blob.modules = *content->Slice(kWord, content->size() - kWord);
  if (blob.entries == 0) return blob;
  std::uint64_t key_at = 0;
  const std::optional<ByteView> key = ReadBlobString(blob.modules, key_at);
  if (!key) return Malformed("module blob: found no key, expected that of the first module");
  blob.root_key = key->text();

  std::vector<std::uint8_t> pattern;
  AppendString(pattern, kTreeKey);
  // A device's source code may hold these bytes, too, but only the last entry is followed by a sound tree and the end.
  const std::uint8_t* end = blob.modules.end();
  for (int i = 0; i < kMaxTries && !blob.tree; ++i) {
    const std::uint8_t* const found = std::find_end(blob.modules.begin(), end, pattern.begin(), pattern.end());
    if (found == end) break;
    blob.tree = ReadTree(blob.modules, static_cast<std::uint64_t>(found - blob.modules.begin()) + pattern.size(), blob.entries - 1);
    end = blob.tree ? found : found + pattern.size() - 1;
  }
  if (blob.tree) blob.modules = ByteView(blob.modules.begin(), static_cast<std::size_t>(end - blob.modules.begin()));
  return blob;
}

Result<FactoryBlob> WrapInFactory(std::string_view key, const ModuleBlob* imported, std::uint64_t graph_size,
                                  std::uint64_t inner_size) {
  // The factory comes first, so that all other modules' numbers go up by one.
  ImportTree tree = {{0, 1}, {1}};
  std::vector<std::uint8_t> behind;
  AppendString(behind, kModuleName);
  std::uint64_t modules = 1;
  if (imported != nullptr && imported->tree) {
    if (imported->is_factory()) {
      return {ErrorCode::kUnsupported,
              "found a library that TVM made a factory of already, expected one without; TVM loads it as it is"};
    }
    modules += imported->entries - 1;
    const std::vector<std::uint64_t>& rows = imported->tree->row_pointers;
    for (std::size_t i = 1; i < rows.size(); ++i) tree.row_pointers.push_back(rows[i] + 1);
    for (const std::uint64_t child : imported->tree->children) tree.children.push_back(child + 1);
  } else {
    const std::uint64_t devices = imported != nullptr ? imported->entries : 0;
    AppendString(behind, kLibraryKey);
    modules += 1 + devices;
    for (std::uint64_t i = 0; i < devices; ++i) tree.children.push_back(2 + i);
    tree.row_pointers.insert(tree.row_pointers.end(), static_cast<std::size_t>(1 + devices), 1 + devices);
  }
  if (imported != nullptr) behind.insert(behind.end(), imported->modules.begin(), imported->modules.end());
  AppendString(behind, kTreeKey);
  AppendWords(behind, tree.row_pointers);
  AppendWords(behind, tree.children);

  const std::uint64_t before_size = kWord + (kWord + key.size()) + kWord;  // without the size itself
  const auto content = CheckedAdd(inner_size, before_size + behind.size());
  if (!content) return {ErrorCode::kLimit, "module blob: its size overflows"};
  FactoryBlob blob;
  AppendWord(blob.before_graph, *content);
  AppendWord(blob.before_graph, modules + 1);
  AppendString(blob.before_graph, key);
  AppendWord(blob.before_graph, graph_size);
  blob.behind_tensors = std::move(behind);
  return blob;
}

}  // namespace pannier
