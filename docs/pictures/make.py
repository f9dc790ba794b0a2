"""What docs/pictures/make.sh draws with.

usage: make.py --report REPORT_HTML FOLDER           report.png and report-dark.png
       make.py --terminal OUTPUT COMMAND PICTURE     a command's output as SVG, which refers to nothing outside
       make.py --other-weights PARAMS OUTPUT         the three largest tensors of PARAMS, every third value a little larger
"""

import io
import os
import pathlib
import struct
import sys

# As Rich's own template, but its fonts are those of the reader: Rich's come from a server.
SVG = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<!-- Made by docs/pictures/make.sh. -->
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px;
}}
.{unique_id}-title {{ font-size: 15px; font-family: system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
PIXELS = 1600


def terminal(output, command, picture):
    from rich.console import Console
    from rich.text import Text

    text = Text.from_ansi(f"$ {command}\n" + pathlib.Path(output).read_text(encoding="utf-8"))
    width = max(len(line) for line in text.plain.splitlines())
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(text, no_wrap=True, crop=False)
    drawn = console.export_svg(title="", code_format=SVG, unique_id="terminal")
    for foreign in ("http:", "https:", "@import", "url("):
        own = {"http:": "http://www.w3.org/2000/svg", "url(": "url(#terminal-"}.get(foreign)
        if drawn.count(foreign) != (drawn.count(own) if own else 0):
            sys.exit(f"{picture}: found {foreign} of something outside")
    pathlib.Path(picture).write_text("\n".join(line.rstrip() for line in drawn.splitlines()) + "\n", encoding="utf-8")


def report(page, folder):
    from PIL import Image
    from playwright.sync_api import sync_playwright

    # The join of the most branches: there is something to see around it.
    join = """() => {
      const {nodes} = JSON.parse(document.getElementById("report").textContent).graph;
      const inputs = (node) => node.inputs.filter((at) => nodes[at].kind !== "param").length;
      return nodes.filter(({kind}) => kind === "function").reduce((best, next) => (inputs(next) > inputs(best) ? next : best)).name;
    }"""
    with sync_playwright() as playwright:
        chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for scheme, name in (("light", "report.png"), ("dark", "report-dark.png")):
            window = {"width": 1280, "height": 720}
            view = browser.new_page(viewport=window, device_scale_factor=PIXELS / window["width"], color_scheme=scheme)
            view.goto(pathlib.Path(page).resolve().as_uri())
            view.locator("#node-search").fill(view.evaluate(join))
            view.keyboard.press("Enter")
            view.locator("#node-search").fill("")
            view.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
            end = view.locator("#graph .legend").bounding_box()
            clip = {"x": 0, "y": 0, "width": window["width"], "height": end["y"] + end["height"] + 10}
            image = Image.open(io.BytesIO(view.screenshot(full_page=True, clip=clip))).convert("RGB")
            # The default method loses colours that only a few pixels have: those of the legend.
            few = image.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
            few.save(pathlib.Path(folder) / name, optimize=True)
            view.close()
        browser.close()


def other_weights(params, output):
    data = bytearray(pathlib.Path(params).read_bytes())
    (count,) = struct.unpack_from("<Q", data, 16)
    at = 24
    for _ in range(count):
        at += 8 + struct.unpack_from("<Q", data, at)[0]
    at += 8
    places = []
    for _ in range(count):
        (dimensions,) = struct.unpack_from("<i", data, at + 24)
        at += 32 + 8 * dimensions
        (size,) = struct.unpack_from("<q", data, at)
        places.append((at + 8, size))
        at += 8 + size
    for start, size in sorted(places, key=lambda place: place[1])[-3:]:
        for place in range(start, start + size, 12):
            (value,) = struct.unpack_from("<f", data, place)
            struct.pack_into("<f", data, place, value * 1.01)
    pathlib.Path(output).write_bytes(data)


{"--report": report, "--terminal": terminal, "--other-weights": other_weights}[sys.argv[1]](*sys.argv[2:])
