#!/usr/bin/env bash
# Compiles and links the loader for macOS (x86_64, arm64) with Zig: what can be known of it without a Mac. Nothing is run.
#
# usage: tests/macos_loader.sh PANNIER [WORK]     (PANNIER: the executable; WORK: build/macos unless given)
#
# For each machine: the loader as a part of another project, as a dylib (arm64: static, too), and a program that uses it (tests/foreign);
# then pannier embeds into the loader's own dylib, which is a host with another linker's layout than those of tests/data, and restores it.
# Ends with status 4 (skipped) where Zig or zstd's source cannot be had.
set -euo pipefail

readonly ziglang=ziglang==0.15.2
readonly ziglang_sha256=806316453d1ede7174ed3fefb8e5348154629089c3bb5fe812dfd0e172fac130
readonly machines=(aarch64-macos x86_64-macos)

skip() {
  echo "macos_loader.sh: skipped: $*"
  exit 4
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here root=${here%/*} cache=${here%/*}/build/deps
pannier=$(realpath "$1")
work=$(realpath -m "${2:-$root/build/macos}")
readonly pannier work
mkdir -p "$work/include" "$work/bin" "$cache"
for name in flatbuffers nlohmann; do ln -sfn "/usr/include/$name" "$work/include/$name"; done

zstd=$("$root/cmake/fetch_zstd.sh" "$cache") || skip "zstd's source is not to be had (see above)"
venv=$cache/$ziglang
if [[ ! -f $venv/complete.txt ]]; then
  exec 8>"$cache/ziglang.lock"  # foreign_machines.sh may want it at the same time
  flock 8
  if [[ ! -f $venv/complete.txt ]]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    echo "$ziglang --hash=sha256:$ziglang_sha256" >"$venv/requirements.txt"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$venv/requirements.txt" ||
      skip "$ziglang is not to be had (see above)"
    touch "$venv/complete.txt"
  fi
fi
for machine in "${machines[@]}"; do
  for name in cc c++; do
    cat >"$work/bin/$machine-$name" <<END
#!/bin/sh
export ZIG_GLOBAL_CACHE_DIR='$venv/cache' ZIG_LOCAL_CACHE_DIR='$venv/cache'
exec '$venv/bin/python' -m ziglang $name -target $machine -fno-sanitize=all "\$@"
END
    chmod +x "$work/bin/$machine-$name"
  done
done
export PATH=$work/bin:$PATH

failures=0
check() {  # check NAME COMMAND...
  local name=$1
  shift
  if "$@" >"$work/output.txt" 2>&1; then
    printf 'ok      %s\n' "$name"
  else
    printf 'FAILED  %s\n' "$name"
    tail -n 40 "$work/output.txt"
    failures=$((failures + 1))
  fi
}
# All of zstd is compiled for the sake of its decoder, hence without optimisation.
configure() {
  cmake -S "$here/foreign" -B "$2" -G Ninja --toolchain "$root/cmake/macos-zig.cmake" -DPANNIER_TRIPLE="$1" -DBUILD_SHARED_LIBS="$3" \
    -DCMAKE_C_FLAGS=-O0 -DCMAKE_CXX_FLAGS=-O1 -DPANNIER_ZSTD_SOURCE="$zstd" -DPANNIER_FLATBUFFERS_INCLUDE="$work/include" \
    -DPANNIER_RUN_MODEL=OFF
}
is_for() { file -b "$1" | tee /dev/stderr | grep -q "Mach-O 64-bit $2"; }
round_trip() {
  "$pannier" embed "$1" --graph "$here/data/mlp/graph.json" --params "$here/data/mlp/params.bin" -o "$work/model.dylib" -q
  "$pannier" verify "$work/model.dylib"
  "$pannier" verify --image "$work/model.dylib"
  "$pannier" restore "$work/model.dylib" -o "$work/restored.dylib" -q
  cmp "$1" "$work/restored.dylib"
}

for machine in "${machines[@]}"; do
  cpu=${machine%-macos}
  kinds=(ON)
  [[ $machine != "${machines[0]}" ]] || kinds=(OFF ON)  # how the loader is linked in does not depend on the processor
  for shared in "${kinds[@]}"; do
    folder=$work/$machine-$shared
    check "$machine, shared $shared: configure" configure "$machine" "$folder" "$shared"
    check "$machine, shared $shared: build and link" cmake --build "$folder" --parallel 2
    check "$machine, shared $shared: a program for macOS" is_for "$folder/check_bundle" "${cpu/aarch64/arm64}"
  done
  check "$machine: the loader's dylib as a host" round_trip "$(find "$work/$machine-ON" -name 'libpannier_loader.*.*.*.dylib' | head -n 1)"
done
printf '%d failed, %d s\n' "$failures" "$SECONDS"
((failures == 0))
