#!/usr/bin/env bash
# A PE bundle's life after embedding: GNU strip, llvm-strip, objcopy, signing, embedding again; hosts of several linkers and machines.
# Usage: pe_lifecycle.sh PANNIER DATA_DIR
set -euo pipefail
pannier=$1 data=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lifecycle.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
rules() { python3 "$here/pe_rules.py" "$1"; }
# Tables as tools print them, without numbers that move with the debug sections' place.
imports_and_exports() { llvm-readobj --coff-imports --coff-exports --coff-basereloc --coff-load-config --coff-tls-directory "$1" | grep -v '^File: '; }
same_tables() { diff <(imports_and_exports "$1") <(imports_and_exports "$2"); }
same_debug_info() { diff <(llvm-dwarfdump --debug-info --debug-line "$1" | tail -n +2) <(llvm-dwarfdump --debug-info --debug-line "$2" | tail -n +2); }
symbols() { llvm-nm --no-sort "$1" 2>/dev/null; }
same_symbols() { diff <(symbols "$1") <(symbols "$2"); }
artifacts_come_back() {
  "$pannier" extract "$1" graph -o - | cmp - "$data/graph.json"
  "$pannier" extract "$1" params -o - | cmp - "$data/params.bin"
}
round_trip() {  # round_trip NAME HOST: what must hold of every host
  local name=$1 host=$2
  if ! embed "$host" -o "$work/bundle.dll" >"$work/out" 2>&1; then
    check "$name: embeds" cat "$work/out" -
    return
  fi
  check "$name: every byte verifies" "$pannier" verify "$work/bundle.dll"
  check "$name: the image verifies" "$pannier" verify --image "$work/bundle.dll"
  check "$name: Windows' rules" rules "$work/bundle.dll"
  check "$name: the same imports, exports and relocations" same_tables "$host" "$work/bundle.dll"
  check "$name: the artifacts come back" artifacts_come_back "$work/bundle.dll"
  "$pannier" restore "$work/bundle.dll" -o "$work/restored.dll" -q
  check "$name: restores byte for byte" cmp "$host" "$work/restored.dll"
}

for machine in x86_64 i686; do
  host=$data/windows-$machine/lib.dll
  check "$machine: the host itself keeps Windows' rules" rules "$host"
  for codec in store zstd auto; do
    embed "$host" -o "$work/$codec.dll" --codec "$codec"
    check "$machine, $codec: every byte verifies" "$pannier" verify "$work/$codec.dll"
    check "$machine, $codec: Windows' rules" rules "$work/$codec.dll"
    check "$machine, $codec: the artifacts come back" artifacts_come_back "$work/$codec.dll"
    "$pannier" restore "$work/$codec.dll" -o "$work/restored.dll" -q
    check "$machine, $codec: restores byte for byte" cmp "$host" "$work/restored.dll"
  done
  check "$machine: the same imports, exports and relocations" same_tables "$host" "$work/store.dll"
  check "$machine: the same debug information" same_debug_info "$host" "$work/store.dll"
  check "$machine: the same symbols" same_symbols "$host" "$work/store.dll"
  "$machine-w64-mingw32-objcopy" --dump-section .tvm.gra="$work/dumped" "$work/store.dll" "$work/x.dll"
  check "$machine: the stored graph begins its section" cmp -n "$(stat -c %s "$data/graph.json")" "$data/graph.json" "$work/dumped"
  gnu=$machine-w64-mingw32
  for tool in "$gnu-strip" "$gnu-strip -S" "$gnu-strip --strip-unneeded" "$gnu-objcopy" 'llvm-strip' 'llvm-strip -S' 'llvm-objcopy'; do
    cp "$work/zstd.dll" "$work/stripped.dll"
    $tool "$work/stripped.dll"
    check "$machine, $tool: the image verifies" "$pannier" verify --image "$work/stripped.dll"
    check "$machine, $tool: Windows' rules" rules "$work/stripped.dll"
    check "$machine, $tool: the artifacts come back" artifacts_come_back "$work/stripped.dll"
    check "$machine, $tool: the file differs" refused_with 1 "" "$pannier" verify "$work/stripped.dll"
    check "$machine, $tool: restore is refused" refused_with 2 "cannot be restored" "$pannier" restore "$work/stripped.dll" -o "$work/x.dll"
  done
  cp "$work/zstd.dll" "$work/again.dll"
  for _ in $(seq 10); do embed "$work/again.dll" --force --codec zstd; done
  check "$machine: embedded 10 times with --force: the same bytes" cmp "$work/zstd.dll" "$work/again.dll"
  python3 "$here/pe_rules.py" --crowd "$host" "$work/crowded.dll"
  round_trip "$machine, no room for a section header" "$work/crowded.dll"
  check "$machine, no room for a section header: headers grew" bash -c "llvm-readobj --file-headers '$work/bundle.dll' | grep -q 'SizeOfHeaders: 2048'"
