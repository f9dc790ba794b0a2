# Toolchain file for Debian's cross compilers; what is built runs here under qemu-user.
#
#   cmake --toolchain cmake/linux-cross.cmake -DPANNIER_TRIPLE=aarch64-linux-gnu -DPANNIER_BUILD_EMBEDDER=OFF -DPANNIER_BUILD_TESTS=OFF
#         -DPANNIER_ZSTD_SOURCE=$(cmake/fetch_zstd.sh) ...
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES PANNIER_TRIPLE)
if(NOT PANNIER_TRIPLE MATCHES "^([a-z0-9_]+)-linux-(gnu|musl)[a-z]*$")
  message(FATAL_ERROR "PANNIER_TRIPLE: found '${PANNIER_TRIPLE}', expected one like aarch64-linux-gnu")
endif()
set(processor "${CMAKE_MATCH_1}")

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR "${processor}")
set(CMAKE_C_COMPILER "${PANNIER_TRIPLE}-gcc")
set(CMAKE_CXX_COMPILER "${PANNIER_TRIPLE}-g++")
set(CMAKE_FIND_ROOT_PATH "/usr/${PANNIER_TRIPLE}")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

# Where QEMU's name for the machine is not the triple's.
if(processor STREQUAL "i686")
  set(processor i386)
elseif(processor STREQUAL "powerpc64le")
  set(processor ppc64le)
elseif(processor STREQUAL "powerpc")
  set(processor ppc)
endif()
set(CMAKE_CROSSCOMPILING_EMULATOR "qemu-${processor}" -L "/usr/${PANNIER_TRIPLE}")
