// OpenedBundle: a bundle's file as commands read it: mapped, payload found, manifest checked.
#ifndef PANNIER_EMBEDDER_OPENED_BUNDLE_H_
#define PANNIER_EMBEDDER_OPENED_BUNDLE_H_

#include <string>
#include <utility>

#include "src/bundle_reader.h"
#include "src/mapped_file.h"
#include "src/result.h"

namespace pannier {

struct OpenedBundle {
  MappedFile file;
  BundleReader reader;

  static Result<OpenedBundle> Open(const std::string& path) {
    PANNIER_TRY(MappedFile file, MappedFile::Open(path));
    PANNIER_TRY(const Payload payload, FindPayload(file.bytes()));
    PANNIER_TRY(BundleReader reader, BundleReader::Open(payload));
    return OpenedBundle{std::move(file), std::move(reader)};
  }
};

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_OPENED_BUNDLE_H_
