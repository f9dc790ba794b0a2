#!/usr/bin/env python3
"""`pannier diff` on pairs of bundles that differ in one thing each. usage: diff_test.py PANNIER DATA_FOLDER"""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import params_file

checks = 0


def check(what, found, expected):
    global checks
    checks += 1
    assert found == expected, f"{what}:\n  found    {found}\n  expected {expected}"


def run(*command, status=0):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == status, f"{command}: status {done.returncode}: {done.stderr}"
    return done.stdout


def params(tensors):
    """TVM's .params of {name: (shape, [float32 values])}."""
    return params_file.pack((name, params_file.FLOAT32, shape, struct.pack(f"<{len(values)}f", *values))
                            for name, (shape, values) in tensors.items())


class Bundles:
    def __init__(self, pannier, host, folder):
        self.pannier, self.host, self.folder, self.count = pannier, host, folder, 0

    def make(self, *, graph=None, params=None, artifacts=(), host=None, options=()):
        self.count += 1
        bundle = self.folder / f"{self.count}.so"
        words = [self.pannier, "embed", host or self.host, "-o", bundle, "--quiet", *options]
        for flag, content in (("--graph", graph), ("--params", params)):
            if content is not None:
                path = self.folder / f"{self.count}{flag}"
                path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
                words += [flag, path]
        for name, content in artifacts:
            path = self.folder / f"{self.count}-{name}"
            path.write_bytes(content)
            words += ["--artifact", f"{name}={path}"]
        run(*words)
        return bundle

    def diff(self, a, b, differ):
        report = json.loads(run(self.pannier, "diff", "--json", a, b, status=int(differ)))
        check("differ", report["differ"], differ)
        # What people read says the same in its status, and ends in a line.
        text = run(self.pannier, "diff", a, b, status=int(differ))
        assert text.endswith("\n") and ("no difference" in text) == (not differ), text
        assert run(self.pannier, "diff", "--quiet", a, b, status=int(differ)) == ""
        return report


def test_params(bundles):
    ramp = [float(i) for i in range(1000)]
    before = {"weight": ([10, 100], ramp), "bias": ([3], [1.0, 2.0, 3.0]), "scale": ([2], [0.5, 0.25])}
    a = bundles.make(params=params(before))
    same = bundles.diff(a, bundles.make(params=params(before)), differ=False)
    check("equal", same["params"]["equal"], 3)

    values = ramp.copy()
    values[7] += 2.0
    values[990] -= 0.5
    report = bundles.diff(a, bundles.make(params=params({**before, "weight": ([10, 100], values)})), differ=True)
    check("changed", report["params"]["changed"],
          [{"name": "weight", "elements": 1000, "differing": 2, "greatest": 2.0, "mean": 1.25, "same_as": None}])
    check("others are equal", report["params"]["equal"], 2)

    report = bundles.diff(a, bundles.make(params=params({**before, "weight": ([100, 10], ramp)})), differ=True)
    check("reshaped", (report["params"]["changed"][0]["a_shape"], report["params"]["changed"][0]["b_shape"]), ([10, 100], [100, 10]))

    renamed = {"p0": before["weight"], "bias": before["bias"], "scale": before["scale"]}
    report = bundles.diff(a, bundles.make(params=params(renamed)), differ=True)
    check("added", [(one["name"], one["same_as"]) for one in report["params"]["added"]], [("p0", "weight")])
    check("removed", [one["name"] for one in report["params"]["removed"]], ["weight"])

    report = bundles.diff(a, bundles.make(params=params(before), options=["--codec", "store"]), differ=True)
    check("values are equal", (report["params"]["changed"], report["params"]["equal"]), ([], 3))
    assert "weight" in [one["name"] for one in report["params"]["recoded"]], report

    nan = ramp.copy()
    nan[3] = float("nan")
    report = bundles.diff(a, bundles.make(params=params({**before, "weight": ([10, 100], nan)})), differ=True)
    check("no number", (report["params"]["changed"][0]["differing"], report["params"]["changed"][0]["greatest"]), (1, None))


