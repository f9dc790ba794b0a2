// The C interface in C++ without exceptions and type information; compiled with -fno-exceptions -fno-rtti.
#if defined(__cpp_exceptions) || defined(__cpp_rtti)
#error "this program is about a compiler without exceptions and type information"
#endif
#include "c_consumer.c"
