#!/usr/bin/env python3
"""The page of `pannier diff --html` in headless Chromium: what it says of two bundles; and with names that mean harm.

usage: diff_page_test.py SAME_HTML DIFFERENT_HTML... [--axe AXE_MIN_JS] [--screenshots FOLDER]

SAME_HTML is what pannier wrote for two bundles without a difference, DIFFERENT_HTML for others; - for none. The rest is made here.

Exit status: 0 all as expected; 1 not.
"""

import pathlib
import sys
import tempfile

import page_view
from page_view import View, check, write_page
from synthetic_report import HOSTILE

options = page_view.parse(__doc__, ["same", "different"])


def side(name, digest):
    return {"bundle": name, "bytes": 123456, "file_digest": digest, "host_sha256": digest}


def made(name=lambda kind, number: f"{kind}_{number}"):
    """one of everything that can differ; functions enough for two pages"""
    names = [name("function", number) for number in range(150)]
    return {
        "schema": "pannier.diff",
        "version": 1,
        "a": side(name("bundle", 0), "aa" * 32),
        "b": side(name("bundle", 1), None),
        "same_host": False,
        "differ": True,
        "library": {
            "facts": [
                {"name": "build_id", "a": "0123", "b": None},
                {"name": "needed", "a": [name("needed", 0), name("needed", 1)], "b": []},
                {"name": "bits", "a": 32, "b": 64},
            ],
            "functions": {
                "added": [{"name": names[0], "bytes": 4000}],
                "removed": [{"name": names[1], "bytes": 70}],
                "changed": [{"name": one, "a_bytes": 500 + at, "b_bytes": 500 + 2 * at} for at, one in enumerate(names[2:])],
                "equal": 12,
                "moved": 3,
            },
            "sections": [
                {"name": name("section", 0), "a_bytes": 12, "b_bytes": None},
                {"name": name("section", 1), "a_bytes": None, "b_bytes": 5},
            ],
        },
        "graph": {
            "added": [{"name": name("node", 0), "operator": name("operator", 0)}],
            "removed": [{"name": name("node", 1), "operator": name("operator", 1)}],
            "changed": [
                {
                    "name": name("node", 2),
                    "operator": name("operator", 2),
                    "changes": [
                        {"what": "inputs", "a": [name("node", 3)], "b": [name("node", 4), name("node", 5)]},
                        {"what": "attribute " + name("attribute", 0), "a": name("value", 0), "b": None},
                    ],
                }
            ],
            "equal": 7,
            "storage_changed": 2,
            "heads_changed": True,
        },
        "params": {
            "added": [{"name": name("t", 0), "dtype": "float32", "shape": [2, 3], "bytes": 24, "same_as": name("t", 1)}],
            "removed": [{"name": name("t", 1), "dtype": "float32", "shape": [], "bytes": 4}],
            "changed": [
                {"name": name("t", 2), "elements": 1000, "differing": 250, "greatest": 0.5, "mean": -0.0, "same_as": None},
                {"name": name("t", 3), "elements": 8, "differing": 8, "greatest": None, "mean": None, "same_as": name("t", 9)},
                {
                    "name": name("t", 4),
                    "a_dtype": "float32",
                    "b_dtype": "float16",
                    "a_shape": [64, 3],
                    "b_shape": [64, 4],
                    "same_as": None,
                },
            ],
            "recoded": [{"name": name("t", 5), "a_codec": "planes", "b_codec": "zstd"}],
            "equal": 9,
        },
        "artifacts": [
            {"name": name("artifact", 0), "a_bytes": 10, "b_bytes": 2048},
            {"name": name("artifact", 1), "a_bytes": None, "b_bytes": 0},
        ],
        "signatures": {"added": [name("key", 0)], "removed": [name("key", 1)]},
    }


def cells(view, section, row, table=0):
    lines = view.page.locator(f"#{section} .table").nth(table).locator("tbody tr")
    return [text.strip().replace("\u00a0", " ") for text in lines.nth(row).locator("td").all_inner_texts()]


