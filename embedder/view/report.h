// MakeReport: what the page of `pannier view` shows, as JSON; page.js reads it. Not an interface: it changes with the page.
#ifndef PANNIER_EMBEDDER_VIEW_REPORT_H_
#define PANNIER_EMBEDDER_VIEW_REPORT_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "embedder/opened_bundle.h"
#include "embedder/view/graph_layout.h"
#include "src/effort.h"
#include "src/public_key.h"
#include "src/result.h"

namespace pannier {

struct ReportOptions {
  std::vector<PublicKey> keys;
  bool statistics = true;  // of all values: reads all of params twice
  Placing placing = Placing::kGraphviz;
  Effort effort = 0;
};

// All texts are fit to be shown: without control characters, none much longer than 200 bytes.
Result<nlohmann::json> MakeReport(const OpenedBundle& bundle, const std::string& path, const ReportOptions& options);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_VIEW_REPORT_H_
