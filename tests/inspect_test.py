#!/usr/bin/env python3
"""`pannier inspect`: --sort, --filter, --top and --quiet do what they say. usage: inspect_test.py PANNIER DATA"""
import fnmatch
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import params_file

# In the file's order: name, dtype, code, bits, elements, what repeats (1: nothing, so that it is stored as it is).
TENSORS = [("dense.weight", "float32", 2, 32, 4096, 7), ("conv.weight", "float32", 2, 32, 9000, 1), ("embed", "int8", 0, 8, 30000, 3),
           ("dense.bias", "float64", 2, 64, 64, 1), ("conv.bias", "int16", 0, 16, 100, 1), ("zeroes", "uint8", 1, 8, 500, 500)]


def noise(size):
    state, out = 1, bytearray()
    while len(out) < size:
        state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        out += struct.pack("<I", state >> 32)
    return bytes(out[:size])


def values(bits, elements, period):
    size = bits // 8 * elements
    if period == elements:
        return bytes(size)
    return noise(size) if period == 1 else (noise(period * bits // 8) * (elements // period + 1))[:size]


def main():
    pannier, data = sys.argv[1], pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        params, bundle = pathlib.Path(folder, "params"), pathlib.Path(folder, "model.so")
        params.write_bytes(params_file.pack((name, (code, bits, 1), (elements,), values(bits, elements, period))
                                            for name, _, code, bits, elements, period in TENSORS))
        subprocess.run([pannier, "embed", data / "linux-x86_64" / "lib.so", "--params", params, "-o", bundle, "-q"], check=True)

        def inspect(*options, status=0):
            done = subprocess.run([pannier, "inspect", bundle, *options], capture_output=True, text=True, check=False)
            assert done.returncode == status, (options, done)
            return done.stdout

        def tensors(*options):
            artifacts = json.loads(inspect("--json", *options))["artifacts"]
            return next(artifact["tensors"] for artifact in artifacts if artifact["name"] == "params")

        def names(*options):
            return [tensor["name"] for tensor in tensors(*options)]

        in_file = [name for name, *_ in TENSORS]
        facts = {tensor["name"]: tensor for tensor in tensors()}
        assert [(name, facts[name]["dtype"], facts[name]["shape"], facts[name]["bytes"]) for name in in_file] == [
            (name, dtype, [elements], bits // 8 * elements) for name, dtype, _, bits, elements, _ in TENSORS], facts
        assert names() == names("--sort", "file") == in_file
        stored = {name: facts[name]["stored_bytes"] for name in in_file}
        size = {name: facts[name]["bytes"] for name in in_file}
        assert len(set(stored.values())) > 3 and any(stored[name] < size[name] for name in in_file), stored
        orders = {"name": lambda name: name, "dtype": lambda name: facts[name]["dtype"], "size": lambda name: -size[name],
                  "stored": lambda name: -stored[name], "ratio": lambda name: -stored[name] / size[name]}
        found = {order: names("--sort", order) for order in orders}
        for order, key in orders.items():
            assert found[order] == sorted(in_file, key=key), (order, found[order])
        assert len({tuple(order) for order in found.values()}) >= 4, found  # else this shows nothing

        for globs in (["*.weight"], ["dense.*", "z?roes"], ["[ce]*"], ["nothing"], ["embed"]):
            expected = [name for name in in_file if any(fnmatch.fnmatchcase(name, glob) for glob in globs)]
            assert names(*(word for glob in globs for word in ("--filter", glob))) == expected, globs
        assert names("--filter", "*.bias", "--sort", "name") == ["conv.bias", "dense.bias"]

        def rows(*options):
            return [line.split()[0] for line in inspect(*options).splitlines() if line.split() and line.split()[0] in in_file]

        assert rows() == rows("--top", "0") == in_file  # no terminal: all
        assert rows("--top", "2", "--sort", "name") == ["conv.bias", "conv.weight"]
        assert inspect("--quiet") == ""
        inspect("--sort", "colour", status=2)
        done = subprocess.run([pannier, "inspect", "-q", params], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "") and str(params) in done.stderr, done
    print(f"{len(orders) + 1} orders: ok")


if __name__ == "__main__":
    sys.exit(main())
