// CompareLibraries: which functions and sections of two libraries differ.
#ifndef PANNIER_EMBEDDER_VIEW_CODE_DIFF_H_
#define PANNIER_EMBEDDER_VIEW_CODE_DIFF_H_

#include <nlohmann/json_fwd.hpp>

#include "embedder/view/library_facts.h"

namespace pannier {

// {"facts": [{"name", "a", "b"}], "functions": {"added", "removed", "changed": [{"name", "a_bytes", "b_bytes"}], "equal", "moved"},
// "sections": [{"name", "a_bytes", "b_bytes"}]}; lists by name. A function has moved when its code differs in addresses alone: that
// is no change. Sections are the host's; "a_bytes" is null of one that only b has.
nlohmann::json CompareLibraries(const LibraryFacts& a, ByteView a_file, const LibraryFacts& b, ByteView b_file);

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_VIEW_CODE_DIFF_H_
