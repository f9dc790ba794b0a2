#!/usr/bin/env python3
"""Payloads beyond 4 GiB and params of 100,000 tensors, in flat memory. usage: scale_test.py PANNIER SCALE_PROBE HOST WORK

The params file is sparse; the bundle is not. Exit status 4: too little room on the disk, nothing was tested.
"""
import os
import pathlib
import shutil
import subprocess
import sys

import params_file

pannier, probe, host, work = sys.argv[1:5]
MIB = 1 << 20
MOST_MEMORY = 64 * MIB  # of the embedder, in all


def write_params(path, count, size, data):
    """float32 tensors p0, p1, ... of `size` bytes; `data(i)` is what one ends with, all before is a hole"""
    with open(path, "wb") as out:
        out.write(params_file.head([f"p{i}" for i in range(count)]))
        for i in range(count):
            out.write(params_file.tensor_head(params_file.FLOAT32, (size // 4,), size))
            end = data(i)
            out.seek(size - len(end), os.SEEK_CUR)
            out.write(end)


def run(*command):
    """output, peak memory in bytes"""
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE)
    output = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (command, process.returncode)
    return output, usage.ru_maxrss * 1024


def check(params, tensor, expected, codecs):
    for codec in codecs:
        bundle = folder / f"{codec}.so"
        _, memory = run(pannier, "embed", host, "--params", params, "-o", bundle, "--codec", codec, "-q")
        assert memory < MOST_MEMORY, f"{params.name}, {codec}: found {memory} bytes of memory, expected less than {MOST_MEMORY}"
        run(pannier, "verify", bundle, "-q")
        found, _ = run(probe, bundle, tensor)
        assert found == expected, f"{params.name}, {codec}: found {found!r}, expected {expected!r}"
        print(f"{params.name}, {codec}: {bundle.stat().st_size} bytes, embedded in {memory // MIB} MiB")
        bundle.unlink()


folder = pathlib.Path(work)
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir(parents=True)
try:
    if shutil.disk_usage(folder).free < 6 << 30:
        print("too little room on the disk")
        sys.exit(4)
    large = folder / "large.params"
    write_params(large, 33, 128 * MIB, lambda i: b"end%05d" % i)
    check(large, "p32", f"{128 * MIB} end00032\n", ("store", "auto"))
    many = folder / "many.params"
    write_params(many, 100_000, 1024, lambda i: b"%08d" % i * 32 + os.urandom(760) + b"end%05d" % i)
    check(many, "p99999", "1024 end99999\n", ("store", "auto", "zstd"))
finally:
    shutil.rmtree(folder)
