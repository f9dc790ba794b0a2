#!/usr/bin/env python3
"""Single bits of a large signed bundle flipped, one at a time: verify must say so each time, and name the file and a part of it.

usage: flip_test.py PANNIER HOST [MEBIBYTES [FLIPS]]     (default: 16 and 150; a third of the flips hit what is not the params)
"""
import pathlib
import random
import subprocess
import sys
import tempfile

import params_file

pannier, host = sys.argv[1], sys.argv[2]
size = int(sys.argv[3]) << 20 if len(sys.argv) > 3 else 16 << 20
flips = int(sys.argv[4]) if len(sys.argv) > 4 else 150
generator = random.Random(size)


def tensors():
    """Four of values between 0.5 and 1."""
    for i in range(4):
        data = bytearray(generator.randbytes(size // 4))
        data[3::4] = b"\x3f" * (size // 16)
        yield f"p{i}", params_file.FLOAT32, (size // 16,), data


with tempfile.TemporaryDirectory() as folder:
    key, public, params, bundle = (f"{folder}/{name}" for name in ("key.pem", "key.pub", "params", "model.so"))
    subprocess.run(["openssl", "genpkey", "-quiet", "-algorithm", "ed25519", "-out", key], check=True)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
    pathlib.Path(params).write_bytes(params_file.pack(tensors()))
    tried = 0
    for codec in ("store", "auto"):
        subprocess.run([pannier, "embed", host, "--params", params, "-o", bundle, "--codec", codec, "--sign", key, "-q"], check=True)
        pathlib.Path(bundle).chmod(0o644)
        length = pathlib.Path(bundle).stat().st_size
        edge = pathlib.Path(host).stat().st_size
        with open(bundle, "r+b", buffering=0) as file:
            for i in range(flips):
                at = generator.randrange(length)
                if i % 3 == 0:  # the host, or what follows the params: tables, manifest, signature, section headers
                    at = generator.randrange(edge) if i % 2 else length - 1 - generator.randrange(edge)
                file.seek(at)
                before = file.read(1)
                file.seek(at)
                file.write(bytes([before[0] ^ 1 << i % 8]))
                done = subprocess.run([pannier, "verify", bundle, "--key", public, "-q"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                found = done.returncode == 1 and done.stderr.startswith(f"pannier: {bundle}: ".encode())
                # Without its magic number, or its header, it is no bundle at all.
                if not (found or (done.returncode == 2 and at < edge + (1 << 16) and b"pannier: " in done.stderr)):
                    sys.exit(f"{codec}: bit {i % 8} of byte {at:#x}: exit status {done.returncode}: {done.stderr.decode(errors='replace')}")
                file.seek(at)
                file.write(before)
                tried += 1
        subprocess.run([pannier, "verify", bundle, "--key", public, "-q"], check=True)
    print(f"{tried} flipped bits of bundles of {size >> 20} MiB, all found")
