#!/usr/bin/env bash
# A Mach-O bundle's life after embedding, with LLVM's tools: what dyld reads is the same as before; strip, install-name-tool, lipo and
# the linker take it; the image verifies, and restore gives back the host. Also refusals as a user sees them.
# Usage: macho_lifecycle.sh PANNIER DATA_DIR
#
# lld 16 writes chained fixups, which lld 14 cannot; without it those checks are skipped, and counted.
set -euo pipefail
pannier=$1 data=$2
. "$(dirname "${BASH_SOURCE[0]}")/lifecycle.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0 skipped=0
skip() {
  printf 'skipped %s\n' "$1"
  skipped=$((skipped + 1))
}
tool() {  # the first of LLVM's versions that is there
  local name=$1 version
  for version in "" -14 -15 -16 -17 -18 -19; do
    command -v "$name$version" && return
  done
  echo "macho_lifecycle.sh: $name: not found; install llvm and lld" >&2
  exit 1
}
objdump=$(tool llvm-objdump) strip=$(tool llvm-strip) lipo=$(tool llvm-lipo) install_name_tool=$(tool llvm-install-name-tool)
nm=$(tool llvm-nm) otool=$(tool llvm-otool) linker=$(tool ld64.lld) clang=$(tool clang)
chained_linker=$(command -v ld64.lld-16 || true)
# What dyld acts on, without the file's name and without segment numbers of none of ours.
dump() { "$objdump" --macho "$2" "$1" 2>&1 | tail -n +2; }
same_dump() { diff <(dump "$1" "$3") <(dump "$2" "$3"); }
same_symbols() { diff <("$nm" "$1") <("$nm" "$2"); }
sections_of() { "$otool" -l "$1" | sed -n '/segname __TVM/,/LINKEDIT/s/^ *sectname //p' | tr '\n' ' '; }

cat >"$work/lib.c" <<'END'
extern int other(int);
int table[3] = {1, 2, 3};
int *pointer = &table[1];
int answer(int x) { return x * 3 + other(*pointer); }
END
echo 'extern int answer(int); int use(int x) { return answer(x); }' >"$work/user.c"
# link LINKER ARCH TYPE OUT OPTIONS...
link() {
  "$clang" -target "$2-apple-macos12" -O1 -c "$work/lib.c" -o "$work/lib.o"
  "$1" -arch "$2" -platform_version macos 12.0 12.0 "-$3" -undefined dynamic_lookup "${@:5}" -o "$4" "$work/lib.o"
}
padded=(-headerpad 0x400)
hosts=()
for arch in arm64 x86_64; do
  cp "$data/macos-$arch/lib.dylib" "$work/zig-$arch.dylib"
  link "$linker" "$arch" dylib "$work/lld-$arch.dylib" -install_name @rpath/liblld.dylib "${padded[@]}"
  link "$linker" "$arch" bundle "$work/bundle-$arch.dylib" "${padded[@]}"
  hosts+=("zig-$arch" "lld-$arch" "bundle-$arch")
  if [[ -n $chained_linker ]]; then
    link "$chained_linker" "$arch" dylib "$work/chained-$arch.dylib" -install_name @rpath/liblld.dylib -fixup_chains "${padded[@]}"
    hosts+=("chained-$arch")
  else
    skip "chained-$arch: ld64.lld-16 not found"
  fi
done

