// A test double: all of it is in packed_func.h.
#include "tvm/runtime/packed_func.h"  // IWYU pragma: export
