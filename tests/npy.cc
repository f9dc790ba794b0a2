// NpyArray: reads the header, a Python dictionary of three known keys, and the values.
#include "tests/npy.h"

#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <system_error>

#include "src/bytes.h"

namespace pannier::testing {

DlTensor NpyArray::tensor() {
  DlTensor tensor = {};
  tensor.data = values.data();
  tensor.device = {1, 0};
  tensor.ndim = static_cast<std::int32_t>(shape.size());
  tensor.dtype = {2, 32, 1};
  tensor.shape = shape.data();
  return tensor;
}

NpyArray ReadNpy(const std::string& path) {
  auto fail = [&](const std::string& what) { throw std::runtime_error(path + ": " + what); };
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("cannot open the file");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const ByteView bytes(text.data(), text.size());
  if (text.compare(0, 6, "\x93NUMPY") != 0 || text.size() < 12) fail("not a .npy file");
  const int version = bytes.data()[6];
  if (version != 1 && version != 2) fail(".npy version: found " + std::to_string(version) + ", expected 1 or 2");
  const std::size_t header_start = version == 1 ? 10 : 12;
  const std::uint64_t header_size = version == 1 ? *bytes.Read<std::uint16_t>(8) : *bytes.Read<std::uint32_t>(8);
  if (!bytes.Contains(header_start, header_size)) fail(".npy header: reaches beyond the end of the file");
  const std::string header = text.substr(header_start, static_cast<std::size_t>(header_size));
  if (header.find("'descr': '<f4'") == std::string::npos || header.find("'fortran_order': False") == std::string::npos) {
    fail(".npy header: found " + header + ", expected <f4 in C order");
  }
  const char shape_key[] = "'shape': (";
  std::size_t position = header.find(shape_key);
  const std::size_t shape_end = header.find(')', position);
  if (position == std::string::npos || shape_end == std::string::npos) fail(".npy header: found no shape");
  NpyArray array;
  std::uint64_t count = 1;
  for (position += sizeof shape_key - 1; position < shape_end; ++position) {
    std::uint64_t dimension = 0;
    const auto [end, error] = std::from_chars(header.data() + position, header.data() + shape_end, dimension);
    const auto product = CheckedMultiply(count, dimension);
    if (error != std::errc() || dimension > INT64_MAX || !product) fail(".npy header: the shape is no list of sizes: " + header);
    count = *product;
    array.shape.push_back(static_cast<std::int64_t>(dimension));
    position = header.find_first_not_of(", ", static_cast<std::size_t>(end - header.data())) - 1;
  }
  const std::size_t data_start = header_start + header.size();
  if (count != (text.size() - data_start) / 4 || (text.size() - data_start) % 4 != 0) {
    fail(".npy data: found " + std::to_string(text.size() - data_start) + " bytes, expected " + std::to_string(count) + " float32");
  }
  for (std::size_t offset = data_start; offset < text.size(); offset += 4) {
    const std::uint32_t bits = *bytes.Read<std::uint32_t>(offset);
    float value = 0;
    std::memcpy(&value, &bits, sizeof value);
    array.values.push_back(value);
  }
  return array;
}

}  // namespace pannier::testing
