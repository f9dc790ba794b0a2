#!/usr/bin/env python3
"""What becomes of a library with a payload when it is stripped: pannier's, and those that libsui and LIEF make of the same libraries.

usage: tests/bench/strip_survival.py BUILD [COUNT]      COUNT (40) libraries of this machine, always the same ones

The peers are those that run.py installs into build/bench. A library counts where it loads bare. Prints a table: how many of them load with
the payload, and load and still have it after each kind of strip.
"""

import collections
import os
import pathlib
import random
import subprocess
import sys
import tempfile

import embedding
import peers

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIBRARIES = pathlib.Path("/usr/lib", f"{os.uname().machine}-linux-gnu")
STRIPS = {"strip -s": ("strip", "-s"), "llvm-strip -s": ("llvm-strip", "-s"), "eu-strip": ("eu-strip",)}
LOAD = "import ctypes, sys; ctypes.CDLL(sys.argv[1])"


def quietly(*command) -> bool:
    return subprocess.run([str(word) for word in command], capture_output=True, check=False).returncode == 0


def loads(library: pathlib.Path) -> bool:
    """In a process of its own, which it may end."""
    return quietly(sys.executable, "-c", LOAD, library)


def main() -> None:
    pannier = pathlib.Path(sys.argv[1]) / "embedder" / "pannier"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 40
    work = ROOT / "build" / "bench"
    candidates = [path for path in sorted(LIBRARIES.glob("*.so.*")) if not path.is_symlink() and path.stat().st_size < 2_000_000]
    chosen = [path for path in random.Random(1).sample(candidates, min(count, len(candidates))) if loads(path)]
    survived: collections.Counter = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        payload, out, stripped, script = (pathlib.Path(folder, name) for name in ("payload", "out.so", "stripped.so", "add.py"))
        payload.write_bytes(random.Random(2).randbytes(100_000))
        script.write_text(embedding.LIEF_SCRIPT)
        makers = {
            "pannier": lambda host: (pannier, "embed", host, "--artifact", f"x={payload}", "-o", out, "-q", "--codec", "store"),
            "libsui": lambda host: (peers.sui(work), "payload", host, payload, out),
            "LIEF": lambda host: (peers.venv_python(work), script, host, payload, out),
        }
        for maker, command in makers.items():
            for host in chosen:
                out.unlink(missing_ok=True)
                if not quietly(*command(host)) or not loads(out):
                    continue
                survived[maker, "loads"] += 1
                for name, strip in STRIPS.items():
                    stripped.unlink(missing_ok=True)
                    if quietly(*strip, "-o", stripped, out) and loads(stripped):
                        survived[maker, name] += payload.read_bytes() in stripped.read_bytes()
    columns = ["loads", *STRIPS]
    print(f"{len(chosen)} libraries; libsui {peers.LIBSUI}, {next(name for name in peers.PACKAGES if name.startswith('lief'))}\n")
    print(f"| | {' | '.join(columns)} |\n|{' --- |' * (len(columns) + 1)}")
    for maker in makers:
        print(f"| {maker} | {' | '.join(str(survived[maker, column]) for column in columns)} |")


if __name__ == "__main__":
    main()
