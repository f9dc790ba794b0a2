// `pannier inspect`: what is inside, section by section, tensor by tensor.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "embedder/commands.h"
#include "embedder/opened_bundle.h"
#include "embedder/terminal.h"
#include "src/params_walk.h"
#include "src/signatures.h"
#include "src/text.h"

namespace pannier {
namespace {

std::string ShapeText(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (const std::int64_t dimension : shape) text += StrCat(text.empty() ? "" : ", ", dimension);
  return "(" + text + ")";
}

std::string KindText(format::ArtifactKind kind) {
  if (kind == format::ArtifactKind::TvmParams) return "params";
  return kind == format::ArtifactKind::Blob ? "blob" : StrCat("unknown (", static_cast<unsigned>(kind), ")");
}

std::string CodecName(Codec codec) {
  if (codec == Codec::kStore) return "store";
  if (codec == Codec::kPlanes) return "planes";
  return codec == Codec::kZstd ? "zstd" : StrCat("unknown (", static_cast<unsigned>(codec), ")");
}

// "store", "zstd", or both where chunks differ.
Result<std::string> CodecText(const ChunkedContent& content) {
  std::set<Codec> codecs;
  for (std::uint64_t i = 0; i < content.chunk_count(); ++i) {
    PANNIER_TRY(const ChunkRecord record, content.Record(i));
    codecs.insert(record.codec);
  }
  std::string text;
  for (const Codec codec : codecs) text += StrCat(text.empty() ? "" : ", ", CodecName(codec));
  return text.empty() ? CodecName(Codec::kStore) : text;
}

// What TVM's export_library made has none.
nlohmann::json DigestOrNull(const BundleReader& reader, const format::Sha256& digest) {
  return reader.has_digests() ? nlohmann::json(ToDigest(digest).Hex()) : nlohmann::json();
}

Result<nlohmann::json> DescribeTensors(const TensorReader& tensors) {
  nlohmann::json list = nlohmann::json::array();
  for (std::uint32_t i = 0; i < tensors.size(); ++i) {
    const format::Tensor& tensor = tensors[i];
    PANNIER_TRY(const ChunkedContent content, tensors.Content(i));
    PANNIER_TRY(const std::uint64_t stored, content.StoredBytes());
    PANNIER_TRY(const std::string codec, CodecText(content));
    list.push_back({{"name", ToText(tensor.name())},
                    {"dtype", DataTypeName(DataTypeOf(tensor))},
                    {"shape", ShapeOf(tensor)},
                    {"bytes", tensor.size()},
                    {"stored_bytes", stored},
                    {"codec", codec}});
  }
  return list;
}

Result<nlohmann::json> DescribeArtifact(const BundleReader& reader, const format::Artifact& artifact) {
  nlohmann::json entry = {{"name", ToText(artifact.name())},
                          {"kind", KindText(artifact.kind())},
                          {"bytes", artifact.size()},
                          {"stored_bytes", artifact.stored_size()},
                          {"section", ToText(reader.manifest().sections()->Get(artifact.section())->name())},
                          {"sha256", DigestOrNull(reader, *artifact.sha256())}};
  if (!BundleReader::CheckKind(artifact).ok()) return entry;
  if (artifact.kind() == format::ArtifactKind::Blob) {
    PANNIER_TRY(const ChunkedContent content, reader.BlobContent(artifact));
    PANNIER_TRY(entry["codec"], CodecText(content));
    return entry;
  }
  PANNIER_TRY(const TensorReader tensors, reader.Tensors(artifact));
  PANNIER_TRY(entry["tensors"], DescribeTensors(tensors));
  return entry;
}

std::string_view FormatName(format::ImageFormat format) {
  if (format == format::ImageFormat::MachO) return "macho";
  return format == format::ImageFormat::Pe ? "pe" : "elf";
}

nlohmann::json DescribeSections(const BundleReader& reader) {
  if (!reader.has_digests())
    return nlohmann::json::array({{{"name", kBlobSymbol}, {"payload_offset", 0}, {"bytes", reader.section(0).size()}}});
  nlohmann::json sections = nlohmann::json::array();
  for (const format::Section* section : *reader.manifest().sections())
    sections.push_back({{"name", ToText(section->name())}, {"payload_offset", section->offset()}, {"bytes", section->size()}});
  return sections;
}

// The one description that both outputs are made of.
Result<nlohmann::json> Describe(const OpenedBundle& bundle, const std::string& path) {
  const BundleReader& reader = bundle.reader;
  const format::Manifest& manifest = reader.manifest();
  nlohmann::json json = {{"bundle", path},
                         {"format_version", fmt::format("{}.{}", manifest.version_major(), manifest.version_minor())},
                         {"producer", ToText(manifest.producer())},
                         {"format", FormatName(manifest.format())},
                         {"mapped", manifest.placement() == format::Placement::Mapped},
                         {"bytes", bundle.file.bytes().size()},
                         {"host_bytes", manifest.host()->size()},
                         {"host_sha256", DigestOrNull(reader, *manifest.host()->sha256())},
                         {"file_digest", DigestOrNull(reader, ToStored(reader.anchor().manifest_sha256))},
                         {"image_digest", DigestOrNull(reader, *manifest.image()->sha256())},
                         {"payload_offset", reader.payload().anchor_file_offset},
                         {"payload_bytes", manifest.payload_size()}};
  if (!reader.has_digests()) {
    // TVM's blob has no version of ours, and was in the library from the start.
    json["format_version"] = json["host_bytes"] = nullptr;
    json["mapped"] = true;
    json["payload_bytes"] = reader.section(0).size();
  }
  json["sections"] = DescribeSections(reader);
  // Who signed, by their own word; whether it is right, `verify --key` says.
  nlohmann::json signers = nlohmann::json::array();
  const Result<std::vector<BundleSignature>> signatures =
      reader.has_digests() ? ReadSignatures(reader) : std::vector<BundleSignature>();
  if (signatures.ok()) {
    for (const BundleSignature& signature : *signatures) signers.push_back(signature.key_id);
    json["signed_by"] = std::move(signers);
  } else {
    json["signature_error"] = signatures.status().message();
  }
  nlohmann::json artifacts = nlohmann::json::array();
  for (std::uint32_t i = 0; i < reader.artifact_count(); ++i) {
    PANNIER_TRY(nlohmann::json entry, DescribeArtifact(reader, reader.artifact(i))
                                          .WithContext(StrCat("artifact \"", Printable(ToText(reader.artifact(i).name())), "\"")));
    artifacts.push_back(std::move(entry));
  }
  json["artifacts"] = std::move(artifacts);
  return json;
}

std::string Text(const nlohmann::json& value) { return Printable(value.get_ref<const std::string&>()); }

std::string Size(const nlohmann::json& value) { return HumanSize(value.get<std::uint64_t>()); }

void PrintHead(const nlohmann::json& json) {
  const auto offset = json["payload_offset"].get<std::uint64_t>();
  if (json["file_digest"].is_null()) {
    fmt::print("{}: {} (TVM's blob of modules, {} at {:#x})\n  made by {}\n  no digests\n", Text(json["bundle"]),
               Size(json["bytes"]), Size(json["payload_bytes"]), offset, Text(json["producer"]));
    return;
  }
  fmt::print("{}: {} (host {}, payload {} at {:#x}, {})\n", Text(json["bundle"]), Size(json["bytes"]), Size(json["host_bytes"]),
             Size(json["payload_bytes"]), offset, json["mapped"].get<bool>() ? "mapped" : "in the file only");
  fmt::print("  made by {}, format {}\n", Text(json["producer"]), Text(json["format_version"]));
  fmt::print("  file digest  {}\n  image digest {}\n  host sha-256 {}\n", Text(json["file_digest"]), Text(json["image_digest"]),
             Text(json["host_sha256"]));
}

void Print(const nlohmann::json& json) {
  PrintHead(json);
  if (json.contains("signature_error")) fmt::print("  {}\n", Text(json["signature_error"]));
  for (const auto& signer : json.value("signed_by", nlohmann::json::array()))
    fmt::print("  signed by key {}, not checked\n", Text(signer));
  fmt::print("\n{:<20} {:>12}\n", "SECTION", "BYTES");
  for (const auto& section : json["sections"])
    fmt::print("{:<20} {:>12}\n", Text(section["name"]), section["bytes"].get<std::uint64_t>());
  for (const auto& artifact : json["artifacts"]) {
    fmt::print("\nartifact {}: {}, stored as {}{}{}\n  sha-256 {}\n", Text(artifact["name"]), Size(artifact["bytes"]),
               Size(artifact["stored_bytes"]), artifact.contains("codec") ? fmt::format(" ({})", Text(artifact["codec"])) : "",
               Text(artifact["kind"]).starts_with("unknown") ? StrCat(", kind ", Text(artifact["kind"])) : "",
               artifact["sha256"].is_null() ? "not known" : Text(artifact["sha256"]));
    if (!artifact.contains("tensors")) continue;
    std::size_t width = 6;
    for (const auto& tensor : artifact["tensors"]) width = std::max(width, Text(tensor["name"]).size());
    fmt::print("  {:<{}}  {:<10} {:<24} {:>12} {:>12}  {}\n", "TENSOR", width, "DTYPE", "SHAPE", "BYTES", "STORED", "CODEC");
    for (const auto& tensor : artifact["tensors"]) {
      fmt::print("  {:<{}}  {:<10} {:<24} {:>12} {:>12}  {}\n", Text(tensor["name"]), width, Text(tensor["dtype"]),
                 ShapeText(tensor["shape"].get<std::vector<std::int64_t>>()), tensor["bytes"].get<std::uint64_t>(),
                 tensor["stored_bytes"].get<std::uint64_t>(), Text(tensor["codec"]));
    }
  }
}

}  // namespace

Result<int> RunInspect(const std::string& path, const std::string& arch, const OutputStyle& style) {
  PANNIER_TRY(const OpenedBundle bundle, OpenedBundle::Open(path, arch, WithoutDigests::kRead).WithContext(Printable(path)));
  PANNIER_TRY(const nlohmann::json json, Describe(bundle, path).WithContext(Printable(path)));
  if (style.json) {
    fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    Print(json);
  }
  return kExitDone;
}

}  // namespace pannier
