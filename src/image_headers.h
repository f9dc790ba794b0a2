// An image's headers as the manifest has them, and what in a library differs from them.
#ifndef PANNIER_SRC_IMAGE_HEADERS_H_
#define PANNIER_SRC_IMAGE_HEADERS_H_

#include <functional>
#include <string>

#include "manifest_generated.h"
#include "src/image.h"
#include "src/result.h"

namespace pannier {

// Without spans.
Result<LibraryImage> RecordedImage(const format::Image& recorded);

// Calls `differ` with a line for each difference.
void CompareHeaders(const LibraryImage& found, const LibraryImage& expected, bool is_elf,
                    const std::function<void(std::string line)>& differ);

}  // namespace pannier

#endif  // PANNIER_SRC_IMAGE_HEADERS_H_
