#!/usr/bin/env python3
"""Bundles that version 1 of the format wrote, as today's command reads them: every artifact, every byte, and the host back.

usage: golden_test.py PANNIER
"""
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

GOLDEN = pathlib.Path(__file__).resolve().parent / "golden"


def run(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, check=False)
    assert done.returncode == 0, f"{words}: status {done.returncode}: {done.stderr.decode()}"
    return done.stdout


def main():
    pannier = sys.argv[1]
    expected = json.loads((GOLDEN / "expected.json").read_text())
    bundles = {path.name for path in GOLDEN.iterdir() if path.suffix in (".so", ".dylib", ".dll")}
    assert bundles == set(expected) and len(bundles) >= 14, bundles ^ set(expected)
    with tempfile.TemporaryDirectory() as folder:
        for name, artifacts in expected.items():
            bundle = GOLDEN / name
            run(pannier, "verify", bundle)
            run(pannier, "verify", "--image", bundle)
            shown = json.loads(run(pannier, "inspect", "--json", bundle))
            found = {artifact["name"]: artifact["sha256"] for artifact in shown["artifacts"]}
            assert found == artifacts, f"{name}: found {found}, expected {artifacts}"
            for artifact, digest in artifacts.items():
                content = run(pannier, "extract", bundle, artifact, "-o", "-")
                assert hashlib.sha256(content).hexdigest() == digest, f"{name}: {artifact}"
            host = pathlib.Path(folder, "host")
            run(pannier, "restore", bundle, "-o", host)
            # Of a fat file the host's digest is of a slice.
            if hashlib.sha256(host.read_bytes()).hexdigest() != shown["host_sha256"]:
                assert "fat" in name, name
            run(pannier, "view", bundle, "--no-graphviz", "-o", pathlib.Path(folder, "page.html"))
            run(pannier, "diff", bundle, bundle)
    print(f"{len(expected)} golden bundles: ok")


main()
