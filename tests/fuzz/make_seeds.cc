// Makes inputs to begin with, for all fuzz targets: small libraries of each format, bundles of them with every codec, and parts of
// those. usage: make_seeds FOLDER (a folder for each target is made in it)
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "embedder/content/chunk_encoder.h"
#include "embedder/embed.h"
#include "embedder/opened_bundle.h"
#include "embedder/restore.h"
#include "src/base64.h"
#include "src/bundle_reader.h"
#include "src/code_signature.h"
#include "src/macho_file.h"
#include "src/module_blob.h"
#include "tests/file_fixture.h"
#include "tests/fuzz/fuzz_support.h"
#include "tests/macho_builder.h"
#include "tests/params_builder.h"
#include "tests/pe_builder.h"

namespace pannier {
namespace {

namespace fs = std::filesystem;

struct Seed {
  std::string name;
  std::string bytes;
};

std::string ToString(ByteView bytes) { return std::string(bytes.text()); }
std::string ToString(const std::vector<std::uint8_t>& bytes) { return ToString(View(bytes)); }

std::uint8_t* Raw(std::string& text) { return reinterpret_cast<std::uint8_t*>(text.data()); }

void Append(std::string& out, std::uint64_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

class SeedMaker {
 public:
  explicit SeedMaker(std::string folder) : folder_(std::move(folder)) {}

  void Run() {
    MakeArtifacts();
    for (const auto& entry : fs::directory_iterator(fs::path(PANNIER_TEST_DATA) / "../golden")) {
      const std::string name = entry.path().filename().string();
      if (name.substr(0, 3) != "v1-") continue;
      PutBundle({"golden-" + name, ReadFile(entry.path().string())});
      Require(Restore(entry.path().string(), scratch_ / "host"), "a golden bundle can be restored");
      hosts_.push_back({"golden-" + name, ReadFile(scratch_ / "host")});
    }
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(PANNIER_TEST_DATA) / "mlp")) {
      if (entry.is_regular_file() && entry.path().stem() == "lib")
        PutHost({"mlp-" + entry.path().parent_path().filename().string(), ReadFile(entry.path().string())});
    }
    MakeMachO();
    MakePe();
    for (const Seed& host : hosts_) {
      PutHost(host);
      for (const CodecChoice codec : {CodecChoice::kStore, CodecChoice::kZstd, CodecChoice::kPlanes}) PutEmbedded(host, codec);
    }
    MakeChunks();
    MakeSignatures();
    MakeModuleBlobs();
    MakeGreedy();
    Put("decoded_cache", {"sound", {'\0', '\0', '\0'}});
    Put("decoded_cache", {"changed", {'\7', '\0', '\0', '\200', '\0', '\1', '\1'}});
    Put("params", {"empty", BuildParams({})});
    Put("params",
        {"types", BuildParams({{Pattern(8, 1)}, {Pattern(6, 2), {2, 16, 1}}, {"", {0, 8, 1}}, {Pattern(64, 3), {5, 64, 2}}})});
    Put("params", {"small", ReadFile(scratch_ / "params")});
  }

 private:
  void Put(const std::string& target, const Seed& seed) {
    fs::create_directories(fs::path(folder_) / target);
    WriteFile(folder_ + "/" + target + "/" + seed.name, seed.bytes);
  }

  void PutHost(const Seed& seed) {
    const FileFormat format = DetectFormat(View(seed.bytes));
    if (format == FileFormat::kElf) Put("elf_host", seed);
    if (format == FileFormat::kPe) Put("pe_host", seed);
    if (format == FileFormat::kMachO && !macho::HasFatMagic(View(seed.bytes))) Put("macho_host", seed);
    Put("embed", seed);
    Put("library_facts", seed);
  }

  void PutBundle(const Seed& seed) {
    for (const char* target : {"bundle", "verify", "commands"}) Put(target, seed);
    WriteFile(scratch_ / "bundle", seed.bytes);
    Result<OpenedBundle> bundle = OpenedBundle::Open(scratch_ / "bundle");
    Require(bundle.status(), "a seed is a bundle");
    const ByteView payload = bundle->reader.payload().segment;
    const Anchor& anchor = bundle->reader.anchor();
    if (const auto head = payload.Slice(0, anchor.manifest_offset + anchor.manifest_size); head && head->size() < 16384) {
      std::string bytes = ToString(*head);
      bytes[56] = static_cast<char>(static_cast<unsigned>(bundle->reader.manifest().format()) - 1);  // as fuzz_manifest.cc has it
      Put("manifest", {seed.name, bytes});
    }
    const auto index = bundle->reader.FindArtifact("params");
    if (index) PutTensorTable(*bundle, bundle->reader.artifact(*index), seed.name);
  }

