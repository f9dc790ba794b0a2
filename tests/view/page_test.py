#!/usr/bin/env python3
"""The page of `pannier view` in headless Chromium: mouse, keys, narrow, dark, on paper; and with names that mean harm.

usage: page_test.py REPORT_HTML... [--axe AXE_MIN_JS] [--screenshots FOLDER]

REPORT_HTML are those that pannier wrote, or - for none; the other pages are made here, by synthetic_report.py and assemble_page.py.
Needs Playwright for Python and /usr/bin/chromium (or CHROMIUM in the environment).

Exit status: 0 all as expected; 1 not.
"""

import pathlib
import re
import sys
import tempfile

import page_view
import synthetic_report
from page_view import View, check, write_page

MOST_HEAP = 60 << 20
MOST_ELEMENTS = 10_000

options = page_view.parse(__doc__, ["report"])


def chosen(view):
    return view.text("#node-details h3") if view.page.locator("#node-details h3").count() else None


def centre_of(view):
    box = view.page.locator("#graph-canvas").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_graph_with_mouse(view):
    page, nodes = view.page, view.report()["graph"]["nodes"]
    index = next(i for i, node in enumerate(nodes) if node["kind"] == "function" and nodes[i]["inputs"])
    node = nodes[index]
    page.locator("#graph-canvas").scroll_into_view_if_needed()
    check("nothing is chosen at first", chosen(view), None)
    at = view.position(index)
    page.mouse.click(at["x"], at["y"])
    details = view.text("#node-details")
    check("a click on a node shows its operator", chosen(view), node["operator"])
    output = node["outputs"][0]
    for what, expected in [
        ("shape and type", "×".join(map(str, output["shape"])) + " " + output["dtype"]),
        ("function", node["function"]),
        ("storage", f"storage {output['storage']}"),
        ("size in the library", "In the library"),
    ]:
        check(f"details: {what}", expected in details)
    check(
        "its size, exactly", page.locator("#node-details .size").first.get_attribute("title"), f"{node['function_bytes']:,} bytes"
    )
    page.mouse.click(*[at["x"] - 300, at["y"]])
    check("a click beside all nodes chooses none", chosen(view), None)
    before = view.position(index)
    page.mouse.move(before["x"] - 200, before["y"])
    page.mouse.down()
    page.mouse.move(before["x"] - 150, before["y"] + 40, steps=4)
    page.mouse.up()
    after = view.position(index)
    check("dragging moves the graph", (round(after["x"] - before["x"]), round(after["y"] - before["y"])), (50, 40))
    page.mouse.move(after["x"], after["y"])
    page.mouse.wheel(0, -300)
    page.wait_for_function(
        "([index, scale]) => window.pannierReport.positionOf(index).scale > scale * 1.3", arg=[index, after["scale"]]
    )
    near = view.position(index)
    check("the wheel zooms at the pointer", abs(near["x"] - after["x"]) + abs(near["y"] - after["y"]) < 2)
    page.keyboard.press("-")
    check("- zooms out", view.position(index)["scale"] < near["scale"])
    page.get_by_role("button", name="Zoom in").click()
    check("+ zooms in again", round(view.position(index)["scale"] / near["scale"], 3), 1.0)
    page.get_by_role("button", name="Fit").click()
    box = page.locator("#graph-canvas").bounding_box()
    fits = [view.position(i) for i in (0, len(nodes) - 1)]
    check("Fit shows both ends", all(box["y"] <= end["y"] <= box["y"] + box["height"] for end in fits))


def test_wheel_without_focus(view):
    view.page.locator("#graph-canvas").scroll_into_view_if_needed()
    view.page.evaluate("document.activeElement.blur()")
    view.page.mouse.move(*centre_of(view))
    before = view.page.evaluate("scrollY"), view.position(0)["scale"]
    view.page.mouse.wheel(0, 150)
    view.page.wait_for_function("(y) => scrollY !== y", arg=before[0])
    check("the wheel scrolls the page where the graph has no focus", view.position(0)["scale"], before[1])


