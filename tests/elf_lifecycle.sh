#!/usr/bin/env bash
# A bundle's life after embedding: strip, llvm-strip, eu-strip, patchelf, gdb, embedding again; the payload stays mapped and intact.
# Usage: elf_lifecycle.sh PANNIER RUN_MODEL DATA_DIR
set -euo pipefail
pannier=$1 run_model=$2 data=$3
. "$(dirname "${BASH_SOURCE[0]}")/relay_data.sh"
. "$(dirname "${BASH_SOURCE[0]}")/lifecycle.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
skips=0
host=$data/linux-x86_64/lib.so
model_runs() { "$run_model" "$1" "$data/input.npy" "$data/output.npy" 1e-6 >"$work/log" 2>&1; }
elflint() { eu-elflint --gnu-ld "$1" 2>&1 | sed 's/section \[ *[0-9]*\]/section/; s/0x[0-9a-f]*/ADDRESS/g' | sort -u; }
no_new_findings() { comm -13 <(elflint "$1") <(elflint "$2") | grep -v '^No errors$' >"$work/new" || true; cat "$work/new"; [[ ! -s $work/new ]]; }
same_symbols() { diff <(readelf --dyn-syms -W "$1" | awk 'NR > 3 {print $2, $8}' | sort) <(readelf --dyn-syms -W "$2" | awk 'NR > 3 {print $2, $8}' | sort); }

for codec in store zstd auto; do
  embed "$host" -o "$work/$codec.so" --codec "$codec"
  check "$codec: the model runs" model_runs "$work/$codec.so"
  check "$codec: every byte verifies" "$pannier" verify "$work/$codec.so"
  check "$codec: no new eu-elflint finding" no_new_findings "$host" "$work/$codec.so"
  check "$codec: the same dynamic symbols" same_symbols "$host" "$work/$codec.so"
  "$pannier" restore "$work/$codec.so" -o "$work/restored.so" -q
  check "$codec: restores byte for byte" cmp "$host" "$work/restored.so"
  "$pannier" extract "$work/$codec.so" -o "$work/extracted" -q
  check "$codec: graph extracted byte for byte" cmp "$data/graph.json" "$work/extracted/$codec.json"
  check "$codec: params extracted byte for byte" cmp "$data/params.bin" "$work/extracted/$codec.params"
  for tool in 'strip -s' 'strip --strip-debug' 'strip --strip-unneeded' 'llvm-strip -s' 'eu-strip' 'objcopy --compress-debug-sections'; do
    cp "$work/$codec.so" "$work/stripped.so"
    $tool "$work/stripped.so"
    check "$codec, $tool: the model runs" model_runs "$work/stripped.so"
    check "$codec, $tool: the image verifies" "$pannier" verify --image "$work/stripped.so"
    if cmp -s "$work/$codec.so" "$work/stripped.so"; then continue; fi
    check "$codec, $tool: the file differs" refused_with 1 "" "$pannier" verify "$work/stripped.so"
    check "$codec, $tool: restore is refused" refused_with 2 "cannot be restored" "$pannier" restore "$work/stripped.so" -o "$work/x.so"
    check "$codec, $tool: embed --force is refused" refused_with 2 "cannot be restored" embed "$work/stripped.so" --force
  done
  cp "$work/$codec.so" "$work/patched.so"
  # shellcheck disable=SC2016
  patchelf --set-rpath '$ORIGIN/a/rather/long/path' "$work/patched.so"
  check "$codec, patchelf: the model runs" model_runs "$work/patched.so"
done

# Models with trained weights, convolutions and hundreds of tensors.
for model in ocr_cls ocr_det squeezenet; do
  for codec in store zstd; do
    if [[ -z $relay_data ]]; then
      printf 'skipped %s, %s: tests/relay_data.sh finds no data\n' "$model" "$codec"
      skips=$((skips + 1))
      continue
    fi
    files=$relay_data/$model/linux-x86_64
    "$pannier" embed "$files/lib.so" --graph "$files/graph.json" --params "$files/params.bin" --codec "$codec" -o "$work/$model.so" -q
    check "$model, $codec: the model runs" \
      "$run_model" "$work/$model.so" "$relay_data/$model/input.npy" "$relay_data/$model/output.npy" 1e-6
  done
done

# Stored without compression, the section is the file.
objcopy --dump-section .tvm.graph="$work/dumped.json" "$work/store.so" "$work/copy.so"
check "objcopy dumps the stored graph" cmp "$data/graph.json" "$work/dumped.json"

cp "$work/zstd.so" "$work/again.so"
for _ in $(seq 100); do embed "$work/again.so" --force --codec zstd; done
check "embedded 100 times with --force: the same bytes" cmp "$work/zstd.so" "$work/again.so"
check "embedded again without --force: refused" refused_with 2 "a bundle already" embed "$work/again.so"

