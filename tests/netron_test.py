#!/usr/bin/env python3
"""What `pannier extract` writes, opened by Netron in a browser: the graph beside its params, and both other formats of params.

usage: tests/netron_test.py PANNIER DATA WORK

Netron and Playwright come from PyPI, once, into build/deps; the browser is the system's Chromium, which gets to see this machine alone.
Screenshots go to WORK. Exit status: 0 all as expected; 1 not; 4 Netron or Chromium is not to be had, nothing was tested.
"""

import json
import pathlib
import shutil
import socket
import subprocess
import sys

import own_python

CHROMIUM = shutil.which("chromium")

if not (CHROMIUM and own_python.run_by("netron", ["netron", "playwright"])):
    print("netron_test.py: no chromium, or Netron cannot be installed; nothing was tested")
    sys.exit(4)

import netron
from playwright.sync_api import sync_playwright

pannier, data, work = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync"]
failures = 0


def check(name, is_right, text=""):
    global failures
    failures += not is_right
    print("ok     " if is_right else "FAILED ", name, "" if is_right else text)


def extract(bundle, *words):
    subprocess.run([pannier, "extract", bundle, "-o", work, "--quiet", *words], check=True)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Page:
    """A file as Netron shows it."""

    def __init__(self, browser, file):
        self.address = netron.start(str(file), browse=False, address=("127.0.0.1", free_port()))
        url = f"http://127.0.0.1:{self.address[1]}"
        self.context = browser.new_context(viewport={"width": 1000, "height": 1400})
        self.context.add_cookies([{"name": "consent", "value": "1", "url": url}])  # else a dialog asks for it
        self.context.route(lambda address: not address.startswith(url), lambda route: route.abort())
        self.page = self.context.new_page()
        self.page.goto(url)
        self.page.wait_for_selector("body.default .node, body.alert", timeout=30000)
        self.page.screenshot(path=work / f"{file.name}.png")
        self.alert = self.page.inner_text("body.alert") if self.page.query_selector("body.alert") else ""
        nodes = self.page.locator("#canvas .node")  # Netron forbids whatever would need `eval`
        self.nodes = [nodes.nth(i).text_content() for i in range(nodes.count())]

    def __str__(self):
        return f"\n        {self.alert or self.nodes}"

    def close(self):
        self.context.close()
        netron.stop(self.address)


def main():
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    bundle = work / "model.so"
    subprocess.run([pannier, "embed", data / "linux-x86_64/lib.so", "--graph", data / "graph.json", "--params", data / "params.bin", "-o", bundle,
                    "--quiet"], check=True)
    extract(bundle)
    extract(bundle, "params", "--as", "npz")
    extract(bundle, "params", "--as", "safetensors")
    graph = json.loads((work / "model.json").read_text())
    operators = [node for node in graph["nodes"] if node["op"] == "tvm_op"]
    inspected = json.loads(subprocess.run([pannier, "inspect", bundle, "--json"], check=True, capture_output=True).stdout)
    tensors = [tensor for artifact in inspected["artifacts"] for tensor in artifact.get("tensors", [])]
    assert operators and tensors
    shapes = ["〈" + "×".join(map(str, tensor["shape"])) + "〉" for tensor in tensors]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        for name in ("model.json", "model.params"):  # either way Netron finds the other one by its name
            page = Page(browser, work / name)
            found = [text for text in page.nodes if text.startswith("tvm_op")]
            check(f"{name}: {len(operators)} operators", len(found) == len(operators), page)
            check(f"{name}: each by its name", all(any(node["name"] in text for text in found) for node in operators), page)
            check(f"{name}: tensors", all(any(shape in text for text in found) for shape in shapes), page)
            check(f"{name}: inputs and outputs", {"data", "output"} <= set(page.nodes), page)
            page.close()
        for name in ("model.npz", "model.safetensors"):
            page = Page(browser, work / name)
            shown = [tensor["name"] + shape for tensor, shape in zip(tensors, shapes)]
            check(f"{name}: {len(tensors)} tensors, by name and shape", all(any(one in text for text in page.nodes) for one in shown), page)
            page.close()
        (work / "alone").mkdir()
        shutil.copy(work / "model.json", work / "alone")
        page = Page(browser, work / "alone/model.json")
        check("without params there are no shapes", not any(shape in text for shape in shapes for text in page.nodes), page)
        page.close()
        browser.close()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