done

# Signing: before (dropped on demand), after, and after again.
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" -days 2 -subj /CN=test -addext extendedKeyUsage=codeSigning 2>/dev/null
sign() { rm -f "$2" && osslsigncode sign -certs "$work/cert.pem" -key "$work/key.pem" -in "$1" -out "$2" >/dev/null; }
signature_holds() { osslsigncode verify -CAfile "$work/cert.pem" "$1" | grep -q 'Signature verification: ok'; }
host=$data/windows-x86_64/lib.dll
embed "$host" -o "$work/unsigned.dll"
sign "$work/unsigned.dll" "$work/signed.dll"
check "signed since: the signature holds" signature_holds "$work/signed.dll"
check "signed since: the image verifies" "$pannier" verify --image "$work/signed.dll"
check "signed since: the artifacts come back" artifacts_come_back "$work/signed.dll"
check "signed since: the file differs" refused_with 1 "it was signed since" "$pannier" verify "$work/signed.dll"
check "signed since: restore is refused" refused_with 2 "it was signed since" "$pannier" restore "$work/signed.dll" -o "$work/x.dll"
check "signed since: embed --force is refused" refused_with 2 "it was signed since" embed "$work/signed.dll" --force -o "$work/x.dll"
sign "$host" "$work/signed-host.dll"
check "signed host: refused" refused_with 2 "--drop-signature" embed "$work/signed-host.dll" -o "$work/x.dll"
embed "$work/signed-host.dll" --drop-signature -o "$work/dropped.dll"
check "signed host, dropped: every byte verifies" "$pannier" verify "$work/dropped.dll"
"$pannier" restore "$work/dropped.dll" -o "$work/restored.dll" -q
check "signed host, dropped: restores byte for byte" cmp "$work/signed-host.dll" "$work/restored.dll"
check "signed host, dropped: the old signature holds again" signature_holds "$work/restored.dll"
sign "$work/dropped.dll" "$work/signed.dll"
check "signed host, signed again: the signature holds" signature_holds "$work/signed.dll"

# Other linkers, machines and kinds.
cat >"$work/lib.c" <<'SOURCE'
__declspec(dllexport) int answer(int x) { return x * 3 + 1; }
int __stdcall DllMainCRTStartup(void* module, unsigned long reason, void* reserved) { return 1; }
SOURCE
(
  cd "$work"
  x86_64-w64-mingw32-gcc -nostdlib -shared -O1 -s -o gnu-x64.dll lib.c
  i686-w64-mingw32-gcc -nostdlib -shared -O1 -s -Wl,-e,_DllMainCRTStartup@12 -o gnu-x86.dll lib.c
  x86_64-w64-mingw32-gcc -nostdlib -shared -O1 -g -o gnu-debug.dll lib.c
  echo 'int main(void) { return 0; }' >main.c
  x86_64-w64-mingw32-gcc -o gnu.exe main.c
  for machine in aarch64 x86_64 i686 thumbv7; do
    clang -target "$machine-windows-msvc" -O1 -ffreestanding -gcodeview -g -c lib.c -o "$machine.obj"
    entry=$([[ $machine == i686 ]] && echo DllMainCRTStartup@12 || echo DllMainCRTStartup)
    lld-link /dll /nodefaultlib "/entry:$entry" "/out:lld-$machine.dll" "$machine.obj"
  done
  lld-link /dll /noentry /nodefaultlib /machine:x64 /out:no-entry.dll x86_64.obj
  cp lld-aarch64.dll overlay.dll
  echo 'what somebody looks for at the end' >>overlay.dll
  lld-link /dll /nodefaultlib /entry:DllMainCRTStartup /align:512 /out:low.dll x86_64.obj 2>/dev/null
  head -c 1500 lld-x86_64.dll >cut.dll
)
for name in gnu-x64 gnu-x86 gnu-debug lld-aarch64 lld-x86_64 lld-i686 lld-thumbv7 no-entry overlay; do round_trip "$name" "$work/$name.dll"; done
check "overlay: at the end of the bundle, too" bash -c "'$pannier' embed '$work/overlay.dll' --graph '$data/graph.json' -q && tail -c 35 '$work/overlay.dll' | grep -q '^what somebody'"
round_trip "an executable" "$work/gnu.exe"
check "refused: low alignment" refused_with 2 "section alignment: found 512" embed "$work/low.dll" -o "$work/x.dll"
check "refused: cut off" refused_with 2 "the file is cut off or damaged" embed "$work/cut.dll" -o "$work/x.dll"
check "refused: object" refused_with 2 "a file of unknown format" embed "$work/x86_64.obj" -o "$work/x.dll"

printf '%d failed\n' "$failures"
((failures == 0))
