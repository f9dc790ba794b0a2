#!/usr/bin/env python3
"""`pannier extract --as npz` and `--as safetensors`, read by NumPy, Python's zipfile and safetensors' own library.

usage: tests/export_test.py PANNIER DATA

The judges come from PyPI, once, into build/deps. Exit status: 0 all as expected; 1 not; 4 the judges are not to be had, nothing was tested.
"""

import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import zipfile

import own_python
import params_file

# NumPy's and safetensors' names of types, by DLPack's code, bits and lanes. None: the format has no such type.
TYPES = {
    (0, 8, 1): ("|i1", "I8"),
    (0, 16, 1): ("<i2", "I16"),
    (0, 32, 1): ("<i4", "I32"),
    (0, 64, 1): ("<i8", "I64"),
    (1, 8, 1): ("|u1", "U8"),
    (1, 16, 1): ("<u2", "U16"),
    (1, 32, 1): ("<u4", "U32"),
    (1, 64, 1): ("<u8", "U64"),
    (2, 16, 1): ("<f2", "F16"),
    (2, 32, 1): ("<f4", "F32"),
    (2, 64, 1): ("<f8", "F64"),
    (1, 1, 1): ("|b1", "BOOL"),
    (6, 8, 1): ("|b1", "BOOL"),
    (5, 64, 1): ("<c8", "C64"),
    (5, 128, 1): ("<c16", None),
    (4, 16, 1): ("|V2", "BF16"),
    (10, 8, 1): ("|V1", "F8_E4M3"),
    (12, 8, 1): ("|V1", "F8_E5M2"),
    (8, 8, 1): ("|V1", None),
    (14, 8, 1): ("|V1", None),
    (7, 8, 1): (None, None),
    (0, 4, 1): (None, None),
    (1, 4, 1): (None, None),
    (3, 64, 1): (None, None),
    (2, 16, 4): (None, None),
    (2, 128, 1): (None, None),
    (17, 4, 1): (None, None),
}
SHAPES = [(), (0,), (3, 0, 2), (1,), (7,), (2, 3, 5), (1,) * 32]

if not own_python.run_by("export", ["numpy", "ml_dtypes", "safetensors"]):
    print("export_test.py: NumPy and safetensors cannot be installed; nothing was tested")
    sys.exit(4)

import ml_dtypes
import numpy
import safetensors
import safetensors.numpy

pannier, data = sys.argv[1], pathlib.Path(sys.argv[2])
checks, failures = 0, 0
noise = random.Random(1)


def check(name, wrong):
    global checks, failures
    checks += 1
    if wrong:
        failures += 1
        print(f"FAILED  {name}: {str(wrong)[:2000]}")


def pack(tensors):
    """The .params file of {name: (kind, shape, bytes)}"""
    return params_file.pack((name, *rest) for name, rest in tensors.items())


def tensor(kind, shape):
    size = (kind[1] * kind[2] + 7) // 8
    for dimension in shape:
        size *= dimension
    if kind in ((1, 1, 1), (6, 8, 1)):
        return kind, shape, bytes(noise.randrange(2) for _ in range(size))
    return kind, shape, noise.randbytes(size)


def run(*words):
    return subprocess.run([pannier, *map(str, words)], capture_output=True)


class Bundle:
    def __init__(self, folder, name, tensors, *options):
        self.path = folder / f"{name}.so"
        self.folder = folder / name
        (folder / "params").write_bytes(pack(tensors))
        subprocess.run([pannier, "embed", data / "linux-x86_64/lib.so", "--params", folder / "params", "--graph", data / "graph.json", "-o",
                        self.path, "--quiet", *options], check=True)
        self.tensors = tensors

    def extract(self, kind, *words):
        done = run("extract", self.path, *words, "-o", self.folder, "--as", kind)
        return self.folder / f"{self.path.stem}.{kind}", done

    def is_refused(self, kind, why):
        """With a message, before anything is written."""
        _, done = self.extract(kind)
        message = f"pannier: {self.path}: --as {kind}: {why}"
        check(f"{kind} refuses", (done.returncode != 2 or message not in done.stderr.decode() or self.folder.exists()) and (done, message))


def check_npz(bundle):
    path, done = bundle.extract("npz")
    check("npz", (done.returncode, done.stderr) != (0, b"") and done)
    with zipfile.ZipFile(path) as archive:
        check("npz: checksums", archive.testzip())
        check("npz: members", {(info.compress_type, info.filename.endswith(".npy")) for info in archive.infolist()} > {(0, True)})
    with numpy.load(path, allow_pickle=False) as arrays:
        check("npz: names", list(arrays.files) != list(bundle.tensors) and arrays.files)
        for name, (kind, shape, content) in bundle.tensors.items():
            array = arrays[name]
            found, expected = (array.dtype, array.shape, array.tobytes()), (numpy.dtype(TYPES[kind][0]), shape, content)
            check(f"npz: {name} {kind} {shape}", found != expected and (found, expected))
            if kind == (4, 16, 1):
                floats = array.view(ml_dtypes.bfloat16).astype("f4").tobytes()
                widened = b"".join(b"\0\0" + content[i:i + 2] for i in range(0, len(content), 2))
                check("npz: bfloat16", numpy.frombuffer(floats, "u4").tolist() != numpy.frombuffer(widened, "u4").tolist() and
                      not numpy.array_equal(numpy.frombuffer(floats, "f4"), numpy.frombuffer(widened, "f4"), equal_nan=True))


