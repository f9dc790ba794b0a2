// Pages of `pannier view` and `pannier diff`: one self-contained HTML file each, that loads nothing and runs no script but its own.
#ifndef PANNIER_EMBEDDER_VIEW_PAGE_H_
#define PANNIER_EMBEDDER_VIEW_PAGE_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace pannier {

// A page's sources, as they are compiled in from this folder (embedder/CMakeLists.txt).
struct PageSources {
  std::string_view html;  // with @TITLE@, @CSP@, @STYLE@, @DATA@ and @SCRIPT@
  std::string_view style;
  std::string_view script;
};
extern const PageSources kReportPage;
extern const PageSources kDiffPage;

// All texts in it, fit to be shown: without control characters, none much longer than 200 bytes.
void MakePrintable(nlohmann::json& json);

// The page with `data` in it. Only UTF-8 goes in; what is not is replaced.
std::string MakePage(const PageSources& sources, std::string_view title, const nlohmann::json& data);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_VIEW_PAGE_H_
