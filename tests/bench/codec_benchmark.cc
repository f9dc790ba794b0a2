// Codecs on the tensors of a .params file, step by step as they are asked for: `codec_benchmark PARAMS CODEC LEVEL`.
//
// Plans and chunks are the embedder's. Every chunk is encoded and decoded once at the start and compared; then one line of JSON
// says the sizes. Each line of stdin, `encode THREADS` or `decode THREADS warm|fresh|huge`, does it all once more, and is answered
// with a line: wall and CPU seconds. So whoever asks can let others take their turn in between. Encoding, and decoding warm, write
// into memory that was written to before; fresh is into new pages, which is what a loader pays, and huge into new huge pages.
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>
#include <iostream>
#include <new>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "embedder/content/artifact_input.h"
#include "embedder/content/chunk_encoder.h"
#include "embedder/content/encoder_pool.h"
#include "embedder/content/planned_content.h"
#include "src/chunked_content.h"
#include "src/format.h"
#include "src/mapped_file.h"
#include "src/parallel.h"
#include "src/text.h"

namespace pannier {
namespace {

// Pages of its own, none of them there before they are written to.
class Memory {
 public:
  explicit Memory(std::size_t size, bool huge = false) : size_(std::max<std::size_t>(size, 1)) {
    void* const memory = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    if (huge) madvise(memory, size_, MADV_HUGEPAGE);
    data_ = static_cast<std::uint8_t*>(memory);
  }
  Memory(Memory&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}
  Memory& operator=(Memory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() {
    if (data_ != nullptr) munmap(data_, size_);
  }

  std::uint8_t* data() const { return data_; }

 private:
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

struct Tensor {
  ByteView bytes;
  std::size_t decoded_at = 0;
  std::size_t first_chunk = 0;
  GroupPlace group;
};

struct Chunk {
  std::size_t tensor = 0;
  ByteView original;
  std::size_t encoded_at = 0;  // where there is room for it
  std::size_t decoded_at = 0;
  std::size_t index = 0;  // in its tensor
  ChunkRecord record;
};

class Benchmark {
 public:
  // `mapped` is the input's file.
  Benchmark(const ArtifactInput& input, ByteView mapped, CodecChoice choice, int level)
      : input_(input), choice_(choice), level_(level) {
    for (const ParamsTensor& entry : input.params->tensors) {
      const ByteView bytes(mapped.data() + entry.data_offset, static_cast<std::size_t>(entry.data_size));
      tensors_.push_back({bytes, decoded_size_, chunks_.size(), {}});
      for (std::size_t at = 0; at < bytes.size(); at += kChunkSize) {
        const ByteView original(bytes.data() + at, std::min<std::size_t>(kChunkSize, bytes.size() - at));
        chunks_.push_back({tensors_.size() - 1, original, encoded_room_, decoded_size_ + at, at / kChunkSize, {}});
        encoded_room_ += EncodedBound(original.size());
      }
      original_size_ += bytes.size();
      decoded_size_ = AlignUp(decoded_size_ + bytes.size(), kTensorAlignment);
    }
    groups_at_ = encoded_room_;
    encoded_room_ += MostGroups() * EncodedBound(kLargestGroup);
    encoded_ = Memory(encoded_room_);
    warm_ = Memory(decoded_size_);
  }

  // As embedder/content/encoder.cc does it: equal tensors once, small ones in groups, the others chunk by chunk.
  Status Encode(unsigned threads) {
    EncodeOptions options;
    options.codec = choice_;
    options.level = level_;
    options.threads = threads;
    EncoderPool encoders(level_);
    PANNIER_TRY(const ContentPlan plan, PlanContents(input_, options, encoders));
    if (plan.groups.size() > MostGroups()) return {ErrorCode::kLimit, "more groups than there is room for"};
    PANNIER_CHECK_OK(ParallelFor(chunks_.size(), threads, [&](std::uint64_t i) -> Status {
      Chunk& chunk = chunks_[i];
      const PlannedContent& content = plan.contents[chunk.tensor];
      tensors_[chunk.tensor].group = {};
      if (content.equal_to || content.group) return {};
      const EncoderPool::Lease encoder = encoders.Take();
      return EncodeInto(content.plan, chunk.original, chunk.encoded_at, *encoder, chunk.record);
    }));
    PANNIER_CHECK_OK(ParallelFor(plan.groups.size(), threads, [&](std::uint64_t i) -> Status {
      const ContentGroup& group = plan.groups[i];
      PANNIER_TRY(const std::vector<std::uint8_t> bytes, ReadGroup(*input_.file, plan, group));
      const EncoderPool::Lease encoder = encoders.Take();
      ChunkRecord record;
      PANNIER_CHECK_OK(EncodeInto(group.plan, View(bytes), groups_at_ + i * EncodedBound(kLargestGroup), *encoder, record));
      for (const std::size_t member : group.members) {
        chunks_[tensors_[member].first_chunk].record = record;
        tensors_[member].group = {plan.contents[member].group_offset, group.size};
      }
      return {};
    }));
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      if (!plan.contents[i].equal_to) continue;
      const Tensor& first = tensors_[*plan.contents[i].equal_to];
      tensors_[i].group = first.group;
      for (std::uint64_t k = 0; k < ChunkCount(first.bytes.size(), kChunkSize); ++k)
        chunks_[tensors_[i].first_chunk + k].record = chunks_[first.first_chunk + k].record;
    }
    return {};
  }

  // Tables are the loader's: each tensor's row of records.
  void MakeTable() {
    table_.resize(chunks_.size() * ChunkRecord::kSize);
    for (std::size_t i = 0; i < chunks_.size(); ++i) StoreChunkRecord(table_, i, chunks_[i].record);
  }

  Status Decode(unsigned threads, std::uint8_t* out) const {
    const ByteView stored(encoded_.data(), encoded_room_);
    return ParallelForWith<ChunkDecoder>(chunks_.size(), threads, [&](ChunkDecoder& decoder, std::uint64_t i) {
      const Chunk& chunk = chunks_[i];
      const Tensor& tensor = tensors_[chunk.tensor];
      const ByteView table(table_.data() + tensor.first_chunk * ChunkRecord::kSize,
                           static_cast<std::size_t>(ChunkCount(tensor.bytes.size(), kChunkSize)) * ChunkRecord::kSize);
      const ChunkedContent content(stored, table, tensor.bytes.size(), kChunkSize, tensor.group);
      return content.DecodeChunk(chunk.index, out + chunk.decoded_at, false, decoder);
    });
  }

  bool IsEqual(const std::uint8_t* decoded) const {
    return std::all_of(tensors_.begin(), tensors_.end(), [&](const Tensor& tensor) {
      return tensor.bytes.empty() || std::memcmp(tensor.bytes.data(), decoded + tensor.decoded_at, tensor.bytes.size()) == 0;
    });
  }

  std::uint64_t StoredSize() const {
    std::uint64_t size = 0;
    std::set<std::uint64_t> counted;  // chunks may be several tensors'
    for (const Chunk& chunk : chunks_) {
      if (counted.insert(chunk.record.offset).second) size += chunk.record.stored_size;
    }
    return size;
  }

  std::uint64_t original_size() const { return original_size_; }
  std::size_t decoded_size() const { return decoded_size_; }
  std::size_t tensor_count() const { return tensors_.size(); }
  std::uint8_t* warm() const { return warm_.data(); }

 private:
  static constexpr std::size_t kLargestGroup = 64 << 10;

  // Each but the last of its type holds three quarters of what it may, at least.
  std::size_t MostGroups() const { return original_size_ / (kLargestGroup / 4 * 3) + 64; }

  Status EncodeInto(const ChunkPlan& plan, ByteView original, std::size_t at, ChunkEncoder& encoder, ChunkRecord& record) const {
    PANNIER_TRY(ChunkEncoder::Stored stored, encoder.Encode(plan, original, encoded_.data() + at));
    if (stored.size >= original.size()) {
      stored = {Codec::kStore, original.size()};
      std::memcpy(encoded_.data() + at, original.data(), stored.size);
    }
    record.codec = stored.codec;
    record.offset = at;
    record.stored_size = static_cast<std::uint32_t>(stored.size);
    return {};
  }

  const ArtifactInput& input_;
  CodecChoice choice_;
  int level_;
  std::vector<Tensor> tensors_;
  std::vector<Chunk> chunks_;
  std::size_t encoded_room_ = 0;
  std::size_t groups_at_ = 0;  // within encoded_
  std::size_t decoded_size_ = 0;
  std::uint64_t original_size_ = 0;
  Memory encoded_{0};
  Memory warm_{0};
  std::vector<std::uint8_t> table_;
};

double CpuSeconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Prints the seconds that `work` took.
template <typename Work>
Status Timed(const Work& work) {
  const double cpu = CpuSeconds();
  const auto start = std::chrono::steady_clock::now();
  PANNIER_CHECK_OK(work());
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
  std::cout << wall.count() << ' ' << CpuSeconds() - cpu << std::endl;
  return {};
}

Status Serve(Benchmark& benchmark) {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string what;
    unsigned threads = 0;
    std::string memory;
    words >> what >> threads >> memory;
    if (what == "encode") {
      PANNIER_CHECK_OK(Timed([&] { return benchmark.Encode(threads); }));
      benchmark.MakeTable();
    } else if (what == "decode" && memory == "warm") {
      PANNIER_CHECK_OK(Timed([&] { return benchmark.Decode(threads, benchmark.warm()); }));
    } else if (what == "decode" && (memory == "fresh" || memory == "huge")) {
      const Memory out(benchmark.decoded_size(), memory == "huge");
      PANNIER_CHECK_OK(Timed([&] { return benchmark.Decode(threads, out.data()); }));
    } else {
      return {ErrorCode::kInvalidArgument,
              StrCat("found \"", line, "\", expected encode THREADS or decode THREADS warm|fresh|huge")};
    }
  }
  return {};
}

Status Run(const std::string& path, CodecChoice choice, int level) {
  PANNIER_TRY(const MappedFile file, MappedFile::Open(path));
  PANNIER_TRY(const std::vector<ArtifactInput> inputs, OpenArtifacts({{"params", path}}));
  if (!inputs[0].params) return {ErrorCode::kMalformed, inputs[0].why_opaque};
  Benchmark benchmark(inputs[0], file.bytes(), choice, level);
  PANNIER_CHECK_OK(benchmark.Encode(0));
  benchmark.MakeTable();
  PANNIER_CHECK_OK(benchmark.Decode(0, benchmark.warm()));
  if (!benchmark.IsEqual(benchmark.warm())) return {ErrorCode::kMalformed, "decoded bytes differ from the original"};
  std::cout.precision(9);
  std::cout << R"({"tensors": )" << benchmark.tensor_count() << R"(, "bytes": )" << benchmark.original_size() << R"(, "encoded": )"
            << benchmark.StoredSize() << "}" << std::endl;
  return Serve(benchmark);
}

}  // namespace
}  // namespace pannier

int main(int argc, char** argv) {
  using pannier::CodecChoice;
  constexpr std::pair<const char*, CodecChoice> kCodecs[] = {
      {"auto", CodecChoice::kAuto}, {"store", CodecChoice::kStore}, {"zstd", CodecChoice::kZstd}, {"planes", CodecChoice::kPlanes}};
  if (argc == 4) {
    for (const auto& [name, choice] : kCodecs) {
      if (std::strcmp(argv[2], name) != 0) continue;
      const pannier::Status status = pannier::Run(argv[1], choice, std::atoi(argv[3]));
      if (status.ok()) return 0;
      std::cerr << "codec_benchmark: " << argv[1] << ": " << status.message() << '\n';
      return 1;
    }
  }
  std::cerr << "usage: codec_benchmark PARAMS store|zstd|planes|auto LEVEL\n";
  return 2;
}