def test_made(browser, folder):
    view = View(browser, write_page(folder, "diff", made(), "diff"))
    page = view.page
    check("the verdict", view.text(".verdict"), "They differ.")
    check("both sides", page.locator(".bundle").all_inner_texts(), ["bundle_0", "bundle_1"])
    check("the title", page.title(), "bundle_0 -> bundle_1")
    tiles = dict(zip(page.locator(".tiles dt").all_inner_texts(), page.locator(".tiles dd").all_inner_texts()))
    expected = {
        "Functions": "150\n148 changed, 1 added, 1 removed",
        "Rest of the library": "5\n3 properties, 2 sections",
        "Nodes": "3\n1 changed, 1 added, 1 removed, 7 equal",
        "Tensors": "5\n3 changed, 1 added, 1 removed, 9 equal",
        "Codecs": "1\nof tensors",
        "Artifacts": "2\nby their bytes",
        "Signatures": "2\n1 added, 1 removed",
    }
    check("counts of each part", tiles, expected)
    check("a property that is gone", cells(view, "library", 0), ["build_id", "0123", "none"])
    check("lists", cells(view, "library", 1), ["needed", "needed_0, needed_1", "none"])
    check("the function that changed most is first", cells(view, "library", 0, 1)[:2], ["function_0", "+ added"])
    check("sizes", cells(view, "library", 1, 1), ["function_149", "~ changed", "647 B", "794 B", "+147 B"])
    functions = page.locator("#library .table").nth(1)
    functions.get_by_role("button", name="next page").click()
    check("the second page", functions.locator("tbody tr").count(), 50)
    functions.get_by_role("searchbox").fill("removed")
    check("the filter knows changes", cells(view, "library", 0, 1), ["function_1", "− removed", "70 B", "none", "−70 B"])
    functions.get_by_role("searchbox").fill("")
    functions.locator("th button", has_text="Function").click()
    check("a header sorts", cells(view, "library", 0, 1)[0], "function_0")
    check("sections", cells(view, "library", 0, 2), ["section_0", "− removed", "12 B", "none", "−12 B"])
    moved = view.page.locator("#library > p").all_inner_texts()
    check("what only moved is said", moved, ["Functions that are the same: 12 equal, 3 equal but for addresses."])
    check("a node's inputs", cells(view, "graph", 0), ["node_2", "operator_2", "~ changed", "inputs", "node_3", "node_4, node_5"])
    check("a node's attribute", cells(view, "graph", 1)[3:], ["attribute attribute_0", "value_0", "none"])
    check("a node that is new", cells(view, "graph", 2)[:3], ["node_0", "operator_0", "+ added"])
    check("heads and storages", "other results" in view.text("#graph > p") and "2 in other storages" in view.text("#graph"))
    check("values", cells(view, "tensors", 0), ["t_2", "~ changed", "25.0 %", "0.5", "0", "250 of 1,000 values"])
    check("its bar", page.locator("#tensors .share").first.evaluate("(bar) => bar.style.width"), "15px")
    check("values of another tensor", cells(view, "tensors", 1)[3:], ["–", "–", "8 of 8 values, the values that t_9 had in A"])
    check("another type", cells(view, "tensors", 2)[5], "64×3 float32 → 64×4 float16")
    check("a new tensor", cells(view, "tensors", 3)[5], "2×3 float32, 24 B, the values that t_1 had in A")
    check("a scalar", cells(view, "tensors", 4)[5], "scalar float32, 4 B")
    check("codecs", cells(view, "tensors", 0, 1), ["t_5", "planes", "zstd"])
    check("artifacts", cells(view, "artifacts", 0)[2:], ["10 B", "2.00 KiB", "+1.99 KiB"])
    check("signatures", [cells(view, "signatures", row) for row in (0, 1)], [["key_1", "− removed"], ["key_0", "+ added"]])
    view.close()
    page_view.narrow(browser, folder / "diff.html")


