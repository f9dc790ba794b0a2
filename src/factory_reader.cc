// A factory's parts found, then an anchor, tables and a manifest made that lead to them, all chunks stored as they are.
#include "src/factory_reader.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "src/bundle_reader.h"
#include "src/byte_source.h"
#include "src/exported_symbol.h"
#include "src/format.h"
#include "src/tensor_table.h"
#include "src/text.h"

namespace pannier {
namespace {

constexpr std::size_t kMostKeyBytes = 4096;
constexpr std::size_t kMostKeys = 8;

// The blob of a library whose root is a factory.
std::optional<Result<ModuleBlob>> FindFactoryBlob(ByteView library) {
  const Result<std::optional<ByteView>> bytes = FindExported(library, kBlobSymbol);
  // TVM finds none there either.
  if (!bytes.ok() || !*bytes) return std::nullopt;
  Result<ModuleBlob> blob = ParseModuleBlob(**bytes);
  if (blob.ok() && !blob->is_factory()) return std::nullopt;
  return blob;
}

Result<std::string_view> ReadKey(ByteView modules, std::uint64_t& at, std::string_view what) {
  const std::uint64_t begin = at;
  const std::optional<ByteView> key = ReadBlobString(modules, at);
  if (key && key->size() <= kMostKeyBytes) return key->text();
  return Malformed(
      StrCat(what, ": found no string at ", Hex(begin), " of the modules, expected one of at most ", kMostKeyBytes, " bytes"));
}

Status ReadImports(const ModuleBlob& blob, std::uint64_t at, Factory& factory) {
  factory.unknown_imports = blob.entries - (blob.tree ? 1 : 0) - 1;
  while (factory.unknown_imports != 0 && factory.imported_keys.size() < kMostKeys) {
    PANNIER_TRY(const std::string_view key, ReadKey(blob.modules, at, "imported module"));
    factory.imported_keys.push_back(key);
    --factory.unknown_imports;
    if (key != kLibraryKey) break;
  }
  return {};
}

format::ImageFormat FormatOf(ByteView library) {
  const FileFormat format = DetectFormat(library);
  if (format == FileFormat::kMachO) return format::ImageFormat::MachO;
  return format == FileFormat::kPe ? format::ImageFormat::Pe : format::ImageFormat::Elf;
}

std::string ProducerText(const Factory& factory) {
  std::string text = StrCat("TVM's export_library, ", factory.key, " \"", Printable(factory.name), "\"");
  for (const std::string_view key : factory.imported_keys) text += StrCat(", ", Printable(key));
  if (factory.unknown_imports != 0) text += StrCat(" and ", factory.unknown_imports, " more");
  return text;
}

// The index section: the chunks' records, graph's first, and the tensor table.
struct FactoryIndex {
  std::vector<std::uint8_t> bytes;
  std::uint64_t graph_chunks = 0;
  std::uint64_t tensor_chunks = 0;

