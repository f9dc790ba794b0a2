// Params as an npz file: a ZIP archive of arrays as NumPy saves them, uncompressed.
#ifndef PANNIER_EMBEDDER_EXPORT_NPZ_H_
#define PANNIER_EMBEDDER_EXPORT_NPZ_H_

#include <cstdint>
#include <string>
#include <vector>

#include "embedder/content/artifact_stream.h"
#include "embedder/output_file.h"
#include "src/bundle_reader.h"
#include "src/result.h"

namespace pannier {

class NpzFile {
 public:
  // kUnsupported where NumPy has no such type, or where a name would lead out of a folder that the archive is unpacked into. Types
  // that ml_dtypes adds to NumPy (bfloat16, float8) are there as NumPy saves those: bytes ("V2"), to be viewed as what they are.
  static Result<NpzFile> Plan(const TensorReader& tensors);

  std::uint64_t size() const { return size_; }

  // Not from front to back: what is in an entry is summed up in front of it.
  Status Write(ContentStream& stream, OutputFile& out) const;

 private:
  struct Member {
    std::uint64_t offset = 0;  // of the local header
    std::uint64_t size = 0;    // with what NumPy has in front of the data
  };
  explicit NpzFile(const TensorReader& tensors) : tensors_(tensors) {}
  std::vector<std::uint8_t> LocalHeader(std::uint32_t i, std::uint32_t crc) const;
  void AppendCentralHeader(std::vector<std::uint8_t>& out, std::uint32_t i, std::uint32_t crc) const;
  std::string NameOf(std::uint32_t i) const;   // of the member
  std::string StartOf(std::uint32_t i) const;  // what NumPy has in front of the data
  std::vector<std::uint8_t> End(std::uint64_t offset, std::uint64_t size) const;

  TensorReader tensors_;
  std::vector<Member> members_;  // one for each tensor
  std::uint64_t size_ = 0;
};

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_EXPORT_NPZ_H_