for name in "${hosts[@]}"; do
  host=$work/$name.dylib bundle=$work/$name.model.dylib
  embed "$host" -o "$bundle"
  check "$name: every byte verifies" "$pannier" verify "$bundle"
  check "$name: the image verifies" "$pannier" verify --image "$bundle"
  for what in --rebase --bind --lazy-bind --weak-bind --exports-trie --function-starts --indirect-symbols --dylibs-used; do
    check "$name: the same $what" same_dump "$host" "$bundle" "$what"
  done
  check "$name: the same symbols" same_symbols "$host" "$bundle"
  check "$name: sections as promised" test "$(sections_of "$bundle")" = "__anchor __graph __params __index __undo __manifest __sig "
  "$pannier" restore "$bundle" -o "$work/restored.dylib" -q
  check "$name: restores byte for byte" cmp "$host" "$work/restored.dylib"

  # LLVM 14's strip damages chained fixups, those of the host itself, too.
  if [[ $name != chained-* ]]; then
    for options in "" "-x" "-S"; do
      # shellcheck disable=SC2086  # none or one
      "$strip" $options "$bundle" -o "$work/stripped.dylib"
      check "$name, strip $options: the image verifies" "$pannier" verify --image "$work/stripped.dylib"
      check "$name, strip $options: verify says that it changed" refused_with 1 "" "$pannier" verify "$work/stripped.dylib"
      check "$name, strip $options: restore is refused" refused_with 2 "cannot be restored" "$pannier" restore "$work/stripped.dylib" -o "$work/x"
      "$pannier" extract "$work/stripped.dylib" params -o - >"$work/params"
      check "$name, strip $options: params byte for byte" cmp "$data/params.bin" "$work/params"
    done
    "$install_name_tool" -add_rpath /somewhere "$bundle" 2>/dev/null && cp "$bundle" "$work/rpath.dylib"
    check "$name, another rpath: the image differs" refused_with 1 "headers: found others" "$pannier" verify --image "$work/rpath.dylib"
    "$pannier" extract "$work/rpath.dylib" params -o - >"$work/params"
    check "$name, another rpath: params byte for byte" cmp "$data/params.bin" "$work/params"
    embed "$host" -o "$bundle"
  fi
  if [[ $name == zig-* || $name == lld-* ]]; then
    arch=${name#*-}
    cp "$work/user.c" "$work/user-$arch.c"
    [[ $name == zig-* ]] && sed -i 's/answer/tvmgen_default_fused_nn_softmax/g' "$work/user-$arch.c"
    "$clang" -target "$arch-apple-macos12" -c "$work/user-$arch.c" -o "$work/user.o"
    check "$name: the linker links against it" "$linker" -arch "$arch" -platform_version macos 12.0 12.0 -dylib \
      -undefined dynamic_lookup -o "$work/user.dylib" "$work/user.o" "$bundle"
    [[ $name == zig-* ]] || check "$name: and binds to it" grep -q "liblld" <("$objdump" --macho --bind --lazy-bind "$work/user.dylib")
  fi
done

# Fat.
"$lipo" -create "$work/zig-arm64.dylib" "$work/zig-x86_64.dylib" -output "$work/fat.dylib"
embed "$work/fat.dylib" -o "$work/fat.model.dylib"
check "fat: every byte verifies" "$pannier" verify "$work/fat.model.dylib"
"$pannier" restore "$work/fat.model.dylib" -o "$work/restored.dylib" -q
check "fat: restores byte for byte" cmp "$work/fat.dylib" "$work/restored.dylib"
for arch in arm64 x86_64; do
  "$lipo" -thin "$arch" "$work/fat.model.dylib" -output "$work/thin.dylib"
  check "fat: lipo takes $arch out, a bundle of its own" "$pannier" verify "$work/thin.dylib"
  check "fat: which is the slice that --arch shows" diff <("$pannier" inspect "$work/thin.dylib" | tail -n +2) \
    <("$pannier" inspect --arch "$arch" "$work/fat.model.dylib" | tail -n +2)
  "$pannier" restore "$work/thin.dylib" -q
  check "fat: and is restored to what went in" cmp "$data/macos-$arch/lib.dylib" "$work/thin.dylib"
  embed "$work/zig-$arch.dylib" -o "$work/thin-$arch.model.dylib"
done
"$lipo" -create "$work/thin-arm64.model.dylib" "$work/thin-x86_64.model.dylib" -output "$work/joined.dylib"
check "fat: bundles that lipo joined verify by slice" "$pannier" verify --arch arm64 "$work/joined.dylib"
check "fat: but not as a file that pannier made" refused_with 1 "which was made as a file of its own" "$pannier" verify "$work/joined.dylib"
check "fat: nor are they restored" refused_with 2 "lipo put it together" "$pannier" restore "$work/joined.dylib" -o "$work/x"
cp "$work/fat.dylib" "$work/small.dylib"
truncate -s 60000 "$work/small.dylib"
check "refused: a fat file cut off" refused_with 2 "cut off or damaged" embed "$work/small.dylib"

echo 'int main(void) { return 0; }' >"$work/main.c"
"$clang" -target arm64-apple-macos12 -c "$work/main.c" -o "$work/main.o"
"$linker" -arch arm64 -platform_version macos 12.0 12.0 -undefined dynamic_lookup -o "$work/program" "$work/main.o" -e _main
check "refused: object" refused_with 2 "found a relocatable object" embed "$work/main.o"
check "refused: executable" refused_with 2 "found an executable" embed "$work/program"
check "refused: one architecture, but --arch" refused_with 2 "expected a fat one" embed "$work/zig-arm64.dylib" -o "$work/x" --arch arm64
link "$linker" arm64 dylib "$work/narrow.dylib"
check "refused: no room" refused_with 2 "link it again with -Wl,-headerpad,0x400" embed "$work/narrow.dylib" -o "$work/x"
head -c 30000 "$work/zig-arm64.dylib" >"$work/cut.dylib"
check "refused: cut off" refused_with 2 "cut off or damaged" embed "$work/cut.dylib"

printf '%d failed, %d skipped\n' "$failures" "$skipped"
((failures == 0))
