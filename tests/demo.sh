#!/usr/bin/env bash
# The main job on a real relay.build output: three files become one library, and the model's answer comes from nothing but that file.
# Usage: demo.sh BUILD_DIR
set -euo pipefail
build=$1
data=$(cd "$(dirname "${BASH_SOURCE[0]}")/data/mlp" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pannier=$build/embedder/pannier

printf 'relay.build gave three files:\n'
for file in linux-x86_64/lib.so graph.json params.bin; do printf '  %-24s %8d bytes\n' "$file" "$(stat -c %s "$data/$file")"; done

printf '\n$ pannier embed lib.so --graph graph.json --params params.bin -o model.so\n'
"$pannier" embed "$data/linux-x86_64/lib.so" --graph "$data/graph.json" --params "$data/params.bin" -o "$work/model.so" | sed "s|$work/||"

printf '\n$ pannier verify model.so\n'
"$pannier" verify "$work/model.so" | sed "s|$work/||"

printf '\nThe model run from model.so alone (pannier::LoadBundle), compared with what TVM computed:\n  '
(cd "$work" && "$build/tests/run_model" model.so "$data/input.npy" "$data/output.npy" 1e-6)

printf '\n$ pannier restore model.so -o lib.so\n'
"$pannier" restore "$work/model.so" -o "$work/lib.so" | sed "s|$work/||"
cmp "$work/lib.so" "$data/linux-x86_64/lib.so"
printf 'the same bytes as the library that relay.build made\n'
