#!/usr/bin/env python3
"""Zoo: Mach-O and PE libraries that others made and ship, made into bundles, judged by tools that are not ours, and brought back.

usage: tests/zoo.py BUILD_DIR [--sample] [--only TEXT]... [--jobs N] [--per-package N] [--require-tools] [--json FILE]

zoo_catalogue.txt lists packages of npm and PyPI, each with version and digest; their ordinary clients fetch what is not in
BUILD_DIR/../zoo yet. Every Mach-O and PE file in them is tried once per content. Of a library a copy is embedded into, and then
  - own readers (zoo_macho.py, zoo_pe.py) find no broken rule that the bare library does not break, changes only where they must be
  - every byte verifies; graph and params come back through the loader's reader and `extract`
  - llvm-objdump, llvm-nm, llvm-readobj, objdump say the same of it as of the bare library; LIEF's layout check still holds
  - code signatures' page digests, PE checksums are right (own readers; rcodesign; LIEF)
  - restored it is the same file; embedded again with --force it is the same bundle
  - strip, install_name_tool and signing leave payload and image intact; a linker links to it; Wine loads it if it loads the bare
What is no library (programs, debug symbols) has to be refused, and says why; signed libraries until --drop-signature is given.

A tool may harm a library by itself. So what fails after a tool is done to the bare library, too: where that fares the same, the
failure is the tool's, and is counted as such. Tools that are not installed are named at the end; with --require-tools they are
failures, but for rcodesign, which Debian does not have (cargo install apple-codesign).

Exit status: 0 all passed; 1 something failed; 2 bad usage, or a package could not be fetched.
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import statistics
import struct
import sys
import tempfile
import threading
import time

import zoo_macho
import zoo_pe
from zoo_packages import fetch, read_catalogue
from zoo_tools import Tools, run
from zoo_trial import MODEL, Trial, new_in

CATALOGUE = pathlib.Path(__file__).with_name("zoo_catalogue.txt")
MACHINES = {0x8664: "x64", 0xAA64: "arm64", 0x14C: "ia32", zoo_macho.CPU_X86_64: "x64", zoo_macho.CPU_ARM64: "arm64"}


# --------------------------------------------------------------------------------------------------- specimens


def classify(data):
    """Format, architecture and kind of a file; None if it is neither Mach-O nor PE."""
    try:
        if data[:4] == b"\xcf\xfa\xed\xfe" or (data[:4] in (b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf") and data[4:7] == b"\0\0\0"):
            images = [image for *_, image in zoo_macho.slices(data)]
            kinds = {2: "program", 6: "dylib", 8: "bundle", 10: "debug symbols"}
            architecture = "+".join(MACHINES.get(image.cpu, f"cpu {image.cpu:x}") for image in images)
            return "Mach-O", architecture, kinds.get(images[0].type, f"type {images[0].type}")
        if data[:2] == b"MZ":
            image = zoo_pe.Image(data)
            kind = "program" if not image.is_dll() else "managed" if image.is_managed() else "DLL"
            return "PE", MACHINES.get(image.machine, f"machine {image.machine:x}"), kind
    except zoo_pe.NotRead:
        return None  # DOS programs and the like
    return None


@dataclasses.dataclass
class Specimen:
    title: str
    maker: str
    format: str
    architecture: str
    kind: str
    name: str
    siblings: pathlib.Path  # the DLLs of its package
    path: pathlib.Path


def made_here(zoo, tools):
    """Libraries that no package has: (name, bytes)."""
    folder = zoo / "made"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "strings.rc").write_text('STRINGTABLE { 1 "nothing but resources" }\n')
    (folder / "f.c").write_text("int counter = 1;\nint* address = &counter;\nint f(int x) { return x + *address; }\n")
    made = []
    for machine in ("x86_64", "i686"):
        gcc, windres = (shutil.which(f"{machine}-w64-mingw32-{tool}") for tool in ("gcc", "windres"))
        if not gcc or not windres:
            tools.absent.add(f"{machine}-w64-mingw32-gcc")
            continue
        base = ["-shared", "-Wl,--no-insert-timestamp"]
        run(windres, folder / "strings.rc", folder / f"strings-{machine}.o")
        made += [(f"resources-{machine}.dll", [gcc, *base, "-nostdlib", "-Wl,--entry=0", folder / f"strings-{machine}.o"]),
                 (f"debug-{machine}.dll", [gcc, *base, "-g", folder / "f.c"]),
                 (f"stripped-{machine}.dll", [gcc, *base, "-s", folder / "f.c"]),
                 (f"no-relocations-{machine}.dll",
                  [gcc, *base, "-nostdlib", "-Wl,--entry=0", "-Wl,--disable-reloc-section", folder / "f.c"]),
                 (f"wide-alignment-{machine}.dll",
                  [gcc, *base, "-s", "-Wl,--section-alignment=65536,--file-alignment=4096", folder / "f.c"])]
    if tools.ld64 and shutil.which("clang"):
        for machine in ("arm64", "x86_64"):
            compiled = folder / f"f-{machine}.o"
            run("clang", "-target", f"{machine}-apple-macos12", "-c", folder / "f.c", "-o", compiled)
            bare = [
                tools.ld64, "-arch", machine, "-platform_version", "macos", "12.0", "12.0", "-dylib", "-undefined",
                "dynamic_lookup", compiled, "-headerpad"
            ]
            base = [*bare, "0x400"]
            made += [(f"chained-{machine}.dylib", [*base, "-fixup_chains"]),
                     (f"chained-odd-{machine}.dylib", [*base, "-fixup_chains", "-add_empty_section", "__EXTRA", "__empty"]),
                     (f"no-padding-{machine}.dylib", [*bare, "0"]), (f"padding-{machine}.dylib", base),
                     (f"unsigned-{machine}.dylib", [*base, "-no_adhoc_codesign"])]
    else:
        tools.absent.add("clang" if tools.ld64 else "ld64.lld")
    result = []
    for name, command in made:
        done = run(*command, "-o", folder / name)
        if done:
            result.append((name, (folder / name).read_bytes()))
        else:
            tools.absent.add(f"a linker for {name}: {done.text.splitlines()[-1] if done.text else done.status}")
    return result


def find_specimens(packages, cache, zoo, tools, per_package, skipped):
    """Each content once."""
    contents, specimens = set(), []

    def add(title, maker, name, data, siblings, counts):
        kind = classify(data)
        if not kind:
            return
        content = hashlib.sha256(data).hexdigest()
        if content in contents:
            skipped["same content as another"] += 1
            return
        contents.add(content)
        counts[kind] += 1
        if per_package and counts[kind] > per_package:
            skipped["more than --per-package of one kind"] += 1
            return
        path = zoo / "files" / content[:16] / os.path.basename(name)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        specimens.append(Specimen(f"{title}: {name}", maker, *kind, os.path.basename(name), siblings, path))

    for package in packages:
        counts = collections.Counter()
        siblings = zoo / "siblings" / package.path(cache).stem
        for name, data in package.files(cache):
            if len(data) >= 512:
                if name.lower().endswith(".dll") and data[:2] == b"MZ":
                    siblings.mkdir(parents=True, exist_ok=True)
                    if not (siblings / os.path.basename(name)).exists():
                        (siblings / os.path.basename(name)).write_bytes(data)
                add(package.title, package.maker, name, data, siblings, counts)
    for name, data in made_here(zoo, tools):
        add("made here", "made here", name, data, None, collections.Counter())
    for path in sorted(MODEL.glob("*/lib.*")):
        add("the model", "TVM", f"{path.parent.name}/{path.name}", path.read_bytes(), None, collections.Counter())
    return specimens


class Keeper:

    def __init__(self, build, tools, folder):
        self.pannier, self.bundle_probe = build / "embedder" / "pannier", build / "tests" / "bundle_probe"
        self.tools, self.folder, self.lock, self.number = tools, folder, threading.Lock(), 0
        self.objdump_help = run(tools.objdump, "--help").text if tools.objdump else ""

    def check(self, specimen):
        with self.lock:
            self.number += 1
            folder = self.folder / str(self.number)
        folder.mkdir()
        trial = Trial(self, specimen, folder)
        start = time.monotonic()
        try:
            trial.check()
        except Exception as error:  # a fault of this script is a failure, not the end
            trial.fail("zoo.py", repr(error))
        finally:
            shutil.rmtree(folder)
        return {
            "library": specimen.title,
            "bytes": specimen.path.stat().st_size,
            "seconds": round(time.monotonic() - start, 1),
            "failures": trial.failures,
            "checks": trial.marks,
            **trial.facts
        }


# --------------------------------------------------------------------------------------------------- self-test and report


def check_judges():
    """The own readers notice damage: each change breaks one rule. What they did not notice."""
    missed = []

    def expect(name, read, path, change):
        data = bytearray(path.read_bytes())
        change(data)
        if not new_in(read(bytes(data)).findings(), read(path.read_bytes()).findings()):
            missed.append(name)

    def put(layout, at, value):
        return lambda data: struct.pack_into(layout, data, at, value)

    macho, pe = MODEL / "macos-arm64" / "lib.dylib", MODEL / "windows-x86_64" / "lib.dll"
    image = zoo_macho.Slice(macho.read_bytes())
    text = image.first_content()
    linkedit = next(
        at for kind, at, _ in image.commands if kind == zoo_macho.LC_SEGMENT_64 and image.data[at + 8:at + 18] == b"__LINKEDIT")
    expect("Mach-O: a byte of code", zoo_macho.Slice, macho, lambda data: data.__setitem__(text, data[text] ^ 1))
    expect("Mach-O: __LINKEDIT's address", zoo_macho.Slice, macho, put("<Q", linkedit + 24, image.segments[0].address))
    expect("Mach-O: __LINKEDIT's size", zoo_macho.Slice, macho, put("<Q", linkedit + 48, image.segments[-1].size - 16))
    expect("Mach-O: a segment's name", zoo_macho.Slice, macho, put("<16s", linkedit + 8, b"__LINKEDIX"))
    image = zoo_pe.Image(pe.read_bytes())
    expect("PE: a byte of code", zoo_pe.Image, pe, lambda data: data.__setitem__(image.headers_size, data[image.headers_size] ^ 1))
    expect("PE: SizeOfImage", zoo_pe.Image, pe, put("<I", image.optional + 56, image.image_size + image.alignment))
    expect("PE: a section's address", zoo_pe.Image, pe, put("<I", image.table + 40 + 12,
                                                            image.sections[1].address + image.alignment))
    expect("PE: the number of symbols", zoo_pe.Image, pe, put("<I", image.header + 16, 1 << 24))
    return missed


def print_counter(title, counter):
    print(title)
    for text, count in counter.most_common():
        print(f"  {count:6} {text}")


def report(results, skipped, tools, missed):
    """Prints the tables; true when nothing failed."""
    for format_name in ("Mach-O", "PE"):
        of_format = [r for r in results if r["format"] == format_name]
        embedded = [r for r in of_format if r.get("outcome") == "embedded"]
        print(
            f"\n{format_name}: {len(of_format)} files of {len({r['maker'] for r in of_format})} makers tried, "
            f"{len(embedded)} embedded, "
            f"{sum(r.get('was signed', False) for r in embedded)} of them with --drop-signature, "
            f"{sum(r.get('sectionless', False) for r in embedded)} with --sectionless")
        print_counter("kinds", collections.Counter(f"{r['kind']} {r['architecture']}" for r in of_format))
        if refused := [r for r in of_format if r.get("outcome") == "refused"]:
            print_counter("refused, because", collections.Counter(f"{r['kind']}: {r['reason']}" for r in refused))
            for r in refused:
                if r["kind"] not in ("program", "debug symbols"):
                    print(f"         {r['library']}")
        if embedded:
            changed = [r["changed"] for r in embedded]
            restored = sum(
                all(r["checks"].get(f"restore, codec {codec}") == "passed" for codec in ("store", "auto")) for r in embedded)
            print(f"host bytes changed: median {statistics.median(changed):g}, largest {max(changed)}")
            print(f"restored exactly: {restored} of {len(embedded)}")
        if tried := [r for r in embedded if "loads bare" in r]:
            print(
                f"Wine: {sum(r['loads bare'] for r in tried)} of {len(tried)} load bare "
                f"({sum(r['loads bare'] and r.get('stand-ins', False) for r in tried)} with stand-ins for their program's ones), "
                f"{sum(r['loads with payload'] for r in tried)} with a payload")
        for check in dict.fromkeys(check for r in of_format for check in r["checks"]):
            counts = collections.Counter(r["checks"][check] for r in of_format if check in r["checks"])
            print(f"{check}: {counts.pop('passed', 0)} of {sum(check in r['checks'] for r in of_format)} passed")
            for text, count in counts.most_common():
                print(f"  {count:6} {text}")
    print()
    print_counter("skipped", skipped)
    if tools.absent:
        print("tools that are not here: " + ", ".join(sorted(tools.absent)))
    for name in missed:
        print(f"FAILED judge: {name}")
    failed = [r for r in results if r["failures"]]
    for result in failed:
        print(f"FAILED {result['library']}")
        for check, reason in result["failures"]:
            print(f"       {check}: {reason}")
    print(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    return bool(results) and not failed and not missed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path, help="the build folder, with pannier and bundle_probe")
    parser.add_argument("--sample", action="store_true", help="only the packages marked with * in the catalogue")
    parser.add_argument("--only",
                        action="append",
                        default=[],
                        metavar="TEXT",
                        help="only packages and files with this in their name")
    parser.add_argument("--per-package", type=int, metavar="N", help="no more than N files of one kind from a package")
    parser.add_argument("--jobs", type=int, default=2, metavar="N")
    parser.add_argument("--require-tools", action="store_true", help="fail if a tool is not installed")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="each library's outcome, one JSON object a line")
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    zoo = build.parent / "zoo"
    packages = [p for p in read_catalogue(CATALOGUE) if p.in_sample or not arguments.sample]
    if problems := fetch(packages, zoo / "cache"):
        print("\n".join(problems), file=sys.stderr)
        return 2

    tools, skipped, results = Tools(zoo), collections.Counter(), []
    specimens = find_specimens(packages, zoo / "cache", zoo, tools, arguments.per_package, skipped)
    if arguments.only:
        specimens = [s for s in specimens if any(text in s.title for text in arguments.only)]
    with (tempfile.TemporaryDirectory(prefix="pannier-zoo-") as folder, open(arguments.json or os.devnull, "w", buffering=1) as
          log, concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool):
        keeper = Keeper(build, tools, pathlib.Path(folder))
        for number, result in enumerate(pool.map(keeper.check, specimens)):
            results.append(result)
            print(json.dumps(result), file=log)
            for check, reason in result["failures"]:
                print(f"FAILED {result['library']}: {check}: {reason}", file=sys.stderr)
            if number % 50 == 49:
                print(f"{number + 1} of {len(specimens)}", file=sys.stderr)
    missed = check_judges()
    if arguments.require_tools:
        missed += [f"{name} is not installed" for name in sorted(tools.absent - {"rcodesign"})]
    return 0 if report(results, skipped, tools, missed) else 1


if __name__ == "__main__":
    sys.exit(main())
