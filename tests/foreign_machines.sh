#!/usr/bin/env bash
# Builds the loader for seven foreign Linux machines and for musl, and runs it there (qemu-user) on bundles that this machine made.
#
# usage: tests/foreign_machines.sh PANNIER [WORK]     (PANNIER: the executable; WORK: build/foreign unless given)
#
# On each machine, with each codec:
#   check_bundle  a library compiled for that machine carries tensors of known values; they, its symbols and its digests come out right,
#                 zero-copy where the payload's byte order is the machine's; again after that machine's own strip
#   mlp, ocr_cls  relay.build's output, where there is one for that machine: the model's answer is that of TVM on x86-64, within 1e-5.
#                 ocr_cls is not in the repository: tests/relay_data.sh
#
# musl never unloads a library (its dlclose does nothing), so unloading is not looked at here. It takes TVM's libraries although they
# ask for glibc's libc.so.6 and libm.so.6: it answers to those names itself.
set -euo pipefail

readonly tolerance=1e-5
readonly ziglang=ziglang==0.15.2
readonly ziglang_sha256=806316453d1ede7174ed3fefb8e5348154629089c3bb5fe812dfd0e172fac130
readonly machines=(
  # triple                qemu         relay.build's name for it
  "i686-linux-gnu         qemu-i386    linux-i686"
  "aarch64-linux-gnu      qemu-aarch64 linux-aarch64"
  "arm-linux-gnueabihf    qemu-arm     linux-armv7"
  "riscv64-linux-gnu      qemu-riscv64 linux-riscv64"
  "powerpc64le-linux-gnu  qemu-ppc64le -"
  "s390x-linux-gnu        qemu-s390x   -"
  "powerpc-linux-gnu      qemu-ppc     -"
  "x86_64-linux-musl      -            linux-x86_64"
)

fail() {
  echo "foreign_machines.sh: $*" >&2
  exit 1
}

