#!/usr/bin/env python3
"""The second reader against the first: bundles of all codecs and classes, and the golden ones. usage: tiny_reader_test.py PANNIER DATA"""
import hashlib
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile

import params_file
import tiny_reader

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


def pack(tensors):
    """float32 tensors of the given bytes"""
    return params_file.pack((f"p{i}", params_file.FLOAT32, (len(data) // 4,), data) for i, data in enumerate(tensors))


golden = json.loads((here / "golden" / "expected.json").read_text())

with tempfile.TemporaryDirectory() as folder:
    count = 0
    hosts = [data / platform / "lib.so" for platform in ("linux-x86_64", "linux-i686", "linux-aarch64", "linux-armv7", "linux-riscv64")]
    hosts += [data / platform / "lib.dylib" for platform in ("macos-arm64", "macos-x86_64")]
    hosts += [data / platform / "lib.dll" for platform in ("windows-x86_64", "windows-i686")]
    for name in golden:  # big-endian ones, and ones without room for a program header
        hosts.append(f"{folder}/host-{name}")
        output(pannier, "restore", here / "golden" / name, "-o", hosts[-1])
    all_codecs = [data / name for name in ("linux-x86_64/lib.so", "macos-arm64/lib.dylib", "windows-x86_64/lib.dll")]
    for host in hosts:
        for codec in ("store", "zstd", "planes", "auto") if host in all_codecs else ("auto",):
            bundle = f"{folder}/model.so"
            output(pannier, "embed", host, "--graph", data / "graph.json", "--params", data / "params.bin", "-o", bundle, "--codec", codec)
            compare(bundle)
            assert output(*reader, bundle, "extract", "params") == (data / "params.bin").read_bytes()
            mapped = json.loads(output(pannier, "inspect", bundle, "--json"))["mapped"]
            assert mapped == ("file-only" not in str(host)), host
            count += 1
        if mapped:  # TVM's symbol can lead there
            output(pannier, "embed", host, "--graph", data / "graph.json", "--params", data / "params.bin", "-o", bundle, "--as-factory")
            compare(bundle)
            count += 1
    # Equal tensors, and equal chunks of others.
    noise = random.Random(1).randbytes(300000)
    floats = bytes(0x3D if i % 4 == 3 else byte for i, byte in enumerate(noise))
    pathlib.Path(folder, "equal.params").write_bytes(pack([noise, floats, noise, floats + floats, floats[:262144] + noise, b""]))
    # Small ones, which share chunks.
    pathlib.Path(folder, "small.params").write_bytes(pack([floats[at:at + size] for size in (4, 400, 2000) for at in range(0, 90000, size + 2996)]))
    for codec in ("zstd", "planes", "auto"):
        output(pannier, "embed", hosts[0], "--params", f"{folder}/small.params", "-o", bundle, "--codec", codec)
        compare(bundle)
        output(pannier, "verify", bundle)
        count += 1
    for codec in ("store", "zstd", "planes", "auto"):
        output(pannier, "embed", hosts[0], "--params", f"{folder}/equal.params", "-o", bundle, "--codec", codec)
        compare(bundle)
        output(pannier, "verify", bundle)
        count += 1
    flipped = bytearray(pathlib.Path(bundle).read_bytes())
    flipped[len(flipped) // 2] ^= 1
    pathlib.Path(bundle).write_bytes(flipped)
    assert subprocess.run([*reader, bundle, "check"], stderr=subprocess.DEVNULL).returncode != 0, "a flipped bit passed"

# Signatures, of both kinds of keys, by OpenSSL's own word.
with tempfile.TemporaryDirectory() as folder:
    key_files = []
    for kind in (["ed25519"], ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]):
        key, public = f"{folder}/{kind[0]}.pem", f"{folder}/{kind[0]}.pub"
        output("openssl", "genpkey", "-quiet", "-algorithm", *kind, "-out", key)
        output("openssl", "pkey", "-in", key, "-pubout", "-out", public)
        key_files.append((key, public, hashlib.sha256(output("openssl", "pkey", "-in", key, "-pubout", "-outform", "DER")).hexdigest()))
    for host, artifacts in ((data / "linux-x86_64/lib.so", {}), (data / "windows-x86_64/lib.dll", {'a "name" \\ and é': b"x"}),
                            (data / "macos-arm64/lib.dylib", {f"{i:02}" + "n" * 90: b"%d" % i for i in range(30)})):
        bundle = f"{folder}/model"
        command = [pannier, "embed", host, "--graph", data / "graph.json", "-o", bundle, "--sign", key_files[0][0]]
        for i, (name, content) in enumerate(artifacts.items()):
            pathlib.Path(folder, str(i)).write_bytes(content)
            command += ["--artifact", f"{name}={folder}/{i}"]
        output(*command)
        output(pannier, "sign", bundle, "--key", key_files[1][0])
        assert b"every byte" in output(*reader, bundle, "check")
        read = tiny_reader.Bundle(pathlib.Path(bundle).read_bytes())
        assert read.statement() == output(pannier, "digest", bundle, "--statement")
        signed, signatures = read.signatures()
        assert signed == output(pannier, "digest", bundle) and [key for key, _ in signatures] == [key for _, _, key in key_files]
        pathlib.Path(folder, "signed").write_bytes(signed)
        for (_, public, _), (_, signature), raw in zip(key_files, signatures, (["-rawin"], ["-rawin", "-digest", "sha256"])):
            pathlib.Path(folder, "signature").write_bytes(signature)
            output("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, *raw, "-in", f"{folder}/signed", "-sigfile", f"{folder}/signature")
        count += 1


def sealed(data, bundle):
    """the bundle's bytes with the digest of its manifest made right again"""
    manifest = data[bundle.place(".tvm.manifest", bundle.manifest_offset, bundle.manifest_size):][:bundle.manifest_size]
    data[bundle.anchor + 64:bundle.anchor + 96] = hashlib.sha256(manifest).digest()
    return bytes(data)


# An artifact of a later kind: listed, its bytes checked, refused when asked for; all else is read.
with tempfile.TemporaryDirectory() as folder:
    path = f"{folder}/later.so"
    data = bytearray((here / "golden" / "v1-elf64-little.so").read_bytes())
    bundle = tiny_reader.Bundle(data)
    manifest = bundle.place(".tvm.manifest", bundle.manifest_offset, bundle.manifest_size)
    data[manifest + bundle.artifacts()["labels"].where(1)] = 7
    pathlib.Path(path).write_bytes(sealed(data, bundle))
    assert b"every byte" in output(*reader, path, "check")
    output(pannier, "verify", path)
    shown = json.loads(output(pannier, "inspect", path, "--json"))["artifacts"]
    assert [a["kind"] for a in shown] == ["blob", "params", "unknown (7)"], shown
    assert re.search(rb"\nlabels +53 B +54 B +101\.9 % +kind unknown \(7\) ", output(pannier, "inspect", path))
    assert output(*reader, path, "extract", "graph") == output(pannier, "extract", path, "graph", "-o", "-")
    for command in ([pannier, "extract", path, "-o", folder + "/out"], [pannier, "extract", path, "labels", "-o", "-"]):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        expected = f'pannier: {path}: artifact "labels": kind: found 7, expected 0 (blob) or 1 (params); a newer pannier reads it\n'
        assert (done.returncode, done.stdout, done.stderr.decode()) == (2, b"", expected), done
    assert not pathlib.Path(folder, "out").exists()
    refused = subprocess.run([*reader, path, "extract", "labels"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert refused.returncode == 1 and b"kind 7 is of a later version" in refused.stderr, refused

# Golden bundles: what this version wrote, every later one reads.
for name, artifacts in golden.items():
    bundle = here / "golden" / name
    compare(str(bundle))
    output(pannier, "verify", bundle)
    for artifact, digest in artifacts.items():
        assert hashlib.sha256(output(pannier, "extract", bundle, artifact, "-o", "-")).hexdigest() == digest, (name, artifact)
keys = [word for kind in ("ed25519", "p256") for word in ("--key", here / "golden" / f"signed-{kind}.pub.pem")]
output(pannier, "verify", here / "golden" / "v1-signed.so", *keys)
print(f"{count} bundles and {len(golden)} golden ones read alike")
