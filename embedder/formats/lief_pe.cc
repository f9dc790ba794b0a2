// LIEF's PE parser, 0.12 to 1.0, as a second opinion on every number that edits are made from.
#include "embedder/formats/lief_pe.h"

#include <LIEF/PE.hpp>
#include <LIEF/logging.hpp>
#include <memory>
#include <string>

#include "embedder/formats/lief_support.h"
#include "src/text.h"

namespace pannier {
namespace {

template <typename Binary>
Status CompareSections(Binary& binary, const PeModel& model) {
  std::size_t i = 0;
  for (const auto& theirs : binary.sections()) {
    if (i == model.sections.size()) break;
    const pe::Section& ours = model.sections[i];
    const std::string name = StrCat("section ", i++, ": ");
    PANNIER_CHECK_OK(CheckAgreement(name + "address", ours.address, theirs.virtual_address()));
    PANNIER_CHECK_OK(CheckAgreement(name + "virtual size", ours.virtual_size, theirs.virtual_size()));
    PANNIER_CHECK_OK(CheckAgreement(name + "raw data's size", ours.raw_size, theirs.sizeof_raw_data()));
    PANNIER_CHECK_OK(CheckAgreement(name + "raw data", ours.raw_offset, theirs.pointerto_raw_data()));
    PANNIER_CHECK_OK(CheckAgreement(name + "characteristics", ours.characteristics, theirs.characteristics()));
  }
  return CheckAgreement("number of sections", model.sections.size(), i);
}

}  // namespace

Status CompareWithLief(const PeModel& model) {
  LIEF::logging::disable();
  const pe::Header& header = model.header;
  // Placement has seen that the file holds them.
  const ByteView headers = *model.bytes.Slice(0, header.headers_size);
  const std::unique_ptr<LIEF::PE::Binary> binary = ParsedByLief([&] { return LIEF::PE::Parser::parse(CopyForLief(headers)); });
  if (binary == nullptr) return Malformed("pe: LIEF cannot parse it");
  const auto& optional = binary->optional_header();
  PANNIER_CHECK_OK(CheckAgreement("pe header", header.signature_offset, binary->dos_header().addressof_new_exeheader()));
  PANNIER_CHECK_OK(CheckAgreement("number of sections", header.section_count, binary->header().numberof_sections()));
  PANNIER_CHECK_OK(CheckAgreement("symbol table", header.symbol_offset, binary->header().pointerto_symbol_table()));
  PANNIER_CHECK_OK(CheckAgreement("size of optional header", header.optional_size, binary->header().sizeof_optional_header()));
  PANNIER_CHECK_OK(CheckAgreement("size of initialized data", header.initialized_size, optional.sizeof_initialized_data()));
  PANNIER_CHECK_OK(CheckAgreement("entry point", header.entry, optional.addressof_entrypoint()));
  PANNIER_CHECK_OK(CheckAgreement("image base", header.image_base, optional.imagebase()));
  PANNIER_CHECK_OK(CheckAgreement("section alignment", header.section_alignment, optional.section_alignment()));
  PANNIER_CHECK_OK(CheckAgreement("file alignment", header.file_alignment, optional.file_alignment()));
  PANNIER_CHECK_OK(CheckAgreement("size of image", header.image_size, optional.sizeof_image()));
  PANNIER_CHECK_OK(CheckAgreement("size of headers", header.headers_size, optional.sizeof_headers()));
  PANNIER_CHECK_OK(CheckAgreement("checksum", header.checksum, optional.checksum()));
  std::size_t i = 0;
  for (const auto& theirs : binary->data_directories()) {
    if (i == header.directory_count) break;
    const std::string name = StrCat("data directory ", i, ": ");
    PANNIER_CHECK_OK(CheckAgreement(name + "address", header.directories[i].address, theirs.RVA()));
    PANNIER_CHECK_OK(CheckAgreement(name + "size", header.directories[i].size, theirs.size()));
    ++i;
  }
  return CompareSections(*binary, model);
}

}  // namespace pannier
