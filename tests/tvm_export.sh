#!/usr/bin/env bash
# A library that TVM 0.9 itself made: what extract gives, what is refused, and that LoadBundle can run it.
#
# usage: tests/tvm_export.sh PANNIER RUN_MODEL
#
# TVM keeps a factory's params in a hash table. So extract gives the tensors of params.bin, each byte for byte, in another order.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/relay_data.sh"

readonly pannier=$1 run_model=$2

fail() {
  printf 'tvm_export.sh: %s\n' "$*" >&2
  exit 1
}

if [[ -z $relay_data ]]; then
  echo "skipped: tests/relay_data.sh finds no data"
  exit 4
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
model=$relay_data/squeezenet
files=$model/linux-x86_64
cp "$files/factory.so" "$work/model.so"

"$pannier" extract "$work/model.so" -o "$work/parts" --quiet
cmp "$work/parts/model.json" "$files/graph.json"
python3 - "$work/parts/model.params" "$files/params.bin" <<'END'
import struct, sys

def tensors(path):
    data, at, names = open(path, "rb").read(), 24, []
    for _ in range(struct.unpack_from("<Q", data, 16)[0]):
        size = struct.unpack_from("<Q", data, at)[0]
        names.append(data[at + 8:at + 8 + size])
        at += 8 + size
    found, at = {"head": data[:24], "count": data[at:at + 8]}, at + 8
    for name in names:
        end = at + 40 + 8 * struct.unpack_from("<i", data, at + 24)[0]
        end += struct.unpack_from("<q", data, end - 8)[0]
        found[name], at = data[at:end], end
    assert at == len(data), (path, at, len(data))
    return found

assert tensors(sys.argv[1]) == tensors(sys.argv[2]), "tensors differ"
END

"$pannier" inspect "$work/model.so" --json | python3 -c '
import json, sys
found = json.load(sys.stdin)
graph, params = found["artifacts"]
digests = [found["file_digest"], found["image_digest"], found["host_sha256"], graph["sha256"], params["sha256"]]
assert digests == [None] * 5 and len(params["tensors"]) == 52 and found["signed_by"] == [], found'
[[ $("$pannier" inspect "$work/model.so") == *"not known"* ]] || fail "inspect: a digest that nobody made"

openssl genpkey -algorithm ed25519 -out "$work/key.pem" 2>/dev/null
before=$(sha256sum "$work/model.so")
for command in verify "verify --image" restore digest "sign --key $work/key.pem" "sign --detached --key $work/key.pem" "sign --remove"; do
  # shellcheck disable=SC2086  # words of a command
  if message=$("$pannier" $command "$work/model.so" 2>&1); then fail "$command: succeeded"; fi
  [[ $message == *"model.so: it was made by TVM's export_library and has no digests"* ]] || fail "$command: $message"
done
[[ $(sha256sum "$work/model.so") == "$before" ]] || fail "a refused command changed the file"

"$run_model" "$work/model.so" "$model/input.npy" "$model/output.npy" 1e-6
"$pannier" embed "$files/lib.so" --graph "$work/parts/model.json" --params "$work/parts/model.params" -o "$work/bundle.so" --quiet
"$pannier" verify "$work/bundle.so" --quiet
"$run_model" "$work/bundle.so" "$model/input.npy" "$model/output.npy" 1e-6