def test_hostile(browser, folder):
    numbers = iter(range(1 << 30))
    data = made(lambda kind, number: HOSTILE[next(numbers) % len(HOSTILE)])
    data["library"]["facts"] += [{"name": "name", "a": text, "b": [text]} for text in HOSTILE]
    view = View(browser, write_page(folder, "hostile-diff", data, "diff"))
    tags = ("img", "iframe", "object", "embed", "link", "base", "form", "a", "script")
    counted = {tag: view.page.locator(tag).count() for tag in tags}
    check("hostile names make no elements", {tag: n for tag, n in counted.items() if n}, {"link": 1, "a": 6, "script": 2})
    check("and nothing ran", view.page.evaluate("typeof window.pwned"), "undefined")
    check("they are shown as text", view.page.locator("#library bdi", has_text=HOSTILE[0]).count() > 0)
    turned = view.page.evaluate(r"/[\u202a-\u202e\u2066\u2067]/.test(document.body.innerText)")
    check("what turns text around is written out", turned, False)
    check("a long name does not widen the page", view.page.evaluate("document.documentElement.scrollWidth") <= 1280)
    view.picture("hostile-diff")
    view.close()
    page_view.narrow(browser, folder / "hostile-diff.html")


def test_words(browser, folder):
    """parts that could not be compared"""
    data = made()
    data["artifacts"] = [
        {"name": "graph", "a_bytes": None, "b_bytes": 5},
        {"name": "params", "a_bytes": 7, "b_bytes": 5},
    ]
    data.update(graph=None, params=None)
    view = View(browser, write_page(folder, "words", data, "diff"))
    check("only one has a graph", view.text("#graph > p"), "Only B has a graph.")
    check("one is not parameters", view.text("#tensors > p"), "Other bytes; one of the two is not parameters that can be read.")
    check("that is no equality", view.page.locator(".tiles dd").all_inner_texts()[2:4], ["differ", "differ"])
    view.close()
    data.update(graph={"note": "found <b>"}, params=None)
    view = View(browser, write_page(folder, "note", data, "diff"))
    check("why is said", view.text("#graph > p"), "It differs; its nodes cannot be compared: found <b>")
    view.close()


def test_same(browser, path):
    view = View(browser, path)
    check("same: the verdict", view.text(".verdict"), "No difference in what is compared.")
    check("same: no rows", view.page.locator("tbody tr").count(), 0)
    check("same: each part says so", view.page.locator("section > p").count(), 5)
    view.picture("diff-same")
    view.close()


def test_real(browser, path):
    """a page that pannier made: all that differs is in a table"""
    view = View(browser, path)
    data = view.report()
    check("real: schema", (data["schema"], data["version"]), ("pannier.diff", 1))
    check("real: they differ", view.text(".verdict"), "They differ.")
    for part, section, title in (("params", "tensors", "Tensors"), ("graph", "graph", "Nodes")):
        if data[part] is None or "note" in data[part]:
            continue
        changed = data[part]["changed"]
        rows = len(data[part]["added"] + data[part]["removed"]) + sum(len(one.get("changes", [0])) for one in changed)
        table = view.page.locator(f"#{section} .table", has=view.page.locator("caption", has_text=title))
        check(f"real: {part}", table.locator("tbody tr").count() if rows else 0, min(100, rows))
    view.picture(f"diff-{path.stem}")
    view.page.emulate_media(color_scheme="dark")
    view.picture(f"diff-{path.stem}-dark")
    view.close()
    page_view.narrow(browser, path)


def main():
    with tempfile.TemporaryDirectory() as temporary, page_view.chromium() as browser:
        folder = pathlib.Path(temporary)
        test_made(browser, folder)
        test_hostile(browser, folder)
        test_words(browser, folder)
        if options.same != "-":
            test_same(browser, pathlib.Path(options.same).resolve())
        real = [pathlib.Path(path).resolve() for path in options.different if path != "-"]
        for path in real:
            test_real(browser, path)
        page_view.audit(browser, folder / "diff.html", schemes=("light", "dark"))
        for path in [folder / "hostile-diff.html", *real[:1]]:
            page_view.audit(browser, path)
    return page_view.finish()


sys.exit(main())
