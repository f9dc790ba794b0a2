#!/usr/bin/env bash
# What is shipped of the loader: built twice in different folders it has the same bytes, as have its Debian packages; its size and the
# libraries it needs are printed and kept; the packages, unpacked, serve programs; their lists of parts (SPDX) are valid.
# Usage: packages.sh BUILD_DIR BUNDLE. Exit status 4: the validator of SPDX cannot be had, the rest was tested.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$(realpath "$1")
bundle=$(realpath "$2")
work=$(mktemp -d)
readonly root build bundle work
trap 'rm -rf "$work"' EXIT
export SOURCE_DATE_EPOCH=1700000000

# Stripped, without signatures, zstd's shared library beside it; measured: 420 KB with GCC 12 on x86_64.
readonly largest=440000

fail() {
  echo "packages.sh: $*" >&2
  exit 1
}

# A step that talks only when it fails.
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2 && fail "failed: $*"; }; }

libdir=$(sed -n 's/^CMAKE_INSTALL_LIBDIR:[A-Z]*=//p' "$build/CMakeCache.txt")
# The source is copied, too: nothing may depend on where it lies.
for place in a "b/deeper"; do
  mkdir -p "$work/$place"
  cp -r "$root"/{CMakeLists.txt,LICENSE,cmake,include,src,loader} "$work/$place"
  quietly cmake -S "$work/$place" -B "$work/$place/made" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON \
    -DPANNIER_BUILD_EMBEDDER=OFF -DPANNIER_BUILD_TESTS=OFF -DCMAKE_INSTALL_PREFIX=/usr -DCMAKE_INSTALL_LIBDIR="$libdir"
  quietly cmake --build "$work/$place/made"
  (cd "$work/$place/made" && quietly cpack -G DEB -B packages)
done
for file in made/loader/libpannier_loader.so made/pannier-loader.spdx.json; do
  cmp "$work/a/$file" "$work/b/deeper/$file"
done
for file in "$work"/a/made/packages/*.deb; do cmp "$file" "$work/b/deeper/made/packages/$(basename "$file")"; done
echo "ok: two builds, two folders, the same bytes: the loader, $(cd "$work/a/made/packages" && echo *.deb)"

if [[ $(uname -m) == x86_64 ]]; then python3 "$root/tests/abi_test.py" "$work/a/made/loader/libpannier_loader.so"; fi
strip -o "$work/stripped.so" "$work/a/made/loader/libpannier_loader.so"
size=$(stat -c %s "$work/stripped.so")
needed=$(readelf -dW "$work/stripped.so" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | tr '\n' ' ')
echo "loader: $size bytes stripped, needs $needed"
if [[ $(uname -m) == x86_64 ]]; then ((size <= largest)) || fail "the loader: found $size bytes, expected at most $largest"; fi
[[ $needed == "libzstd.so.1 libstdc++.so.6 libgcc_s.so.1 libc.so.6 " ]] || fail "the loader needs other libraries than it did"

# The command comes from the build that is there, loader and headers from the packages; none is installed on this machine.
(cd "$build" && quietly cpack -G DEB -B "$work/embedder" -D CPACK_COMPONENTS_ALL=embedder)
[[ $(find "$work/embedder" -maxdepth 1 -name '*.deb' | wc -l) == 1 ]] || fail "embedder: expected one package"
for package in "$work"/a/made/packages/*.deb "$work"/embedder/*.deb; do
  dpkg-deb --info "$package" >"$work/info"
  for field in Package Version Architecture Maintainer Section Priority Description; do
    grep -q "^ $field: ." "$work/info" || fail "$(basename "$package"): has no $field"
  done
  dpkg-deb -x "$package" "$work/root"
  echo "$(basename "$package"): $(stat -c %s "$package") bytes;$(sed -n 's/^ Depends: / depends on /p' "$work/info")"
done
find "$work/root" -type f \( -perm -o+w -o -name '*.a' \) | grep . && fail "these files should not be there"
for name in pannier libpannier0.1 libpannier-dev; do
  [[ -f $work/root/usr/share/doc/$name/copyright ]] || fail "$name: has no copyright file"
done
grep -rl "$work" "$work/root/usr/lib" "$work/root/usr/include" && fail "these files know where they were built"

libraries=$(dirname "$(find "$work/root" -name 'libpannier_loader.so.0.1')")
PKG_CONFIG_PATH=$libraries/pkgconfig
LD_LIBRARY_PATH=$libraries
export PKG_CONFIG_PATH LD_LIBRARY_PATH
read -ra flags < <(pkg-config --cflags --libs pannier)
quietly cc -std=c99 -o "$work/c_consumer" "$root/tests/consumers/c_consumer.c" "${flags[@]}"
echo "pkg-config: $("$work/c_consumer" "$bundle") tensors"
quietly cmake -S "$root/tests/consumers/find_package" -B "$work/find_package" -G Ninja -DCMAKE_PREFIX_PATH="$work/root/usr"
quietly cmake --build "$work/find_package"
echo "find_package: $("$work/find_package/consumer" "$bundle") tensors; pannier_embed: $("$work/find_package/consumer" "$work/find_package/libmodel.so")"
"$work/root/usr/bin/pannier" --version

# Every library that the makers of this build found is in the list, with a version.
for part in loader embedder; do
  python3 - "$part" "$work"/root/usr/share/doc/*/pannier-$part.spdx.json <<'EOF'
import json
import sys

part, file = sys.argv[1:]
found = {package["name"]: package.get("versionInfo") for package in json.load(open(file))["packages"]}
expected = {"pannier-" + part, "zstd", "flatbuffers"} | ({"openssl", "LIEF", "fmt", "CLI11", "nlohmann-json"} if part == "embedder" else set())
assert set(found) == expected, (file, found)
assert all(found.values()), (file, found)
print("parts:", ", ".join(f"{name} {version}" for name, version in found.items()))
EOF
done
readonly tools=$root/build/deps/spdx
mkdir -p "$tools"
(
  flock 9
  [[ -f $tools/complete.txt ]] && exit
  python3 -m venv "$tools/venv"
  "$tools/venv/bin/pip" install --quiet --disable-pip-version-check spdx-tools && touch "$tools/complete.txt"
) 9>"$tools/lock" || { echo "packages.sh: spdx-tools cannot be installed; the lists of parts were not validated"; exit 4; }
for file in "$work"/root/usr/share/doc/*/*.spdx.json; do "$tools/venv/bin/pyspdxtools" --infile "$file"; done
echo "ok: SPDX"
