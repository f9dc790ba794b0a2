// JSON, texts and files as all commands write them.
#include "embedder/command_line/command_output.h"

#include <fmt/format.h>

#include <cstdint>
#include <nlohmann/json.hpp>

#include "embedder/command_line/system.h"
#include "embedder/command_line/terminal.h"
#include "embedder/output_file.h"
#include "src/text.h"

namespace pannier {

void PrintJson(const nlohmann::json& json) {
  fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

std::string ShownText(const nlohmann::json& value) {
  if (value.is_string()) return Printable(value.get_ref<const std::string&>());
  if (value.is_null()) return "none";
  if (value.is_number_float()) return fmt::format("{:.6g}", value.get<double>());
  if (!value.is_array()) return value.dump();
  std::string list;
  for (const nlohmann::json& item : value) list += (list.empty() ? "" : ", ") + ShownText(item);
  return list.empty() ? "none" : list;
}

std::string ShownSize(const nlohmann::json& bytes) { return bytes.is_null() ? "none" : HumanSize(bytes.get<std::uint64_t>()); }

std::string ShownShape(const nlohmann::json& dimensions) {
  std::string text;
  for (const nlohmann::json& dimension : dimensions) text += StrCat(text.empty() ? "" : ", ", dimension.get<std::int64_t>());
  return "(" + text + ")";
}

Status WriteOutput(ByteView bytes, const std::string& path) {
  if (path == "-") return WriteToStdout(bytes);
  PANNIER_TRY(OutputFile out, OutputFile::Create(path, nullptr).WithContext(Printable(path)));
  PANNIER_CHECK_OK(out.WriteAt(0, bytes).WithContext(Printable(path)));
  return out.Commit().WithContext(Printable(path));
}

}  // namespace pannier
