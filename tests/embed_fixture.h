// What tests of the embedder share: a folder that goes away, files, hosts of every platform, and embedding that must succeed.
#ifndef PANNIER_TESTS_EMBED_FIXTURE_H_
#define PANNIER_TESTS_EMBED_FIXTURE_H_

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "embedder/embed.h"
#include "embedder/opened_bundle.h"
#include "embedder/restore.h"
#include "src/verify.h"
#include "tests/file_fixture.h"

namespace pannier {

namespace fs = std::filesystem;

inline const fs::path kData = fs::path(PANNIER_TEST_DATA) / "mlp";

using Folder = TemporaryDirectory;

// The one library in a platform's folder.
inline std::string HostOf(const std::string& platform) { return fs::directory_iterator(kData / platform)->path().string(); }

inline std::vector<NamedPath> Artifacts() {
  return {{"graph", (kData / "graph.json").string()}, {"params", (kData / "params.bin").string()}};
}

inline EmbedSummary MustEmbed(const std::string& host, const std::vector<NamedPath>& artifacts, const std::string& target,
                              CodecChoice codec = CodecChoice::kStore, unsigned threads = 0, bool force = false) {
  EmbedOptions options;
  options.encode.codec = codec;
  options.encode.threads = threads;
  options.force = force;
  Result<EmbedSummary> summary = Embed(host, artifacts, target, options);
  INFO(summary.status().message());
  REQUIRE(summary.ok());
  return std::move(*summary);
}

inline VerifyReport MustVerify(const std::string& path) {
  Result<OpenedBundle> bundle = OpenedBundle::Open(path);
  INFO(bundle.status().message());
  REQUIRE(bundle.ok());
  Result<VerifyReport> report = VerifyFile(bundle->file, bundle->reader, 0);
  REQUIRE(report.ok());
  return std::move(*report);
}

// File and image verify, and restored it is the host again; answers with the bundle's bytes.
inline std::string CheckSound(const std::string& bundle, const std::string& host, const Folder& folder) {
  {
    const Result<OpenedBundle> opened = OpenedBundle::Open(bundle);
    REQUIRE(opened.ok());
    for (auto* const verify : {&VerifyFile, &VerifyImage}) {
      const Result<VerifyReport> report = (*verify)(opened->file, opened->reader, 1);
      REQUIRE(report.ok());
      CAPTURE(report->differences);
      CHECK(report->passed());
    }
  }
  const Status restored = Restore(bundle, folder / "restored");
  INFO(restored.message());
  REQUIRE(restored.ok());
  CHECK(ReadFile(folder / "restored") == host);
  return ReadFile(bundle);
}

}  // namespace pannier

#endif  // PANNIER_TESTS_EMBED_FIXTURE_H_
