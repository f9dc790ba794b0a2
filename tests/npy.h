// NpyArray: float32 arrays in NumPy's .npy files.
#ifndef PANNIER_TESTS_NPY_H_
#define PANNIER_TESTS_NPY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "pannier/tensor.h"

namespace pannier::testing {

struct NpyArray {
  std::vector<std::int64_t> shape;
  std::vector<float> values;  // row-major

  // Borrows from this array.
  DlTensor tensor();
};

// Versions 1 and 2, dtype "<f4", C order (NumPy's format.py); anything else is a std::runtime_error that names the file.
NpyArray ReadNpy(const std::string& path);

}  // namespace pannier::testing

#endif  // PANNIER_TESTS_NPY_H_
