// The export directory read: every table and text within a section's bytes in the file.
#include "src/pe_exports.h"

#include <utility>

#include "src/text.h"

namespace pannier {
namespace {

class Reader {
 public:
  explicit Reader(const PeModel& model)
      : model_(model), range_(model.header.directories[pe::kExportDirectory]), text_left_(2 * std::uint64_t{model.bytes.size()}) {}

  Result<PeExports> Run() {
    PeExports exports;
    PANNIER_TRY(exports.directory, Table(range_.address, kPeExportDirectorySize, "export directory"));
    PANNIER_CHECK_OK(ReadAddresses(exports));
    PANNIER_CHECK_OK(ReadNames(exports));
    return exports;
  }

 private:
  static std::uint32_t Field(const PeExports& exports, std::size_t offset) {
    return LoadInteger<std::uint32_t>(exports.directory.data() + offset, ByteOrder::kLittle);
  }

  Result<ByteView> Table(std::uint32_t address, std::uint64_t size, std::string_view what) const {
    if (size == 0) return ByteView();
    const auto offset = PeFileOffset(model_.sections, address, size);
    const auto bytes = offset ? model_.bytes.Slice(*offset, size) : std::nullopt;
    if (!bytes)
      return Malformed(
          StrCat(what, ": found ", size, " bytes at address ", Hex(address), ", expected them in a section's raw data"));
    return *bytes;
  }

  // Texts may share bytes, but not so many that reading them takes for ever.
  Result<std::string_view> Text(std::uint32_t address, std::string_view what) {
    const auto bytes = PeBytesFrom(model_, address);
    const std::string_view text = bytes ? bytes->text() : std::string_view();
    const std::size_t size = text.find('\0');
    if (size == std::string_view::npos)
      return Malformed(
          StrCat("exports: ", what, ": found address ", Hex(address), ", expected one of a text in a section's raw data"));
    if (size >= text_left_)
      return Malformed(StrCat("exports: found texts of more than ", 2 * std::uint64_t{model_.bytes.size()}, " bytes in all"));
    text_left_ -= size;
    return text.substr(0, size);
  }

  Status ReadAddresses(PeExports& exports) {
    const std::uint32_t count = Field(exports, kPeExportCount);
    if (count > kPeMostExports) return Malformed(StrCat("export addresses: found ", count, ", expected at most ", kPeMostExports));
    PANNIER_TRY(const ByteView table, Table(Field(exports, kPeExportAddresses), 4 * std::uint64_t{count}, "export addresses"));
    if (!table.empty()) exports.addresses_offset = static_cast<std::uint64_t>(table.data() - model_.bytes.data());
    for (std::size_t at = 0; at < table.size(); at += 4) {
      const auto address = LoadInteger<std::uint32_t>(table.data() + at, ByteOrder::kLittle);
      std::optional<std::string_view> forwarder;
      if (address >= range_.address && address - range_.address < range_.size) {
        PANNIER_TRY(forwarder, Text(address, "a forwarder"));
      }
      exports.addresses.push_back(address);
      exports.forwarders.push_back(forwarder);
    }
    return {};
  }

  Status ReadNames(PeExports& exports) {
    const std::uint64_t count = Field(exports, kPeExportNameCount);
    PANNIER_TRY(const ByteView names, Table(Field(exports, kPeExportNames), 4 * count, "export names"));
    PANNIER_TRY(const ByteView indices, Table(Field(exports, kPeExportIndices), 2 * count, "export ordinals"));
    for (std::size_t i = 0; i < names.size() / 4; ++i) {
      PeExportName name;
      name.address = LoadInteger<std::uint32_t>(names.data() + 4 * i, ByteOrder::kLittle);
      PANNIER_TRY(name.text, Text(name.address, "a symbol's name"));
      name.index = LoadInteger<std::uint16_t>(indices.data() + 2 * i, ByteOrder::kLittle);
      if (name.index >= exports.addresses.size()) {
        return Malformed(StrCat("exports: ", Printable(name.text), ": found entry ", name.index, ", expected one of ",
                                exports.addresses.size()));
      }
      exports.names.push_back(name);
    }
    return {};
  }

  const PeModel& model_;
  pe::DataDirectory range_;
  std::uint64_t text_left_;
};

}  // namespace

Result<std::optional<PeExports>> ReadPeExports(const PeModel& model) {
  if (model.header.directories[pe::kExportDirectory].address == 0) return std::optional<PeExports>();
  PANNIER_TRY(PeExports exports, Reader(model).Run());
  return std::optional(std::move(exports));
}

}  // namespace pannier
