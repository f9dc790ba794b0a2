# Toolchain file for Zig's clang (PyPI: ziglang) as a cross compiler for macOS; what is built does not run here.
# tests/macos_loader.sh makes the two wrappers, named PANNIER_TRIPLE-cc and PANNIER_TRIPLE-c++, and puts them on the PATH.
#
#   cmake --toolchain cmake/macos-zig.cmake -DPANNIER_TRIPLE=aarch64-macos -DPANNIER_BUILD_EMBEDDER=OFF -DPANNIER_BUILD_TESTS=OFF
#         -DPANNIER_ZSTD_SOURCE=$(cmake/fetch_zstd.sh) ...
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES PANNIER_TRIPLE)
if(NOT PANNIER_TRIPLE MATCHES "^(x86_64|aarch64)-macos")
  message(FATAL_ERROR "PANNIER_TRIPLE: found '${PANNIER_TRIPLE}', expected one like aarch64-macos")
endif()

set(CMAKE_SYSTEM_NAME Darwin)
set(CMAKE_SYSTEM_PROCESSOR "${CMAKE_MATCH_1}")
set(CMAKE_C_COMPILER "${PANNIER_TRIPLE}-cc")
set(CMAKE_CXX_COMPILER "${PANNIER_TRIPLE}-c++")
# CMake looks for Apple's tools; LLVM's do the same.
find_program(CMAKE_INSTALL_NAME_TOOL NAMES llvm-install-name-tool llvm-install-name-tool-14 REQUIRED)
find_program(CMAKE_AR NAMES llvm-ar llvm-ar-14 REQUIRED)
find_program(CMAKE_RANLIB NAMES llvm-ranlib llvm-ranlib-14 REQUIRED)
set(CMAKE_OSX_SYSROOT "" CACHE PATH "none: Zig brings the headers")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