def test_graph(bundles, graph):
    a = bundles.make(graph=graph)
    changed = json.loads(json.dumps(graph))
    changed["nodes"][4]["attrs"]["weight_layout"] = "NC16n"
    report = bundles.diff(a, bundles.make(graph=changed), differ=True)
    check("attribute", report["graph"]["changed"][0]["changes"], [{"what": "attribute weight_layout", "a": "NC8n", "b": "NC16n"}])
    check("the rest", report["graph"]["equal"], len(graph["nodes"]) - 1)
    # Only its text is another: no node is, but the artifact's bytes are.
    report = bundles.diff(a, bundles.make(graph=json.dumps(graph, indent=7).encode()), differ=True)
    check("no node", (report["graph"]["changed"], report["graph"]["added"], report["graph"]["removed"]), ([], [], []))
    check("bytes", [one["name"] for one in report["artifacts"]], ["graph"])
    report = bundles.diff(a, bundles.make(graph=b"not a graph"), differ=True)
    assert "note" in report["graph"], report


def test_others(bundles):
    a = bundles.make(artifacts=[("labels", b"cat\ndog\n"), ("notes", b"x")])
    b = bundles.make(artifacts=[("labels", b"cat\ncow\n"), ("extra", b"y")])
    report = bundles.diff(a, b, differ=True)
    check("artifacts", [(one["name"], one["a_bytes"], one["b_bytes"]) for one in report["artifacts"]],
          [("extra", None, 1), ("labels", 8, 8), ("notes", 1, None)])
    key = bundles.folder / "key.pem"
    run("openssl", "genpkey", "-algorithm", "ed25519", "-out", key)
    signed = bundles.folder / "signed.so"
    run(bundles.pannier, "sign", a, "--key", key, "-o", signed, "--quiet")
    report = bundles.diff(a, signed, differ=True)
    check("signatures", (len(report["signatures"]["added"]), report["signatures"]["removed"]), (1, []))
    bundles.diff(signed, signed, differ=False)
    stripped = bundles.folder / "stripped.so"
    run("strip", "-o", stripped, a)
    report = bundles.diff(a, stripped, differ=False)
    check("the host before embedding was the same", report["same_host"], True)


SOURCE = """
static int table[4] = {1, 2, 3, 4};
int zeroes[100];
__attribute__((noinline)) int callee(int x) { return x * table[x & 3] + zeroes[x & 3]; }
__attribute__((noinline)) int grows(int x) { BODY }
int caller(int x) { return callee(x) + grows(x) + zeroes[x & 7]; }
int far(int x) { return caller(x) ^ callee(x + 1); }
"""


def test_code(bundles, compiler):
    """One function grows; what calls it, or lies behind it, is as before but for addresses."""
    hosts = []
    for number, body in enumerate(("return x;", "return x * 3 + (x >> 2) * zeroes[x & 15] - callee(x) * callee(x + 9);")):
        host = bundles.folder / f"{compiler}-{number}.so"
        source = SOURCE.replace("BODY", body)
        done = subprocess.run([compiler, "-O2", "-fno-ipa-ra", "-fPIC", "-shared", "-fvisibility=hidden", "-nostdlib", "-x", "c", "-", "-o", host],
                              input=source, text=True, capture_output=True, check=False)
        assert done.returncode == 0, f"{compiler}: {done.stderr.strip()[:200]}"
        hosts.append(host)
    a, b = (bundles.make(host=host, artifacts=[("x", b"1")]) for host in hosts)
    functions = bundles.diff(a, b, differ=True)["library"]["functions"]
    check(f"{compiler}: changed", [one["name"] for one in functions["changed"]], ["grows"])
    check(f"{compiler}: added, removed", (functions["added"], functions["removed"]), ([], []))
    assert functions["moved"] > 0, functions


def main():
    pannier, data = sys.argv[1:]
    mlp = pathlib.Path(data, "mlp")
    graph = json.loads((mlp / "graph.json").read_text())
    with tempfile.TemporaryDirectory() as folder:
        bundles = Bundles(pathlib.Path(pannier), mlp / "linux-x86_64" / "lib.so", pathlib.Path(folder))
        test_params(bundles)
        test_graph(bundles, graph)
        test_others(bundles)
        for compiler in ("gcc", "aarch64-linux-gnu-gcc"):
            test_code(bundles, compiler)
        made = [bundles.make(graph=graph, host=host) for host in sorted(mlp.glob("*/lib.*"))]
        for other in made[1:]:
            report = bundles.diff(made[0], other, differ=True)
            check("another machine's code", report["library"]["functions"]["equal"], 0)
            check("the same graph", report["graph"], None)
        run(pannier, "diff", made[0], mlp / "graph.json", status=2)
    assert checks >= 58, checks
    print(f"{checks} checks: ok")


main()
