// PlaceElfPayload: where the payload goes in an ELF host, and what has to make room. A pure function, as PlanElf, which is next.
#ifndef PANNIER_EMBEDDER_FORMATS_PLACE_ELF_H_
#define PANNIER_EMBEDDER_FORMATS_PLACE_ELF_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "embedder/edit_plan.h"
#include "embedder/formats/host_model.h"
#include "src/result.h"

namespace pannier {

// Something that slides up within the host to make room for a program header.
struct SlidRange {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

// A symbol that leads into the payload.
struct ElfExport {
  std::vector<std::uint64_t> entries;  // in the host: the symbol's, where it has one; in .dynsym, and in .symtab
  std::optional<std::uint64_t> added;  // in the grown .dynsym: a new one, as yet without value, size and section
  std::size_t symbols = 0;             // which of `moved` is the grown .dynsym
};

// A field as wide as an address, in the host's dynamic section.
struct ElfWord {
  std::uint64_t offset = 0;
  std::uint64_t value = 0;
};

struct ElfPlacement : Placement {
  std::uint64_t segment_align = 1;
  std::uint32_t segment_entry = 0;  // the program header that becomes ours; header.segment_count for a new one
  std::uint64_t slide = 0;          // by how much the ranges move up
  std::vector<SlidRange> slid;
  std::optional<ElfExport> exported;
  std::vector<ElfWord> words;  // that change besides
};

// kUnsupported: this file is no host for a payload; the message says why and what to do.
// `exported`: a symbol that is to lead to the section kFactorySection; empty: none.
Result<ElfPlacement> PlaceElfPayload(const HostModel& host, std::string_view exported = {});

}  // namespace pannier

#endif  // PANNIER_EMBEDDER_FORMATS_PLACE_ELF_H_
