#!/usr/bin/env bash
# Embedding 1 GiB against a plain copy of the same bytes, in turn, and loading it: `embed_benchmark.sh PANNIER LOAD_BENCHMARK [MIB]`.
# Both sides end with the bytes on the disk. Prints seconds, their ratio, and the embedder's peak memory.
set -euo pipefail
pannier=$1 load_benchmark=$2 mib=${3:-1024}
host=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/data/mlp/linux-x86_64/lib.so
work=$(mktemp -d "${TMPDIR:-/var/tmp}/pannier-benchmark-XXXXXX")
trap 'rm -rf "$work"' EXIT

# params of random float32 tensors: 64 that share the given size, or many small ones
python3 - "$work" "$mib" <<'PYTHON'
import os, struct, sys
def params(path, count, size):
    with open(path, "wb") as out:
        names = [b"p%d" % i for i in range(count)]
        out.write(struct.pack("<QQQ", 0xF7E58D4F05049CB7, 0, count))
        out.write(b"".join(struct.pack("<Q", len(n)) + n for n in names) + struct.pack("<Q", count))
        for _ in names:
            out.write(struct.pack("<QQiiiBBHqq", 0xDD5E40F096B4A13F, 0, 1, 0, 1, 2, 32, 1, size // 4, size) + os.urandom(size))
work, mib = sys.argv[1], int(sys.argv[2])
params(work + "/large.params", 64, mib * 1048576 // 64)
params(work + "/small.params", 1, 4096)
params(work + "/many.params", 1000, 4096)
PYTHON

seconds() { local start end; start=$(date +%s.%N); "$@" >/dev/null; end=$(date +%s.%N); echo "$end - $start" | bc -l; }
copy() { cat "$host" "$work/large.params" >"$work/copy" && sync "$work/copy"; }
embed() { /usr/bin/time -f '%M' -o "$work/peak" "$pannier" embed "$host" --params "$work/large.params" -o "$work/large.so" --codec store -q; }
for run in 1 2 3 4 5; do
  rm -f "$work/copy" "$work/large.so"; sync
  a=$(seconds copy); rm -f "$work/copy"; sync
  b=$(seconds embed)
  printf 'run %d: copy %.2f s, embed %.2f s, ratio %.2f, peak %d KiB\n' "$run" "$a" "$b" "$(echo "$b / $a" | bc -l)" "$(cat "$work/peak")"
done
for name in small many; do "$pannier" embed "$host" --params "$work/$name.params" -o "$work/$name.so" --codec store -q; done
"$load_benchmark" "$host" "$work/small.so" "$work/many.so" "$work/large.so" | sed "s|$work/||"
