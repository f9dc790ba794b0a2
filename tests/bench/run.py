#!/usr/bin/env python3
"""Benchmarks, all of them: embedding, codecs, loading and trust against those that others use, as a page with tables and plots.

usage: tests/bench/run.py BUILD_DIR [--quick] [--out DIR] [--work DIR] [--only PART]... [--report]

Writes OUT/benchmarks.md, OUT/benchmarks/*.svg and OUT/benchmarks/results.json (OUT: docs/). BUILD_DIR should be a release build.
What pannier is compared with is installed by pip and cargo into the work folder (BUILD_DIR/../bench), by name; who cannot be
had is listed as not there. Files of some gigabytes come and go there. It takes some ten minutes, and three more the first time.

  --quick      little data, nothing is installed, docs/ is not touched (OUT: the work folder): whether the benchmarks work at all
  --only PART  embedding, codecs, loading or trust; the results of the others stay as they are
  --report     page and plots made anew from the results and OUT/benchmarks/notes.md, nothing is run

Nothing is asserted of time. Exit status: 0 done; 1 something failed, or decoded to other bytes; 2 bad usage.
"""

import argparse
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import time

BENCH = pathlib.Path(__file__).resolve().parent
REPOSITORY = BENCH.parents[1]
MODEL = BENCH.parent / "data" / "mlp"
PARTS = ("embedding", "codecs", "loading", "trust")


def describe_machine(work: pathlib.Path, pannier: pathlib.Path) -> dict[str, str]:

    def first(path: str, pattern: str) -> str:
        try:
            match = re.search(pattern, pathlib.Path(path).read_text())
        except OSError:
            match = None
        return match[1].strip() if match else "unknown"

    flags = set(first("/proc/cpuinfo", r"flags\s*: (.*)").split())
    notable = [flag for flag in ("avx2", "avx512f", "bmi2", "sha_ni") if flag in flags]
    cpu, family, model = (first("/proc/cpuinfo", name + r"\s*: (.*)") for name in ("model name", "cpu family", "model"))
    memory = int(first("/proc/meminfo", r"MemTotal:\s*(\d+)")) / (1 << 20)
    file_system = subprocess.run(["df", "--output=fstype", str(work)], capture_output=True, text=True).stdout.split()[-1]
    commit = subprocess.run(["git", "-C", str(REPOSITORY), "log", "-1", "--format=%h"], capture_output=True,
                            text=True).stdout.strip()
    system = first("/etc/os-release", 'PRETTY_NAME="(.*)"')
    return {
        "CPU": f"{cpu} (family {family}, model {model}; {', '.join(notable)})" + (", virtual" if "hypervisor" in flags else ""),
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.1f} GiB",
        "system": f"{system}, {platform.system()} {platform.release()}",
        "file system": file_system,
        "huge pages": first("/sys/kernel/mm/transparent_hugepage/enabled", r"\[(.*)\]"),
        "pannier": subprocess.run([pannier, "--version"], capture_output=True, text=True).stdout.strip() + f", commit {commit}",
        "date": time.strftime("%Y-%m-%d"),
        "load at start": f"{os.getloadavg()[0]:.1f}",
    }


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="all benchmarks", usage=__doc__.split("usage: ")[1].split("\n")[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path)
    parser.add_argument("--only", action="append", choices=PARTS)
    parser.add_argument("--report", action="store_true")
    arguments = parser.parse_args()
    arguments.build = arguments.build.resolve()
    arguments.work = (arguments.work or arguments.build.parent / ("bench-quick" if arguments.quick else "bench")).resolve()
    arguments.out = (arguments.out or (arguments.work if arguments.quick else REPOSITORY / "docs")).resolve()
    return arguments


def main() -> int:
    arguments = parse_arguments()
    work, out = arguments.work, arguments.out
    programs = {
        "pannier": arguments.build / "embedder" / "pannier",
        "codec_benchmark": arguments.build / "tests" / "codec_benchmark",
        "load_benchmark": arguments.build / "tests" / "load_benchmark",
        "host": MODEL / "linux-x86_64" / "lib.so",
        "params": MODEL / "params.bin",
    }
    for path in programs.values():
        if not path.exists():
            print(f"run.py: {path}: not there; build first", file=sys.stderr)
            return 2
    started = time.monotonic()

    def note(line: str) -> None:
        print(f"[{time.monotonic() - started:6.1f} s] {line}", flush=True)

    work.mkdir(parents=True, exist_ok=True)
    import peers
    if not (arguments.quick or arguments.report) and pathlib.Path(sys.prefix) != work / "venv":
        note("installing peers")
        peers.install(work, note)
        python = peers.venv_python(work)
        os.execv(python, [str(python), *sys.argv])  # which has them

    page = out / "benchmarks.md"
    stored = out / "benchmarks" / "results.json"
    stored.parent.mkdir(parents=True, exist_ok=True)
    results = json.loads(stored.read_text()) if (arguments.only or arguments.report) and stored.exists() else {}
    if not arguments.report:
        import embedding
        import encoding
        import loading
        import trust
        results |= {"machine": describe_machine(work, programs["pannier"]), "peers": peers.versions(work), "quick": arguments.quick}
        programs["sui"] = peers.sui(work)
        scratch = work / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        for name, part in (("embedding", embedding), ("codecs", encoding), ("loading", loading),
                           ("trust", trust)):
            if name in (arguments.only or PARTS):
                results[name] = part.measure(programs, scratch, arguments.quick, note)
                stored.write_text(json.dumps(results, indent=1) + "\n")
        shutil.rmtree(scratch)
    import report
    aims = report.write(results, page)
    for aim in aims:
        note(" | ".join(aim.row()))
    note(f"written: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
