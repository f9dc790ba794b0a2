#!/usr/bin/env python3
"""What pannier says to words that it does not know.

usage: tests/command_line_test.py PANNIER DATA

Exit status: 0 all as expected; 1 not.
"""

import pathlib
import subprocess
import sys
import tempfile

pannier, data = sys.argv[1], pathlib.Path(sys.argv[2])

# Words -> the message, without "pannier: "; where words cannot be parsed, with "; see `pannier --help`" behind it.
UNKNOWN_WORDS = {
    "emebd lib.so": "unknown command emebd (did you mean embed?)",
    "Inspect lib.so": "unknown command Inspect (did you mean inspect?)",
    "strip lib.so": "unknown command strip",
    "--versoin": "unknown option --versoin (did you mean --version?)",
    "embed --param x lib.so": "unknown option --param (did you mean --params?)",
    "embed lib.so --parms=x": "unknown option --parms (did you mean --params?)",
    "embed lib.so --zip": "unknown option --zip",
    "extract model.so --otuput .": "unknown option --otuput (did you mean --output?)",
    "embed lib.so --codec ztsd": "--codec: found ztsd, expected auto|store|zstd|planes (did you mean zstd?)",
    "embed lib.so --codec lzma": "--codec: found lzma, expected auto|store|zstd|planes",
    "embed lib.so --codec 2": "--codec: found 2, expected auto|store|zstd|planes",
    "embed": "HOST is required",
}

failures = 0


def expect(words, message):
    global failures
    done = subprocess.run([pannier, *words], capture_output=True, text=True)
    found = (done.returncode, done.stdout, done.stderr)
    expected = (2, "", f"pannier: {message}\n")
    if found != expected:
        failures += 1
        print(f"FAILED  {' '.join(words)}: found {found}, expected {expected}")


def main():
    for words, message in UNKNOWN_WORDS.items():
        expect(words.split(), message + "; see `pannier --help`")
    with tempfile.TemporaryDirectory() as folder:
        bundle = pathlib.Path(folder, "model.so")
        subprocess.run([pannier, "embed", data / "linux-x86_64/lib.so", "--graph", data / "graph.json", "--params", data / "params.bin",
                        "-o", bundle, "--codec", "store", "--quiet"], check=True)
        known = 'it has "graph", "params"'
        expect(["extract", str(bundle), "param", "-o", folder], f'{bundle}: no artifact "param" (did you mean "params"?); {known}')
        expect(["extract", str(bundle), "labels", "-o", folder], f'{bundle}: no artifact "labels"; {known}')
    print(f"{len(UNKNOWN_WORDS) + 2} command lines, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
