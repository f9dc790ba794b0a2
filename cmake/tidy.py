#!/usr/bin/env python3
"""Runs clang-tidy over all sources of a build; those of the products several at a time as one, since most of its time goes into headers.

usage: tidy.py BUILD_FOLDER

Sources that are compiled with the same flags are put together, as long as what they define does not collide (unnamed namespaces are
one then); tests' mostly does. The analyzer follows what goes into the products alone: tests run, and under sanitizers.
"""
import collections
import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

MOST_TOGETHER = 8
ROOT = pathlib.Path(__file__).resolve().parents[1]
HEADERS = rf"^{ROOT}/((src|embedder|loader|tests)/.*\.(h|cc)|include/pannier/([^p]|p[^a])[^/]*\.h)$"


def flags_of(entry):
    """What the compiler is told, but for input and output."""
    words = shlex.split(entry["command"])
    start = next(i for i, word in enumerate(words) if word.startswith("-"))
    flags = []
    rest = iter(words[start:])
    for word in rest:
        if word in ("-o", "-MF", "-MT"):
            next(rest)
        elif word not in ("-c", "-MD", "-Werror", entry["file"]):
            flags.append(word)
    return (*flags, "-Wno-unknown-warning-option")


def sources_by_flags(build):
    groups = collections.defaultdict(list)
    seen = set()
    for entry in json.loads((build / "compile_commands.json").read_text(encoding="utf-8")):
        path = entry["file"]
        if path in seen or path.startswith(f"{build}/"):
            continue
        seen.add(path)
        is_test = path.startswith(f"{ROOT}/tests/")
        groups[(is_test, pathlib.Path(path).suffix, flags_of(entry))].append(path)
    return groups


class Runner:
    def __init__(self, build, folder):
        self.build, self.folder, self.count = build, folder, 0

    def together(self, paths, suffix):
        if len(paths) == 1:
            return paths[0]
        self.count += 1
        source = pathlib.Path(self.folder, f"{self.count}-{os.path.basename(paths[0])}").with_suffix(suffix)
        source.write_text("".join(f'#include "{path}"\n' for path in paths), encoding="utf-8")
        return str(source)

    def check(self, is_test, suffix, flags, paths):
        """What clang-tidy says of these sources; empty when that is nothing."""
        source = self.together(paths, suffix)
        if len(paths) > 1:
            compiler = "clang" if suffix == ".c" else "clang++"
            if subprocess.run([compiler, *flags, "-w", "-fsyntax-only", source], capture_output=True, check=False).returncode != 0:
                half = len(paths) // 2
                return self.check(is_test, suffix, flags, paths[:half]) + self.check(is_test, suffix, flags, paths[half:])
        command = ["clang-tidy", "--quiet"]
        if len(paths) == 1:  # its folder may have settings of its own
            command += ["-p", str(self.build), *(["--checks=-clang-analyzer-*"] if is_test else []), source]
        else:  # sources that are included are no headers
            command += [f"--config-file={ROOT}/.clang-tidy", f"--header-filter={HEADERS}",
                        "--checks=-bugprone-suspicious-include,-google-global-names-in-headers", source, "--", *flags]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0 and not done.stdout.strip():
            return ""
        return done.stdout + "".join(line for line in done.stderr.splitlines(True) if "warnings generated" not in line)


def step(is_test):
    return 1 if is_test else MOST_TOGETHER


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    findings = ""
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runner = Runner(build, folder)
        jobs = [pool.submit(runner.check, is_test, suffix, flags, paths[at : at + step(is_test)])
                for (is_test, suffix, flags), paths in sources_by_flags(build).items()
                for at in range(0, len(paths), step(is_test))]
        for job in jobs:
            found = job.result()
            print(found, end="", flush=True)
            findings += found
    sys.exit(1 if findings else 0)


main()
