#!/usr/bin/env python3
"""Pages that pannier writes, assembled from their templates as the C++ does. usage: assemble_page.py REPORT_JSON OUTPUT

All placeholders are replaced in one pass: what is put in may hold the words of others.
"""

import base64
import hashlib
import html
import json
import pathlib
import re
import sys

VIEW = pathlib.Path(__file__).resolve().parents[2] / "embedder" / "view"
REPORT = ["dom.js", "paged_table.js", "graph_canvas.js", "graph.js", "treemap.js", "tensors.js", "file_parts.js", "page.js"]
PAGES = {"report": ("page.html", REPORT), "diff": ("diff.html", ["dom.js", "paged_table.js", "diff.js"])}
ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def csp_hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def title_of(data: dict) -> str:
    return data["bundle"] if "bundle" in data else f"{data['a']['bundle']} -> {data['b']['bundle']}"


def assemble(data: dict, page: str = "report") -> str:
    template, scripts = PAGES[page]
    style = (VIEW / "page.css").read_text(encoding="utf-8")
    script = "".join((VIEW / name).read_text(encoding="utf-8") for name in scripts)
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    words = {
        "TITLE": html.escape(title_of(data)),
        "CSP": f"default-src 'none'; style-src {csp_hash(style)}; script-src {csp_hash(script)}; img-src data:",
        "STYLE": style,
        "SCRIPT": script,
        "DATA": re.sub("[<>&\u2028\u2029]", lambda sign: ESCAPED[sign[0]], text),
    }
    return re.sub(r"@(TITLE|CSP|STYLE|SCRIPT|DATA)@", lambda word: words[word[1]], (VIEW / template).read_text(encoding="utf-8"))


if __name__ == "__main__":
    found = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    pathlib.Path(sys.argv[2]).write_text(assemble(found), encoding="utf-8")
