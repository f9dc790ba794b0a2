#!/usr/bin/env python3
"""Sweep: every shared library of this machine becomes a bundle, goes through the tools that users have, and comes back.

usage: tests/sweep.py BUILD_DIR [--sample N] [--jobs N] [--json FILE] [PATH...]

Of each library (ELF, ET_DYN, once per content; executables are left out) a copy is embedded into, and then
  - it loads if the bare copy does, else it fails in the same way; graph and tensors are mapped with it and intact
  - it has the same dynamic symbols, the same build id in the first page, no new finding of eu-elflint; every byte verifies
  - restored it is the same file; embedded again with --force it is the same bundle
  - after strip, llvm-strip, eu-strip and patchelf it still loads and carries the same; restoring it is refused with the reason

A tool may harm a library by itself. So what fails after a tool is done to the bare library, too: where that fares the same, the
failure is the tool's, and is counted as such. Libraries of other machines are checked without loading them, with their own strip.

Exit status: 0 all passed; 1 something failed; 2 bad usage.
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import hashlib
import json
import mmap
import os
import pathlib
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOTS = ["/usr", "/lib", "/lib64", "/opt", "/home", "/root", "/var/lib"]
TIME_LIMIT = 300  # seconds, for one command
LARGEST_IN_SAMPLE = 8 << 20

# e_machine, class and byte order of libraries that this machine's strip does not know: whose strip to take.
STRIPS = {
    (3, 1, 1): "i686-linux-gnu-strip",
    (62, 2, 1): "x86_64-linux-gnu-strip",
    (183, 2, 1): "aarch64-linux-gnu-strip",
    (40, 1, 1): "arm-linux-gnueabihf-strip",
    (243, 2, 1): "riscv64-linux-gnu-strip",
    (21, 2, 1): "powerpc64le-linux-gnu-strip",
    (20, 1, 2): "powerpc-linux-gnu-strip",
    (22, 2, 2): "s390x-linux-gnu-strip",
}
TOOLS = {
    "strip -s": ["STRIP", "-s"],
    "strip --strip-debug": ["STRIP", "--strip-debug"],
    "llvm-strip -s": ["llvm-strip", "-s"],
    "eu-strip": ["eu-strip"],
    "patchelf --set-rpath": ["patchelf", "--set-rpath", "RPATH"],
}

ET_DYN = 3
PT_LOAD, PT_DYNAMIC, PT_NOTE = 1, 2, 4
DT_FLAGS_1, DF_1_PIE = 0x6FFFFFFB, 0x08000000


@dataclasses.dataclass
class Run:
    status: int
    text: str  # stdout and stderr

    def __bool__(self):
        return self.status == 0


def run(*command, environment=None):
    try:
        done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=TIME_LIMIT, env=environment, start_new_session=True)
    except subprocess.TimeoutExpired:
        return Run(-1, f"no end after {TIME_LIMIT} s")
    return Run(done.returncode, done.stdout.decode("utf-8", "replace").strip())


class Elf:
    """Headers of an ELF file, for comparisons that are independent of the code under test."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.is_64 = data[4] == 2
        self.order = "<" if data[5] == 1 else ">"
        self.type, self.machine = struct.unpack_from(self.order + "HH", data, 16)
        self.key = (self.machine, data[4], data[5])
        offset, = struct.unpack_from(self.order + ("Q" if self.is_64 else "I"), data, 32 if self.is_64 else 28)
        size, count = struct.unpack_from(self.order + "HH", data, 54 if self.is_64 else 42)
        self.table = (offset, offset + size * count)
        self.segments = []
        for i in range(count):
            if self.is_64:
                fields = struct.unpack_from(self.order + "IIQQQQQQ", data, offset + i * size)
                kind, flags, start, address, _, in_file, in_memory, _ = fields
            else:
                fields = struct.unpack_from(self.order + "IIIIIIII", data, offset + i * size)
                kind, start, address, _, in_file, in_memory, flags, _ = fields
            self.segments.append((kind, flags, start, address, in_file, in_memory))

    def image(self):
        """What the OS maps: the program headers' meaning, and digests of the segments without ELF header and program headers."""
        digests = []
        for kind, _, start, _, in_file, _ in self.segments:
            if kind != PT_LOAD:
                continue
            content = hashlib.sha256()
            at, end = start, start + in_file
            for begin, stop in sorted([(0, 64 if self.is_64 else 52), self.table, (end, end)]):
                content.update(self.data[at:max(at, min(begin, end))])
                at = max(at, min(stop, end))
            digests.append(content.hexdigest())
        return [(s[0], s[1], s[3], s[4], s[5]) for s in self.segments], digests

    def is_executable(self):
        entry = struct.Struct(self.order + ("QQ" if self.is_64 else "II"))
        for kind, _, start, _, in_file, _ in self.segments:
            if kind != PT_DYNAMIC:
                continue
            for tag, value in entry.iter_unpack(self.data[start:start + in_file // entry.size * entry.size]):
                if tag == DT_FLAGS_1:
                    return value & DF_1_PIE != 0
        return False

    def build_id(self):
        """Its bytes and where they end in the file."""
        for kind, _, start, _, in_file, _ in self.segments:
            at = start
            while kind == PT_NOTE and at + 12 <= start + in_file:
                name_size, size, note = struct.unpack_from(self.order + "III", self.data, at)
                description = at + 12 + (name_size + 3) // 4 * 4
                if note == 3 and self.data[at + 12:at + 16] == b"GNU\0":
                    return self.data[description:description + size], description + size
                at = description + (size + 3) // 4 * 4
        return None, 0


def write_payload(folder):
    """A graph and two .params files: one small, one that compresses."""
    nodes = [{"op": "null", "name": f"p{i}", "inputs": []} for i in range(20)]
    (folder / "graph.json").write_text(json.dumps({"nodes": nodes, "arg_nodes": [], "heads": [[0, 0, 0]]}))
    tensors = {
        "small": [("fc1.weight", 2, 32, (17, 33), struct.pack("<561f", *((i * 7919 % 1009) / 8 - 50 for i in range(561)))),
                  ("int8", 0, 8, (300,), bytes((i * 7 + 1) % 256 for i in range(300))),
                  ("scalar", 0, 64, (), struct.pack("<q", -1234567890123)),
                  ("empty", 2, 32, (0, 3), b"")],
        "large": [("fc1.weight", 2, 32, (300, 400), struct.pack("<120000f", *((i * i % 127) / 8 - 5 for i in range(120000)))),
                  ("uint16", 1, 16, (5, 7), struct.pack("<35H", *(i * 259 + 1 for i in range(35))))],
    }
    for name, entries in tensors.items():
        with open(folder / f"{name}.params", "wb") as file:
            file.write(struct.pack("<QQQ", 0xF7E58D4F05049CB7, 0, len(entries)))
            for tensor, *_ in entries:
                file.write(struct.pack("<Q", len(tensor)) + tensor.encode())
            file.write(struct.pack("<Q", len(entries)))
            for _, code, bits, shape, data in entries:
                file.write(struct.pack("<QQiii", 0xDD5E40F096B4A13F, 0, 1, 0, len(shape)))
                file.write(struct.pack("<BBH", code, bits, 1) + struct.pack(f"<{len(shape)}qq", *shape, len(data)) + data)


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_libraries(roots):
    """Paths of all that is named like a library and says ET_DYN, and a count of what was left out and why."""
    skipped = collections.Counter()
    libraries = []
    folders = sorted({os.path.realpath(root) for root in roots if os.path.exists(root)})
    names = ["-name", "*.so", "-o", "-name", "*.so.*", "-o", "-name", "*.node"]
    # os.walk takes ten times as long.
    found = subprocess.run(["find", *folders, "-xdev", "-type", "f", "(", *names, ")", "-print0"], stdout=subprocess.PIPE).stdout
    for path in sorted(set(os.fsdecode(found).split("\0")) - {""}):
        try:
            with open(path, "rb") as file:
                start = file.read(20)
        except OSError as error:
            skipped[f"cannot be read: {error.strerror}"] += 1
            continue
        if start[:4] != b"\x7fELF" or len(start) < 20:
            skipped["named like a library, but no ELF file"] += 1
        elif struct.unpack_from("<H" if start[5] == 1 else ">H", start, 16)[0] != ET_DYN:
            skipped["ELF, but no shared library"] += 1
        else:
            libraries.append(path)
    return libraries, skipped


def choose_libraries(paths, sample, skipped):
    """Each content once; of a sample the same N on every run."""
    chosen, contents = [], set()
    for path in sorted(paths, key=lambda name: hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()):
        if sample and len(chosen) >= sample:
            skipped["not in the sample"] += 1
        elif sample and os.path.getsize(path) > LARGEST_IN_SAMPLE:
            skipped["not in the sample: larger than 8 MiB"] += 1
        elif (content := digest(path)) in contents:
            skipped["same content as another"] += 1
        elif Elf(path).is_executable():
            skipped["position-independent executable"] += 1
        else:
            contents.add(content)
            chosen.append(path)
    return chosen


def lint(path):
    """eu-elflint's findings and how often each occurs, without what names one place: section numbers, addresses."""
    text = run("eu-elflint", "--gnu-ld", path).text
    text = re.sub(r"section \[ *\d+\]", "section", text)
    text = re.sub(r"0x[0-9a-f]+|\b\d+\b", "N", text)
    return collections.Counter(line for line in text.splitlines() if line != "No errors")


def new_findings(before, after):
    """Those that the bare library does not have; another word about a symbol that it finds fault with there is not new."""
    faulty = {match.group() for line in before if (match := re.match(r".*: symbol N \(.+?\):", line))}
    return {line: count for line, count in (after - before).items() if not any(line.startswith(symbol) for symbol in faulty)}


def dynamic_symbols(path):
    """As the section headers lead to them, and as the dynamic section does."""
    text = "".join(run("readelf", "-W", *words, "--dyn-syms", path).text + "\n" for words in ([], ["-D"]))
    # An index that no section had may now be one of ours.
    text = re.sub(r" +(?:bad section index\[ *(\d+)\])?", r" \1", text)
    return re.sub(r"^.*(\.dynsym|readelf: ).*$", "", text, flags=re.M)


def without(text, *words):
    for word in words:
        text = text.replace(str(word), "")
    return text


def generalised(text):
    """A message without what is particular to one library, to group by."""
    return re.sub(r"0x[0-9a-f]+|\b\d+\b", "N", text.splitlines()[0] if text else "no message")


class Library:
    """One library's way through all checks, in a folder of its own."""

    def __init__(self, sweep, number, path, folder):
        self.sweep, self.path, self.folder = sweep, path, folder
        self.name = os.path.basename(path)
        self.codec, self.params = [("store", "small"), ("store", "small"), ("store", "small"), ("zstd", "large")][number % 4]
        self.failures, self.explained, self.tools, self.facts = [], [], {}, {}

    def fail(self, check, reason):
        self.failures.append((check, reason))

    def probe(self, how, path):
        words = [] if how == "dlopen" else [self.sweep.payload / "graph.json", self.sweep.payload / f"{self.params}.params"]
        return run(self.sweep.bundle_probe, how, path, *words, environment=self.environment)

    def dlopen_bare(self):
        """Does the bare copy load? Its libraries may lie beside the original; a plug-in's missing symbols get stand-ins."""
        self.environment = {**os.environ, "LC_ALL": "C"}
        self.bare = self.folder / "bare" / self.name
        self.bare.parent.mkdir()
        shutil.copyfile(self.path, self.bare)
        self.bare_load = self.probe("dlopen", self.bare)
        if not self.bare_load and self.probe("dlopen", self.path):
            self.environment["LD_LIBRARY_PATH"] = os.path.dirname(self.path)
            self.bare_load = self.probe("dlopen", self.bare)
        if "undefined symbol" in self.bare_load.text:
            symbols = set(re.findall(r" GLOBAL +\S+ +UND ([^@\s]+)$", dynamic_symbols(self.bare), flags=re.M))
            source, stubs = self.folder / "stubs.s", self.folder / "stubs.so"
            source.write_text(".bss\n" + "".join(f'.globl "{symbol}"\n"{symbol}": .skip 256\n' for symbol in sorted(symbols)))
            if run("cc", "-shared", "-nostdlib", source, "-o", stubs):
                with_stubs = {**self.environment, "LD_PRELOAD": str(stubs)}
                without_stubs, self.environment = self.environment, with_stubs
                loaded = self.probe("dlopen", self.bare)
                if loaded:
                    self.bare_load, self.facts["stubs"] = loaded, True
                else:
                    self.environment = without_stubs

    def embed(self, host, *options):
        return run(self.sweep.pannier, "embed", host, "--graph", self.sweep.payload / "graph.json", "--params",
                   self.sweep.payload / f"{self.params}.params", "--codec", self.codec, "--json", *options)

    def check(self):
        self.dlopen_bare()
        self.facts["loads bare"] = bool(self.bare_load)
        self.bundle = self.folder / "bundle" / self.name
        self.bundle.parent.mkdir()
        embedded = self.embed(self.bare, "-o", self.bundle)
        if not embedded:
            self.facts["outcome"] = "refused"
            self.facts["reason"] = without(embedded.text, f"pannier: {self.bare}: ", f"pannier: {self.bundle}: ")
            if embedded.status != 2 or self.bundle.exists():
                self.fail("refusal", f"status {embedded.status}, written: {self.bundle.exists()}: {embedded.text[:300]}")
            return
        summary = json.loads(embedded.text)
        self.is_mapped = summary["mapped"]
        self.facts["outcome"] = "mapped" if self.is_mapped else "file only"
        self.facts["reason"] = summary["why_not_mapped"]
        self.facts["changed"] = summary["host_bytes_changed"]
        self.elf = Elf(self.bare)
        # The old path still leads to the library's own dependencies.
        old_rpath = run("patchelf", "--print-rpath", self.bare)
        self.longer_rpath = "/nowhere/in/particular:"
        if old_rpath:
            self.longer_rpath += old_rpath.text.replace("$ORIGIN", os.path.dirname(self.path))
        self.check_bundle()
        for tool, command in TOOLS.items():
            self.check_tool(tool, command)

    def check_load(self, path):
        """None when the payload is where it belongs; loaded, if the bare library loads."""
        probed = self.probe("open" if not self.bare_load else "mapped" if self.is_mapped else "file", path)
        return None if probed else f"status {probed.status}: {probed.text[-300:]}"

    def check_bundle(self):
        if wrong := self.check_load(self.bundle):
            self.fail("load", wrong)
        if not self.bare_load:
            same = self.probe("dlopen", self.bundle)
            said, said_bare = (generalised(without(probed.text, path.parent))
                               for probed, path in ((same, self.bundle), (self.bare_load, self.bare)))
            if (same.status, said) != (self.bare_load.status, said_bare):
                self.fail("dlopen", f"bare: {self.bare_load.status} {said_bare[-200:]}; bundle: {same.status} {said[-200:]}")
        self.facts["loads after"] = bool(self.bare_load) and not self.failures
        if dynamic_symbols(self.bare) != dynamic_symbols(self.bundle):
            self.fail("symbols", "the dynamic symbols differ")
        if new := new_findings(lint(self.bare), lint(self.bundle)):
            self.fail("eu-elflint", "; ".join(f"{count} times {line}" for line, count in list(new.items())[:3]))
        old, old_end = self.elf.build_id()
        new, new_end = Elf(self.bundle).build_id()
        if old != new or old_end <= 4096 < new_end:
            self.fail("build id", f"found {new} up to {new_end}, expected {old} up to {old_end}")
        verified = run(self.sweep.pannier, "verify", self.bundle)
        if not verified:
            self.fail("verify", verified.text[-300:])
        verified = run(self.sweep.pannier, "verify", "--image", self.bundle)
        if not verified:
            self.fail("verify --image", verified.text[-300:])

        restored = self.folder / "restored"
        done = run(self.sweep.pannier, "restore", self.bundle, "-o", restored)
        if not done or digest(restored) != digest(self.path):
            self.fail("restore", done.text[-300:] if not done else "the restored library differs from the original")
        again = self.folder / "again"
        shutil.copyfile(self.bundle, again)
        done = self.embed(again, "--force")
        if not done or digest(again) != digest(self.bundle):
            self.fail("embed --force", done.text[-300:] if not done else "the bundle differs from the first one")
        again.unlink()

    def check_tool(self, tool, command):
        """Runs a tool on a copy of the bundle; on a copy of the bare library only when something has to be explained."""
        words = {"STRIP": self.sweep.strip_for(self.elf.key), "RPATH": self.longer_rpath}
        command = [words.get(word, word) for word in command]
        if command[0] is None:
            self.tools[tool] = f"skipped: no strip for machine {self.elf.key[0]}"
            return
        changed, bare = self.folder / "changed" / self.name, self.folder / "changed-bare" / self.name
        for target, source in ((changed, self.bundle), (bare, self.bare)):
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(source, target)
        applied = run(*command, changed)
        bare_applied = run(*command, bare)
        # eu-strip says "illformed file" and exits with 0.
        refuses_bare = not bare_applied or (bare_applied.text != "" and digest(bare) == digest(self.bare))
        said_bare = generalised(without(bare_applied.text, bare))[:100]
        wrong = []  # what, and whether the bare library shows that it is the tool's fault
        if not applied:
            if not refuses_bare:
                self.fail(tool, f"the tool failed: {applied.text[-300:]}")
                self.tools[tool] = "failed"
            else:
                self.tools[tool] = f"explained: it refuses the bare library, too: {said_bare}"
            return

        # They remove all sections that are not mapped.
        drops_payload = not self.is_mapped and tool in ("llvm-strip -s", "eu-strip")
        if drops_payload:
            probed = self.probe("open", changed)
            if probed.status != 1 or "not a bundle" not in probed.text:
                wrong.append((f"payload, expected to be gone: {probed.status} {probed.text[-200:]}", False))
        elif problem := self.check_load(changed):
            wrong.append((f"load: {problem}", bool(self.bare_load) and not self.probe("dlopen", bare)))

        is_same = digest(changed) == digest(self.bundle)
        verified = run(self.sweep.pannier, "verify", "--image", changed)
        if drops_payload:
            pass
        elif tool.startswith("patchelf"):
            if verified.status != 1 and not is_same:
                wrong.append((f"verify --image: status {verified.status}, expected 1: {verified.text[-200:]}", False))
        elif not verified:
            differs = Elf(bare).image() != self.elf.image()
            wrong.append((f"verify --image: {verified.text[-300:]}", differs))

        restored = self.folder / "restored"
        restored.unlink(missing_ok=True)
        done = run(self.sweep.pannier, "restore", changed, "-o", restored)
        if done:
            if digest(restored) != digest(self.path):
                wrong.append(("restore: succeeded with another file than the original", False))
        elif done.status != 2 or restored.exists() or is_same or not ("cannot be restored" in done.text or drops_payload):
            wrong.append((f"restore: status {done.status}: {done.text[-300:]}", False))

        unexplained = [reason for reason, is_explained in wrong if not is_explained]
        if wrong and refuses_bare:
            self.tools[tool] = f"explained: it refuses the bare library: {said_bare}"
        elif unexplained:
            self.failures += [(tool, reason) for reason in unexplained]
            self.tools[tool] = "failed"
        elif wrong:
            self.tools[tool] = "explained: it harms the bare library, too: " + generalised(wrong[0][0]).split(":")[0]
        else:
            self.tools[tool] = "payload removed, as said" if drops_payload else "passed"


class Sweep:
    def __init__(self, build, folder):
        self.pannier, self.bundle_probe = build / "embedder" / "pannier", build / "tests" / "bundle_probe"
        self.folder = folder
        self.payload = folder / "payload"
        self.payload.mkdir()
        write_payload(self.payload)

    @staticmethod
    def strip_for(key):
        name = STRIPS.get(key)
        if name and key[0] == {"x86_64": 62, "aarch64": 183}.get(os.uname().machine):
            name = "strip"
        return shutil.which(name) if name else None

    def check(self, number, path):
        folder = self.folder / str(number)
        folder.mkdir()
        library = Library(self, number, path, folder)
        start = time.monotonic()
        try:
            library.check()
        except Exception as error:  # a fault of this script is a failure, not the end
            library.fail("sweep.py", repr(error))
        finally:
            shutil.rmtree(folder)
        seconds = time.monotonic() - start
        return {"library": path, "seconds": seconds, "failures": library.failures, "tools": library.tools, **library.facts}


def print_counter(title, counter):
    print(title)
    for text, count in counter.most_common():
        print(f"  {count:6} {text}")


def report(results, skipped):
    """Prints the table; true when nothing failed."""
    total = len(results)
    print(f"\nlibraries tried: {total}")
    print_counter("outcome of embedding", collections.Counter(r.get("outcome", "not embedded") for r in results))
    for outcome in ("refused", "file only"):
        if reasons := collections.Counter(generalised(r["reason"]) for r in results if r.get("outcome") == outcome):
            print_counter(f"{outcome}, because", reasons)
    embedded = [r for r in results if r.get("outcome") in ("mapped", "file only")]
    print(f"dlopen: {sum(r['loads bare'] for r in embedded)} of {len(embedded)} load bare "
          f"({sum(r.get('stubs', False) for r in embedded)} with stand-ins for symbols of their program), "
          f"{sum(r['loads after'] for r in embedded)} with a payload")
    for tool in TOOLS:
        counts = collections.Counter(r["tools"].get(tool, "not reached") for r in embedded)
        print_counter(f"{tool}: {counts['passed']} of {len(embedded)} passed", counts)
    changed = [r["changed"] for r in embedded if r["outcome"] == "mapped"]
    if changed:
        print(f"host bytes changed (mapped): median {statistics.median(changed):g}, largest {max(changed)}")
    print_counter("skipped", skipped)
    failed = [r for r in results if r["failures"]]
    for result in failed:
        print(f"FAILED {result['library']}")
        for check, reason in result["failures"]:
            print(f"       {check}: {reason}")
    print(f"{total - len(failed)} of {total} libraries passed, {len(failed)} failed")
    return total > 0 and not failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path, help="the build folder, with pannier and bundle_probe")
    parser.add_argument("--sample", type=int, metavar="N", help="only N libraries, always the same, none larger than 8 MiB")
    parser.add_argument("--jobs", type=int, default=2, metavar="N")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="each library's outcome, one JSON object a line")
    parser.add_argument("paths", nargs="*", default=ROOTS, metavar="PATH", help="folders or files, instead of the whole machine")
    arguments = parser.parse_args()
    missing = [tool for tool in ("strip", "llvm-strip", "eu-strip", "eu-elflint", "patchelf", "readelf") if not shutil.which(tool)]
    if missing:
        parser.error(f"not found: {', '.join(missing)}")

    paths, skipped = find_libraries(arguments.paths)
    chosen = choose_libraries(paths, arguments.sample, skipped)
    results = []
    with (tempfile.TemporaryDirectory(prefix="pannier-sweep-") as folder,
          open(arguments.json or os.devnull, "w", buffering=1) as log,
          concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool):
        sweep = Sweep(arguments.build.resolve(), pathlib.Path(folder))
        for number, result in enumerate(pool.map(sweep.check, range(len(chosen)), chosen)):
            results.append(result)
            print(json.dumps(result), file=log)
            for check, reason in result["failures"]:
                print(f"FAILED {result['library']}: {check}: {reason}", file=sys.stderr)
            if sys.stderr.isatty() or number % 100 == 99:
                print(f"{number + 1} of {len(chosen)}", file=sys.stderr, end="\r" if sys.stderr.isatty() else "\n")
    return 0 if report(results, skipped) else 1


if __name__ == "__main__":
    sys.exit(main())
