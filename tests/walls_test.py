#!/usr/bin/env python3
"""The rooms of the house, as docs/architecture.md has them: who may include whom, and what the built libraries lean on.

usage: walls_test.py [BUILD_FOLDER]         checks the include graph; with a build folder, the libraries' symbols, too
       walls_test.py --graph                writes docs/pictures/architecture.dot anew, from that graph
"""
import collections
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
GRAPH = ROOT / "docs" / "pictures" / "architecture.dot"

# Who may include what of ours; and of others, by the beginning of the header's name, and in which files alone where that is said.
ROOMS = {
    "include": {"include"},
    "src": {"src", "include"},
    "loader": {"loader", "src", "include"},
    "embedder": {"embedder", "src", "include"},
}
OTHERS = {
    "include": {"dlpack/": r"(dlpack|tvm_\w+)\.h", "tvm/": r"tvm_\w+\.h"},
    "src": {"zstd": r".*", "flatbuffers/": r".*", "manifest_generated.h": r".*", "openssl/": r"public_key_openssl\.cc"},
    "loader": {"manifest_generated.h": r".*"},
    "embedder": {"manifest_generated.h": r".*", "fmt/": r".*", "nlohmann/": r".*", "CLI/": r"(main|command_line|manual|completion)\.(h|cc)",
                 "LIEF/": r"lief_\w+\.(h|cc)", "openssl/": r"private_key_openssl\.cc", "zstd": r".*"},
}
# Rooms within the embedder, and who may include them from other rooms in it ("embedder": files in no inner room).
INNER = {
    "embedder/command_line": set(),
    "embedder/view": {"embedder/command_line"},
    "embedder/formats": {"embedder"},
    "embedder/content": {"embedder", "embedder/command_line", "embedder/formats", "embedder/view"},
}
# Headers of the languages and of the systems have no folder, or one of these.
SYSTEM = re.compile(r"^(sys|linux|mach|mach-o|CommonCrypto|asm)/|^[a-z0-9_]+(\.h)?$")


def room_of(path):
    return path.parts[0]


def inner_room_of(path):
    return "/".join(path.parts[:-1]) if "/".join(path.parts[:-1]) in INNER else room_of(path)


def includes(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    return re.findall(r'^ *# *include +[<"]([^>"]+)[>"]', text, re.M)


def sources():
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*")):
            if path.suffix in (".h", ".cc") and "python" not in path.parts:
                yield path.relative_to(ROOT)


def target_of(name):
    """The file of ours that an include names; None for one of others."""
    if name.startswith("pannier/"):
        return pathlib.Path("include", name)
    path = pathlib.Path(name)
    return path if path.parts[0] in ROOMS and (ROOT / path).is_file() else None


def is_system(name):
    return name not in ("zstd.h", "manifest_generated.h") and SYSTEM.match(name) is not None


def check_includes():
    problems = []
    edges = collections.defaultdict(set)
    for path in sources():
        room = room_of(path)
        for name in includes(path):
            target = target_of(name)
            if target is not None:
                edges[path].add(target)
                here, there = inner_room_of(path), inner_room_of(target)
                if here != there and there in INNER and here not in INNER[there]:
                    problems.append(f"{path}: includes {name}; {there}/ is for {', '.join(sorted(INNER[there])) or 'itself'}")
                if room_of(target) not in ROOMS[room]:
                    problems.append(f"{path}: includes {name}; {room}/ may use {', '.join(sorted(ROOMS[room]))}")
                continue
            allowed = next((files for other, files in OTHERS[room].items() if name.startswith(other)), None)
            if is_system(name) and allowed is None:
                continue
            if allowed is None or not re.fullmatch(allowed, path.name):
                problems.append(f"{path}: includes {name}, which {room}/ does not use" + (f" but in {allowed}" if allowed else ""))
    return problems, edges


def find_cycle(edges):
    """A way from a header back to itself; None where there is none."""
    done = set()

    def walk(node, way):
        if node in way:
            return [*way[way.index(node):], node]
        if node in done:
            return None
        for target in sorted(edges.get(node, ())):
            if found := walk(target, [*way, node]):
                return found
        done.add(node)
        return None

    return next((cycle for node in sorted(edges) if (cycle := walk(node, []))), None)


def dot(edges):
    """Rooms, and by dashed lines the libraries of others that they use. Without numbers, which would change with every include."""
    between = {(room_of(path), room_of(target)) for path in edges for target in edges[path] if room_of(path) != room_of(target)}
    others = {(room_of(path), other.rstrip("/")) for path in sources() for name in includes(path)
              for other in OTHERS[room_of(path)] if name.startswith(other) and other != "manifest_generated.h"}
    lines = ["// Made by tests/walls_test.py --graph from the sources' includes; `dot -Tsvg` draws it.", "digraph pannier {",
             '  rankdir=BT; bgcolor=white; node [shape=box, style="rounded,filled", fillcolor="#eef4fb", fontname="DejaVu Sans"];']
    lines += [f'  "{room}" [label="{room}/"];' for room in ROOMS]
    lines += [f'  "{name}" [shape=ellipse, fillcolor="#f4f4f4"];' for name in sorted({name for _, name in others})]
    lines += [f'  "{a}" -> "{b}";' for a, b in sorted(between)]
    lines += [f'  "{room}" -> "{name}" [style=dashed];' for room, name in sorted(others)]
    return "\n".join([*lines, "}", ""])


def symbols(library, *options):
    done = subprocess.run(["nm", "-C", *options, str(library)], capture_output=True, text=True, check=True)
    return re.findall(r"^(?:[0-9a-f]+)? *[A-Za-z] (.*)$", done.stdout, re.M)


def check_libraries(build):
    """The loader, src/ in it, asks for nothing of pannier's that is not in it, and for nothing of the embedder's libraries."""
    library = build / "loader" / "libpannier_loader.a"
    own = set(symbols(library, "--defined-only"))
    wanted = set(symbols(library, "--undefined-only")) - own
    foreign = [name for name in wanted if re.search(r"\b(LIEF|fmt|nlohmann|CLI)::", name) or name.startswith("pannier::")]
    if len(wanted) < 50 or len(own) < 200:
        return [f"{library.name}: found {len(own)} symbols in it, {len(wanted)} that it asks for; expected more"]
    return [f"{library.name}: asks for {name}" for name in sorted(foreign)]


def main():
    problems, edges = check_includes()
    if sys.argv[1:] == ["--graph"]:
        GRAPH.write_text(dot(edges), encoding="utf-8")
        return
    if cycle := find_cycle(edges):
        problems.append("headers include one another: " + " -> ".join(map(str, cycle)))
    if GRAPH.read_text(encoding="utf-8") != dot(edges):
        problems.append(f"{GRAPH.relative_to(ROOT)}: is not of today's includes: run tests/walls_test.py --graph, and docs/pictures/make.sh")
    if len(sys.argv) > 1:
        problems += check_libraries(pathlib.Path(sys.argv[1]))
    print("\n".join(problems) or f"{len(edges)} files, {sum(map(len, edges.values()))} includes: ok")
    sys.exit(1 if problems else 0)


main()