  std::uint64_t table_offset() const { return (graph_chunks + tensor_chunks) * ChunkRecord::kSize; }
};

// Records of the chunks of `size` bytes at `offset`; answers how many.
std::uint64_t AppendChunks(std::vector<std::uint8_t>& records, std::uint64_t offset, std::uint64_t size) {
  const std::uint64_t first = records.size() / ChunkRecord::kSize;
  const std::uint64_t count = ChunkCount(size, kChunkSize);
  records.resize(static_cast<std::size_t>((first + count) * ChunkRecord::kSize));
  for (std::uint64_t i = 0; i < count; ++i) {
    ChunkRecord record;
    record.offset = offset + i * kChunkSize;
    record.stored_size = static_cast<std::uint32_t>(std::min<std::uint64_t>(kChunkSize, size - i * kChunkSize));
    StoreChunkRecord(records, first + i, record);
  }
  return count;
}

FactoryIndex BuildIndex(const Factory& factory) {
  FactoryIndex index;
  index.graph_chunks = AppendChunks(index.bytes, 0, factory.graph.size());
  std::vector<TensorFacts> tensors;
  for (const ParamsTensor& tensor : factory.file.tensors) {
    TensorFacts facts;
    facts.first_chunk = index.tensor_chunks;
    tensors.push_back(facts);
    index.tensor_chunks += AppendChunks(index.bytes, tensor.data_offset, tensor.data_size);
  }
  const flatbuffers::DetachedBuffer table = BuildTensorTable(factory.file, tensors);
  index.bytes.insert(index.bytes.end(), table.data(), table.data() + table.size());
  return index;
}

// Where sections would be if they followed the anchor one after another, which readers look at, too.
struct Places {
  std::uint64_t index = 0;
  std::uint64_t manifest = 0;
  std::uint64_t end = 0;
};

flatbuffers::DetachedBuffer BuildManifest(const Factory& factory, const ModuleBlob& blob, const FactoryIndex& index,
                                          const Places& places, format::ImageFormat format) {
  flatbuffers::FlatBufferBuilder builder;
  builder.ForceDefaults(true);
  const auto offset_of = [&](ByteView part) { return static_cast<std::uint64_t>(part.data() - blob.bytes.data()); };
  const format::Sha256 unknown = ToStored({});
  const format::IndexRange none(0, 0, unknown);
  const format::IndexRange graph_chunks(0, index.graph_chunks * ChunkRecord::kSize, unknown);
  const format::IndexRange tensors(index.table_offset(), index.bytes.size() - index.table_offset(), unknown);
  const std::vector<flatbuffers::Offset<format::Section>> sections = {
      format::CreateSection(builder, builder.CreateString(kBlobSymbol), Anchor::kSize, blob.bytes.size()),
      format::CreateSection(builder, builder.CreateString(kIndexSection), places.index, index.bytes.size()),
      format::CreateSection(builder, builder.CreateString(kUndoSection), places.manifest, 0)};
  const std::vector<flatbuffers::Offset<format::Artifact>> artifacts = {
      format::CreateArtifact(builder, builder.CreateString(kGraphArtifact), format::ArtifactKind::Blob, 0, offset_of(factory.graph),
                             factory.graph.size(), factory.graph.size(), &unknown, kChunkSize, &graph_chunks),
      format::CreateArtifact(builder, builder.CreateString(kParamsArtifact), format::ArtifactKind::TvmParams, 0,
                             offset_of(factory.params), factory.params.size(), factory.file.file_size, &unknown, 0, nullptr,
                             &tensors, graph_chunks.size(), index.tensor_chunks)};
  const auto host = format::CreateHost(builder, 0, &unknown, kHostChunkSize, &none);
  const auto image = format::CreateImage(builder, builder.CreateVector(std::vector<std::uint8_t>()), 0, 0, 0, 0,
                                         builder.CreateVectorOfStructs(std::vector<format::Segment>()), &none, &unknown);
  const auto producer = builder.CreateString(ProducerText(factory));
  const auto section_vector = builder.CreateVector(sections);
  const auto artifact_vector = builder.CreateVector(artifacts);
  const auto parts = builder.CreateVector(std::vector<flatbuffers::Offset<format::Part>>());
  builder.Finish(format::CreateManifest(builder, kVersionMajor, kVersionMinor, producer, format, format::Placement::FileOnly, 0,
                                        places.end, 0, section_vector, 1, 2, artifact_vector, parts, host, image),
                 format::ManifestIdentifier());
  return builder.Release();
}

}  // namespace

Result<Factory> ReadFactory(const ModuleBlob& blob) {
  if (!blob.is_factory()) {
    return {ErrorCode::kUnsupported,
            StrCat("module blob: root: found \"", Printable(blob.root_key.substr(0, kMostKeyBytes)), "\", expected ", kFactoryKey)};
  }
  Factory factory;
  factory.key = blob.root_key;
  std::uint64_t at = sizeof(std::uint64_t) + blob.root_key.size();
  const std::optional<ByteView> graph = ReadBlobString(blob.modules, at);
  if (!graph) return Malformed(StrCat("module blob: graph: found no string at ", Hex(at), " of the modules"));
  factory.graph = *graph;
  const ByteView rest(blob.modules.data() + at, static_cast<std::size_t>(blob.modules.size() - at));
  PANNIER_TRY(FactoryParams params, ParseFactoryParams(MemorySource(rest)).WithContext("module blob"));
  if (TensorTableRoom(params.file) > kMaxTensorTableSize)
    return {ErrorCode::kLimit, StrCat("module blob: names of tensors: found more than ", kMaxTensorTableSize, " bytes")};
  factory.params = ByteView(rest.data(), static_cast<std::size_t>(params.size));
  factory.file = std::move(params.file);
  at += params.size;
  PANNIER_TRY(factory.name, ReadKey(blob.modules, at, "module blob: module name"));
  PANNIER_CHECK_OK(ReadImports(blob, at, factory).WithContext("module blob"));
  return factory;
}

// All that a bundle has beside its artifacts, in one piece of memory.
Payload DescribeFactory(const Factory& factory, const ModuleBlob& blob, ByteView library) {
  const FactoryIndex index = BuildIndex(factory);
  const format::ImageFormat format = FormatOf(library);
  Places places;
  places.index = AlignUp(Anchor::kSize + blob.bytes.size(), 8);
  places.manifest = AlignUp(places.index + index.bytes.size(), 8);
  // Its size does not depend on numbers.
  const std::size_t manifest_size = BuildManifest(factory, blob, index, places, format).size();
  places.end = AlignUp(places.manifest + manifest_size, 8);
  const flatbuffers::DetachedBuffer manifest = BuildManifest(factory, blob, index, places, format);

  Anchor anchor;
  anchor.manifest_offset = places.manifest;
  anchor.manifest_size = manifest_size;
  anchor.signature_offset = anchor.payload_size = places.end;
  const auto encoded = EncodeAnchor(anchor);
  std::vector<std::uint8_t> made(encoded.begin(), encoded.end());
  made.insert(made.end(), index.bytes.begin(), index.bytes.end());
  made.resize(static_cast<std::size_t>(AlignUp(made.size(), 8)));
  const std::size_t manifest_at = made.size();
  made.insert(made.end(), manifest.data(), manifest.data() + manifest.size());

  const auto kept = std::make_shared<const std::vector<std::uint8_t>>(std::move(made));
  const ByteView bytes(kept->data(), kept->size());
  Payload payload;
  payload.format = format;
  payload.anchor = *bytes.Slice(0, Anchor::kSize);
  payload.anchor_file_offset = static_cast<std::uint64_t>(blob.bytes.data() - library.data());
  payload.sections = {{kBlobSymbol, blob.bytes, payload.anchor_file_offset},
                      {kIndexSection, *bytes.Slice(Anchor::kSize, index.bytes.size()), 0},
                      {kUndoSection, *bytes.Slice(0, 0), 0},
                      {kManifestSection, *bytes.Slice(manifest_at, manifest_size), 0},
                      {kSignatureSection, *bytes.Slice(0, 0), 0}};
  payload.made = kept;
  return payload;
}

Result<Payload> FindFactory(ByteView library) {
  const std::optional<Result<ModuleBlob>> blob = FindFactoryBlob(library);
  if (!blob) return NoPayload();
  if (!blob->ok()) return Status(blob->status());
  PANNIER_TRY(const Factory factory, ReadFactory(**blob));
  return DescribeFactory(factory, **blob, library);
}

Result<Payload> FindPayloadOrFactory(ByteView file, std::string_view arch) {
  Result<Payload> payload = FindPayload(file, arch);
  return payload.status().code() == ErrorCode::kNotABundle ? FindFactory(file) : payload;
}

Result<Payload> FindPayloadWithDigests(ByteView file, std::string_view arch) {
  Result<Payload> payload = FindPayload(file, arch);
  if (payload.status().code() != ErrorCode::kNotABundle) return payload;
  const std::optional<Result<ModuleBlob>> blob = FindFactoryBlob(file);
  return blob && blob->ok() ? NoDigests() : payload;
}

Status NoDigests() {
  return {ErrorCode::kNotABundle,
          "it was made by TVM's export_library and has no digests; extract its graph and params and embed them with pannier"};
}

}  // namespace pannier
