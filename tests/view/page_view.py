"""Pages in headless Chromium, for their tests: what is checked, counted, photographed and audited.

Needs Playwright for Python and /usr/bin/chromium (or CHROMIUM in the environment).
"""

import argparse
import contextlib
import json
import os
import pathlib
import time

from playwright.sync_api import sync_playwright

import assemble_page

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
passed = 0
failed = 0
options = argparse.Namespace(axe=None, screenshots=None)


def parse(description, pages):
    """options of a test of pages; `pages` names those that it is given"""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in pages:
        parser.add_argument(name, nargs="+" if name == pages[-1] else None)
    parser.add_argument("--axe")
    parser.add_argument("--screenshots")
    parser.parse_args(namespace=options)
    return options


@contextlib.contextmanager
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=FLAGS)
        yield browser
        browser.close()


def check(what, found, expected=True):
    global passed, failed
    if found == expected:
        passed += 1
        return
    failed += 1
    print(f"FAILED {what}: found {found!r}, expected {expected!r}")


class View:
    """a page that is open; whatever it complains of or asks of the network is a failure when it is closed"""

    def __init__(self, browser, path, **context):
        self.name = path.stem
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
        self.page = self.context.new_page()
        self.page.set_default_timeout(10_000)
        self.complaints = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: request.url.startswith("file:") or self.complaints.append(request.url))
        self.page.on("popup", lambda popup: self.complaints.append(popup.url))
        start = time.monotonic()
        self.page.goto(path.as_uri())
        self.settle()
        self.seconds = time.monotonic() - start

    def settle(self):
        """all that was asked for is drawn"""
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def text(self, selector):
        return self.page.locator(selector).first.inner_text()

    def position(self, index):
        self.settle()
        return self.page.evaluate("(index) => window.pannierReport.positionOf(index)", index)

    def report(self):
        # as text: Playwright is slow with many objects
        return json.loads(self.page.evaluate("document.getElementById('report').textContent"))

    def picture(self, name):
        if options.screenshots:
            self.page.screenshot(path=str(pathlib.Path(options.screenshots) / f"{name}.png"), full_page=True)

    def close(self):
        check(f"{self.name}: console, errors, dialogs, requests", self.complaints, [])
        self.context.close()


def narrow(browser, path, opens=None):
    view = View(browser, path, viewport={"width": 360, "height": 740}, has_touch=True, color_scheme="dark")
    check(f"{view.name}: 360 pixels are wide enough", view.page.evaluate("document.documentElement.scrollWidth") <= 360)
    if opens and view.page.locator(opens).count():
        view.page.locator(opens).first.click()
        check(f"{view.name}: and with an open row", view.page.evaluate("document.documentElement.scrollWidth") <= 360)
    view.picture(f"{view.name}-narrow")
    view.close()


def audit(browser, path, prepare=lambda view: None, schemes=("dark",)):
    """axe-core's rules; what is serious fails"""
    if not options.axe:
        return
    source = pathlib.Path(options.axe).read_text(encoding="utf-8")
    view = View(browser, path, bypass_csp=True)
    prepare(view)
    view.page.evaluate(source)
    for scheme in schemes:
        view.page.emulate_media(color_scheme=scheme)
        found = view.page.evaluate(
            "axe.run().then((result) => result.violations.map((one) => [one.impact, one.id, one.nodes.length, "
            "one.nodes[0].html.slice(0, 160), one.nodes[0].failureSummary]))"
        )
        for minor in (one for one in found if one[0] not in ("serious", "critical")):
            print("axe:", path.stem, scheme, minor)
        check(f"axe: {path.stem}, {scheme}", [one for one in found if one[0] in ("serious", "critical")], [])
    view.close()


def write_page(folder, name, data, page="report"):
    path = folder / f"{name}.html"
    path.write_text(assemble_page.assemble(data, page), encoding="utf-8")
    return path


def finish():
    print(f"{passed} ok" if failed == 0 else f"{failed} failed, {passed} as expected")
    return 0 if failed == 0 else 1
