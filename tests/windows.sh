#!/usr/bin/env bash
# Builds the loader for Windows, 64 and 32 bit, and runs it under Wine on bundles that this machine made.
#
# usage: tests/windows.sh PANNIER [WORK]     (PANNIER: the executable; WORK: build/windows unless given)
#
# On each machine, with each codec:
#   check_bundle  a library of MinGW's carries tensors of known values; they, its symbols and its digests come out right, zero-copy
#   mlp, ocr_cls  relay.build's output: the model's answer is TVM's within 1e-5, from the .dll alone; then again once MinGW's strip,
#                 llvm-strip and osslsigncode have been at it, whose result must also pass `pannier verify --image`
#   c_abi_c99     the C interface; on x86-64 also from the loader as a DLL
# and check_lifecycle: handles, unloading, names, bundles within other files, files that must be refused.
#
# ocr_cls is not in the repository: tests/relay_data.sh looks for it. Without it, and without a Wine for 32 bit, what
# cannot be looked at is skipped, and the skips are counted.
set -euo pipefail

readonly tolerance=1e-5
readonly machines=(x86_64-w64-mingw32 i686-w64-mingw32)

fail() {
  echo "windows.sh: $*" >&2
  exit 1
}

(($# == 1 || $# == 2)) || fail "usage: tests/windows.sh PANNIER [WORK]"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here root=${here%/*}
pannier=$(realpath "$1")
work=$(realpath -m "${2:-$root/build/windows}")
readonly pannier work
readonly cache=$root/build/deps mlp=$here/data/mlp
. "$here/relay_data.sh"
readonly ocr_cls=${relay_data:+$relay_data/ocr_cls}
. "$here/machine_table.sh"
. "$here/wine.sh"

# The folders of MinGW's own DLLs, as WINEPATH wants them.
runtime_path() {
  local file found=''
  for file in libstdc++-6.dll libwinpthread-1.dll; do
    file=$("$machine-gcc-posix" -print-file-name="$file")
    [[ -f $file ]] || file=/usr/$machine/lib/$(basename "$file")
    found+="Z:$(realpath "$(dirname "$file")" | tr / '\\');"
  done
  echo "$found"
}

# All of zstd is compiled for the sake of its decoder, hence without optimisation.
configure() {
  cmake -S "$here/foreign" -B "$folder/$1" -G Ninja --toolchain "$root/cmake/windows-cross.cmake" -DPANNIER_TRIPLE="$machine" \
    -DCMAKE_C_FLAGS=-O0 -DCMAKE_CXX_FLAGS=-O1 -DPANNIER_ZSTD_SOURCE="$zstd" -DPANNIER_FLATBUFFERS_INCLUDE="$work/include" "${@:2}"
}

build_programs() { configure build && cmake --build "$folder/build" --parallel 1; }
build_dll() {
  configure shared -DBUILD_SHARED_LIBS=ON -DCMAKE_RUNTIME_OUTPUT_DIRECTORY="$folder/shared" &&
    cmake --build "$folder/shared" --parallel 1 --target c_abi_c99 check_bundle
}
build_host() { "$machine-gcc-posix" -O1 -shared -o "$folder/host.dll" "$here/foreign/host.c"; }

make_certificate() {
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=pannier-test -keyout "$work/key.pem" -out "$work/certificate.pem"
}

# embed CODEC WHAT HOST GRAPH PARAMS BUNDLE
embed() { attempt "$1" "embed, $2" "$pannier" embed --quiet "$3" --graph "$4" --params "$5" --codec "$1" -o "$6"; }

# check_model CODEC WHAT BUNDLE DATA: the answer of a bundle of DATA's model.
check_model() {
  attempt "$1" "$2" "$wine" "$folder/build/run_model.exe" "$3" "$4/input.npy" "$4/output.npy" "$tolerance"
}

# check_changed CODEC WHAT BUNDLE: a bundle of mlp that a tool has rewritten.
check_changed() {
  check_model "$1" "mlp, $2" "$3" "$mlp"
  attempt "$1" "in place, $2" "$wine" "$folder/build/bundle_probe.exe" mapped "$3" "$mlp/graph.json" "$mlp/params.bin"
  attempt "$1" "verify --image, $2" "$pannier" verify --quiet --image "$3"
}

check_codec() {
  local codec=$1 bundle=$folder/mlp-$1.dll host=$folder/host-$1.dll
  embed "$codec" host.c "$folder/host.dll" "$mlp/graph.json" "$work/synthetic.params" "$host"
  attempt "$codec" check_bundle "$wine" "$folder/build/check_bundle.exe" "$host" "$mlp/graph.json" "$work/synthetic.params" "$codec"
  embed "$codec" mlp "$mlp/$relay/lib.dll" "$mlp/graph.json" "$mlp/params.bin" "$bundle"
  check_changed "$codec" "as made" "$bundle"
  attempt "$codec" "verify" "$pannier" verify --quiet "$bundle"
  attempt "$codec" c_abi_c99 "$wine" "$folder/build/c_abi_c99.exe" "$bundle" "$mlp/graph.json" "$mlp/params.bin"

  attempt "$codec" strip "$machine-strip" -s -o "$folder/strip-$codec.dll" "$bundle"
  check_changed "$codec" strip "$folder/strip-$codec.dll"
  attempt "$codec" llvm-strip llvm-strip --strip-all -o "$folder/llvm-$codec.dll" "$bundle"
  check_changed "$codec" llvm-strip "$folder/llvm-$codec.dll"
  rm -f "$folder/signed-$codec.dll"
  attempt "$codec" osslsigncode osslsigncode sign -certs "$work/certificate.pem" -key "$work/key.pem" -in "$bundle" \
    -out "$folder/signed-$codec.dll"
  check_changed "$codec" osslsigncode "$folder/signed-$codec.dll"

  # TVM's library for Linux, looked at from Windows.
  embed "$codec" "mlp for Linux" "$mlp/linux-x86_64/lib.so" "$mlp/graph.json" "$mlp/params.bin" "$folder/mlp-$codec.so"
  attempt "$codec" "open mlp for Linux" "$wine" "$folder/build/bundle_probe.exe" open "$folder/mlp-$codec.so" "$mlp/graph.json" \
    "$mlp/params.bin"

  # There is none for 32 bit.
  if [[ $machine == x86_64-* && -z $ocr_cls ]]; then
    row skipped "$codec" ocr_cls
  elif [[ $machine == x86_64-* ]]; then
    embed "$codec" ocr_cls "$ocr_cls/$relay"/{lib.dll,graph.json,params.bin} "$folder/ocr_cls-$codec.dll"
    check_model "$codec" ocr_cls "$folder/ocr_cls-$codec.dll" "$ocr_cls"
  fi
}

check_dll() {
  step build_dll build_dll || return 0
  attempt auto "c_abi_c99, loader DLL" "$wine" "$folder/shared/c_abi_c99.exe" "$folder/mlp-auto.dll" "$mlp/graph.json" "$mlp/params.bin"
  attempt auto "check_bundle, loader DLL" "$wine" "$folder/shared/check_bundle.exe" "$folder/host-auto.dll" "$mlp/graph.json" \
    "$work/synthetic.params" auto
}

# The whole test of one machine, in a process of its own; everything it has to say goes to its folder.
check_machine() {
  local machine=$1 relay=windows-${1%%-*} folder=$work/$1 wine=$wine64 codec
  mkdir -p "$folder"
  rm -f "$folder"/*.txt "$folder"/*.dll "$folder"/*.so
  [[ $machine == i686-* ]] && wine=$wine32
  if [[ ! -x $wine ]]; then
    row skipped - "no Wine: all of it"
    return
  fi
  WINEPATH=$(runtime_path)
  export WINEPATH
  [[ $machine == i686-* ]] && export WINEARCH=win32
  step build_programs build_programs || return 0
  step build_host build_host || return 0
  step make_prefix make_prefix || return 0
  for codec in store auto; do check_codec "$codec"; done
  rm -rf "$folder/lifecycle"
  mkdir "$folder/lifecycle"
  attempt - check_lifecycle "$wine" "$folder/build/check_lifecycle.exe" "$folder/mlp-store.dll" "$folder/mlp-auto.dll" \
    "$mlp/$relay/lib.dll" "$here/golden/v1-elf32-big.so" "$folder/lifecycle"
  [[ $machine == i686-* ]] || check_dll
  remove_prefix
  rm -rf "$folder/lifecycle"
}

[[ -x $pannier ]] || fail "$pannier: not an executable"
for tool in "${machines[@]/%/-g++-posix}" "$wine64" llvm-strip osslsigncode openssl; do
  command -v "$tool" >/dev/null || fail "$tool: not found; cmake/install_dependencies.sh check says what to install"
done
mkdir -p "$work/include" "$cache"
for name in flatbuffers nlohmann; do
  [[ -d /usr/include/$name ]] || fail "/usr/include/$name: not found; install libflatbuffers-dev and nlohmann-json3-dev"
  ln -sfn "/usr/include/$name" "$work/include/$name"
done
zstd=$("$root/cmake/fetch_zstd.sh" "$cache") || fail "zstd's source: not to be had (see above), and the loader cannot be built without it"
wine32=$("$root/cmake/fetch_wine32.sh" "$cache") || wine32=
readonly zstd wine32
make_certificate >"$work/certificate.txt" 2>&1 || { cat "$work/certificate.txt" >&2; fail "openssl: cannot make a certificate"; }
python3 "$here/foreign/make_params.py" "$work/synthetic.params"

for machine in "${machines[@]}"; do check_machine "$machine" & done
wait
print_table "no ocr_cls: tests/relay_data.sh; or no Wine for 32 bit" "${machines[@]}"
