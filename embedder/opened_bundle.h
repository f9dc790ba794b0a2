// OpenedBundle: a bundle's file as commands read it: mapped, payload found, manifest checked.
#ifndef PANNIER_EMBEDDER_OPENED_BUNDLE_H_
#define PANNIER_EMBEDDER_OPENED_BUNDLE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "embedder/file_source.h"
#include "src/bundle_reader.h"
#include "src/factory_reader.h"
#include "src/mapped_file.h"
#include "src/result.h"

namespace pannier {

enum class WithoutDigests : std::uint8_t { kRefused, kRead };  // what TVM's export_library made

struct OpenedBundle {
  MappedFile file;
  BundleReader reader;

  // Of a fat file: its slice of architecture `arch`, or the one that FindPayload chooses, as if it were a file of its own.
  static Result<OpenedBundle> Open(const std::string& path, std::string_view arch = {},
                                   WithoutDigests without_digests = WithoutDigests::kRefused) {
    PANNIER_TRY(const FileSource source, FileSource::Open(path));
    PANNIER_TRY(MappedFile file, MappedFile::Map(source.fd(), 0, source.size()));
    const bool refuses = without_digests == WithoutDigests::kRefused;
    PANNIER_TRY(const Payload payload,
                refuses ? FindPayloadWithDigests(file.bytes(), arch) : FindPayloadOrFactory(file.bytes(), arch));
    if (!payload.slice.empty())
      return OpenRange(source.fd(), static_cast<std::uint64_t>(payload.slice.data() - file.bytes().data()), payload.slice.size());
    PANNIER_TRY(BundleReader reader, BundleReader::Open(payload));
    return OpenedBundle{std::move(file), std::move(reader)};
  }

  // A bundle within a file.
  static Result<OpenedBundle> OpenRange(int file_descriptor, std::uint64_t offset, std::uint64_t size) {
    PANNIER_TRY(MappedFile file, MappedFile::Map(file_descriptor, offset, size));
    PANNIER_TRY(const Payload payload, FindPayloadWithDigests(file.bytes()));
    PANNIER_TRY(BundleReader reader, BundleReader::Open(payload));
    return OpenedBundle{std::move(file), std::move(reader)};
  }
};

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_OPENED_BUNDLE_H_
