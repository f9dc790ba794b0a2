// What tests of --as-factory on PE and Mach-O share: embedding, what the bundle exports, a blob of a host's own.
#ifndef PANNIER_TESTS_FACTORY_FIXTURE_H_
#define PANNIER_TESTS_FACTORY_FIXTURE_H_

#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "embedder/embed.h"
#include "embedder/opened_bundle.h"
#include "src/exported_symbol.h"
#include "src/module_blob.h"
#include "src/verify.h"
#include "tests/embed_fixture.h"
#include "tests/params_builder.h"
#include "tests/pe_builder.h"

namespace pannier {

class FactoryFiles {
 public:
  FactoryFiles() {
    WriteFile(folder / "graph.json", "{\"nodes\": [1, 2, 3]}");
    WriteFile(folder / "params.bin", BuildParams({{Pattern(64, 1)}, {Pattern(400, 2)}}));
    for (int i = 0; i < 40; ++i) WriteFile(folder / Label(i), Pattern(100, static_cast<std::uint32_t>(i)));
  }

  Result<EmbedSummary> Embed(const std::string& host, int others = 0) const {
    WriteFile(folder / "host", host);
    EmbedOptions options;
    options.encode.threads = 1;
    options.encode.codec = CodecChoice::kStore;
    options.factory_key = kFactoryKey;
    std::vector<NamedPath> artifacts = {{"graph", folder / "graph.json"}, {"params", folder / "params.bin"}};
    for (int i = 0; i < others; ++i) artifacts.push_back({Label(i), folder / Label(i)});
    return pannier::Embed(folder / "host", artifacts, folder / "model", options);
  }

  // Embeds, verifies file and image, restores; answers with the bundle's bytes.
  std::string RoundTrip(const std::string& host, int others = 0) const {
    const Result<EmbedSummary> summary = Embed(host, others);
    INFO(summary.status().message());
    REQUIRE(summary.ok());
    return CheckSound(folder / "model", host, folder);
  }

  // Every byte of the range counts when the file is verified.
  void CheckCovered(const std::string& bundle, std::uint64_t offset, std::uint64_t size) const {
    for (std::uint64_t i = offset; i < offset + size; ++i) {
      std::string bad = bundle;
      bad[i] = static_cast<char>(bad[i] ^ 1);
      WriteFile(folder / "bad", bad);
      const Result<OpenedBundle> opened = OpenedBundle::Open(folder / "bad");
      REQUIRE(opened.ok());
      const Result<VerifyReport> report = VerifyFile(opened->file, opened->reader, 1);
      CAPTURE(i);
      CHECK((!report.ok() || !report->passed()));
    }
  }

  std::string Error(const std::string& host) const {
    const Result<EmbedSummary> summary = Embed(host);
    if (summary.ok()) return "embedded";
    const std::string& message = summary.status().message();
    return message.substr(message.find(": ") + 2);  // behind the host's name
  }

  TemporaryDirectory folder;

 private:
  static std::string Label(int i) { return "l" + std::to_string(i); }
};

// The blob that the bundle exports; `devices`: of how many modules, all of the library's.
inline void CheckBlob(const std::string& bundle, std::uint64_t devices = 0) {
  const Result<std::optional<ByteView>> found = FindExported(View(bundle), kBlobSymbol);
  INFO(found.status().message());
  REQUIRE(found.ok());
  REQUIRE(*found);
  const Result<ModuleBlob> blob = ParseModuleBlob(**found);
  INFO(blob.status().message());
  REQUIRE(blob.ok());
  CHECK(blob->root_key == kFactoryKey);
  CHECK(blob->entries == 3 + devices);
  REQUIRE(blob->tree);
  std::vector<std::uint64_t> rows(3 + devices, 1 + devices);
  rows[0] = 0;
  rows[1] = 1;
  CHECK(blob->tree->row_pointers == rows);
  std::vector<std::uint64_t> children;
  for (std::uint64_t i = 0; i <= devices; ++i) children.push_back(1 + i);
  CHECK(blob->tree->children == children);
}

// As TVM links it into a library with one device module.
inline std::string DeviceBlob() {
  std::string content;
  const auto word = [&](std::uint64_t value) { PeWriter(content).Put(content.size(), value); };
  const auto string = [&](const std::string& text) {
    word(text.size());
    content += text;
  };
  word(3);
  string("_lib");
  string("opencl");
  string("__kernel");
  string("_import_tree");
  for (const unsigned value : {3U, 0U, 1U, 1U, 1U, 1U}) word(value);
  std::string blob;
  PeWriter(blob).Put(0, std::uint64_t{content.size()});
  return blob + content;
}

}  // namespace pannier

#endif  // PANNIER_TESTS_FACTORY_FIXTURE_H_
