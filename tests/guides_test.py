#!/usr/bin/env python3
"""The guides in docs/guides, followed to the letter: each in a clean folder with relay.build's three files.

usage: tests/guides_test.py BUILD_DIR DATA_DIR [GUIDE...]

Blocks marked sh are run, one after another, with -e; a block behind `<!-- file: NAME -->` is written to that file; all others (yaml,
Python that needs TVM) are for reading. On PATH are pannier and Python with the package; CMake finds an installed pannier. `factory.so` is what TVM's export_library
would write, made by the C compiler.

Exit status: 0 all went well; 1 not.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(?:^<!-- file: (?P<file>\S+) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S)


def install(build, folder):
    """The build as an installation; its loader and command are the ones built."""
    prefix = folder / "installed"
    subprocess.run(["cmake", "--install", build, "--prefix", prefix], check=True, stdout=subprocess.DEVNULL)
    return prefix


def make_factory(pannier, data, folder):
    """A library as TVM links it: the host's code is not there, but the blob is where TVM has it, in the library's own data."""
    bundle = folder / "bundle.so"
    subprocess.run([pannier, "embed", data / "linux-x86_64" / "lib.so", "--graph", data / "graph.json", "--params", data / "params.bin",
                    "--as-factory", "-q", "-o", bundle], check=True)
    subprocess.run(["objcopy", "--dump-section", f".tvm.factory={folder / 'blob'}", bundle, os.devnull], check=True)
    source = folder / "factory.s"
    source.write_text(f'.section .rodata\n.globl __tvm_dev_mblob\n.type __tvm_dev_mblob, @object\n__tvm_dev_mblob: .incbin "{folder / "blob"}"\n'
                      ".size __tvm_dev_mblob, . - __tvm_dev_mblob\n.section .note.GNU-stack\n")
    subprocess.run(["gcc", "-shared", "-o", folder / "factory.so", source], check=True)
    return folder / "factory.so"


def follow(guide, folder, environment):
    """Runs a guide; what went wrong, or None."""
    ran = 0
    for block in BLOCK.finditer(guide.read_text()):
        if block["file"]:
            (folder / block["file"]).write_text(block["text"])
        elif block["language"] == "sh":
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", block["text"]], cwd=folder, env=environment, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            ran += 1
            if done.returncode != 0:
                return f"status {done.returncode} of\n{block['text']}{done.stdout[-2000:]}"
    return None if ran else "found nothing to run"


def main():
    if len(sys.argv) < 3:
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 2
    build, data = (pathlib.Path(word).resolve() for word in sys.argv[1:3])
    guides = sorted((ROOT / "docs" / "guides").glob("*.md"))
    guides = [guide for guide in guides if len(sys.argv) == 3 or guide.stem in sys.argv[3:]]
    failed = 0
    with tempfile.TemporaryDirectory(prefix="pannier-guides-") as name:
        work = pathlib.Path(name)
        prefix = install(build, work)
        factory = make_factory(build / "embedder" / "pannier", data, work)
        python = ROOT / "build" / "deps" / "python" / "venv" / "bin"
        environment = {**os.environ, "PATH": f"{prefix / 'bin'}:{python}:{os.environ['PATH']}", "CMAKE_PREFIX_PATH": str(prefix),
                       "PYTHONPATH": str(ROOT / "loader" / "python"), "PYTHONDONTWRITEBYTECODE": "1", "PANNIER": str(ROOT),
                       "PANNIER_EXECUTABLE": str(prefix / "bin" / "pannier"), "PANNIER_LIBRARY": str(build / "tests" / "libpannier_python_loader.so")}
        for guide in guides:
            folder = work / guide.stem
            folder.mkdir()
            for source in (data / "linux-x86_64" / "lib.so", data / "graph.json", data / "params.bin", factory):
                shutil.copyfile(source, folder / source.name)
            problem = follow(guide, folder, environment)
            failed += problem is not None
            print(f"{'ok' if problem is None else 'FAILED':8}{guide.stem}{'' if problem is None else ': ' + problem}", flush=True)
    return 1 if failed or not guides else 0


if __name__ == "__main__":
    sys.exit(main())
