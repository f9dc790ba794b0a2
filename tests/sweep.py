#!/usr/bin/env python3
"""Sweep: every shared library of this machine becomes a bundle, goes through the tools that users have, and comes back.

usage: tests/sweep.py BUILD_DIR [--sample N] [--jobs N] [--as-factory] [--json FILE] [PATH...]

Of each library (ELF, ET_DYN, once per content; executables are left out) a copy is embedded into, and then
  - it loads if the bare copy does, else it fails in the same way; graph and tensors are mapped with it and intact
  - it has the same dynamic symbols, the same build id in the first page, no new finding of eu-elflint; every byte verifies
  - restored it is the same file; embedded again with --force it is the same bundle
  - after strip, llvm-strip, eu-strip and patchelf it still loads and carries the same; restoring it is refused with the reason

With --as-factory the bundles are made so that TVM takes them for its own: then the one symbol that is new leads to a blob with the
same graph and tensors, before and after the tools.

A tool may harm a library by itself. So what fails after a tool is done to the bare library, too, and is the tool's failure only if
it does the same to that: refuses it with the same words, changes the same program headers and pages of sections, or leaves it
unloadable. All else is ours. Libraries of other machines are checked without loading them, with their own strip.

Constructors of strange libraries run here. They run in a session and, where the system lets us, a process namespace of their own,
within a time limit, as the first to go when memory runs out; what they leave behind is ended. How many had to be is in the summary.

Exit status: 0 all passed; 1 something failed; 2 bad usage.
"""

import argparse
import collections
import concurrent.futures
import hashlib
import json
import os
import pathlib
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import caged_run
import params_file
from elf_headers import ET_DYN, Elf
from sweep_library import TOOLS, Library, digest, generalised

ROOTS = ["/usr", "/lib", "/lib64", "/opt", "/home", "/root", "/var/lib"]
LARGEST_IN_SAMPLE = 8 << 20

# e_machine, class and byte order of libraries that this machine's strip does not know: whose strip to take.
STRIPS = {
    (3, 1, 1): "i686-linux-gnu-strip",
    (62, 2, 1): "x86_64-linux-gnu-strip",
    (183, 2, 1): "aarch64-linux-gnu-strip",
    (40, 1, 1): "arm-linux-gnueabihf-strip",
    (243, 2, 1): "riscv64-linux-gnu-strip",
    (21, 2, 1): "powerpc64le-linux-gnu-strip",
    (20, 1, 2): "powerpc-linux-gnu-strip",
    (22, 2, 2): "s390x-linux-gnu-strip",
}


def write_payload(folder):
    """A graph and two .params files: one small, one that compresses."""
    nodes = [{"op": "null", "name": f"p{i}", "inputs": []} for i in range(20)]
    (folder / "graph.json").write_text(json.dumps({"nodes": nodes, "arg_nodes": [], "heads": [[0, 0, 0]]}))
    tensors = {
        "small": [("fc1.weight", (2, 32, 1), (17, 33), struct.pack("<561f", *((i * 7919 % 1009) / 8 - 50 for i in range(561)))),
                  ("int8", (0, 8, 1), (300,), bytes((i * 7 + 1) % 256 for i in range(300))),
                  ("scalar", (0, 64, 1), (), struct.pack("<q", -1234567890123)),
                  ("empty", (2, 32, 1), (0, 3), b"")],
        "large": [("fc1.weight", (2, 32, 1), (300, 400), struct.pack("<120000f", *((i * i % 127) / 8 - 5 for i in range(120000)))),
                  ("uint16", (1, 16, 1), (5, 7), struct.pack("<35H", *(i * 259 + 1 for i in range(35))))],
    }
    for name, entries in tensors.items():
        (folder / f"{name}.params").write_bytes(params_file.pack(entries))


def find_libraries(roots):
    """Paths of all that is named like a library and says ET_DYN, and a count of what was left out and why."""
    skipped = collections.Counter()
    libraries = []
    folders = sorted({os.path.realpath(root) for root in roots if os.path.exists(root)})
    names = ["-name", "*.so", "-o", "-name", "*.so.*", "-o", "-name", "*.node"]
    # os.walk takes ten times as long.
    found = subprocess.run(["find", *folders, "-xdev", "-type", "f", "(", *names, ")", "-print0"], stdout=subprocess.PIPE).stdout
    for path in sorted(set(os.fsdecode(found).split("\0")) - {""}):
        try:
            with open(path, "rb") as file:
                start = file.read(20)
        except OSError as error:
            skipped[f"cannot be read: {error.strerror}"] += 1
            continue
        if start[:4] != b"\x7fELF" or len(start) < 20:
            skipped["named like a library, but no ELF file"] += 1
        elif struct.unpack_from("<H" if start[5] == 1 else ">H", start, 16)[0] != ET_DYN:
            skipped["ELF, but no shared library"] += 1
        else:
            libraries.append(path)
    return libraries, skipped


def choose_libraries(paths, sample, skipped):
    """Each content once; of a sample the same N on every run."""
    chosen, contents = [], set()
    for path in sorted(paths, key=lambda name: hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()):
        if sample and len(chosen) >= sample:
            skipped["not in the sample"] += 1
        elif sample and os.path.getsize(path) > LARGEST_IN_SAMPLE:
            skipped["not in the sample: larger than 8 MiB"] += 1
        elif (content := digest(path)) in contents:
            skipped["same content as another"] += 1
        elif Elf(path).is_executable():
            skipped["position-independent executable"] += 1
        else:
            contents.add(content)
            chosen.append(path)
    return chosen