def test_minimap(view):
    view.page.locator("#graph-canvas").scroll_into_view_if_needed()
    view.page.get_by_role("button", name="Fit").click()
    view.settle()
    small = view.page.locator(".minimap")
    check("no small map where all is in view", small.is_visible(), False)
    for _ in range(5):
        view.page.get_by_role("button", name="Zoom in").click()
    before = view.position(0)
    box = small.bounding_box()
    view.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 3)
    after = view.position(0)
    check("the small map leads to a place", after["y"] > before["y"] and after["scale"] == before["scale"])


def test_touch(browser, path):
    view = View(browser, path, has_touch=True, viewport={"width": 412, "height": 800})
    view.page.locator("#graph-canvas").scroll_into_view_if_needed()
    view.settle()
    (x, y), before = centre_of(view), view.position(0)
    session = view.context.new_cdp_session(view.page)

    def touch(kind, *points):
        fingers = [{"x": at, "y": y, "id": number} for number, at in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    touch("touchStart", x - 40, x + 40)
    for apart in (50, 60, 70, 80):
        touch("touchMove", x - apart, x + apart)
    touch("touchEnd")
    after = view.position(0)
    check("two fingers zoom", abs(after["scale"] / before["scale"] - 2) < 0.1)
    check("about their middle", abs((before["x"] - x) * after["scale"] / before["scale"] - (after["x"] - x)) < 8)
    check("zooming chooses nothing", chosen(view), None)
    view.close()


def test_groups(view):
    page, nodes = view.page, view.report()["graph"]["nodes"]
    groups = {node["group"] for node in nodes if node["group"] is not None and node["kind"] == "param"}
    index = sorted(groups)[len(groups) // 2]
    params = [i for i, node in enumerate(nodes) if node["group"] == index and node["kind"] == "param"]
    other = next(i for i, node in enumerate(nodes) if node["kind"] == "param" and node["group"] != index)
    page.get_by_role("button", name="Fit").click()
    at = view.position(index)
    page.mouse.click(at["x"], at["y"])
    check("parameters are hidden at first", [view.position(i) for i in params], [None] * len(params))
    page.keyboard.press("Enter")
    check("Enter shows a group's parameters", all(view.position(i) for i in params))
    check("and no other's", view.position(other), None)
    moved = view.position(index)
    check("the chosen node stays in its place", abs(moved["x"] - at["x"]) + abs(moved["y"] - at["y"]) < 1)
    page.get_by_role("button", name=f"Hide {len(params)} parameter").click()
    check("the button hides them again", view.position(params[0]), None)
    page.get_by_role("button", name="Expand all groups").click()
    check("all groups are open", all(view.position(i) for i in range(len(nodes))))
    moved = view.position(index)
    check("and the chosen node is where it was", abs(moved["x"] - at["x"]) + abs(moved["y"] - at["y"]) < 1)
    page.get_by_role("button", name="Collapse all groups").click()
    check("all groups are closed", view.position(other), None)


def test_search(view):
    page, nodes = view.page, view.report()["graph"]["nodes"]
    search = page.locator("#node-search")
    search.fill("softmax")
    found = [i for i, node in enumerate(nodes) if "softmax" in node["name"] + node["operator"]]
    check("as many are listed as match", page.locator("#node-list li").count(), min(200, len(found)))
    search.press("Enter")
    check("Enter goes to the match", chosen(view), nodes[found[0]]["operator"])
    box, at = page.locator("#graph-canvas").bounding_box(), view.position(found[0])
    check("which is in view", box["x"] < at["x"] < box["x"] + box["width"] and box["y"] < at["y"] < box["y"] + box["height"])
    search.fill("data")
    search.press("ArrowDown")
    search.press("ArrowUp")
    check("the list says which is active", page.locator("#node-list [aria-selected=true]").count(), 1)
    check("and the field names it", search.get_attribute("aria-activedescendant"), "node-option-0")
    page.locator("#node-list li").first.click()
    check("a click on one chooses it", chosen(view), "data")
    search.fill("nothing is called this")
    check("no match is said", view.text(".search [role=status]"), "0 nodes")
    search.press("Enter")
    check("and chooses none", chosen(view), "data")
    param = next(i for i, node in enumerate(nodes) if node["kind"] == "param")
    search.fill(nodes[param]["name"])
    search.press("Enter")
    check("what was hidden is shown when chosen", view.position(param) is not None)
    search.fill("")


def test_keyboard(view):
    page, graph = view.page, view.report()["graph"]
    if page.get_by_role("button", name="Collapse all groups").count():
        page.get_by_role("button", name="Collapse all groups").click()
    page.locator("#graph-canvas").focus()
    page.keyboard.press("Escape")
    check("Escape chooses none", chosen(view), None)
    page.keyboard.press("ArrowDown")
    check("an arrow begins at the top", chosen(view), "data")
    layout = graph["layouts"]["collapsed"]
    edges = {(start, end) for start, end, _ in layout["edges"]}
    names = {node["name"]: index for index, node in enumerate(graph["nodes"])}

    def walk(key):
        page.keyboard.press(key)
        return names[view.text("#node-details dd")]

    path = [0]
    for _ in range(4):
        path.append(walk("ArrowDown"))
        said = page.locator("#graph > [aria-live]").text_content()
        check("what is chosen is said", ", function, output " in said and " input" in said and "×" in said)
    check("down goes along edges", all(step in edges for step in zip(path, path[1:])))
    check("up goes back along one", (walk("ArrowUp"), path[-1]) in edges)
    places = {index: (x, y) for index, x, y, _, _ in layout["nodes"]}
    row = next(
        sorted(i for i in places if places[i][1] == y) for x, y in places.values() if [p[1] for p in places.values()].count(y) > 1
    )
    row.sort(key=places.get)
    page.get_by_role("button", name="Fit").click()
    at = view.position(row[0])
    page.mouse.click(at["x"], at["y"])
    check("right goes to the next of the rank", walk("ArrowRight"), row[1])
    check("left goes back", walk("ArrowLeft"), row[0])
    page.keyboard.press("ArrowLeft")
    check("where there is none, that is said", page.locator("#graph > [aria-live]").text_content(), "Nothing on the left.")
    page.keyboard.press("0")
    page.keyboard.press("Tab")
    check("Tab leaves the graph", page.evaluate("document.activeElement.id"), "node-search")


def test_treemap(view):
    page, report = view.page, view.report()
    largest = max(range(len(report["tensors"])), key=lambda i: report["tensors"][i]["stored_bytes"])
    name = report["tensors"][largest]["name"]
    leaf = page.locator(f".leaf.tensor[aria-label*='{name}']").first
    leaf.scroll_into_view_if_needed()
    box = leaf.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    readout = view.text("#bytes .readout")
    check("a click on a part says what it is", readout.startswith(f"{name} tensor, ") and "of all" in readout)
    width = box["width"]
    page.locator("#bytes .readout button").first.click()
    check("and leads to the tensor's row", page.evaluate("document.activeElement.getAttribute('aria-label')").find(name) > 0)
    check("which is open", page.locator("#tensors tr.detail svg.histogram").count() >= 1)
    page.get_by_label("before compression").check()
    check("the same by original bytes", leaf.bounding_box()["width"] != width)
    page.get_by_label("as stored in the file").check()
    page.locator("#bytes summary").click()
    rows = page.locator("#bytes table tbody tr")
    check("the same as a table, its largest first", rows.first.inner_text().split("\t")[0], name)
    page.locator("#bytes summary").click()
    page.locator("#bytes .leaf[tabindex='0']").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    check("keys move in the treemap and choose", page.locator(".leaf.chosen").count(), 1)
    check("one stop for Tab", page.locator("#bytes .leaf[tabindex='0']").count(), 1)


def column(page, number):
    return page.locator("#tensors tbody tr:not(.detail)").evaluate_all(
        "(rows, number) => rows.map((row) => row.cells[number].innerText.trim())", number
    )


def test_tensors(view):
    page, report = view.page, view.report()
    tensors = report["tensors"]
    odd = [t for t in tensors if t["statistics"] and t["statistics"]["nan"] + t["statistics"]["infinite"] > 0]
    check("NaN and infinity are warned of in words", view.text("#tensors .warn").endswith("3 NaN, 1 infinite"))
    check("at the top, too", f"{len(odd)} tensors hold NaN or infinite values" in view.text("#overview .warnings"))
    head = page.locator("#tensors th", has_text="Size")
    head.locator("button").click()
    check("a header sorts, the largest first", head.get_attribute("aria-sort"), "descending")
    sizes = page.locator("#tensors tbody tr:not(.detail) td:nth-child(4) .size").evaluate_all(
        "(all) => all.map((one) => one.title)"
    )
    numbers = [int(re.sub(r"\D", "", size)) for size in sizes]
    check("all of them", numbers, sorted((t["bytes"] for t in tensors), reverse=True)[: len(numbers)])
    head.locator("button").click()
    check("and back", head.get_attribute("aria-sort"), "ascending")
    page.get_by_label("Filter: Tensors").fill("p1")
    expected = sum("p1" in t["name"] for t in tensors)
    check("the filter leaves those that match", len(column(page, 0)), min(100, expected))
    check("and says how many", view.text("#tensors .tools [role=status]").endswith(f"{expected} rows ({len(tensors)} in all)"))
    page.get_by_label("Filter: Tensors").fill("")
    page.locator("#overview .warnings button").click()
    check("the warning leads to those tensors", len(column(page, 0)), len(odd))
    page.locator("#tensors input[type=checkbox]").uncheck()
    page.locator("#tensors th", has_text="Name").locator("button").click()
    page.get_by_label("Filter: Tensors").fill("p0")
    toggle = page.locator("#tensors button.open").first
    if toggle.get_attribute("aria-expanded") == "false":
        toggle.click()
    check("a row opens", page.locator("#tensors button.open").first.get_attribute("aria-expanded"), "true")
    picture = page.locator("#tensors .histogram").first
    check("its histogram has words", "equal ranges from" in picture.get_attribute("aria-label"))
    bars = picture.locator(".bars").get_attribute("d").count("M")
    shown = sum(value > 0 for value in next(t for t in tensors if t["name"] == "p0")["statistics"]["counts"])
    check("and a bar for each range that is not empty", bars, shown)
    page.locator("#tensors .opened .link").first.click()
    check("and its node is found in the graph", chosen(view), "p0")
    page.get_by_label("Filter: Tensors").fill("")


def test_memory_and_map(view):
    page, report = view.page, view.report()
    memory = report["memory"]
    slider = page.locator("#memory [role=slider]")
    check("the plan begins at the peak", slider.get_attribute("aria-valuenow"), str(memory["peak_step"] + 1))
    slider.focus()
    page.keyboard.press("End")
    last = report["graph"]["nodes"][memory["steps"][-1]["node"]]["name"]
    check("keys walk over the steps", last in view.text("#memory .readout"))
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    page.mouse.move(box["x"] + 70, box["y"] + 90)
    check("so does the mouse", view.text("#memory .readout").startswith("Step 1 of "))
    check(
        "storages, the largest first",
        page.locator("#memory td:nth-child(2)").first.inner_text() != "0 B" and page.locator("#memory tbody tr").count(),
        min(100, len(memory["storages"])),
    )
    check("each part of the file is in its map", page.locator("#map rect").count(), len(report["map"]))
    check("and in its table", page.locator("#map tbody tr").count(), min(100, len(report["map"])))
    check("functions", page.locator("#functions tbody tr").count(), min(100, len(report["functions"])))


def test_narrow(browser, path):
    page_view.narrow(browser, path, "#tensors button.open")


def test_dark(browser, path):
    background = "getComputedStyle(document.body).backgroundColor"
    found = {}
    for scheme in ("light", "dark"):
        view = View(browser, path, color_scheme=scheme)
        found[scheme] = view.page.evaluate(background)
        view.page.keyboard.press("Tab")
        check(
            "the first stop is the way to the content", view.page.evaluate("document.activeElement.textContent"), "Skip to content"
        )
        view.picture(f"{view.name}-{scheme}")
        view.page.emulate_media(media="print")
        check(f"{scheme}: paper is white", view.page.evaluate(background), "rgb(255, 255, 255)")
        view.page.emulate_media(media="screen")
        view.close()
    check("light and dark differ", found["light"] != found["dark"])


def test_paper(browser, path):
    view = View(browser, path, color_scheme="dark")
    view.page.evaluate(
        "addEventListener('afterprint', () => { window.printed = document.getElementById('graph-canvas').width; }, true)"
    )
    folder = pathlib.Path(options.screenshots) if options.screenshots else path.parent
    paper = view.page.pdf(path=str(folder / f"{view.name}.pdf"), format="A4")
    check("it prints", paper[:5] == b"%PDF-" and len(paper) > 10_000)
    view.settle()
    check("and is itself again", view.page.evaluate("document.documentElement.className"), "")
    check(
        "the graph, too",
        view.page.evaluate(
            "(canvas) => canvas.width === canvas.clientWidth * devicePixelRatio",
            view.page.locator("#graph-canvas").element_handle(),
        ),
    )
    view.close()


def test_hostile(browser, folder):
    report = synthetic_report.hostile()
    view = View(browser, write_page(folder, "hostile", report))
    page = view.page
    tags = {"img", "iframe", "object", "embed", "link", "base", "form", "a"}
    own = {"link": 1, "a": 8}
    page.locator("#bytes summary").click()
    for toggle in range(0, 14):
        page.locator("#tensors button.open").nth(toggle).click()
    page.get_by_role("button", name="Expand all groups").click()
    for index in range(0, 26):
        page.locator("#node-list li").nth(index).click()
    for leaf in range(0, 12):
        page.locator("#bytes .leaf").nth(leaf).click(force=True)
    at = view.position(0) or {"x": 300, "y": 300}
    page.mouse.move(at["x"], at["y"])
    counted = {tag: page.locator(tag).count() for tag in tags}
    check("hostile names make no elements", {tag: number for tag, number in counted.items() if number}, own)
    check("no scripts but the two", page.locator("script").count(), 2)
    check(
        "no handlers from names",
        page.evaluate(
            "[...document.querySelectorAll('*')].filter((e) => [...e.attributes].some((a) => " "a.name.startsWith('on'))).length"
        ),
        0,
    )
    check("and nothing ran", page.evaluate("typeof window.pwned"), "undefined")
    check("they are shown as text", page.locator("#tensors bdi", has_text=synthetic_report.HOSTILE[0]).count() > 0)
    check("the title is text", page.title(), report["bundle"])
    check(
        "what turns text around is written out",
        page.evaluate(r"/[\u202a-\u202e\u2066\u2067]/.test(document.body.innerText)"),
        False,
    )
    check("an empty name has words", page.locator("#tensors bdi", has_text="(no name)").count() > 0)
    check("no page in the page", page.evaluate("document.body.contains(document.getElementById('report')) && frames.length"), 0)
    check("a long name does not widen the page", page.evaluate("document.documentElement.scrollWidth") <= 1280)
    view.picture("hostile")
    view.close()
    test_narrow(browser, folder / "hostile.html")


def test_policy(browser, folder):
    """the policy holds: without it, this test would find the script run"""
    page = write_page(folder, "policy", synthetic_report.synthetic(12))
    page.write_text(
        page.read_text(encoding="utf-8").replace("</body>", "<script>window.pwned = 1</script></body>"), encoding="utf-8"
    )
    view = View(browser, page)
    check("a script that is not the page's own is refused", view.page.evaluate("typeof window.pwned"), "undefined")
    check("and the browser says so", len(view.complaints) == 1 and "Content Security Policy" in view.complaints[0])
    view.complaints.clear()
    view.close()


def test_bare(browser, folder):
    report = synthetic_report.bare()
    report["problems"] = ["tensor p0: digest"]
    view = View(browser, write_page(folder, "bare", report))
    check("a problem is said at the top", view.text("#overview .warnings .bad"), "⚠ tensor p0: digest")
    for section, words in [
        ("graph", "No graph in this bundle."),
        ("tensors", "No tensors in this bundle."),
        ("memory", "No memory plan"),
        ("map", "not known"),
        ("functions", "names no functions"),
    ]:
        check(f"without data: {section}", words in view.text(f"#{section} > p"))
    view.picture("bare")
    view.close()
    test_narrow(browser, folder / "bare.html")


def test_large(browser, folder):
    path = write_page(folder, "large", synthetic_report.synthetic(5000))
    view = View(browser, path)
    session = view.context.new_cdp_session(view.page)
    session.send("Performance.enable")
    metrics = {item["name"]: item["value"] for item in session.send("Performance.getMetrics")["metrics"]}
    session.send("HeapProfiler.collectGarbage")
    kept = {item["name"]: item["value"] for item in session.send("Performance.getMetrics")["metrics"]}["JSHeapUsedSize"]
    elements = view.page.locator("*").count()
    nodes = view.report()["graph"]["nodes"]
    print(
        f"5,000 nodes, {len(view.report()['tensors'])} tensors: open in {view.seconds:.2f} s, "
        f"heap {metrics['JSHeapUsedSize'] / 2**20:.1f} MiB "
        f"({kept / 2**20:.1f} kept), {elements} elements, file {path.stat().st_size / 2**20:.2f} MiB"
    )
    check("heap", metrics["JSHeapUsedSize"] < MOST_HEAP)
    check("elements", elements < MOST_ELEMENTS)
    check("the file, too, is smaller", path.stat().st_size < MOST_HEAP)
    view.picture("large")
    view.page.get_by_role("button", name="Expand all groups").click()
    view.page.get_by_role("button", name="Fit").click()
    frames = view.page.evaluate("""() => new Promise((done) => { let count = 0; const start = performance.now();
      const canvas = document.getElementById('graph-canvas'); canvas.focus();
      const step = () => { canvas.dispatchEvent(new KeyboardEvent('keydown', {key: count % 2 ? '+' : '-'}));
        if (++count < 20) requestAnimationFrame(step); else done((performance.now() - start) / count); };
      requestAnimationFrame(step); })""")
    print(f"all {len(nodes)} nodes drawn: {frames:.0f} ms a frame")
    search = view.page.locator("#node-search")
    search.fill(nodes[-1]["name"])
    search.press("Enter")
    check("the last of them is found", chosen(view), nodes[-1]["operator"])
    next_page = view.page.get_by_role("button", name="Tensors: next page")
    next_page.click()
    check("the tensors' second page", "101–200 of" in view.text("#tensors .tools [role=status]"))
    view.close()


def open_all(view):
    """what is closed at first is audited, too"""
    if view.page.locator("#graph-canvas").count():
        view.page.locator("#node-list li").nth(3).click()
        view.page.locator("#tensors button.open").first.click()
        view.page.locator("#bytes summary").click()


def test_real(browser, path):
    """a report that pannier made: what must be true of any"""
    view = View(browser, path)
    report = view.report()
    check("real: schema", (report["schema"], report["version"]), ("pannier.report", 1))
    check("real: its name", view.text("h1"), report["bundle"])
    check("real: sections", view.page.locator("section > h2").count(), 7)
    if report["graph"]:
        shown = [node[0] for node in report["graph"]["layouts"]["collapsed"]["nodes"]]
        view.page.get_by_role("button", name="Fit").click()
        view.page.locator("#graph-canvas").scroll_into_view_if_needed()
        at = view.position(shown[-1])
        view.page.mouse.click(at["x"], at["y"])
        check("real: a click shows a node", chosen(view) is not None)
    check("real: tensors", view.page.locator("#tensors tbody tr:not(.detail)").count(), min(100, len(report["tensors"])))
    check("real: the map covers the file", sum(part["size"] for part in report["map"]), report["bytes"])
    view.picture(f"real-{path.stem}")
    view.close()
    test_narrow(browser, path)


def main():
    with tempfile.TemporaryDirectory() as temporary, page_view.chromium() as browser:
        folder = pathlib.Path(temporary)
        small = write_page(folder, "small", synthetic_report.synthetic(50))
        view = View(browser, small)
        for test in (
            test_graph_with_mouse,
            test_wheel_without_focus,
            test_minimap,
            test_groups,
            test_search,
            test_keyboard,
            test_treemap,
            test_tensors,
            test_memory_and_map,
        ):
            test(view)
        view.close()
        test_narrow(browser, small)
        test_touch(browser, small)
        test_dark(browser, small)
        test_paper(browser, small)
        test_hostile(browser, folder)
        test_policy(browser, folder)
        test_bare(browser, folder)
        test_large(browser, folder)
        real = [pathlib.Path(path).resolve() for path in options.report if path != "-"]
        for path in real:
            test_real(browser, path)
        page_view.audit(browser, small, open_all, ("light", "dark"))
        for path in [folder / "hostile.html", folder / "bare.html", *real[:1]]:
            page_view.audit(browser, path, open_all)
    return page_view.finish()


sys.exit(main())
