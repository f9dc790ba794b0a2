#!/usr/bin/env bash
# Builds LIEF 0.12.3 from its PyPI source, for machines where find_package(LIEF) finds none. Under 2 minutes on 2 cores.
#
# usage: cmake/build_lief.sh [PREFIX [CMAKE_OPTIONS...]]     (build/deps/lief-0.12.3 unless given)
#
# For another machine: PREFIX --toolchain FILE ... (cmake/windows-cross.cmake).
#
# 0.12.3 is the newest release whose source is on PyPI. A second run finds its work done.
set -euo pipefail

readonly version=0.12.3
readonly sha256=62e81d2f1a827d43152aed12446a604627e8833493a51dca027026eed0ce7128

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
readonly prefix=${1:-$root/build/deps/lief-$version}
readonly work=$prefix.work
readonly stamp=$prefix/complete.txt

# Mach-O and PE stay on beside ELF. LIEF's JSON and logging code only costs time and size here. Debian's mbedtls 2.28 is older than
# what LIEF 0.12.3 needs, so it keeps the 3.2.1 in its archive.
readonly options=(
  -DCMAKE_BUILD_TYPE=Release
  -DBUILD_SHARED_LIBS=OFF
  -DLIEF_ELF=ON -DLIEF_MACHO=ON -DLIEF_PE=ON
  -DLIEF_DEX=OFF -DLIEF_OAT=OFF -DLIEF_ART=OFF -DLIEF_VDEX=OFF
  -DLIEF_PYTHON_API=OFF -DLIEF_C_API=OFF -DLIEF_EXAMPLES=OFF -DLIEF_TESTS=OFF -DLIEF_DOC=OFF
  -DLIEF_ENABLE_JSON=OFF -DLIEF_LOGGING=OFF -DLIEF_LOGGING_DEBUG=OFF
  -DLIEF_USE_CCACHE=OFF
  -DCMAKE_CXX_FLAGS_RELEASE='-O2 -DNDEBUG'
  "-DCMAKE_PROJECT_LIEF_INCLUDE=$root/cmake/lief_unity.cmake"
  "${@:2}"
)
readonly wanted="LIEF $version ${options[*]//$root/}"

build() {
  # Templates' definitions are included without a guard, each by one source; in lief_unity.cmake's units sources share them.
  find "$work/lief-$version/src" -name '*.tcc' -exec sed -i '1i #pragma once' {} +
  # From GCC 13 on no other header brings std::uint64_t along.
  sed -i 's/^#include <exception>/#include <cstdint>\n&/' "$work/lief-$version/include/LIEF/exception.hpp"
  cmake -S "$work/lief-$version" -B "$work/build" -G Ninja -DCMAKE_INSTALL_PREFIX="$prefix" "${options[@]}" &&
    cmake --build "$work/build" &&
    cmake --install "$work/build"
}

mkdir -p "$(dirname "$prefix")"
exec 9>"$prefix.lock"  # two builds of pannier may come here at the same time
flock 9
if [[ -f $stamp && $(<"$stamp") == "$wanted" ]]; then
  echo "LIEF $version is in $prefix"
  exit
fi

rm -rf "$prefix" "$work"
"$root/cmake/fetch_source.sh" lief "$version" "$sha256" "$(dirname "$prefix")" "$work"
echo "building LIEF $version (about 2 minutes on 2 cores); log: $work/build.log"
if ! build >"$work/build.log" 2>&1; then
  tail -n 40 "$work/build.log" >&2
  echo "build_lief.sh: LIEF $version: the build failed; the whole log is $work/build.log" >&2
  exit 1
fi
echo "$wanted" >"$stamp"
rm -rf "$work"
echo "LIEF $version is now in $prefix"
