#!/usr/bin/env python3
"""Reports of any size for the page's tests, the same at every call.

usage: synthetic_report.py NODES [--hostile] [--bare] > report.json      NODES nodes, a network of branches and joins
       synthetic_report.py --graph GRAPH_JSON > report.json              the nodes of a graph that relay.build made

Statistics, sizes and addresses are made up; positions are those of plain layers.
"""

import argparse
import json
import math
import pathlib
import random

HOSTILE = [
    "<img src=x onerror=window.pwned=1>",
    "</script><script>window.pwned=1</script>",
    '"><svg onload=window.pwned=1>',
    "'-window.pwned=1-'",
    "javascript:window.pwned=1",
    "<!--<script>",
    "{{constructor.constructor('window.pwned=1')()}}",
    "safe\u202egnp.exe\u2066 \u05d0\u05d1\u05d2 \u2069end",
    "\u2028\u2029@DATA@ @SCRIPT@ @CSP@",
    "a&lt;b&amp;\u00e9\u4e2d\U0001f40d",
    "",
    "long_" * 50,
    "__proto__",
]
OPERATORS = [
    ("nn_contrib_conv2d_NCHWc_add_nn_relu", 4),
    ("nn_contrib_conv2d_NCHWc_add", 3),
    ("nn_contrib_dense_pack_add_nn_relu", 2),
    ("nn_max_pool2d", 1),
    ("add_nn_relu", 1),
    ("nn_softmax", 1),
    ("layout_transform", 1),
    ("concatenate", 1),
    ("nn_batch_matmul", 1),
    ("mean_subtract_divide", 1),
    ("transpose_reshape", 1),
]
NODE_WIDTH, NODE_HEIGHT = 180, 36


def node(name, kind, inputs=(), **more):
    operator = more.pop("operator", "")
    return {
        "name": name,
        "operator": operator,
        "kind": kind,
        "function": None,
        "function_bytes": None,
        "inputs": list(inputs),
        "outputs": [],
        "attributes": {},
        "tensor": None,
        "group": None,
        **more,
    }


