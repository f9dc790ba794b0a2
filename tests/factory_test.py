#!/usr/bin/env python3
"""Bundles that TVM takes for exports of its own (embed --as-factory): hosts with device modules, damage, and what is refused.

usage: tests/factory_test.py BUILD_DIR

What each make of ELF host becomes is elf_hosts_test.py's subject. Here hosts have a blob of device modules, as relay.build's do for
CUDA, OpenCL or Vulkan: it must be merged, and the symbol that led to it lead to the new one. The judge is factory_blob.py.

Exit status: 0 all as expected; 1 not.
"""

import pathlib
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile

import factory_blob
from caged_run import run
from elf_headers import Elf
from sweep_library import BLOB

DATA = pathlib.Path(__file__).resolve().parent / "data" / "mlp"
MODULE = b"\x07\0\0\0\0\0\0\0" + b"opaque\n"  # what a device module wrote: its own affair
# A device's source code may look like the end of a blob.
DECOY = struct.pack("<Q", 12) + b"_import_tree" + struct.pack("<QQ", 1 << 40, 1)


def string(text):
    return struct.pack("<Q", len(text)) + text


def words(*numbers):
    return struct.pack(f"<{len(numbers) + 1}Q", len(numbers), *numbers)


def blob_of(entries, *parts):
    content = struct.pack("<Q", entries) + b"".join(parts)
    return struct.pack("<Q", len(content)) + content


CUDA, OPENCL = string(b"cuda") + MODULE + DECOY, string(b"opencl") + MODULE
# The blob, all entries but the tree that the bundle must have behind the factory, and its imports then.
OWN = {
    "tree": (blob_of(4, string(b"_lib"), CUDA, OPENCL, string(b"_import_tree"), words(0, 2, 2, 2), words(1, 2)),
             string(b"_lib") + CUDA + OPENCL, [[1], [2, 3], [], []]),
    "no tree": (blob_of(2, CUDA, OPENCL), string(b"_lib") + CUDA + OPENCL, [[1], [2, 3], [], []]),
    "chain": (blob_of(4, string(b"_lib"), CUDA, OPENCL, string(b"_import_tree"), words(0, 1, 2, 2), words(1, 2)),
              string(b"_lib") + CUDA + OPENCL, [[1], [2], [3], []]),
}


