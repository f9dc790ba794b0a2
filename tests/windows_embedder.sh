#!/usr/bin/env bash
# Builds pannier.exe and compares it, under Wine, with a pannier for this machine: the same bytes, the same words, the same files.
#
# usage: tests/windows_embedder.sh [WORK]     (build/windows_embedder unless given)
#
# Both are built with one zstd, since what zstd makes of the same input differs from version to version. The first time builds LIEF for
# Windows into build/deps, some minutes.
set -euo pipefail

readonly triple=x86_64-w64-mingw32
machine=windows  # for machine_table.sh

fail() {
  echo "windows_embedder.sh: $*" >&2
  exit 1
}

(($# <= 1)) || [[ $2 == --only ]] || fail "usage: tests/windows_embedder.sh [WORK]"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here root=${here%/*}
work=$(realpath -m "${1:-$root/build/windows_embedder}")
readonly work
readonly cache=$root/build/deps mlp=$here/data/mlp folder=$work/$machine pannier=$work/linux/embedder/pannier
. "$here/machine_table.sh"
. "$here/wine.sh"
readonly wine=$wine64 exe=$work/build/embedder/pannier.exe

# Without optimisation: what is compared is small.
build_embedder() {
  cmake -S "$root" -B "$work/build" -G Ninja --toolchain "$root/cmake/windows-cross.cmake" -DPANNIER_TRIPLE="$triple" \
    -DPANNIER_BUILD_TESTS=OFF -DPANNIER_BUILD_LIEF=ON -DPANNIER_LIEF_OPTIONS="-DCMAKE_C_FLAGS_RELEASE=-O0;-DCMAKE_CXX_FLAGS_RELEASE=-O0" \
    -DPANNIER_WERROR=ON -DCMAKE_C_FLAGS=-O0 -DCMAKE_CXX_FLAGS=-O0 -DPANNIER_ZSTD_SOURCE="$zstd" &&
    cmake --build "$work/build" --target pannier
}

build_here() {
  cmake -S "$root" -B "$work/linux" -G Ninja -DPANNIER_BUILD_TESTS=OFF -DPANNIER_BUILD_LIEF=ON -DPANNIER_ZSTD_SOURCE="$zstd" &&
    cmake --build "$work/linux" --target pannier
}

# In a folder of their own each, so that what they say names the same files.
on_linux() { (cd "$folder/linux" && "$pannier" "$@"); }
on_windows() { (cd "$folder/windows" && timeout 300 "$wine" "$exe" "$@"); }

# same ARGUMENTS...: both do the same, with the same exit status and the same words on stdout.
same() {
  local linux=0 windows=0
  on_linux "$@" >"$folder/linux.out" 2>"$folder/linux.err" || linux=$?
  on_windows "$@" >"$folder/windows.out" 2>"$folder/windows.err" || windows=$?
  ((linux == windows)) && cmp "$folder/linux.out" "$folder/windows.out" && return
  echo "pannier $*: exit status $linux on Linux, $windows on Windows; stderr:"
  cat "$folder/linux.err" "$folder/windows.err"
  return 1
}

# The same files everywhere, temporary ones included.
same_files() { diff -r "$folder/linux" "$folder/windows"; }

# refused STATUS WORDS ARGUMENTS...: pannier.exe says no.
refused() {
  local status=$1 words=$2 found=0
  shift 2
  on_windows "$@" >"$folder/windows.out" 2>&1 || found=$?
  ((found == status)) && grep -qF -- "$words" "$folder/windows.out" && return
  echo "pannier $*: exit status $found, expected $status and '$words':"
  cat "$folder/windows.out"
  return 1
}

everything() {
  local codec=$1 library=$2 bundle=$3
  same embed "$library" --graph graph.json --params params.bin --artifact labels=labels.bin --codec "$codec" -o "$bundle" --json
  same inspect "$bundle" --json
  same verify "$bundle" --json
  same verify "$bundle" --image
  same extract "$bundle" -o out --json
  same extract "$bundle" params -o -
  same restore "$bundle" -o "restored-$bundle" --json
  cmp "$folder/windows/restored-$bundle" "$folder/windows/$library"
  same_files
}

# Onto itself, with and without a payload, and what a killed run left goes.
in_place() {
  local library=$1
  cp "$folder/windows/$library" "$folder/windows/own-$library"
  cp "$folder/linux/$library" "$folder/linux/own-$library"
  touch "$folder/windows/.own-$library.pannier-abcdef"
  same embed "own-$library" --graph graph.json
  same embed "own-$library" --params params.bin --force
  same_files
  same restore "own-$library"
  cmp "$folder/windows/own-$library" "$folder/windows/$library"
  same_files
}

names() {
  local name
  for name in $'m\xC3\xB6\xCF\x80 \xE6\xA8\xA1 \xF0\x9F\x90\x9F.dll' "$(printf 'n%.0s' {1..200}).dll"; do
    same embed windows-x86_64.dll --graph graph.json --artifact $'gr\xC3\xB6\xC3\x9Fe=labels.bin' -o "$name" --json
    same embed "$name" --params params.bin --force
    same verify "$name"
    same extract "$name" -o "out of $name"
    same restore "$name"
  done
  same_files
}

golden() {
  local file
  for file in "$here"/golden/v1-*; do
    cp "$file" "$folder/windows"
    cp "$file" "$folder/linux"
    file=$(basename "$file")
    same verify "$file" --json
    same inspect "$file"
    same restore "$file"
  done
  same_files
}

refusals() {
  refused 2 "open: file not found" embed missing.dll --graph graph.json
  refused 2 "file type: found a directory" embed . --graph graph.json
  refused 2 "nothing to embed" embed windows-x86_64.dll
  refused 2 "directory" embed windows-x86_64.dll --graph graph.json -o no/such/folder/x.dll
  refused 2 "already" embed "zstd-windows-x86_64.dll" --graph graph.json
  refused 2 "--codec" embed windows-x86_64.dll --graph graph.json --codec best
  # What an artifact is called must not lead elsewhere.
  local name
  for name in '..\evil' 'C:evil' 'a:stream' NUL com1.txt 'dot.'; do
    on_linux embed --quiet windows-x86_64.dll --artifact "$name=graph.json" -o names.dll
    cp "$folder/linux/names.dll" "$folder/windows"
    refused 2 "no file on Windows can be called so" extract names.dll -o out
    on_windows extract names.dll "$name" -o - | cmp - "$mlp/graph.json"
  done
  rm "$folder"/{linux,windows}/names.dll
  chmod a-w "$folder/windows/zstd-windows-x86_64.dll"
  refused 2 "read-only" embed zstd-windows-x86_64.dll --force --graph graph.json
  chmod u+w "$folder/windows/zstd-windows-x86_64.dll"
  same_files
}

# A process that is killed while it writes leaves the target as it was, and nothing once another has run.
killed() {
  local target=$folder/windows/killed.dll i=0 child
  cp "$mlp/windows-x86_64/lib.dll" "$target"
  head -c 300M /dev/urandom >"$folder/large.bin"
  (cd "$folder/windows" && exec "$wine" "$exe" embed --quiet killed.dll --artifact large=../large.bin) &
  child=$!
  until compgen -G "$folder/windows/.killed.dll.pannier-*" >/dev/null; do
    ((++i < 300)) || { echo "no temporary file in 30 s" && return 1; }
    sleep 0.1
  done
  kill -KILL "$child"
  wait "$child" || true
  cmp "$target" "$mlp/windows-x86_64/lib.dll"
  compgen -G "$folder/windows/.killed.dll.pannier-*" >/dev/null || { echo "it was done before it was killed" && return 1; }
  on_windows embed --quiet killed.dll --graph graph.json
  ! compgen -G "$folder/windows/.killed.dll.pannier-*" || return 1
  rm "$target" "$folder/large.bin"
}

# checked CODEC WHAT FUNCTION...: in a process of its own, so that it ends at its first error.
checked() { attempt "$1" "$2" "$BASH" "$0" "$work" --only "${@:3}"; }

if [[ ${2:-} == --only ]]; then
  "${@:3}"
  exit
fi
for tool in "$triple-g++-posix" "$wine64"; do
  command -v "$tool" >/dev/null || fail "$tool: not found; cmake/install_dependencies.sh check says what to install"
done
rm -rf "$folder"
mkdir -p "$folder"/{linux,windows} "$cache"
zstd=$("$root/cmake/fetch_zstd.sh" "$cache") || fail "zstd's source: not to be had (see above)"
readonly zstd
for side in linux windows; do
  for host in "$mlp"/*-*/lib.*; do cp "$host" "$folder/$side/$(basename "$(dirname "$host")").${host##*.}"; done
  cp "$mlp/graph.json" "$mlp/params.bin" "$folder/$side"
  cp "$mlp/output.npy" "$folder/$side/labels.bin"
done

if step build_here build_here && step build_embedder build_embedder && step make_prefix make_prefix; then
  export WINEPREFIX=$folder/prefix
  checked - version same --version
  checked - help same embed --help
  for host in "$mlp"/*-*/lib.*; do
    host=$(basename "$(dirname "$host")").${host##*.}
    for codec in store zstd planes; do checked "$codec" "$host" everything "$codec" "$host" "$codec-$host"; done
    checked - "in place, $host" in_place "$host"
  done
  checked - "golden bundles" golden
  checked - "names of files" names
  checked - refusals refusals
  checked - "a killed process" killed
  remove_prefix
fi
print_table "nothing" "$machine"
