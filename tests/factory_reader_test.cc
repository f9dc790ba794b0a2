// Libraries that TVM's export_library made: read as bundles, refused where digests are needed, and hostile blobs.
#include "src/factory_reader.h"

#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "embedder/content/artifact_stream.h"
#include "embedder/restore.h"
#include "pannier/loader.h"
#include "pannier/pannier.h"
#include "src/bundle_reader.h"
#include "src/params_walk.h"
#include "tests/embed_fixture.h"
#include "tests/params_builder.h"

namespace pannier {
namespace {

constexpr std::string_view kGraph = R"({"nodes": []})";
const std::string kFloats("\0\0\x80\x3F\0\0\0\xC0\0\0\0\x3F", 12);  // 1, -2, 0.5: factory_host.c's

std::string Word(std::uint64_t value) {
  std::string text;
  for (int i = 0; i < 8; ++i) text.push_back(static_cast<char>(value >> (8 * i)));
  return text;
}

std::string Text(std::string_view text) { return Word(text.size()).append(text); }

std::string Tree(const std::vector<std::uint64_t>& rows, const std::vector<std::uint64_t>& children) {
  std::string text = Text("_import_tree") + Word(rows.size());
  for (const std::uint64_t row : rows) text += Word(row);
  text += Word(children.size());
  for (const std::uint64_t child : children) text += Word(child);
  return text;
}

const std::string kPlainTree = Tree({0, 1, 1}, {1});

// A .params file as the blob has it: without its first two words, and with the second count in front of the first.
std::string InBlob(const std::string& params, std::size_t tensors) {
  std::size_t middle = 24;
  for (std::size_t i = 0; i < tensors; ++i) middle += 8 + static_cast<std::size_t>(*View(params).Read<std::uint64_t>(middle));
  return params.substr(middle, 8) + params.substr(16, middle - 16) + params.substr(middle + 8);
}

// What a blob is made of, each part as it stands there.
struct Parts {
  std::uint64_t entries = 3;
  std::string key = Text(kFactoryKey);
  std::string graph = Text(kGraph);
  std::string file = BuildParams({{kFloats}, {""}, {Pattern(5, 1), {0, 8, 1}}});
  std::string params = InBlob(file, 3);
  std::string name = Text("default");
  std::string imports = Text("_lib");
  std::string tree = kPlainTree;

  std::string Join() const {
    const std::string content = Word(entries) + key + graph + params + name + imports + tree;
    return Word(content.size()) + content;
  }
};

// Read as a bundle from memory of exactly its size, so that sanitizers see what lies behind.
class OpenedBlob {
 public:
  explicit OpenedBlob(const std::string& blob) : bytes_(new std::uint8_t[blob.size()]), view_(bytes_.get(), blob.size()) {
    std::memcpy(bytes_.get(), blob.data(), blob.size());
    status_ = Open();
  }

  const Status& status() const { return status_; }
  const BundleReader& reader() const { return *reader_; }
  const Factory& factory() const { return *factory_; }

  // "" where it cannot be read.
  std::string Artifact(std::string_view name) {
    std::string out;
    const MappedFile file = MappedFile::Borrow(view_);
    const Status status = StreamArtifact(file, *reader_, reader_->artifact(*reader_->FindArtifact(name)), 1, [&](ByteView bytes) {
      out += bytes.text();
      return Status();
    });
    INFO(status.message());
    CHECK(status.ok());
    return out;
  }

 private:
  Status Open() {
    PANNIER_TRY(const ModuleBlob blob, ParseModuleBlob(view_));
    PANNIER_TRY(factory_, ReadFactory(blob));
    PANNIER_TRY(reader_, BundleReader::Open(DescribeFactory(*factory_, blob, view_)));
    return reader_->Tensors(reader_->artifact(*reader_->FindArtifact(kParamsArtifact))).TakeStatus();
  }

