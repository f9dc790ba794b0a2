#!/usr/bin/env python3
"""The second reader against the first: bundles of all codecs and classes, and the golden ones. usage: tiny_reader_test.py PANNIER DATA"""
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

pannier, data = sys.argv[1], pathlib.Path(sys.argv[2])
here = pathlib.Path(__file__).parent
reader = [sys.executable, str(here / "tiny_reader.py")]


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def compare(bundle):
    mine = json.loads(output(*reader, bundle, "list"))
    theirs = json.loads(output(pannier, "inspect", bundle, "--json"))["artifacts"]
    assert [a["name"] for a in mine] == [a["name"] for a in theirs], bundle
    for a, b in zip(mine, theirs):
        for key in ("bytes", "stored_bytes", "sha256"):
            assert a[key] == b[key], (bundle, key)
        for t, u in zip(a.get("tensors", []), b.get("tensors", []), strict=True):
            assert all(t[key] == u[key] for key in t), (bundle, t, u)
        assert output(*reader, bundle, "extract", a["name"]) == output(pannier, "extract", bundle, a["name"], "-o", "-"), bundle
    assert b"every byte" in output(*reader, bundle, "check")


golden = json.loads((here / "golden" / "expected.json").read_text())

with tempfile.TemporaryDirectory() as folder:
    count = 0
    hosts = [data / platform / "lib.so" for platform in ("linux-x86_64", "linux-i686", "linux-aarch64", "linux-armv7", "linux-riscv64")]
    for name in golden:  # big-endian ones, and ones without room for a program header
        hosts.append(f"{folder}/host-{name}")
        output(pannier, "restore", here / "golden" / name, "-o", hosts[-1])
    for host in hosts:
        for codec in ("store", "zstd", "auto"):
            bundle = f"{folder}/model.so"
            output(pannier, "embed", host, "--graph", data / "graph.json", "--params", data / "params.bin", "-o", bundle, "--codec", codec)
            compare(bundle)
            assert output(*reader, bundle, "extract", "params") == (data / "params.bin").read_bytes()
            mapped = json.loads(output(pannier, "inspect", bundle, "--json"))["mapped"]
            assert mapped == ("file-only" not in str(host)), host
            count += 1
    flipped = bytearray(pathlib.Path(bundle).read_bytes())
    flipped[len(flipped) // 2] ^= 1
    pathlib.Path(bundle).write_bytes(flipped)
    assert subprocess.run([*reader, bundle, "check"], stderr=subprocess.DEVNULL).returncode != 0, "a flipped bit passed"

# Golden bundles: what this version wrote, every later one reads.
for name, artifacts in golden.items():
    bundle = here / "golden" / name
    compare(str(bundle))
    output(pannier, "verify", bundle)
    for artifact, digest in artifacts.items():
        assert hashlib.sha256(output(pannier, "extract", bundle, artifact, "-o", "-")).hexdigest() == digest, (name, artifact)
print(f"{count} bundles and {len(golden)} golden ones read alike")
