"""Embedding: one large payload put into a library by pannier and by others, and how cost grows with payload, tensors and host."""

import os
import pathlib
import shlex
import shutil
import sys
from collections.abc import Callable

import measuring
import weights

MIB = 1 << 20
SMALL = 4096  # bytes of one of many tensors
CODECS = ("store", "zstd", "planes", "auto")

# As LIEF's manual has it: a section that the OS maps.
LIEF_SCRIPT = """
import sys, lief
host, payload, out = sys.argv[1:]
library = lief.ELF.parse(host)
section = lief.ELF.Section(".payload", lief.ELF.Section.TYPE.PROGBITS)
section.add(lief.ELF.Section.FLAGS.ALLOC)
with open(payload, "rb") as file:
    section.content = memoryview(file.read())
library.add(section, loaded=True)
library.write(out)
"""


def contestants(programs: dict, work: pathlib.Path, payload: pathlib.Path) -> dict[str, tuple]:
    """What puts `payload` into the host, with the bytes on the disk at the end; None for a tool that is not there."""
    host, out = programs["host"], work / "out.so"

    def shell(text: str, *words) -> tuple:
        quoted = [shlex.quote(str(word)) for word in words]
        return ("sh", "-c", f"{text.format(*quoted)} && sync {shlex.quote(str(out))}")

    found: dict[str, tuple | None] = {
        "cat": shell("cat {} {} > {}", host, payload, out),
        "pannier --codec store": embed_command(programs, payload, out, "store"),
    }
    for title, tool in (("GNU objcopy", "objcopy"), ("llvm-objcopy", "llvm-objcopy")):
        found[title] = shell(f"{tool} --add-section .payload={{}} {{}} {{}}", payload, host, out) if shutil.which(tool) else None
    sui = programs["sui"]
    found["libsui"] = shell("{} payload {} {} {} > /dev/null", sui, host, payload, out) if sui else None
    found["LIEF (Python)"] = None
    try:
        import lief  # noqa: F401  pylint: disable=unused-import
        script = work / "add_section.py"
        script.write_text(LIEF_SCRIPT)
        found["LIEF (Python)"] = shell("{} {} {} {} {}", sys.executable, script, host, payload, out)
    except ImportError:
        pass
    return found


def embed_command(programs: dict, params: pathlib.Path, out: pathlib.Path, codec: str, host: pathlib.Path | None = None) -> tuple:
    return (programs["pannier"], "embed", host or programs["host"], "--params", params, "-o", out, "--codec", codec, "-q")


def on_clean_disk(command: tuple, work: pathlib.Path) -> Callable[[], measuring.Cost]:
    """What others have written is on the disk before, and the output is new."""

    def once() -> measuring.Cost:
        (work / "out.so").unlink(missing_ok=True)
        os.sync()
        return measuring.run(*command, folder=work)

    return once


def compare(programs: dict, work: pathlib.Path, size: int, rounds: int, only: tuple[str, ...] = ()) -> dict:
    payload = weights.write_params(work / "noise.params", "fp32", 64, weights.noise(64, size // 64))
    commands = {name: command for name, command in contestants(programs, work, payload).items() if not only or name in only}
    there = {name: on_clean_disk(command, work) for name, command in commands.items() if command}
    costs = measuring.in_turns(there, rounds, 12)
    payload.unlink()
    (work / "out.so").unlink(missing_ok=True)
    return {"bytes": size, "tools": {name: measuring.least(costs[name]) if command else None for name, command in commands.items()}}


def growth(programs: dict, work: pathlib.Path, steps: list[tuple[int, int]], rounds: int) -> list[dict]:
    """Each codec on so many tensors of so many bytes."""
    rows = []
    for count, size in steps:
        params = weights.write_params(work / "growth.params", "fp32", count, weights.gaussian(count, size))
        commands = {codec: on_clean_disk(embed_command(programs, params, work / "out.so", codec), work) for codec in CODECS}
        costs = measuring.in_turns(commands, rounds, 4)
        rows.append({"tensors": count, "bytes": count * size, "codecs": {codec: measuring.least(costs[codec]) for codec in CODECS}})
        params.unlink()
    (work / "out.so").unlink(missing_ok=True)
    return rows


def into_large_host(programs: dict, work: pathlib.Path, rounds: int) -> dict | None:
    """The compiler's own library of apache-tvm, if it is there: a host of a few hundred MB."""
    libraries = [path for folder in sys.path for path in pathlib.Path(folder).glob("tvm/**/libtvm*.so")]
    if not libraries:
        return None
    host = max(libraries, key=lambda path: path.stat().st_size)
    out = work / "out.so"
    text = f"cat {shlex.quote(str(host))} {shlex.quote(str(programs['params']))} > {out} && sync {out}"
    commands = {"cat": ("sh", "-c", text), "pannier": embed_command(programs, programs["params"], out, "auto", host)}
    costs = measuring.in_turns({name: on_clean_disk(command, work) for name, command in commands.items()}, rounds, 6)
    out.unlink(missing_ok=True)
    return {"host": host.name, "bytes": host.stat().st_size, "tools": {name: measuring.least(costs[name]) for name in commands}}


def measure(programs: dict, work: pathlib.Path, quick: bool, note: Callable[[str], None]) -> dict:
    results = {}
    note("embedding: against others")
    results["compared"] = compare(programs, work, 4 * MIB if quick else 512 * MIB, 2 if quick else 5)
    note("embedding: large payload")
    results["large"] = compare(programs, work, 8 * MIB if quick else 1024 * MIB, 2 if quick else 7,
                               ("cat", "pannier --codec store"))
    note("embedding: growth")
    counts = [10, 100] if quick else [100, 1000, 10_000, 100_000]
    results["payload"] = growth(programs, work, [(10, count * SMALL // 10) for count in counts], 2 if quick else 3)
    results["tensors"] = growth(programs, work, [(count, SMALL) for count in counts], 2 if quick else 3)
    results["host"] = None if quick else into_large_host(programs, work, 3)
    return results