  std::unique_ptr<std::uint8_t[]> bytes_;
  ByteView view_;
  std::optional<Factory> factory_;
  std::optional<BundleReader> reader_;
  Status status_;
};

std::string MessageOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("Factory: graph and params of a sound blob") {
  Parts parts;
  const auto check = [&](const std::string& imports) {
    OpenedBlob blob(parts.Join());
    INFO(blob.status().message());
    REQUIRE(blob.status().ok());
    CHECK_FALSE(blob.reader().has_digests());
    CHECK(blob.Artifact(kGraphArtifact) == kGraph);
    CHECK(blob.Artifact(kParamsArtifact) == parts.file);
    CHECK(ToText(blob.reader().manifest().producer()) == "TVM's export_library, " + imports);
  };
  SECTION("as TVM 0.8 to 0.19 make it") { check("GraphExecutorFactory \"default\", _lib"); }
  SECTION("as TVM 0.7 makes it") {
    parts.key = Text(kFactoryKey07);
    check("GraphRuntimeFactory \"default\", _lib");
  }
  SECTION("with device modules") {
    parts.entries = 5;
    parts.imports += Text("opencl") + Pattern(100, 2) + Text("cuda") + "what only CUDA's module can read";
    parts.tree = Tree({0, 1, 3, 3, 3}, {1, 2, 3});
    check("GraphExecutorFactory \"default\", _lib, opencl and 1 more");
  }
  SECTION("with another's tree in a device module's source code") {
    parts.entries = 4;
    parts.imports += Text("opencl") + kPlainTree;
    parts.tree = Tree({0, 1, 2, 2}, {1, 2});
    check("GraphExecutorFactory \"default\", _lib, opencl");
  }
  SECTION("without an import tree") {
    parts.entries = 2;
    parts.tree = "";
    check("GraphExecutorFactory \"default\", _lib");
  }
  SECTION("without imports") {
    parts.entries = 2;
    parts.imports = "";
    parts.tree = Tree({0, 0}, {});
    check("GraphExecutorFactory \"default\"");
  }
  SECTION("with the library many times") {
    parts.entries = 102;
    for (int i = 0; i < 99; ++i) parts.imports += Text("_lib");
    parts.tree = "";
    check("GraphExecutorFactory \"default\", _lib, _lib, _lib, _lib, _lib, _lib, _lib, _lib and 93 more");
  }
  SECTION("without tensors") {
    parts.file = BuildParams({});
    parts.params = InBlob(parts.file, 0);
    check("GraphExecutorFactory \"default\", _lib");
  }
  SECTION("with tensors of many chunks and of none") {
    parts.file = BuildParams({{""}, {Pattern(3 * kChunkSize + 4, 3)}, {""}, {Pattern(kChunkSize, 4)}});
    parts.params = InBlob(parts.file, 4);
    parts.graph = Text(std::string(2 * kChunkSize + 1, ' '));
    OpenedBlob blob(parts.Join());
    REQUIRE(blob.status().ok());
    CHECK(blob.Artifact(kGraphArtifact) == std::string(2 * kChunkSize + 1, ' '));
    CHECK(blob.Artifact(kParamsArtifact) == parts.file);
  }
  SECTION("with an empty graph and no name") {
    parts.graph = parts.name = Text("");
    OpenedBlob blob(parts.Join());
    REQUIRE(blob.status().ok());
    CHECK(blob.Artifact(kGraphArtifact).empty());
    CHECK(ToText(blob.reader().manifest().producer()) == "TVM's export_library, GraphExecutorFactory \"\", _lib");
  }
}

TEST_CASE("Factory: hostile blobs") {
  struct Case {
    std::function<void(Parts&)> spoil;
    std::string message;
  };
  const std::uint64_t most = ~std::uint64_t{0};
  const std::vector<Case> cases = {
      {[&](Parts& p) { p.entries = most; }, "module blob: found 18446744073709551615 entries in 359 bytes"},
      {[&](Parts& p) { p.key = Word(most) + p.key.substr(8); }, "module blob: found no key, expected that of the first module"},
      {[](Parts& p) { p.key = Text("_lib"); }, "module blob: root: found \"_lib\", expected GraphExecutorFactory"},
      {[&](Parts& p) { p.graph = Word(most) + p.graph.substr(8); }, "module blob: graph: found no string at 0x1c of the modules"},
      {[&](Parts& p) { p.graph = Word(most - 7) + p.graph.substr(8); },
       "module blob: graph: found no string at 0x1c of the modules"},
      {[&](Parts& p) { p.params = Word(most) + Word(most) + p.params.substr(16); },
       "module blob: params: tensor count: found 18446744073709551615, expected at most 4"},
      {[](Parts& p) {
         p.params = Word(1'000'000) + Word(1'000'000);
         p.params.resize(50'000'000);
       },
       "module blob: params: tensor count: found 1000000, expected at most 500000"},
      {[](Parts& p) { p.params = Word(2) + p.params.substr(8); },
       "module blob: params: names: found 3, expected 2 as there are tensors"},
      {[&](Parts& p) { p.params = p.params.substr(0, 16) + Word(most) + p.params.substr(24); },
       "module blob: params: name 0: size: found 18446744073709551615, expected at most 4096"},
      {[](Parts& p) { p.params[24] = '\n'; }, "module blob: params: name 0: found \"\\x0a0\", expected printable UTF-8"},
      {[](Parts& p) { p.params[35] = '0'; }, "module blob: params: name 1: found \"p0\" again (name 0), expected distinct names"},
      {[](Parts& p) { p.params[46] = 1; },
       "module blob: params: tensor 0 \"p0\": magic: found 0xdd5e40f096b4a101, expected 0xdd5e40f096b4a13f"},
      {[](Parts& p) { p.params[78] = 4; }, "module blob: params: tensor 0 \"p0\": data size: found 12, expected 16"},
      {[](Parts& p) { p.params[84] = p.params[92] = 1; },
       "module blob: params: tensor 0 \"p0\": data size: found 281474976710668, expected 1125899906842636"},
      {[&](Parts& p) { p.name = Word(most); },
       "module blob: module name: found no string at 0x100 of the modules, expected one of at most 4096 bytes"},
      {[](Parts& p) { p.name = Text(std::string(4097, 'x')); },
       "module blob: module name: found no string at 0x100 of the modules, expected one of at most 4096 bytes"},
      {[&](Parts& p) { p.imports = Word(most - 7); },
       "module blob: imported module: found no string at 0x10f of the modules, expected one of at most 4096 bytes"},
  };
  for (const Case& wrong : cases) {
    Parts parts;
    wrong.spoil(parts);
    CHECK(OpenedBlob(parts.Join()).status().message() == wrong.message);
  }
}

TEST_CASE("Factory: a blob that ends at any byte") {
  const Parts parts;
  const std::string whole = parts.Join();
  const std::size_t with_key = whole.size() - parts.tree.size();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CHECK_FALSE(OpenedBlob(whole.substr(0, size)).status().ok());
    if (size < 16) continue;
    // The same, and the blob's size agrees. Without the tree's end, the rest can still be read.
    const OpenedBlob shortened(Word(size - 8) + whole.substr(8, size - 8));
    INFO(size);
    CHECK(shortened.status().ok() == (size >= with_key + Text("_import_tree").size()));
  }
}

TEST_CASE("Factory: a library is opened and loaded as a bundle is") {
  const std::string path = PANNIER_FACTORY_HOST;
  const std::string bytes = ReadFile(path);
  const auto check = [&](const Bundle& bundle) {
    CHECK(bundle.graph_json() == kGraph);
    REQUIRE(bundle.artifact_count() == 2);
    CHECK(bundle.artifact("params").size() == 235);
    CHECK(bundle.artifact("params").bytes().size() == 235);
    CHECK(bundle.artifact("params").sha256().empty());
    CHECK(bundle.image_digest().empty());
    REQUIRE(bundle.params().size() == 3);
    const TensorView weight = bundle.params().at("weight");
    CHECK(std::string(static_cast<const char*>(weight.data()), weight.nbytes()) == kFloats);
    CHECK(reinterpret_cast<std::uintptr_t>(weight.data()) % 64 == 0);
    *static_cast<float*>(weight.mutable_data()) = 7;
    CHECK(*static_cast<const float*>(weight.data()) == 1);
    CHECK(*static_cast<const std::int64_t*>(bundle.params().at("count").data()) == 1234567890123);
    CHECK(bundle.params().at("none").nbytes() == 0);
    bundle.DecodeAll();
    bundle.Prefetch();
    bundle.Release();
    CHECK(MessageOf([&] { bundle.CheckDigests(); }).find("has no digests") != std::string::npos);
  };
  for (const Check with : {Check::kOff, Check::kStructure, Check::kLazy}) {
    check(OpenBundle(path, {with}));
    check(OpenBundle(bytes.data(), bytes.size(), {with}));
    check(LoadBundle(path, {with}));
  }
  const Bundle loaded = LoadBundle(path);
  CHECK(loaded.symbol<int()>("Answer")() == 42);
  check(FindBundle(reinterpret_cast<const void*>(loaded.symbol<int()>("Answer"))));

  const std::string refusal =
      path + ": it was made by TVM's export_library and has no digests; extract its graph and params and embed them with pannier";
  CHECK(MessageOf([&] { (void)OpenBundle(path, {Check::kFull}); }) == refusal);
  LoadOptions trusting;
  trusting.trusted_keys = {ReadFile(PANNIER_TEST_DATA "/../golden/signed-ed25519.pub.pem")};
  CHECK(MessageOf([&] { (void)OpenBundle(path, trusting); }) == refusal);
  CHECK(MessageOf([&] { (void)LoadBundle(path, trusting); }) == refusal);

  // A cache of what nobody vouches for is not made.
  const Folder folder;
  LoadOptions caching;
  caching.cache_dir = folder / "cache";
  OpenBundle(path, caching).DecodeAll();
  CHECK(folder.List().empty());
}

TEST_CASE("Factory: from C, digests that nobody made are empty") {
  pannier_error error;
  pannier_bundle* bundle = nullptr;
  REQUIRE(pannier_open(PANNIER_FACTORY_HOST, nullptr, &bundle, &error) == PANNIER_OK);
  char digest[PANNIER_SHA256_TEXT_SIZE] = "x";
  CHECK(pannier_bundle_image_digest(bundle, digest, &error) == PANNIER_OK);
  CHECK(std::string(digest).empty());
  pannier_artifact artifact;
  REQUIRE(pannier_artifact_by_index(bundle, 0, &artifact, &error) == PANNIER_OK);
  CHECK(std::string(artifact.sha256).empty());
  CHECK(pannier_bundle_check_digests(bundle, &error) == PANNIER_ERROR_NOT_A_BUNDLE);
  pannier_bundle_free(bundle);
}

TEST_CASE("Factory: what needs digests is refused, and a payload wins") {
  const Folder folder;
  const std::string path = folder / "model.so";
  fs::copy_file(PANNIER_FACTORY_HOST, path);
  const std::string before = ReadFile(path);
  const std::string refusal = "it was made by TVM's export_library and has no digests";
  const auto is_refused = [&](const Status& status) {
    INFO(status.message());
    CHECK(status.code() == ErrorCode::kNotABundle);
    CHECK(status.message().find(refusal) != std::string::npos);
  };
  is_refused(OpenedBundle::Open(path).status());
  is_refused(Restore(path, path));
  is_refused(Restore(path, folder / "restored.so"));
  CHECK(folder.List() == Names{"model.so"});
  CHECK(ReadFile(path) == before);

  EmbedOptions as_factory;
  as_factory.factory_key = kFactoryKey;
  as_factory.encode.codec = CodecChoice::kStore;
  const Result<EmbedSummary> summary = Embed(path, Artifacts(), path, as_factory);
  CHECK(summary.status().code() == ErrorCode::kUnsupported);
  MustEmbed(path, Artifacts(), path);
  CHECK(MustVerify(path).passed());
  CHECK(OpenBundle(path).graph_json() == ReadFile((kData / "graph.json").string()));
  CHECK(Restore(path, path).ok());
  CHECK(ReadFile(path) == before);

  // With both of one, TVM's is what is left when ours is not found any more.
  MustEmbed(HostOf("linux-x86_64"), Artifacts(), folder / "plain.so");
  REQUIRE(Embed(HostOf("linux-x86_64"), Artifacts(), folder / "both.so", as_factory).ok());
  CHECK(MustVerify(folder / "both.so").passed());
  std::string bytes = ReadFile(folder / "both.so");
  const Result<Payload> payload = FindPayloadOrFactory(View(bytes));
  REQUIRE(payload.ok());
  CHECK(payload->has_digests());
  bytes[static_cast<std::size_t>(payload->anchor_file_offset)] = 'x';
  bytes.replace(40, 8, 8, '\0');  // e_shoff, e_shnum and e_shstrndx: nor is it by its section's name
  bytes.replace(60, 4, 4, '\0');
  const Bundle bundle = OpenBundle(bytes.data(), bytes.size());
  CHECK(bundle.graph_json() == ReadFile((kData / "graph.json").string()));
  const ArrayView<std::uint8_t> params = bundle.artifact("params").bytes();
  CHECK(ByteView(params.data(), params.size()).text() == ReadFile((kData / "params.bin").string()));
}

}  // namespace
}  // namespace pannier
