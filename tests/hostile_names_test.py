#!/usr/bin/env python3
"""Names in a bundle that would move the cursor, colour the terminal, turn text around or be markup do nothing, in no command's output.

usage: hostile_names_test.py PANNIER DATA_FOLDER
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import params_file

# Those that the format lets through as names of tensors, and those that only a graph, an artifact's content or a library may hold.
MARKUP = ["<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>", "\"><svg onload=alert(1)>", "a&amp;b", "'; --"]
TURNED = ["abc\u202ecba", "x\u2066y\u2069", "\u200frtl", "line\u2028line"]
CONTROL = ["\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "bell\x07", "back\b\b\bspace", "new\nline", "return\rline", "\x9b31m", "del\x7f"]

# Nothing of this may reach a terminal but line ends: C0, DEL, C1, marks of direction, line and paragraph separators.
FORBIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def graph(names):
    nodes = [{"op": "null", "name": name, "inputs": []} for name in names]
    nodes += [{"op": "tvm_op", "name": name, "attrs": {"func_name": name, name: name}, "inputs": [[number, 0, 0]]}
              for number, name in enumerate(names)]
    return json.dumps({"nodes": nodes, "heads": [[len(nodes) - 1, 0, 0]], "arg_nodes": []})


def main():
    pannier, data = sys.argv[1:]
    checks = 0
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        bundles = []
        for number, (tensors, nodes) in enumerate(((MARKUP + TURNED, MARKUP + TURNED + CONTROL), (["p0"], CONTROL[::-1] + ["x"]))):
            (work / "params").write_bytes(params_file.pack((name, params_file.FLOAT32, (1,), bytes(4)) for name in tensors))
            (work / "graph").write_text(graph(nodes))
            bundle = work / f"{number}.so"
            words = [pannier, "embed", f"{data}/mlp/linux-x86_64/lib.so", "--graph", work / "graph", "--params", work / "params", "-o", bundle]
            if number == 0:
                for name in MARKUP + TURNED:
                    if "/" not in name and "=" not in name:
                        words += ["--artifact", f"{name}={work / 'graph'}"]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            assert not FORBIDDEN.search(done.stdout + done.stderr), done
            bundles.append(bundle)
        commands = [["inspect", bundles[0]], ["diff", *bundles], ["diff", *bundles[::-1]], ["verify", bundles[0]],
                    ["extract", bundles[0], "-o", work / "out"], ["extract", bundles[0], "no\x1bsuch", "-o", "-"],
                    ["extract", bundles[0], "params", "--as", "npz", "-o", work / "out"],
                    ["view", bundles[0], "-o", work / "page.html"], ["inspect", "--filter", "*\u202e*", bundles[0]]]
        for command in commands:
            done = subprocess.run([pannier, *map(str, command)], capture_output=True, text=True, check=False)
            assert done.returncode in (0, 1, 2), done
            found = FORBIDDEN.search(done.stdout + done.stderr)
            assert not found, f"{command}: found {found[0]!r} in {done.stdout + done.stderr!r}"
            checks += 1
        page = (work / "page.html").read_text()
        assert not FORBIDDEN.search(page), "page"
        for name in MARKUP[:3]:
            assert name not in page, f"{name}: is markup in the page"
        # All of them are in it, as data.
        report = json.loads(re.search(r'<script type="application/json" id="report">(.*?)</script>', page, re.S)[1])
        assert {tensor["name"] for tensor in report["tensors"]} >= set(MARKUP), report["tensors"]
        # --json has names as they are, in JSON's escapes.
        shown = json.loads(subprocess.run([pannier, "inspect", "--json", bundles[0]], capture_output=True, text=True, check=True).stdout)
        tensors = next(artifact for artifact in shown["artifacts"] if artifact["name"] == "params")["tensors"]
        assert [tensor["name"] for tensor in tensors] == MARKUP + TURNED, tensors
        checks += 5
    print(f"{checks} checks: ok")


main()