# Debug information still leads to lines, from inside a bundle.
cat >"$work/debugged.c" <<'SOURCE'
int inner(int x) {
  return x * 2; /* line 2 */
}
int outer(int x) { return inner(x) + 1; }
SOURCE
cat >"$work/driver.c" <<'SOURCE'
#include <dlfcn.h>
int main(int argc, char** argv) {
  void* library = dlopen(argv[1], RTLD_NOW);
  return argc == 2 && library ? ((int (*)(int))dlsym(library, "outer"))(20) != 41 : 99;
}
SOURCE
(cd "$work" && gcc -g -O0 -fPIC -shared debugged.c -o libdebugged.so && gcc -g driver.c -o driver -ldl)
embed "$work/libdebugged.so"
(cd "$work" && gdb -nx -batch -ex 'set breakpoint pending on' -ex 'break inner' -ex 'run ./libdebugged.so' -ex 'backtrace' ./driver) >"$work/gdb.log" 2>&1 || true
check "gdb: source line in a bundle" grep -q 'debugged.c:2' "$work/gdb.log"
check "gdb: backtrace through a bundle" grep -q '#1 .*outer.*debugged.c:4' "$work/gdb.log"
check "the build id is within the first page" bash -c "readelf -SW '$work/libdebugged.so' | awk '/build-id/ {exit !(strtonum(\"0x\" \$5) < 4096)} ' || readelf -nW '$work/libdebugged.so' | grep -q 'Build ID'"

# No room for a program header: the payload is in the file only.
cat >"$work/pinned.c" <<'SOURCE'
#include <elf.h>
__attribute__((section("pinned"), used)) const char pinned_data[] = "not to be moved";
const char* read_pinned(void) { return pinned_data; }
SOURCE
cat >"$work/pinned.lds" <<'SOURCE'
SECTIONS {
  . = SIZEOF_HEADERS;
  pinned : { *(pinned) }
  .hash : { *(.hash) } .gnu.hash : { *(.gnu.hash) } .dynsym : { *(.dynsym) } .dynstr : { *(.dynstr) }
  .rela.dyn : { *(.rela.dyn) } .rela.plt : { *(.rela.plt) }
  .text : { *(.text*) }
  .eh_frame : { *(.eh_frame) }
  . = ALIGN(4096);
  .dynamic : { *(.dynamic) } .got : { *(.got*) } .data : { *(.data*) }
}
SOURCE
(cd "$work" && gcc -fPIC -shared -nostdlib -Wl,--build-id=none -Wl,-T,pinned.lds pinned.c -o pinned.so)
cp "$work/pinned.so" "$work/pinned-host.so"
embed "$work/pinned.so"
check "unmovable: embedded in the file only" bash -c "'$pannier' inspect '$work/pinned.so' | grep -q 'in the file only'"
check "unmovable: verifies" "$pannier" verify "$work/pinned.so"
"$pannier" extract "$work/pinned.so" params -o - >"$work/pinned.params"
check "unmovable: params come back" cmp "$data/params.bin" "$work/pinned.params"
cp "$work/pinned.so" "$work/pinned-stripped.so"
strip -s "$work/pinned-stripped.so"
check "unmovable, strip -s: params still come back" bash -c "'$pannier' extract '$work/pinned-stripped.so' params -o - | cmp - '$data/params.bin'"
"$pannier" restore "$work/pinned.so" -q
check "unmovable: restores byte for byte" cmp "$work/pinned-host.so" "$work/pinned.so"

# No section headers: found by what the dynamic section says.
llvm-objcopy --strip-sections "$host" "$work/sectionless.so"
cp "$work/sectionless.so" "$work/sectionless-host.so"
embed "$work/sectionless.so"
check "sectionless: the model runs" model_runs "$work/sectionless.so"
check "sectionless: verifies" "$pannier" verify "$work/sectionless.so"
"$pannier" restore "$work/sectionless.so" -q
check "sectionless: restores byte for byte" cmp "$work/sectionless-host.so" "$work/sectionless.so"

# What is no host is refused, with the reason and status 2.
cp /bin/true "$work/executable"
echo 'int x;' >"$work/object.c"
(cd "$work" && gcc -c object.c -o object.o && ar rc archive.a object.o && objcopy --only-keep-debug libdebugged.so only.debug)
cp "$host" "$work/overlay.so"
echo 'appended' >>"$work/overlay.so"
: >"$work/empty.so"
echo 'text' >"$work/text.so"
head -c 5000 "$host" >"$work/cut.so"
check "refused: executable" refused_with 2 "executable" embed "$work/executable"
check "refused: object" refused_with 2 "relocatable object" embed "$work/object.o"
check "refused: archive" refused_with 2 "static archive" embed "$work/archive.a"
check "refused: debug symbols" refused_with 2 "debug symbols" embed "$work/only.debug"
check "refused: overlay" refused_with 2 "overlay" embed "$work/overlay.so"
check "refused: empty file" refused_with 2 "unknown format" embed "$work/empty.so"
check "refused: text" refused_with 2 "unknown format" embed "$work/text.so"
check "refused: cut off" refused_with 2 "pannier: " embed "$work/cut.so"
check "refused: folder" refused_with 2 "pannier: " embed "$work"
cp "$work/store.so" "$work/cut-bundle.so"
truncate -s 100000 "$work/cut-bundle.so"
check "a truncated bundle is an error, not a crash" bash -c "! '$run_model' '$work/cut-bundle.so' '$data/input.npy' '$data/output.npy' 1e-6 2>&1 | grep -v 'cut off'"

printf '%d failed, %d skipped\n' "$failures" "$skips"
((failures == 0))