class Test:
    def __init__(self, build, folder):
        self.pannier, self.bundle_probe = build / "embedder" / "pannier", build / "tests" / "bundle_probe"
        self.folder = folder
        self.failed = self.passed = self.skipped = 0

    def expect(self, name, holds, text=""):
        self.passed, self.failed = self.passed + bool(holds), self.failed + (not holds)
        print(f"{'ok' if holds else 'FAILED':8}{name}{'' if holds else ': ' + str(text)[-600:]}", flush=True)

    def skip(self, name, why):
        self.skipped += 1
        print(f"skipped {name}: {why}")

    def run(self, *command):
        return run(*command)

    def embed(self, host, out, *options):
        return self.run(self.pannier, "embed", host, "--graph", DATA / "graph.json", "--params", DATA / "params.bin", "-q", "-o", out,
                        "--as-factory", *options)

    def host(self, name, blob, compiler="gcc", *options):
        """A library with the blob under TVM's name, and a pointer to it that only a relocation fills in."""
        source, out = self.folder / "host.c", self.folder / f"{name}.so"
        numbers = ",".join(map(str, blob))
        source.write_text(f"const unsigned char {BLOB}[] = {{{numbers}}};\nconst void *const pointer = {BLOB};\n"
                          "int answer(int x) { return x + 1; }\n")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", out, source, *options], check=True)
        return out

    def address(self, path, table):
        text = self.run("readelf", "-W", f"--{table}", path).text
        found = re.findall(rf"^ *\d+: ([0-9a-f]+) +(\w+) OBJECT .* {BLOB}$", text, flags=re.M)
        return {(int(value, 16), int(size, 0)) for value, size in found}

    def blob(self, path):
        (address, size), = self.address(path, "dyn-syms")
        return factory_blob.parse(Elf(path).at(address, size))

    def check_own_blobs(self):
        graph, params = (DATA / "graph.json").read_bytes(), (DATA / "params.bin").read_bytes()
        compilers = ["gcc", "i686-linux-gnu-gcc", "powerpc-linux-gnu-gcc", "s390x-linux-gnu-gcc"]
        for compiler in compilers:
            if not shutil.which(compiler):
                self.skip(f"own blob, {compiler}", "no such compiler")
                continue
            for name, (own, others, imports) in OWN.items():
                label = f"own blob, {name}, {compiler}"
                host, bundle = self.host("own", own, compiler), self.folder / "own-bundle.so"
                done = self.embed(host, bundle)
                if not done:
                    self.expect(label, False, done.text)
                    continue
                blob = self.blob(bundle)
                self.expect(label, (blob.graph, blob.params_file(), blob.others, blob.imports()) == (graph, params, others, imports),
                            blob.imports())
                self.expect(f"{label}: all symbol tables lead there", self.address(bundle, "syms") == self.address(bundle, "dyn-syms"))
                strip = compiler.replace("-gcc", "-strip") if compiler != "gcc" else "strip"
                self.check_life(label, host, bundle, ("eu-strip", f"{strip} -s"))

    def check_life(self, label, host, bundle, tools):
        done = self.run(self.pannier, "verify", bundle)
        self.expect(f"{label}: verify", done, done.text)
        restored = self.folder / "restored"
        self.run(self.pannier, "restore", bundle, "-o", restored, "-q")
        self.expect(f"{label}: restore", restored.read_bytes() == host.read_bytes())
        again = self.folder / "again.so"
        shutil.copy(bundle, again)
        done = self.embed(again, again, "--force")
        self.expect(f"{label}: embed --force", again.read_bytes() == bundle.read_bytes(), done.text)
        before = self.blob(bundle)
        for tool in tools:
            stripped = self.folder / "stripped.so"
            shutil.copy(bundle, stripped)
            self.run(*tool.split(), stripped)
            done = self.run(self.pannier, "verify", "--image", stripped)
            self.expect(f"{label}, {tool}: verify --image", done, done.text)
            self.expect(f"{label}, {tool}: the blob", self.blob(stripped) == before)

    def check_artifacts(self):
        """Files come out as they went in, also beside TVM's blob."""
        bundle, out = self.folder / "model.so", self.folder / "out"
        notes = self.folder / "notes.txt"
        notes.write_text("beside the blob")
        done = self.embed(DATA / "linux-x86_64" / "lib.so", bundle, "--artifact", f"notes={notes}")
        self.expect("embed with another artifact", done, done.text)
        done = self.run(self.pannier, "extract", bundle, "-o", out, "-q")
        same = all((out / name).read_bytes() == source.read_bytes() for name, source in
                   (("model.json", DATA / "graph.json"), ("model.params", DATA / "params.bin"), ("notes", notes)))
        self.expect("extract", same, done.text)
        if not self.run(self.bundle_probe, "mapped", bundle, DATA / "graph.json", DATA / "params.bin"):
            self.expect("LoadBundle", False)
        old = self.folder / "old.so"
        self.embed(DATA / "linux-x86_64" / "lib.so", old, "--tvm", "0.7")
        self.expect("--tvm 0.7", self.blob(old).key == b"GraphRuntimeFactory")
        self.embed(DATA / "linux-x86_64" / "lib.so", old, "--tvm", "0.19.0")
        self.expect("--tvm 0.19.0", self.blob(old).key == b"GraphExecutorFactory")

    def check_flips(self):
        """Every byte of the blob counts, what is between tensors, too; and of the tables that moved."""
        bundle, flipped = self.folder / "model.so", self.folder / "flipped.so"
        data = bytearray(bundle.read_bytes())
        (_, size), = self.address(bundle, "dyn-syms")
        blob = bytes(data).find(struct.pack("<Q", size - 8))
        tables = [(offset, length) for name, offset, _, length in Elf(bundle).sections()
                  if name in (".dynsym", ".dynstr", ".gnu.hash", ".gnu.version")]
        generator = random.Random(7)
        places = {blob + at for at in (0, 8, 16, 24, 44, size - 1, size - 20)}
        places |= {generator.randrange(blob, blob + size) for _ in range(30)}
        places |= {generator.randrange(offset, offset + length) for offset, length in tables for _ in range(10)}
        headers = [match.start() for match in re.finditer(re.escape(struct.pack("<Q", 0xDD5E40F096B4A13F)), bytes(data))]
        places |= {header + at for header in headers for at in (0, 16, 27)}
        missed = []
        for place in sorted(places):
            data[place] ^= 0x40
            flipped.write_bytes(data)
            data[place] ^= 0x40
            if self.run(self.pannier, "verify", flipped).status not in (1, 2):
                missed.append(place)
        self.expect(f"{len(places)} flips found", not missed and headers, missed)

    def check_refusals(self):
        lib, out = DATA / "linux-x86_64" / "lib.so", self.folder / "refused.so"
        opaque = self.folder / "opaque.params"
        opaque.write_bytes(b"not TVM's")
        factory = self.host("factory", self.blob_bytes())
        cases = [
            ("another codec", [lib, "--graph", DATA / "graph.json", "--as-factory", "--codec", "zstd"], "--as-factory: TVM reads tensors as"),
            ("no graph", [lib, "--params", DATA / "params.bin", "--as-factory"], "--as-factory requires --graph"),
            ("--tvm alone", [lib, "--graph", DATA / "graph.json", "--tvm", "0.7"], "--tvm requires --as-factory"),
            ("TVM 0.20", [lib, "--graph", DATA / "graph.json", "--as-factory", "--tvm", "0.20"], "expected 0.7 to 0.19"),
            ("TVM 0.7x", [lib, "--graph", DATA / "graph.json", "--as-factory", "--tvm", "0.7x"], "expected 0.7 to 0.19"),
            ("params of another kind", [lib, "--graph", DATA / "graph.json", "--params", opaque, "--as-factory"], "that are not TVM's"),
            ("a factory already", [factory, "--graph", DATA / "graph.json", "--as-factory"], "TVM loads it as it is"),
            ("a blob that is none", [self.host("none", b"\xff" * 64), "--graph", DATA / "graph.json", "--as-factory"], "module blob: size"),
        ]
        for name, arguments, text in cases:
            done = self.run(self.pannier, "embed", *arguments, "-o", out)
            self.expect(f"refused: {name}", done.status == 2 and text in done.text and not out.exists(), f"{done.status}: {done.text}")

    def blob_bytes(self):
        bundle = self.folder / "model.so"
        (address, size), = self.address(bundle, "dyn-syms")
        return Elf(bundle).at(address, size)


def main():
    if len(sys.argv) != 2:
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="pannier-factory-") as folder:
        test = Test(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(folder))
        test.check_own_blobs()
        test.check_artifacts()
        test.check_flips()
        test.check_refusals()
    print(f"{test.passed} ok, {test.failed} failed, {test.skipped} skipped")
    return 1 if test.failed else 0


if __name__ == "__main__":
    sys.exit(main())
