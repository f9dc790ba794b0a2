// Untrusted texts are data in the page, never markup: in a script element of type application/json, where nothing that could end
// the element or begin a comment is left. The content security policy allows the page's own style and script, by their digests.
#include "embedder/view/page.h"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "src/base64.h"
#include "src/sha256.h"
#include "src/text.h"

namespace pannier {
namespace {

std::string EscapeHtml(std::string_view text) {
  std::string out;
  for (const char character : text) {
    switch (character) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += character;
    }
  }
  return out;
}

// JSON within HTML: in texts alone can these characters occur, and there \u means the same.
std::string EscapeJson(const std::string& json) {
  std::string out;
  out.reserve(json.size());
  for (const char character : json) {
    switch (character) {
      case '&':
        out += "\\u0026";
        break;
      case '<':
        out += "\\u003c";
        break;
      case '>':
        out += "\\u003e";
        break;
      default:
        out += character;
    }
  }
  return out;
}

std::string SourceDigest(std::string_view text) {
  const Sha256Digest digest = Sha256Of(View(text));
  return StrCat("'sha256-", EncodeBase64(View(digest.bytes)), "'");
}

// In one pass, so that nothing that was put in is taken for a place to put something in.
std::string Fill(std::string_view html, const std::array<std::pair<std::string_view, std::string_view>, 5>& values) {
  std::string out;
  while (!html.empty()) {
    const std::size_t at = html.find('@');
    out += html.substr(0, at);
    if (at == std::string_view::npos) break;
    html.remove_prefix(at);
    bool is_place = false;
    for (const auto& [place, value] : values) {
      if (!html.starts_with(place)) continue;
      out += value;
      html.remove_prefix(place.size());
      is_place = true;
      break;
    }
    if (is_place) continue;
    out += html.front();
    html.remove_prefix(1);
  }
  return out;
}

}  // namespace

void MakePrintable(nlohmann::json& json) {
  if (json.is_string()) json = Printable(json.get_ref<const std::string&>());
  if (json.is_structured()) {
    for (nlohmann::json& item : json) MakePrintable(item);
  }
}

std::string MakePage(const PageSources& sources, std::string_view title, const nlohmann::json& data) {
  const std::string policy = StrCat("default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src ",
                                    SourceDigest(sources.style), "; script-src ", SourceDigest(sources.script));
  const std::string json = EscapeJson(data.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace));
  const std::string escaped_title = EscapeHtml(title);
  return Fill(sources.html, {{{"@TITLE@", escaped_title},
                              {"@CSP@", policy},
                              {"@STYLE@", sources.style},
                              {"@DATA@", json},
                              {"@SCRIPT@", sources.script}}});
}

}  // namespace pannier