def check_safetensors(bundle):
    path, done = bundle.extract("safetensors")
    check("safetensors", (done.returncode, done.stderr) != (0, b"") and done)
    blob = path.read_bytes()
    arrays = dict(safetensors.deserialize(blob))
    check("safetensors: names", set(arrays) != set(bundle.tensors) and arrays.keys())
    for name, (kind, shape, content) in bundle.tensors.items():
        found = (arrays[name]["dtype"], tuple(arrays[name]["shape"]), bytes(arrays[name]["data"]))
        expected = (TYPES[kind][1], shape, content)
        check(f"safetensors: {name} {kind} {shape}", found != expected and (found, expected))
    size = struct.unpack("<Q", blob[:8])[0]
    for name, entry in json.loads(blob[8:8 + size]).items():
        width = bundle.tensors[name][0][1] // 8 or 1
        check("safetensors: alignment", (8 + size + entry["data_offsets"][0]) % width and (name, entry))
    # What NumPy has as types of its own also comes through the library's reader of files.
    with safetensors.safe_open(path, framework="np") as file:
        for name, (kind, shape, content) in bundle.tensors.items():
            if TYPES[kind][0][1] in "iuf":
                check(f"safe_open: {name}", (array := file.get_tensor(name)).tobytes() != content or array.dtype != TYPES[kind][0])
    piped = run("extract", bundle.path, "params", "-o", "-", "--as", "safetensors")
    check("safetensors: to a pipe", (piped.returncode != 0 or piped.stdout != blob) and piped.stderr)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        every = {f"{kind}{shape}": tensor(kind, shape) for kind in TYPES for shape in SHAPES}
        extra = {
            "weights/größe 重み": tensor((2, 32, 1), (2, 2)),
            "": tensor((2, 32, 1), (2,)),
            "it's \"quoted\"": tensor((0, 8, 1), (3,)),
            "dense/kernel:0": tensor((0, 8, 1), (3,)),
            "..hidden": tensor((0, 8, 1), (3,)),
            "large": ((2, 32, 1), (3000, 1000), (noise.randbytes(2) + b"\x80\x3f") * 3000000),  # several windows of chunks
        }
        for codec in ("auto", "store"):
            npz = {name: one for name, one in every.items() if TYPES[one[0]][0]}
            check_npz(Bundle(folder, f"npz-{codec}", {**npz, **extra}, "--codec", codec))
            known = {name: one for name, one in every.items() if TYPES[one[0]][1]}
            check_safetensors(Bundle(folder, f"safetensors-{codec}", {**known, **extra}, "--codec", codec))
        check_npz(Bundle(folder, "none", {}))
        check_safetensors(Bundle(folder, "no-safetensors", {}))
        many = Bundle(folder, "many", {f"p{i}": tensor((0, 8, 1), (1,)) for i in range(66000)})  # ZIP64, by their number
        path, _ = many.extract("npz")
        with zipfile.ZipFile(path) as archive:
            found = [archive.read(info)[-1:] for info in archive.infolist()]
        check("npz: many", found != [content for _, _, content in many.tensors.values()])

        for kind, names in TYPES.items():
            for format, type_name in zip(("npz", "safetensors"), names):
                if type_name is None:
                    Bundle(folder, "odd", {"sound": tensor((0, 8, 1), (1,)), "odd one": tensor(kind, (2,))}).is_refused(
                        format, 'tensor "odd one": dtype: found ')
        for bad in ("../up", "a/../b", "..", "/root", "C:/windows", "a\\b"):
            Bundle(folder, "bad", {bad: tensor((0, 8, 1), (1,))}).is_refused("npz", f'tensor "{bad}": name: found ' if "\\" not in bad else "tensor ")
        Bundle(folder, "twice", {"a": tensor((0, 8, 1), (1,)), "a.npy": tensor((0, 8, 1), (1,))}).is_refused("npz", 'tensor "a.npy": name: ')
        Bundle(folder, "metadata", {"__metadata__": tensor((0, 8, 1), (1,))}).is_refused("safetensors", 'tensor "__metadata__": found ')

        sound = Bundle(folder, "sound", {"a": tensor((0, 8, 1), (1,))})
        for words, message in {
            ("graph", "-o", folder / "x", "--as", "npz"): "--as: found no params",
            ("params", "-o", "-", "--as", "npz"): "`-o -` with --as npz",
            ("params", "-o", folder / "x", "--as", "npy"): "--as: found npy, expected params|npz|safetensors (did you mean npz?)",
        }.items():
            done = run("extract", sound.path, *words)
            check(message, (done.returncode != 2 or message not in done.stderr.decode() or done.stdout) and done)
        _, done = sound.extract("npz", "params", "--json")
        check("--json", (found := json.loads(done.stdout)["files"][0])["bytes"] != pathlib.Path(found["file"]).stat().st_size and found)
        (folder / "params").write_bytes(b"no params")
        run("embed", data / "linux-x86_64/lib.so", "--params", folder / "params", "-o", folder / "blob.so")
        done = run("extract", folder / "blob.so", "-o", folder / "x", "--as", "npz")
        check("a blob", b"--as: artifact \"params\": found a blob, expected tensors" not in done.stderr and done)
    print(f"{checks} checks, {failures} failed; NumPy {numpy.__version__}, safetensors {safetensors.__version__}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
