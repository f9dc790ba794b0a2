// run_model: loads a bundle, runs its model on an input, and compares with the expected output.
//
// usage: run_model BUNDLE INPUT.npy EXPECTED.npy TOLERANCE [--input NAME]
//
// Exit status: 0 within the tolerance; 1 beyond it; 2 anything else.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>

#include "pannier/loader.h"
#include "tests/graph_runner.h"
#include "tests/npy.h"

namespace pannier::testing {
namespace {

int Main(int argc, char** argv) {
  if (!(argc == 5 || (argc == 7 && std::string(argv[5]) == "--input"))) {
    std::fprintf(stderr, "usage: run_model BUNDLE INPUT.npy EXPECTED.npy TOLERANCE [--input NAME]\n");
    return 2;
  }
  NpyArray input = ReadNpy(argv[2]);
  NpyArray expected = ReadNpy(argv[3]);
  char* end = nullptr;
  const double tolerance = std::strtod(argv[4], &end);
  if (end == argv[4] || *end != '\0' || !(tolerance >= 0)) throw std::runtime_error(std::string(argv[4]) + ": not a tolerance");

  GraphRunner runner(LoadBundle(argv[1]));
  if (argc != 7 && runner.input_names().size() != 1) {
    throw std::runtime_error("found " + std::to_string(runner.input_names().size()) + " inputs, expected 1 or --input");
  }
  runner.SetInput(argc == 7 ? argv[6] : runner.input_names()[0], input.tensor());
  runner.Run();

  const DlTensor& output = runner.output(0);
  if (output.dtype != DataType{2, 32, 1})
    throw std::runtime_error("output: found " + DataTypeName(output.dtype) + ", expected float32");
  std::vector<std::int64_t> shape(output.shape, output.shape + output.ndim);
  if (shape != expected.shape) throw std::runtime_error("output: found another shape than the expected one's");
  const float* values = static_cast<const float*>(output.data);
  double largest = 0;
  for (std::size_t i = 0; i < expected.values.size(); ++i) {
    const double difference = std::fabs(static_cast<double>(values[i]) - static_cast<double>(expected.values[i]));
    // A NaN compares as no difference at all.
    largest = std::isnan(difference) ? HUGE_VAL : std::fmax(largest, difference);
  }
  std::printf("output: %zu values, largest difference %g, tolerance %g, params in place: %zu\n", expected.values.size(), largest,
              tolerance, runner.params_in_place());
  return largest <= tolerance ? 0 : 1;
}

}  // namespace
}  // namespace pannier::testing

int main(int argc, char** argv) {
  try {
    return pannier::testing::Main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "run_model: %s\n", error.what());
    return 2;
  }
}