(($# == 1 || $# == 2)) || fail "usage: tests/foreign_machines.sh PANNIER [WORK]"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here root=${here%/*}
pannier=$(realpath "$1")
work=$(realpath -m "${2:-$root/build/foreign}")
readonly pannier work
readonly cache=$root/build/deps
. "$here/relay_data.sh"
readonly ocr_cls=${relay_data:+$relay_data/ocr_cls}
. "$here/machine_table.sh"

# The headers of two libraries without /usr/include around them, which holds those of another machine's C library.
link_headers() {
  local name
  mkdir -p "$work/include"
  for name in flatbuffers nlohmann; do
    [[ -d /usr/include/$name ]] || fail "/usr/include/$name: not found; install libflatbuffers-dev and nlohmann-json3-dev"
    ln -sfn "/usr/include/$name" "$work/include/$name"
  done
}

# Debian has no C++ compiler for musl; Zig brings one, with its own libc++, as a Python package. Two wrappers give it the names that
# cmake/linux-cross.cmake asks for.
make_musl_compilers() {
  local venv=$cache/$ziglang name
  if [[ ! -f $venv/complete.txt ]]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    echo "$ziglang --hash=sha256:$ziglang_sha256" >"$venv/requirements.txt"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$venv/requirements.txt" || return
    touch "$venv/complete.txt"
  fi
  mkdir -p "$work/bin"
  for name in gcc:cc g++:c++; do
    # Sanitizers are Zig's default without optimisation; static linking is its default for musl, where dlopen then always fails.
    cat >"$work/bin/x86_64-linux-musl-${name%:*}" <<EOF
#!/bin/sh
export ZIG_GLOBAL_CACHE_DIR='$venv/cache' ZIG_LOCAL_CACHE_DIR='$venv/cache'
exec '$venv/bin/python' -m ziglang ${name#*:} -target x86_64-linux-musl -dynamic -fno-sanitize=all "\$@"
EOF
    chmod +x "$work/bin/x86_64-linux-musl-${name%:*}"
  done
}

# All of zstd is compiled for the sake of its decoder, hence without optimisation. GCC's psABI notes on ARM are about an ABI change of
# 2017.
build_programs() {
  cmake -S "$here/foreign" -B "$folder/build" -G Ninja --toolchain "$root/cmake/linux-cross.cmake" -DPANNIER_TRIPLE="$triple" \
    -DCMAKE_C_FLAGS=-O0 -DCMAKE_CXX_FLAGS="-O1 -Wno-psabi" -DPANNIER_ZSTD_SOURCE="$zstd" \
    -DPANNIER_FLATBUFFERS_INCLUDE="$work/include" -DPANNIER_RUN_MODEL="$([[ $relay == - ]] && echo OFF || echo ON)" &&
    cmake --build "$folder/build" --parallel 1
}

build_host() { "$triple-gcc" -O1 -shared -fPIC -o "$folder/host.so" "$here/foreign/host.c"; }

# embed CODEC WHAT HOST GRAPH PARAMS BUNDLE
embed() { attempt "$1" "embed, $2" "$pannier" embed --quiet "$3" --graph "$4" --params "$5" --codec "$1" -o "$6"; }

check_synthetic() {
  local codec=$1 bundle=$folder/host-$1.so strip=strip
  command -v "$triple-strip" >/dev/null && strip=$triple-strip
  embed "$codec" host.c "$folder/host.so" "$mlp/graph.json" "$work/synthetic.params" "$bundle"
  attempt "$codec" check_bundle "${run[@]}" "$folder/build/check_bundle" "$bundle" "$mlp/graph.json" "$work/synthetic.params" "$codec"
  if "$strip" -s -o "$folder/host-$codec-stripped.so" "$bundle" 2>"$folder/output.txt"; then
    attempt "$codec" "check_bundle, stripped" "${run[@]}" "$folder/build/check_bundle" "$folder/host-$codec-stripped.so" \
      "$mlp/graph.json" "$work/synthetic.params" "$codec"
  else
    row FAILED "$codec" "strip"
    cat "$folder/output.txt" >>"$folder/failures.txt"
  fi
}

# check_model CODEC NAME LIBRARY GRAPH PARAMS FOLDER_OF_NPY
check_model() {
  local codec=$1 name=$2 bundle=$folder/$2-$1.so
  embed "$codec" "$name" "$3" "$4" "$5" "$bundle"
  attempt "$codec" "$name" "${run[@]}" "$folder/build/run_model" "$bundle" "$6/input.npy" "$6/output.npy" "$tolerance"
}

# The whole test of one machine, in a process of its own; everything it has to say goes to its folder.
check_machine() {
  local triple=$1 machine=$1 qemu=$2 relay=$3 folder=$work/$1 run=() codec tool
  # The library path: a loader that finds /lib32 in this machine's own cache would pair the C library there with its own ld.so.
  [[ $qemu == - ]] || run=("$qemu" -L "/usr/$triple" -E "LD_LIBRARY_PATH=/usr/$triple/lib")
  mkdir -p "$folder"
  rm -f "$folder"/*.txt "$folder"/*.so
  for tool in "$triple-gcc" "$triple-g++" ${run[0]:+"${run[0]}"}; do
    command -v "$tool" >/dev/null && continue
    row FAILED - "no $tool"
    echo "$triple: $tool: not found; install qemu-user and g++-${triple/_/-}" >>"$folder/failures.txt"
    return
  done
  step build_programs build_programs || return 0
  step build_host build_host || return 0
  for codec in store auto; do
    check_synthetic "$codec"
    [[ $relay != - ]] || continue
    check_model "$codec" mlp "$mlp/$relay/lib.so" "$mlp/graph.json" "$mlp/params.bin" "$mlp"
    # Emulated, it takes as long as all else; what is stored mlp shows.
    [[ $codec != store ]] || continue
    if [[ -n $ocr_cls ]]; then
      check_model "$codec" ocr_cls "$ocr_cls/$relay"/{lib.so,graph.json,params.bin} "$ocr_cls"
    else
      row skipped "$codec" ocr_cls
    fi
  done
}

[[ -x $pannier ]] || fail "$pannier: not an executable"
readonly mlp=$here/data/mlp
mkdir -p "$work" "$cache"
link_headers
zstd=$("$root/cmake/fetch_zstd.sh" "$cache") || fail "zstd's source: not to be had (see above), and the loader cannot be built without it"
readonly zstd
make_musl_compilers || fail "$ziglang: not to be had (see above), and there is no other C++ compiler for musl"
export PATH=$work/bin:$PATH
python3 "$here/foreign/make_params.py" "$work/synthetic.params"

# One process per core; a bad machine does not keep the others from their turn.
for machine in "${machines[@]}"; do
  while (($(jobs -rp | wc -l) >= $(nproc))); do wait -n || true; done
  # shellcheck disable=SC2086  # three words
  check_machine $machine &
done
wait

print_table "no ocr_cls: tests/relay_data.sh" "${machines[@]%% *}"