  // As fuzz_tensor_table.cc reads it.
  void PutTensorTable(const OpenedBundle& bundle, const format::Artifact& params, const std::string& name) {
    const ByteView table = *bundle.reader.index().Slice(params.tensors()->offset(), params.tensors()->size());
    const ByteView records = *bundle.reader.index().Slice(params.chunk_table_offset(), params.chunk_count() * ChunkRecord::kSize);
    std::string bytes;
    Append(bytes, table.size(), 2);
    Append(bytes, params.chunk_count(), 2);
    Append(bytes, 0, 4);
    bytes += ToString(table);
    bytes.resize(8 + AlignUp(table.size(), 8));
    bytes += ToString(records) + ToString(bundle.reader.StoredBytes(params));
    if (bytes.size() < 16384) Put("tensor_table", {name, bytes});
  }

  void MakeArtifacts() {
    const std::string graph = R"({"nodes": [{"op": "null", "name": "x", "inputs": []}, {"op": "null", "name": "p0", "inputs": []},
      {"op": "tvm_op", "name": "n", "attrs": {"func_name": "__nop"}, "inputs": [[0, 0, 0]]},
      {"op": "tvm_op", "name": "f", "attrs": {"func_name": "answer", "hash": "1"}, "inputs": [[2, 0, 0], [1, 0, 0]]}],
      "arg_nodes": [0, 1], "heads": [[3, 0, 0]], "node_row_ptr": [0, 1, 2, 3, 4], "attrs": {"storage_id": ["list_int", [0, 1, 0, 2]],
      "shape": ["list_shape", [[2], [1], [2, 1], [2]]], "dltype": ["list_str", ["float32", "int8", "float32", "float32x2"]]}})";
    WriteFile(scratch_ / "graph", graph);
    Put("graph", {"small", graph});
    Put("graph", {"real", ReadFile(std::string(PANNIER_TEST_DATA) + "/mlp/graph.json")});
    WriteFile(scratch_ / "params", BuildParams({{Pattern(8, 1)},
                                                {std::string(300, 'a')},
                                                {std::string(4096, 'b') + Pattern(904, 2)},
                                                {std::string(600, 'c'), {4, 16, 1}},
                                                {"", {2, 32, 1}}}));
    WriteFile(scratch_ / "labels", "cat dog");
    WriteFile(scratch_ / "empty", "");
    for (const char* name : {"graph", "params", "labels", "empty"}) artifacts_.push_back({name, scratch_ / name});
  }

  void PutEmbedded(const Seed& host, CodecChoice codec) {
    WriteFile(scratch_ / "host", host.bytes);
    EmbedOptions options;
    options.encode.codec = codec;
    options.sectionless = true;
    if (!Embed(scratch_ / "host", artifacts_, scratch_ / "embedded", options).ok()) return;
    PutBundle({host.name + "-" + std::to_string(static_cast<int>(codec)), ReadFile(scratch_ / "embedded")});
  }

  void MakeMachO() {
    const MappedFile no_file;
    MachOSpec spec;
    hosts_.push_back({"macho64", ToString(BuildMachO(spec))});
    spec.chained = true;
    spec.data_segments = 1;
    spec.cpu_type = macho::kCpuArm64;
    spec.cpu_subtype = 0;
    const SignatureFacts facts = NewSignatureFacts("answer", 0, kBuilderPage);
    spec.signature = MakeCodeSignature(facts, no_file, 0, 1);
    hosts_.push_back({"macho-signed", ToString(BuildMachO(spec))});
    spec.signature.clear();
    spec.data_segments = 2;
    spec.spare = false;
    hosts_.push_back({"macho-chained", ToString(BuildMachO(spec))});
    spec.trie_command = macho::kExportsTrie;
    spec.trie = BuildTrie({{"_answer", {0, 0x80, 0x20}}, {"___tvm_dev_mblob", {0, 0x80, 0x80, 1}}, {"_re", {8, 1, 0}}});
    hosts_.push_back({"macho-trie", ToString(BuildMachO(spec))});
    spec.trie_command = 0;
    spec.trie.clear();
    MachOSpec narrow;
    narrow.is_64 = false;
    narrow.cpu_type = macho::kCpuArm;
    narrow.cpu_subtype = 9;
    narrow.slack = 200;
    hosts_.push_back({"macho32", ToString(BuildMachO(narrow))});
    hosts_.push_back({"macho-fat", ToString(BuildFat({BuildMachO(spec), BuildMachO(narrow)}, false, 14))});
    SignatureFacts full = facts;
    full.runtime = 1;
    full.special_slots.resize(64, 7);
    full.blobs = {{2, std::vector<std::uint8_t>(12, 1)}, {5, std::vector<std::uint8_t>(20, 2)}};
    for (const SignatureFacts& some : {facts, full}) {
      const std::string name = some.runtime != 0 ? "full" : "plain";
      Put("code_signature", {name, ToString(MakeCodeSignature(some, no_file, 0, 1))});
      Put("code_signature", {name + "-facts", ToString(EncodeSignatureFacts(some))});
    }
  }

  void MakePe() {
    PeParts parts;
    hosts_.push_back({"pe64", BuildPe(parts)});
    PeParts exporting;
    exporting.sections.back() = {".rdata", 0x40000040, 2048, 2048};
    exporting.exports = {{"__tvm_dev_mblob", 0x1000}, {"", 0x1010}, {"answer", 0, "kernel32.Beep"}};
    hosts_.push_back({"pe64-exports", BuildPe(exporting)});
    parts.is_64 = false;
    parts.machine = 0x14c;
    parts.has_debug_directory = true;
    parts.sections.push_back({"/4", kPeDebugSection, 100, 512});
    parts.sections.push_back({"/17", kPeDebugSection, 100, 512});
    parts.symbols = {{1, 0}, {4, 5}, {5, 4}};
    hosts_.push_back({"pe32-debug", BuildPe(parts)});
    parts.overlay = "overlay";
    parts.room = 0;
    hosts_.push_back({"pe32-overlay", BuildPe(parts)});
    PeParts certified;
    certified.certificate_size = 40;
    hosts_.push_back({"pe64-signed", BuildPe(certified)});
  }

  // Files of some 100 bytes that claim to hold as much as their numbers can say.
  void MakeGreedy() {
    std::string params = BuildParams({});
    for (const std::uint64_t count : {std::uint64_t{500'000}, std::uint64_t{1} << 62, UINT64_MAX}) {
      StoreInteger(Raw(params) + 16, count, ByteOrder::kLittle);
      Put("params", {"greedy-" + std::to_string(count), params});
    }
    std::string elf(
        "\x7f"
        "ELF\2\1\1",
        7);
    elf.resize(128);
    StoreInteger(Raw(elf) + 16, std::uint32_t{3 | 62U << 16}, ByteOrder::kLittle);  // a shared library for x86-64
    StoreInteger(Raw(elf) + 20, std::uint32_t{1}, ByteOrder::kLittle);
    StoreInteger(Raw(elf) + 32, std::uint64_t{64}, ByteOrder::kLittle);  // program headers
    StoreInteger(Raw(elf) + 40, std::uint64_t{64}, ByteOrder::kLittle);  // section headers
    StoreInteger(Raw(elf) + 54, std::uint16_t{56}, ByteOrder::kLittle);
    StoreInteger(Raw(elf) + 58, std::uint16_t{64}, ByteOrder::kLittle);
    StoreInteger(Raw(elf) + 96, std::uint64_t{UINT32_MAX}, ByteOrder::kLittle);  // their number, if the header has none
    for (const std::uint16_t count : {std::uint16_t{0}, std::uint16_t{0xffff}}) {
      StoreInteger(Raw(elf) + 56, static_cast<std::uint16_t>(count / 2), ByteOrder::kLittle);
      StoreInteger(Raw(elf) + 60, count, ByteOrder::kLittle);
      PutHost({"greedy-elf-" + std::to_string(count), elf});
    }
    std::string macho = ToString(BuildMachO({})).substr(0, 100);
    for (const std::size_t field : {std::size_t{16}, std::size_t{20}})
      StoreInteger(Raw(macho) + field, UINT32_MAX, ByteOrder::kLittle);
    PutHost({"greedy-macho", macho});
    std::string fat("\xca\xfe\xba\xbf\0\0\0\x2a", 8);
    PutHost({"greedy-fat", fat + std::string(92, '\x7f')});
    std::string pe = BuildPe({});
    const std::size_t header = LoadInteger<std::uint32_t>(Raw(pe) + 60, ByteOrder::kLittle);
    StoreInteger(Raw(pe) + header + 6, std::uint16_t{0xffff}, ByteOrder::kLittle);
    StoreInteger(Raw(pe) + header + 16, UINT32_MAX, ByteOrder::kLittle);
    StoreInteger(Raw(pe) + header + 24 + 108, UINT32_MAX, ByteOrder::kLittle);
    PutHost({"greedy-pe", pe.substr(0, header + 24 + 240)});
    // A zstd frame of nothing that says to hold 2^40 bytes, alone and as the one plane of a chunk.
    std::string frame("\x28\xb5\x2f\xfd\xe0", 5);
    Append(frame, std::uint64_t{1} << 40, 8);
    frame += std::string("\1\0\0", 3);
    const std::string content("\0\0\0\x0f\0\0\0\0\0", 9);
    Put("chunk", {"greedy-zstd", '\1' + content + frame});
    Put("chunk", {"greedy-planes", '\2' + content + std::string("\1\0\0\0\x10\0\0\x80", 8) + frame});
  }

  // As OpenSSF model signing has it, and the statement in it; its signature is none, which nobody gets as far as.
  void MakeSignatures() {
    const std::string statement =
        R"({"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"model.so","digest":{"sha256":")" + std::string(64, 'a') +
        R"("}}],"predicateType":"https://model_signing/signature/v1.0","predicate":{"resources":[{"name":".","algorithm":"sha256","digest":")" +
        std::string(64, 'b') +
        R"("}],"serialization":{"method":"files","hash_type":"sha256","allow_symlinks":false,"ignore_paths":[]}}})";
    Put("detached", {"statement", statement});
    Put("detached",
        {"file",
         R"({"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"ab"},)"
         R"("tlogEntries":[]},"dsseEnvelope":{"payload":")" +
             EncodeBase64(View(statement)) +
             R"(","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AAAA","keyid":""}]}})"});
    const std::string golden = ReadFile(PANNIER_TEST_DATA "/../golden/v1-signed.so");
    const Result<Payload> payload = FindPayload(View(golden));
    if (!payload.ok()) return;
    const Result<BundleReader> reader = BundleReader::Open(*payload);
    if (!reader.ok()) return;
    const std::string room(reader->signature_room().text());
    Put("signatures", {"two", room.substr(0, room.find_last_not_of('\0') + 1)});
    Put("signatures", {"unknown", std::string("\7\0\0\0\3\0\0\0abc\0\0\0\0\0", 16) + room.substr(0, 3000)});
  }

  static std::string Counted(std::string_view text) {
    std::string out;
    Append(out, text.size(), 8);
    return out.append(text);
  }

  // Of a device's module alone, and of a factory without and with one.
  void MakeModuleBlobs() {
    std::string devices;
    Append(devices, 1, 8);
    devices = Counted(devices + Counted("opencl") + "__kernel");
    Put("module_blob", {"devices", devices});
    std::string params;  // as BuildParams makes them, in the blob's order
    Append(params, 2, 8);
    Append(params, 2, 8);
    params += Counted("p0") + Counted("p1") + BuildParams({{Pattern(8, 1)}, {"", {0, 8, 1}}}).substr(24 + 2 * 10 + 8);
    const std::string_view graph = "{}";
    const Result<ModuleBlob> imported = ParseModuleBlob(View(devices));
    Require(imported.status(), "a seed is a blob");
    const auto put = [&](const std::string& name, std::string_view key, const ModuleBlob* library) {
      const Result<FactoryBlob> blob = WrapInFactory(key, library, graph.size(), graph.size() + params.size());
      Require(blob.status(), "a factory can be made");
      std::string bytes = ToString(blob->before_graph);
      bytes.append(graph).append(params).append(ToString(blob->behind_tensors));
      Put("module_blob", {name, bytes});
    };
    put("factory", kFactoryKey, nullptr);
    put("factory-0.7-devices", kFactoryKey07, &*imported);
  }

  // As fuzz_chunk.cc and fuzz_encode.cc read them.
  void MakeChunks() {
    ChunkEncoder encoder(3);
    const std::string original = Pattern(40, 1) + std::string(200, 'x') + Noise(17, 3);
    for (unsigned form = 0; form < 8; ++form) {
      for (const Codec codec : {Codec::kStore, Codec::kZstd, Codec::kPlanes}) {
        ChunkPlan plan;
        plan.codec = codec;
        plan.width = std::size_t{1} << (form % 4);
        plan.rotate = codec == Codec::kPlanes && form >= 4;
        std::vector<std::uint8_t> stored(EncodedBound(original.size()));
        const Result<ChunkEncoder::Stored> encoded = encoder.Encode(plan, View(original), stored.data());
        if (!encoded.ok()) continue;
        stored.resize(encoded->size);
        std::string bytes;
        Append(bytes, static_cast<std::uint64_t>(encoded->codec), 1);
        Append(bytes, form % 2, 1);
        Append(bytes, form % 2 == 0 ? original.size() : 200, 4);
        Append(bytes, original.size() - 200, 4);
        const std::string name = std::to_string(form) + "-" + std::to_string(static_cast<int>(codec));
        Put("chunk", {name, bytes + ToString(stored)});
        bytes.clear();
        Append(bytes, codec == Codec::kZstd ? 1 : 0, 1);
        Append(bytes, form * 5, 1);
        Append(bytes, form, 2);
        Put("encode", {name, bytes + original});
      }
    }
  }

  std::string folder_;
  TemporaryDirectory scratch_;
  std::vector<NamedPath> artifacts_;
  std::vector<Seed> hosts_;
};

}  // namespace
}  // namespace pannier

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_seeds FOLDER\n");
    return 2;
  }
  pannier::SeedMaker(argv[1]).Run();
  return 0;
}
