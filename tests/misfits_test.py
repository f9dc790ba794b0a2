#!/usr/bin/env python3
"""What embed and inspect say where graph, params and library are not of one model. usage: misfits_test.py PANNIER MODEL_FOLDER"""
import copy
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import params_file

PANNIER, DATA = sys.argv[1], pathlib.Path(sys.argv[2])
HOST = DATA / "linux-x86_64" / "lib.so"
GRAPH = json.loads((DATA / "graph.json").read_text())


def run(*words, status=0):
    done = subprocess.run([PANNIER, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == status, (words, done)
    return done


def entries(graph):
    """Name, type and shape of each of the graph's entries; each node of this one has one."""
    attributes = graph["attrs"]
    return list(zip([node["name"] for node in graph["nodes"]], attributes["dltype"][1], attributes["shape"][1]))


def params(change=lambda name, kind, shape: (name, kind, shape)):
    """The model's params of zeroes, one by one changed."""
    inputs = [(name, shape) for node, (name, dtype, shape) in zip(GRAPH["nodes"], entries(GRAPH))
              if node["op"] == "null" and name != "data"]
    tensors = [change(name, params_file.FLOAT32, shape) for name, shape in inputs]
    for name, kind, shape in tensors:
        size = kind[1] // 8 if kind[1] > 8 else 1
        for dimension in shape:
            size *= dimension
        yield name, kind, shape, bytes(size)


def fat(path, *libraries):
    """A fat file of two libraries, arm64 and x86_64."""
    header, body, at = struct.pack(">II", 0xCAFEBABE, 2), b"", 1 << 14
    for (cpu, subtype), library in zip(((0x0100000C, 0), (0x01000007, 3)), libraries):
        data = library.read_bytes()
        header += struct.pack(">5I", cpu, subtype, at, len(data), 14)
        body += data + bytes(-len(data) % (1 << 14))
        at += len(data) + -len(data) % (1 << 14)
    path.write_bytes(header + bytes((1 << 14) - len(header)) + body)
    return path


def main():
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        bundle = work / "model.so"

        def misfits(graph=GRAPH, tensors=None, host=HOST, options=()):
            """What embed --json and inspect --json say, which is the same."""
            (work / "graph").write_text(json.dumps(graph))
            words = ["--graph", work / "graph"]
            if tensors is not None:
                (work / "params").write_bytes(params_file.pack(tensors))
                words += ["--params", work / "params"]
            words = ["embed", host, *words, "-o", bundle, *options]
            found = json.loads(run(*words, "--json").stdout)["misfits"]
            if "--as-factory" not in options:
                assert json.loads(run("inspect", bundle, "--json").stdout)["misfits"] == found
            # And people are told as much; --strict refuses, and leaves what was there.
            before = bundle.read_bytes()
            told = [line for line in run(*words).stdout.splitlines() if line.startswith("  not of one model: ")]
            assert told == [f"  not of one model: {text}" for text in found], (told, found)
            if found:
                done = run(*words, "--strict", status=2)
                assert done.stderr == f"pannier: {host}: not of one model: {found[0]}\n", done
                assert bundle.read_bytes() == before
                if "--as-factory" not in options:
                    assert f"not one model  {found[0]}"[:60] in run("inspect", bundle).stdout
            else:
                run(*words, "--strict")
            return found

        # The model itself, on all machines, and a part of it.
        hosts = [path for path in DATA.glob("*/lib.*")]
        assert len(hosts) >= 9
        for host in hosts:
            run("embed", host, "--graph", DATA / "graph.json", "--params", DATA / "params.bin", "-o", bundle, "-q", "--strict",
                "--drop-signature")
            assert json.loads(run("inspect", bundle, "--json").stdout)["misfits"] == [], host
        assert misfits() == [] and misfits(tensors=params()) == []
        run("embed", HOST, "--params", DATA / "params.bin", "-o", bundle, "-q", "--strict")

        # Functions.
        other = copy.deepcopy(GRAPH)
        calls = [node for node in other["nodes"] if node["op"] == "tvm_op" and node["attrs"]["func_name"] != "__nop"]
        functions = len({node["attrs"]["func_name"] for node in calls})
        calls[0]["attrs"]["func_name"] = "tvmgen_default_other\u001b[31m"
        assert misfits(other) == [f"1 of {functions} functions that the graph calls are not exported by the library: "
                                  "tvmgen_default_other\\x1b[31m"], misfits(other)
        for number, node in enumerate(calls):
            node["attrs"]["func_name"] = f"other_{number}"
        several = f"{len(calls)} of {len(calls)} functions that the graph calls are not exported by the library: other_0, other_1, other_2"
        assert misfits(other) == [several + (", ..." if len(calls) > 3 else "")]
        # Modules may have them: this bundle has some now.
        assert misfits(other, options=["--as-factory"]) != []
        assert json.loads(run("inspect", bundle, "--json").stdout)["misfits"] == []
        # Of a fat library's first slice, or of the one that is meant.
        both = fat(work / "fat.dylib", DATA / "macos-arm64" / "lib.dylib", DATA / "macos-x86_64" / "lib.dylib")
        for options in ((), ("--arch", "x86_64"), ("--arch", "arm64")):
            options = ("--drop-signature", *options)
            assert misfits(host=both, options=options) == [] and len(misfits(other, host=both, options=options)) == 1

        # Params.
        names = [name for name, *_ in params()]
        renamed = params(lambda name, kind, shape: (f"x{name}" if name in names[:2] else name, kind, shape))
        assert misfits(tensors=renamed) == [f"2 of {len(names)} params are no inputs of the graph: x{names[0]}, x{names[1]}"]
        shape_of = {name: shape for name, _, shape in entries(GRAPH)}
        longer = params(lambda name, kind, shape: (name, kind, [*shape, 2] if name == names[0] else shape))
        what = f"1 of {len(names)} params are of another type or shape than the graph's inputs: {names[0]} is "
        shape = ", ".join(map(str, shape_of[names[0]]))
        assert misfits(tensors=longer) == [what + f"float32[{shape}, 2], not float32[{shape}]"]
        halves = params(lambda name, kind, shape: (name, (2, 16, 1) if name == names[0] else kind, shape))
        assert misfits(tensors=halves) == [what + f"float16[{shape}], not float32[{shape}]"]
        both_kinds = params(lambda name, kind, shape: ("x" if name == names[1] else name, (2, 16, 1) if name == names[0] else kind, shape))
        assert len(misfits(tensors=both_kinds)) == 2
        # A bool has had two names; and a graph need not say what it expects.
        flags = copy.deepcopy(GRAPH)
        at = [name for name, *_ in entries(GRAPH)].index(names[0])
        for spelling in ("bool", "uint1"):
            flags["attrs"]["dltype"][1][at] = spelling
            assert misfits(flags, params(lambda name, kind, shape: (name, (1, 1, 1) if name == names[0] else kind, shape))) == []
        silent = copy.deepcopy(GRAPH)
        del silent["attrs"]["dltype"]
        assert misfits(silent, params(lambda name, kind, shape: (name, (2, 16, 1), [*shape, 3]))) == []

        # A graph that nobody compiled.
        operators = copy.deepcopy(GRAPH)
        next(node for node in operators["nodes"] if node["op"] == "tvm_op").update(op="conv2d", name="first")
        assert misfits(operators) == [f"1 of {len(GRAPH['nodes'])} nodes of the graph are not compiled: first (conv2d)"]
        # However long a name or a shape is.
        long = copy.deepcopy(GRAPH)
        next(node for node in long["nodes"] if node["op"] == "tvm_op").update(op="x" * 1000, name="\u00e9" * 1000)
        long["attrs"]["shape"][1][at] = [1] * 1000
        found = misfits(long, params())
        assert found == [f"1 of {len(GRAPH['nodes'])} nodes of the graph are not compiled: {100 * chr(233)}... ({200 * 'x'}...)",
                         what + f"float32[{shape}], not float32[{', '.join('1' * 8)}, ...]"], found
        # No graph at all: there is nothing to compare.
        assert misfits({"nothing": 1}, params()) == []
        # What cannot be read is refused as ever.
        assert "no such file" in run("embed", HOST, "--graph", work / "none", "-o", bundle, "--strict", status=2).stderr


main()
