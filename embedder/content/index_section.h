// IndexSection: the tables of .tvm.index while they are gathered; each stays in the memory that it was made in.
#ifndef PANNIER_EMBEDDER_CONTENT_INDEX_SECTION_H_
#define PANNIER_EMBEDDER_CONTENT_INDEX_SECTION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "embedder/content/manifest_builder.h"
#include "src/bytes.h"
#include "src/sha256.h"

namespace pannier {

// A table begins at a multiple of 8 from the section's start; zeroes are in between.
class IndexSection {
 public:
  struct Table {
    std::uint64_t offset = 0;
    ByteView bytes;
    std::shared_ptr<const void> owner;
  };

  // Takes what has data() and size().
  template <typename Buffer>
  IndexEntry Add(Buffer buffer) {
    auto owner = std::make_shared<const Buffer>(std::move(buffer));
    const ByteView bytes(owner->data(), owner->size());
    const std::uint64_t offset = AlignUp(size(), 8);
    tables_.push_back({offset, bytes, std::move(owner)});
    return {offset, bytes.size(), Sha256Of(bytes)};
  }

  const std::vector<Table>& tables() const { return tables_; }
  void Truncate(std::size_t tables) { tables_.resize(tables); }
  std::uint64_t size() const { return tables_.empty() ? 0 : tables_.back().offset + tables_.back().bytes.size(); }

  Sha256Digest Digest() const {
    constexpr std::uint8_t kZeroes[8] = {};
    Sha256 sha256;
    std::uint64_t end = 0;
    for (const Table& table : tables_) {
      sha256.Update(ByteView(kZeroes, static_cast<std::size_t>(table.offset - end)));
      sha256.Update(table.bytes);
      end = table.offset + table.bytes.size();
    }
    return sha256.Finish();
  }

 private:
  std::vector<Table> tables_;
};

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_CONTENT_INDEX_SECTION_H_
