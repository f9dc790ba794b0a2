#!/usr/bin/env python3
"""The interface of the loader is no less than it was: every declaration of the C interface, and every symbol of the shared library.

usage: abi_test.py LIBRARY            compares with tests/golden/interface-0.1.txt, which never loses a line
       abi_test.py LIBRARY --write    writes it anew, with what was added; refused where something is missing
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden" / "interface-0.1.txt"


def declarations():
    """Of pannier.h, a line each: functions, fields with their structs and numbers, enumerators. Fields and enumerators keep their order."""
    text = subprocess.run(["cc", "-E", "-P", "-I", ROOT / "include", "-x", "c", "-"], input='#include "pannier/pannier.h"', text=True,
                          capture_output=True, check=True).stdout
    text = re.sub(r"__attribute__ *\(\(.*?\)\)+", "", re.sub(r"\s+", " ", text))
    lines = []
    for body, name in re.findall(r"typedef struct \w+ \{(.*?)\} (\w+);", text):
        lines += [f"struct {name} {number}: {part.strip()}" for number, part in enumerate(body.split(";")) if part.strip()]
    for body in re.findall(r"enum \{(.*?)\}", text):
        lines += [f"enum {part.strip()}" for part in body.split(",") if part.strip().startswith("PANNIER_")]
    lines += [f"function {found}" for found in re.findall(r"[;}] ?((?:\w+ )*\w+\*? pannier_\w+\([^;{}]*?\)) ?(?=;)", text)]
    return lines


def symbols(library):
    """Without versions and addresses; C++ ones as the compiler wrote them, since they hold the arguments' types."""
    listed = subprocess.run(["nm", "-D", "--defined-only", library], text=True, capture_output=True, check=True).stdout
    names = {line.split()[2].split("@")[0] for line in listed.splitlines()}
    return [f"symbol {name}" for name in sorted(names) if name.startswith("pannier_") or "7pannier" in name]


def main():
    found = declarations() + symbols(sys.argv[1])
    kinds = [sum(line.startswith(kind) for line in found) for kind in ("struct", "enum", "function", "symbol")]
    assert min(kinds) > 10, f"found too few declarations or symbols: {kinds}"
    # A C function that is declared is there, and the other way round.
    declared = {re.search(r"(pannier_\w+)\(", line)[1] for line in found if line.startswith("function")}
    shown = {line.split()[1] for line in found if line.startswith("symbol pannier_")}
    assert declared == shown, declared ^ shown
    golden = GOLDEN.read_text(encoding="utf-8").splitlines() if GOLDEN.exists() else []
    missing = [line for line in golden if line not in found]
    if missing:
        sys.exit("\n".join(["the interface has lost:", *missing]))
    added = [line for line in found if line not in golden]
    if sys.argv[2:] == ["--write"]:
        GOLDEN.write_text("\n".join(golden + added) + "\n", encoding="utf-8")
    print(f"{len(golden)} declarations and symbols: all there; {len(added)} more")


main()
