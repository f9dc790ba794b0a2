#!/usr/bin/env python3
"""docs/errors.md says of each error code what the headers, the Python package and the texts say. usage: errors_test.py"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def main():
    cpp = {name: int(number) for name, number in re.findall(r"^  (k\w+) = (\d+),", read("include/pannier/error.h"), re.M)}
    c = {name: int(number) for name, number in re.findall(r"^  (PANNIER_(?:OK|ERROR_\w+)) = (\d+)", read("include/pannier/pannier.h"), re.M)}
    enum = re.search(r"class ErrorCode\(enum.IntEnum\):(.*?)\n\n\n", read("loader/python/pannier/_library.py"), re.S)[1]
    python = {"None": 0, **{name: int(number) for name, number in re.findall(r"^    ([A-Z_]+) = (\d+)", enum, re.M)}}
    texts = dict(re.findall(r"case ErrorCode::(k\w+):\n +return \"(.*)\";", read("src/error.cc")))
    page = read("docs/errors.md")
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| `(\w+)` \| `(\w+)` \| (.*) \|$", page, re.M)
    expected = [(str(number), name, next(n for n, value in c.items() if value == number),
                 next(n for n, value in python.items() if value == number), texts[name]) for name, number in cpp.items()]
    assert len(cpp) == len(c) == len(python) == len(texts) > 13, (cpp, c, python, texts)
    assert rows == expected, f"docs/errors.md:\n  found    {rows}\n  expected {expected}"
    sections = re.findall(r"^## (\d+): (\w+)\n\nCause: .+?\nCure: .+?(?=\n\n## |\Z)", page, re.M | re.S)
    assert [(int(number), name) for number, name in sections] == [(n, name) for name, n in cpp.items() if n != 0], sections
    # A code that nobody gives needs no page; one that is given and has none cannot be: rows and sections are complete.
    sources = "".join(path.read_text(encoding="utf-8") for folder in ("src", "loader", "embedder") for path in (ROOT / folder).rglob("*.cc"))
    unused = [name for name in cpp if name not in ("kOk",) and sources.count(f"ErrorCode::{name}") < 2]
    assert not unused, f"given by nothing: {unused}"
    print(f"{len(rows)} codes: ok")


if __name__ == "__main__":
    sys.exit(main())