def network(count, chance):
    """nodes: an input, then blocks of branches that join again; each function with its params before it"""
    nodes = [node("data", "input", outputs=[{"shape": [1, 3, 224, 224], "dtype": "float32", "storage": 0, "bytes": 602112}])]
    tensors = []
    calls = {}

    def call(operator, inputs, params):
        number = calls[operator] = calls.get(operator, -1) + 1
        name = f"tvmgen_default_fused_{operator}" + (f"_{number}" if number else "")
        own = []
        channels = chance.choice([16, 32, 64, 128, 256])
        for at in range(params):
            shape = [channels, channels // 8, 3, 3] if at == 0 else [1, channels, 1, 1]
            own.append(len(nodes))
            size = 4 * math.prod(shape)
            nodes.append(
                node(
                    f"p{len(tensors)}",
                    "param",
                    tensor=len(tensors),
                    outputs=[{"shape": shape, "dtype": "float32", "storage": None, "bytes": size}],
                )
            )
            tensors.append({"name": f"p{len(tensors)}", "dtype": "float32", "shape": shape})
        shape = [1, channels, 28, 28]
        nodes.append(
            node(
                name,
                "function",
                [*inputs, *own],
                operator=f"fused_{operator}",
                function=name,
                function_bytes=chance.randrange(300, 9000),
                outputs=[{"shape": shape, "dtype": "float32", "storage": 1 + len(nodes) % 7, "bytes": 4 * math.prod(shape)}],
                attributes={"hash": f"{chance.getrandbits(64):016x}", "num_inputs": str(len(inputs) + params)},
            )
        )
        for index in own:
            nodes[index]["group"] = len(nodes) - 1
        return len(nodes) - 1

    last = 0
    while len(nodes) < count - 4:
        ends = []
        for _ in range(chance.choice([1, 1, 2, 2, 3, 4])):
            at = last
            for _ in range(chance.choice([1, 2, 2, 3])):
                operator, params = OPERATORS[chance.randrange(len(OPERATORS) if chance.random() < 0.4 else 3)]
                at = call(operator, [at], 2 if params > 1 else 0)
                if len(nodes) >= count - 4:
                    break
            ends.append(at)
        last = ends[0] if len(ends) == 1 else call("concatenate" if len(ends) > 2 else "add_nn_relu", ends, 0)
    nodes.append(
        node(
            "reshape_nop",
            "nop",
            [last],
            operator="nop",
            outputs=[{"shape": [1, 1000], "dtype": "float32", "storage": 3, "bytes": 4000}],
        )
    )
    last = call("nn_softmax", [len(nodes) - 1], 0)
    return nodes, [last], tensors


def relay_graph(path):
    graph = json.loads(pathlib.Path(path).read_text())
    shapes, ids = graph["attrs"]["shape"][1], graph["attrs"]["storage_id"][1]
    types = graph["attrs"]["dltype"][1]
    nodes, tensors = [], []
    for index, raw in enumerate(graph["nodes"]):
        entry = graph["node_row_ptr"][index]
        output = {"shape": shapes[entry], "dtype": types[entry], "storage": ids[entry], "bytes": 4 * math.prod(shapes[entry])}
        attributes = raw.get("attrs", {})
        function = attributes.get("func_name")
        kind = "nop" if function == "__nop" else "function" if function else "param" if raw["name"].startswith("p") else "input"
        made = node(raw["name"], kind, [at for at, _, _ in raw["inputs"]], outputs=[output])
        if kind == "param":
            made["tensor"] = len(tensors)
            tensors.append({"name": raw["name"], "dtype": types[entry], "shape": shapes[entry]})
        elif function:
            made.update(operator=function.removeprefix("tvmgen_default_").removeprefix("__"), attributes=attributes)
        if kind == "function":
            made.update(function=function, function_bytes=1200 + 300 * index)
        nodes.append(made)
        if function:
            for at in made["inputs"]:
                if nodes[at]["kind"] in ("param", "nop"):
                    nodes[at]["group"] = index
    return nodes, [at for at, _, _ in graph["heads"]], tensors


def ranks_of(nodes):
    ranks = [0] * len(nodes)
    for index, item in enumerate(nodes):
        above = [ranks[at] for at in item["inputs"] if nodes[at]["kind"] != "param"]
        ranks[index] = 1 + max(above, default=-1)
    for index, item in enumerate(nodes):
        for at in item["inputs"]:
            if nodes[at]["kind"] == "param":
                ranks[at] = ranks[index] - 1
    return ranks


def layers(nodes, shown, edges, step):
    """what a layout of the report holds: each rank a row, a row's order that of its inputs"""
    ranks = ranks_of(nodes)
    rows, x = {}, {}
    for index in shown:
        rows.setdefault(ranks[index], []).append(index)
    into = {}
    for start, end in edges:
        into.setdefault(end, []).append(start)
    widest = max(len(row) for row in rows.values())
    width = widest * (NODE_WIDTH + 30)
    for rank in sorted(rows):
        wanted = {
            i: sum(x.get(at, width / 2) for at in into.get(i, [])) / max(1, len(into.get(i, []))) or width / 2 for i in rows[rank]
        }
        row = sorted(rows[rank], key=lambda i: (wanted[i], i))
        first = width / 2 - (len(row) - 1) * (NODE_WIDTH + 30) / 2
        x.update({index: first + at * (NODE_WIDTH + 30) for at, index in enumerate(row)})
    y = {index: 30 + step * ranks[index] for index in shown}
    lines = []
    for start, end in edges:
        x0, y0, x1, y1 = x[start], y[start] + NODE_HEIGHT / 2, x[end], y[end] - NODE_HEIGHT / 2
        bend = (y1 - y0) / 2
        points = [x0, y0, x1, y1] if x0 == x1 else [x0, y0, x0, y0 + bend, x1, y1 - bend, x1, y1]
        lines.append([start, end, points])
    return {
        "width": width,
        "height": max(y.values()) + 30,
        "edges": lines,
        "nodes": [[index, x[index], y[index], NODE_WIDTH, NODE_HEIGHT] for index in shown],
    }


def layouts_of(nodes):
    def producers(index):
        for at in nodes[index]["inputs"]:
            if nodes[at]["kind"] == "nop":
                yield from producers(at)
            elif nodes[at]["kind"] != "param":
                yield at

    few = [index for index, item in enumerate(nodes) if item["kind"] in ("function", "input")]
    every = [(at, index) for index, item in enumerate(nodes) for at in item["inputs"]]
    return {
        "collapsed": layers(nodes, few, [(at, index) for index in few for at in producers(index)], 72),
        "expanded": layers(nodes, range(len(nodes)), every, 110),
    }


def statistics(elements, chance, is_odd):
    spread = 0.02 + 0.3 * chance.random()
    counts = [0] * 40
    centre, wide = 18 + 4 * chance.random(), 3 + 5 * chance.random()
    for at in range(40):
        counts[at] = int(elements * math.exp(-(((at - centre) / wide) ** 2) / 2) / (wide * 2.5066) * (0.85 + 0.3 * chance.random()))
    zeros = elements // 20 if chance.random() < 0.2 else 0
    counts[20] += zeros
    return {
        "elements": elements,
        "min": -spread * 1.01,
        "max": spread,
        "mean": spread * (chance.random() - 0.5) / 9,
        "zeros": zeros,
        "nan": 3 if is_odd else 0,
        "infinite": 1 if is_odd else 0,
        "low": -spread * 1.01,
        "high": spread,
        "counts": counts,
    }


def fill_tensors(tensors, chance):
    for index, tensor in enumerate(tensors):
        elements = math.prod(tensor["shape"])
        planes = elements > 200
        tensor.update(
            bytes=4 * elements,
            stored_bytes=int(4 * elements * (0.8 + 0.1 * chance.random())) if planes else 4 * elements,
            codec="planes" if planes else "store",
            statistics=statistics(elements, chance, index == 5),
        )
    if len(tensors) > 9:
        tensors[8]["statistics"] = None
        tensors[9]["statistics"].update(min=None, max=None, mean=None, nan=tensors[9]["statistics"]["elements"], counts=[])


def memory_plan(nodes):
    storages = {}
    for item in nodes:
        for output in item["outputs"]:
            if output["storage"] is not None:
                storages[output["storage"]] = max(storages.get(output["storage"], 0), output["bytes"])
    order = [index for index, item in enumerate(nodes) if item["kind"] == "function"]
    last = {at: index for index in order for at in nodes[index]["inputs"]}
    steps, live = [], {}
    for index in order:
        live[index] = sum(output["bytes"] for output in nodes[index]["outputs"])
        steps.append({"node": index, "live": sum(live.values())})
        live = {at: size for at, size in live.items() if last.get(at, -1) > index}
    peak = max(range(len(steps)), key=lambda step: steps[step]["live"])
    users = {key: [] for key in storages}
    for index, item in enumerate(nodes):
        for output in item["outputs"]:
            if output["storage"] is not None:
                users[output["storage"]] += [index, last.get(index, index)]
    return {
        "storages": [
            {"id": key, "bytes": size, "first": min(users[key]), "last": max(users[key])} for key, size in sorted(storages.items())
        ],
        "steps": steps,
        "peak": steps[peak]["live"],
        "peak_step": peak,
        "pool": sum(storages.values()),
        "params": sum(output["bytes"] for item in nodes if item["kind"] == "param" for output in item["outputs"]),
    }


def file_map(host, payload):
    parts, at = [], 0
    for name, kind, size in [
        ("host: headers", "headers", 704),
        ("host: .dynsym", "host", host // 30),
        ("host: .text", "host", host * 2 // 3),
        ("host: .rodata", "host", host // 8),
        ("host: .data", "host", host - 704 - host // 30 - host * 2 // 3 - host // 8),
        ("padding", "padding", 4096 - host % 4096),
        (".tvm.graph", "payload", 694),
        (".tvm.params", "payload", payload - 694),
        ("section headers", "headers", 2048),
        (".tvm.signature", "signature", 1300),
        ("end", "other", 120),
    ]:
        parts.append({"name": name, "kind": kind, "offset": at, "size": size})
        at += size
    return parts, at


def make_report(nodes, heads, tensors, chance):
    fill_tensors(tensors, chance)
    functions, address = [], 0x1200
    for item in nodes:
        if item["kind"] == "function":
            functions.append({"name": item["function"], "bytes": item["function_bytes"], "address": address, "exported": True})
            address += item["function_bytes"]
    functions.append({"name": "__tvm_module_startup", "bytes": 380, "address": address, "exported": False})
    host = sum(item["bytes"] for item in functions) * 5 // 4
    stored = sum(tensor["stored_bytes"] for tensor in tensors)
    parts, total = file_map(host, stored + 4000)
    return {
        "schema": "pannier.report",
        "version": 1,
        "producer": "pannier 0.1.0",
        "bundle": "model.so",
        "bytes": total,
        "host_bytes": host,
        "payload_bytes": stored + 4000,
        "mapped": True,
        "file_digest": f"{chance.getrandbits(256):064x}",
        "image_digest": f"{chance.getrandbits(256):064x}",
        "library": {
            "format": "elf",
            "bits": 64,
            "byte_order": "little",
            "machine": "x86-64",
            "build_id": f"{chance.getrandbits(160):040x}",
            "name": None,
            "linker": None,
            "compilers": ["GCC: (Debian 12.2.0-14) 12.2.0"],
            "needed": ["libm.so.6", "libc.so.6"],
            "function_count": len(functions),
            "exported_count": len(functions) - 1,
        },
        "functions": functions,
        "artifacts": [
            {"name": "graph", "kind": "blob", "bytes": 4247, "stored_bytes": 694, "codec": "zstd"},
            {
                "name": "params",
                "kind": "params",
                "bytes": sum(t["bytes"] for t in tensors),
                "stored_bytes": stored,
                "codec": "planes",
            },
        ],
        "signatures": [{"key_id": f"{chance.getrandbits(64):016x}", "state": "unchecked"}],
        "notes": ["a section header table was moved to the end of the file"],
        "problems": [],
        "tensors": tensors,
        "graph": {"nodes": nodes, "heads": heads, "layouts": layouts_of(nodes), "layout_note": None},
        "memory": memory_plan(nodes),
        "map": parts,
    }


def synthetic(count, chance_seed=7):
    chance = random.Random(chance_seed)
    return make_report(*network(count, chance), chance)


def hostile(count=120):
    """every name that a file can choose is one that means harm"""
    report = synthetic(count)
    names = iter(range(1 << 30))

    def evil():
        return HOSTILE[next(names) % len(HOSTILE)]

    report["bundle"] = HOSTILE[0] + HOSTILE[7]
    for field in ("machine", "name", "linker", "build_id"):
        report["library"][field] = evil()
    report["library"].update(compilers=HOSTILE[:], needed=HOSTILE[:])
    report["notes"] = HOSTILE[:]
    report["problems"] = HOSTILE[:]
    report["signatures"] = [{"key_id": name, "state": "wrong"} for name in HOSTILE]
    report["artifacts"] = [{**report["artifacts"][0], "name": evil(), "kind": "unknown (7)", "codec": evil()} for _ in HOSTILE]
    for key in ("functions", "tensors", "map"):
        for item in report[key]:
            item["name"] = evil()
    for item in report["tensors"]:
        item.update(dtype=evil(), codec=evil())
    for item in report["graph"]["nodes"]:
        item.update(name=evil(), operator=evil(), attributes={evil(): evil()})
        if item["function"] is not None:
            item["function"] = evil()
        for output in item["outputs"]:
            output["dtype"] = evil()
    report["graph"]["layout_note"] = HOSTILE[1]
    return report


def bare():
    """a bundle of which little is known"""
    report = synthetic(20)
    report.update(
        graph=None,
        memory=None,
        tensors=[],
        functions=[],
        artifacts=[],
        signatures=[],
        notes=[],
        file_digest=None,
        image_digest=None,
        map=[],
    )
    return report


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("nodes", type=int, nargs="?", default=50)
    parser.add_argument("--hostile", action="store_true")
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--graph")
    options = parser.parse_args()
    if options.graph:
        made = make_report(*relay_graph(options.graph), random.Random(7))
    else:
        made = bare() if options.bare else hostile(options.nodes) if options.hostile else synthetic(options.nodes)
    print(json.dumps(made))
