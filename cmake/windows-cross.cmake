# Toolchain file for Debian's MinGW (g++-mingw-w64-x86-64-posix, g++-mingw-w64-i686-posix); what is built runs here under Wine.
#
#   cmake --toolchain cmake/windows-cross.cmake -DPANNIER_TRIPLE=x86_64-w64-mingw32 -DPANNIER_BUILD_EMBEDDER=OFF
#         -DPANNIER_BUILD_TESTS=OFF -DPANNIER_ZSTD_SOURCE=$(cmake/fetch_zstd.sh) ...
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES PANNIER_TRIPLE)
if(NOT PANNIER_TRIPLE MATCHES "^(x86_64|i686)-w64-mingw32$")
  message(FATAL_ERROR "PANNIER_TRIPLE: found '${PANNIER_TRIPLE}', expected x86_64-w64-mingw32 or i686-w64-mingw32")
endif()

set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR "${CMAKE_MATCH_1}")
# -posix: std::thread and std::mutex need it.
set(CMAKE_C_COMPILER "${PANNIER_TRIPLE}-gcc-posix")
set(CMAKE_CXX_COMPILER "${PANNIER_TRIPLE}-g++-posix")
set(CMAKE_RC_COMPILER "${PANNIER_TRIPLE}-windres")
set(CMAKE_FIND_ROOT_PATH "/usr/${PANNIER_TRIPLE}")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(CMAKE_CROSSCOMPILING_EMULATOR wine)

# Programs bring MinGW's runtime (libgcc, libstdc++, winpthread) with them. Not beside a DLL of C++: an exception that crosses from
# one to the other needs one runtime for both.
if(NOT BUILD_SHARED_LIBS)
  set(CMAKE_EXE_LINKER_FLAGS_INIT "-static")
endif()