class Sweep:
    def __init__(self, build, folder, as_factory=False):
        self.folder = folder
        self.as_factory = as_factory
        # Whoever builds meanwhile does not change what is tested.
        self.pannier, self.bundle_probe = (pathlib.Path(shutil.copy(build / name, folder)) for name in
                                           ("embedder/pannier", "tests/bundle_probe"))
        self.payload = folder / "payload"
        self.payload.mkdir()
        write_payload(self.payload)

    @staticmethod
    def strip_for(key):
        name = STRIPS.get(key)
        if name and key[0] == {"x86_64": 62, "aarch64": 183}.get(os.uname().machine):
            name = "strip"
        return shutil.which(name) if name else None

    def check(self, number, path):
        start = time.monotonic()
        folder = self.folder / str(number)
        library = Library(self, number, path, folder)
        try:
            folder.mkdir()
            library.check()
        except Exception as error:  # a fault of this script is a failure, not the end
            if os.path.exists(path):
                library.fail("sweep.py", repr(error))
            else:
                library.facts["outcome"] = "gone before it was reached"
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        seconds = time.monotonic() - start
        return {"library": path, "seconds": seconds, "failures": library.failures, "tools": library.tools, **library.facts}


def print_counter(title, counter):
    print(title)
    for text, count in counter.most_common():
        print(f"  {count:6} {text}")


def report(results, skipped):
    """Prints the table; true when nothing failed."""
    total = len(results)
    print(f"\nlibraries tried: {total}")
    print_counter("outcome of embedding", collections.Counter(r.get("outcome", "not embedded") for r in results))
    for outcome in ("refused", "file only"):
        if reasons := collections.Counter(generalised(r["reason"]) for r in results if r.get("outcome") == outcome):
            print_counter(f"{outcome}, because", reasons)
    embedded = [r for r in results if r.get("outcome") in ("mapped", "file only")]
    print(f"dlopen: {sum(r['loads bare'] for r in embedded)} of {len(embedded)} load bare "
          f"({sum(r.get('stubs', False) for r in embedded)} with stand-ins for symbols of their program), "
          f"{sum(r['loads after'] for r in embedded)} with a payload")
    for tool in TOOLS:
        counts = collections.Counter(r["tools"].get(tool, "not reached") for r in embedded)
        print_counter(f"{tool}: {counts['passed']} of {len(embedded)} passed", counts)
    changed = [r["changed"] for r in embedded if r["outcome"] == "mapped"]
    if changed:
        print(f"host bytes changed (mapped): median {statistics.median(changed):g}, largest {max(changed)}")
    print_counter("skipped", skipped)
    print_counter(f"processes that did not end by themselves: {caged_run.ENDINGS.counts.total()}", caged_run.ENDINGS.counts)
    if not caged_run.HAS_NAMESPACES:
        print("constructors ran without a process namespace of their own: unshare --pid is not permitted here")
    failed = [r for r in results if r["failures"]]
    for result in failed:
        print(f"FAILED {result['library']}")
        for check, reason in result["failures"]:
            print(f"       {check}: {reason}")
    print(f"{total - len(failed)} of {total} libraries passed, {len(failed)} failed")
    return total > 0 and not failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path, help="the build folder, with pannier and bundle_probe")
    parser.add_argument("--sample", type=int, metavar="N", help="only N libraries, always the same, none larger than 8 MiB")
    parser.add_argument("--jobs", type=int, default=2, metavar="N")
    parser.add_argument("--as-factory", action="store_true", help="make bundles that TVM takes for its own")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="each library's outcome, one JSON object a line")
    parser.add_argument("paths", nargs="*", default=ROOTS, metavar="PATH", help="folders or files, instead of the whole machine")
    arguments = parser.parse_intermixed_args()
    missing = [tool for tool in ("strip", "llvm-strip", "eu-strip", "eu-elflint", "patchelf", "readelf") if not shutil.which(tool)]
    if missing:
        parser.error(f"not found: {', '.join(missing)}")

    paths, skipped = find_libraries(arguments.paths)
    chosen = choose_libraries(paths, arguments.sample, skipped)
    results = []
    with (tempfile.TemporaryDirectory(prefix="pannier-sweep-") as folder,
          open(arguments.json or os.devnull, "w", buffering=1) as log,
          concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool):
        sweep = Sweep(arguments.build.resolve(), pathlib.Path(folder), arguments.as_factory)
        for number, result in enumerate(pool.map(sweep.check, range(len(chosen)), chosen)):
            results.append(result)
            print(json.dumps(result), file=log)
            for check, reason in result["failures"]:
                print(f"FAILED {result['library']}: {check}: {reason}", file=sys.stderr)
            if sys.stderr.isatty() or number % 100 == 99:
                print(f"{number + 1} of {len(chosen)}", file=sys.stderr, end="\r" if sys.stderr.isatty() else "\n")
    return 0 if report(results, skipped) else 1


if __name__ == "__main__":
    sys.exit(main())
