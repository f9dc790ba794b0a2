#!/usr/bin/env python3
"""Sweep: every shared library of this machine becomes a bundle, goes through the tools that users have, and comes back.

usage: tests/sweep.py BUILD_DIR [--sample N] [--jobs N] [--as-factory] [--json FILE] [PATH...]

Of each library (ELF, ET_DYN, once per content; executables are left out) a copy is embedded into, and then
  - it loads if the bare copy does, else it fails in the same way; graph and tensors are mapped with it and intact
  - it has the same dynamic symbols, the same build id in the first page, no new finding of eu-elflint; every byte verifies
  - restored it is the same file; embedded again with --force it is the same bundle
  - after strip, llvm-strip, eu-strip and patchelf it still loads and carries the same; restoring it is refused with the reason

With --as-factory the bundles are made so that TVM takes them for its own: then the one symbol that is new leads to a blob with the
same graph and tensors, before and after the tools.

A tool may harm a library by itself. So what fails after a tool is done to the bare library, too, and is the tool's failure only if
it does the same to that: refuses it with the same words, changes the same program headers and pages of sections, or leaves it
unloadable. All else is ours. Libraries of other machines are checked without loading them, with their own strip.

Constructors of strange libraries run here. They run in a session and, where the system lets us, a process namespace of their own,
within a time limit, as the first to go when memory runs out; what they leave behind is ended. How many had to be is in the summary.

Exit status: 0 all passed; 1 something failed; 2 bad usage.
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

import factory_blob

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
PT_LOAD, PT_DYNAMIC, PT_NOTE, PT_PHDR = 1, 2, 4, 6
SHT_NULL, SHT_NOBITS, SHF_ALLOC = 0, 8, 2
PAGE = 4096
DT_FLAGS_1, DF_1_PIE = 0x6FFFFFFB, 0x08000000
BLOB = "__tvm_dev_mblob"


@dataclasses.dataclass
class Run:
    status: int
    text: str  # stdout and stderr

    def __bool__(self):
        return self.status == 0


class Endings:
    """How the processes that this script started ended, when not by themselves."""

    def __init__(self):
        self.lock = threading.Lock()
        self.counts = collections.Counter()

    def add(self, what):
        with self.lock:
            self.counts[what] += 1


ENDINGS = Endings()


def run(*command, environment=None):
    """Runs a command in a session of its own. Its output goes to a file: whoever holds a pipe open could keep us waiting."""
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output,
                                 stderr=subprocess.STDOUT, env=environment, start_new_session=True)
        try:
            status = child.wait(TIME_LIMIT)
        except subprocess.TimeoutExpired:
            status = None
        try:
            os.killpg(child.pid, signal.SIGKILL)
            if status is not None:
                ENDINGS.add("left processes behind")
        except ProcessLookupError:
            pass
        if status is None:
            child.wait()
            ENDINGS.add(f"killed after {TIME_LIMIT} s")
            return Run(-1, f"no end after {TIME_LIMIT} s")
        if status < 0:
            ENDINGS.add(f"ended by {signal.Signals(-status).name}")
        output.seek(0)
        return Run(status, output.read().decode("utf-8", "replace").strip())


# In a process namespace a child cannot reach this script, and nothing that it starts outlives it. Its first process ignores
# signals, hence the shell. Of two processes the kernel ends the one with the higher score when memory runs out.
CAGE = ["sh", "-c", 'echo 1000 >/proc/self/oom_score_adj; ulimit -c 0; "$0" "$@"; exit $?']
NAMESPACE = ["unshare", "--pid", "--fork", "--kill-child", "--"]
HAS_NAMESPACES = shutil.which("unshare") is not None and bool(run(*NAMESPACE, "true"))


def run_caged(*command, environment=None):
    done = run(*(NAMESPACE if HAS_NAMESPACES else []), *CAGE, *command, environment=environment)
    if 128 < done.status <= 128 + signal.SIGRTMAX:
        ENDINGS.add(f"ended by {signal.Signals(done.status - 128).name}")
    return done


class Elf:
    """Headers of an ELF file, for comparisons that are independent of the code under test."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = data = file.read()
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

    def at(self, address, size):
        """The file's bytes that are mapped there; None if there are fewer."""
        for kind, _, start, segment, in_file, _ in self.segments:
            if kind == PT_LOAD and segment <= address and address + size <= segment + in_file:
                found = self.data[start + address - segment:start + address - segment + size]
                return found if len(found) == size else None
        return None

    def sections(self):
        """Name, file offset, address and size of each section that is mapped with bytes of the file."""
        header = struct.Struct(self.order + ("IIQQQQ" if self.is_64 else "IIIIII"))
        table, = struct.unpack_from(self.order + ("Q" if self.is_64 else "I"), self.data, 40 if self.is_64 else 32)
        size, count, names = struct.unpack_from(self.order + "HHH", self.data, 58 if self.is_64 else 46)
        if table == 0:
            return []
        if count == 0:
            count = header.unpack_from(self.data, table)[5]
        if names == 0xFFFF:
            names, = struct.unpack_from(self.order + "I", self.data, table + (40 if self.is_64 else 24))
        strings = header.unpack_from(self.data, table + names * size)[4]
        sections = []
        for i in range(count):
            name, kind, flags, address, offset, length = header.unpack_from(self.data, table + i * size)
            if flags & SHF_ALLOC and kind not in (SHT_NULL, SHT_NOBITS) and length != 0:
                start = strings + name
                sections.append((bytes(self.data[start:self.data.index(0, start)]).decode(), offset, address, length))
        return sections

    def damage(self, after, count):
        """What a tool changed of this library as it is mapped: numbers of its first `count` program headers, and pages of sections.

        What no section covers counts by its address, and not when it is zeroes now: no harm is known that this does.
        """
        meanings = {(s[0], s[1], *s[3:]) for s in after.segments}
        changed = set()
        for i, (kind, flags, _, *place) in enumerate(self.segments[:count]):
            # Its size is the table's, and its place strip's choice.
            if kind != PT_PHDR and (kind, flags, *place) not in meanings:
                changed.add(("program header", i))
        sections = sorted(self.sections(), key=lambda section: section[1])
        for name, offset, address, size in sections:
            for at in range(0, size, PAGE) if offset != self.table[0] else ():
                length = min(PAGE, size - at)
                if after.at(address + at, length) != self.data[offset + at:offset + at + length]:
                    changed.add((name, at))
        covered = sorted([(0, 64 if self.is_64 else 52), self.table, *((s[1], s[1] + s[3]) for s in sections)])
        for kind, _, start, address, in_file, _ in self.segments[:count]:
            at, end = start, start + in_file
            for begin, stop in [*covered, (end, end)] if kind == PT_LOAD else ():
                while at < min(begin, end):
                    length = min(PAGE - at % PAGE, min(begin, end) - at)
                    found = after.at(address + at - start, length)
                    if found != self.data[at:at + length] and (found is None or any(found)):
                        changed.add(("between sections", (address + at - start) // PAGE))
                    at += length
                at = max(at, stop)
        return changed

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
    text = re.sub(r" +$", "", text, flags=re.M)
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
        if sweep.as_factory:
            self.codec = "store"
        self.failures, self.explained, self.tools, self.facts = [], [], {}, {}

    def fail(self, check, reason):
        self.failures.append((check, reason))

    def probe(self, how, path):
        words = [] if how == "dlopen" else [self.sweep.payload / "graph.json", self.sweep.payload / f"{self.params}.params"]
        return run_caged(self.sweep.bundle_probe, how, path, *words, environment=self.environment)

    def dlopen_bare(self):
        """Does the bare copy load? Its libraries may lie beside the original; a plug-in's missing symbols get stand-ins."""
        # The loader keeps little room for libraries with thread-local storage of the static kind.
        self.environment = {**os.environ, "LC_ALL": "C", "GLIBC_TUNABLES": "glibc.rtld.optional_static_tls=65536"}
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
                   self.sweep.payload / f"{self.params}.params", "--codec", self.codec, "--json",
                   *(["--as-factory"] if self.sweep.as_factory else []), *options)

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
        if not probed:
            return f"status {probed.status}: {probed.text[-300:]}"
        return self.check_blob(path) if self.sweep.as_factory else None

    def check_blob(self, path):
        """None when TVM would find the graph and the tensors where the symbol leads, by the section headers and without them."""
        # Without section headers only -D -s prints symbols.
        for words in (["--dyn-syms"], ["-D", "-s"]) if Elf(path).sections() else (["-D", "-s"],):
            text = run("readelf", "-W", *words, path).text
            found = re.findall(rf"^ *\d+: ([0-9a-f]+) +(\w+) OBJECT +GLOBAL +DEFAULT +(?:\d+|bad.*\]) {BLOB}(?:@.*)?$", text, flags=re.M)
            if len(found) != 1:
                return f"readelf {words}: found {len(found)} symbols {BLOB}, expected one"
            address, size = int(found[0][0], 16), int(found[0][1], 0)
            try:
                blob = factory_blob.parse(Elf(path).at(address, size) or b"")
            except (ValueError, struct.error) as error:
                return f"blob at {address:#x}: {error}"
            graph, params = ((self.sweep.payload / name).read_bytes() for name in ("graph.json", f"{self.params}.params"))
            if (blob.graph, blob.params_file(), blob.size) != (graph, params, size):
                return f"blob at {address:#x}: holds another graph or params, or has not the symbol's size"
        if self.bare_load:
            probed = run_caged(self.sweep.bundle_probe, "symbol", path, BLOB, environment=self.environment)
            first = min(segment[3] for segment in Elf(path).segments if segment[0] == PT_LOAD) // PAGE * PAGE
            if not probed or int(probed.text.splitlines()[-1]) != address - first:
                return f"dlsym: {probed.status} {probed.text[-200:]}, expected {address - first}"
        return None

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
        # A table that is there only now has a heading, too.
        symbols, bare = (re.sub(rf"^(.* {BLOB}(@.*)?| +Num: .*)?\n", "", dynamic_symbols(path), flags=re.M)
                         for path in (self.bundle, self.bare))
        if symbols != bare:
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

    def broken(self, bare):
        """Says so if the tool left the bare library unloadable; None if it did not."""
        is_broken = bool(self.bare_load) and not self.probe("dlopen", bare)
        return "the bare library does not load any more, either" if is_broken else None

    def harm(self, before, after):
        return Elf(before).damage(Elf(after), len(self.elf.segments))

    @staticmethod
    def refusal(drops_payload):
        return "not a bundle" if drops_payload else "cannot be restored: it was changed since it was made ("

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
        applied, bare_applied = run(*command, changed), run(*command, bare)
        # GNU strip works on a file with a name of its own making.
        said, said_bare = (generalised(re.sub(r"\bst\w{6}\b", "", without(done.text, path, path.parent)))[:100]
                           for done, path in ((applied, changed), (bare_applied, bare)))
        if not applied:
            if bare_applied.status == applied.status and said_bare == said:
                self.tools[tool] = f"explained: it refuses the bare library, too: {said}"
            else:
                self.fail(tool, f"the tool failed: {applied.text[-300:]}; with the bare library: {bare_applied.text[-300:]}")
                self.tools[tool] = "failed"
            return
        wrong = []  # what, and how the bare library shows that it is the tool's fault

        # They remove all sections that are not mapped.
        drops_payload = not self.is_mapped and tool in ("llvm-strip -s", "eu-strip")
        if drops_payload:
            probed = self.probe("open", changed)
            if probed.status != 1 or "not a bundle" not in probed.text:
                wrong.append((f"payload, expected to be gone: {probed.status} {probed.text[-200:]}", None))
        elif problem := self.check_load(changed):
            wrong.append((f"load: {problem}", self.broken(bare)))

        is_same = digest(changed) == digest(self.bundle)
        verified = run(self.sweep.pannier, "verify", "--image", changed)
        if drops_payload:
            pass
        elif tool.startswith("patchelf"):
            if verified.status != 1 and not is_same:
                wrong.append((f"verify --image: status {verified.status}, expected 1: {verified.text[-200:]}", None))
        elif not verified:
            harm, bare_harm = self.harm(self.bundle, changed), self.harm(self.bare, bare)
            reason = "it changes the same program headers and sections of the bare library" if harm and harm <= bare_harm else None
            wrong.append((f"verify --image: {verified.text[-300:]} (changed: {sorted(harm - bare_harm)[:5]})",
                          reason or self.broken(bare)))

        restored = self.folder / "restored"
        restored.unlink(missing_ok=True)
        done = run(self.sweep.pannier, "restore", changed, "-o", restored)
        if done:
            if digest(restored) != digest(self.path):
                wrong.append(("restore: succeeded with another file than the original", None))
        elif done.status != 2 or restored.exists() or is_same or self.refusal(drops_payload) not in done.text:
            wrong.append((f"restore: status {done.status}: {done.text[-300:]}", None))

        unexplained = [what for what, reason in wrong if reason is None]
        if unexplained:
            self.failures += [(tool, what) for what in unexplained]
            self.tools[tool] = "failed"
        elif wrong:
            self.tools[tool] = "explained: " + "; ".join(sorted({reason for _, reason in wrong}))
        else:
            self.tools[tool] = "payload removed, as said" if drops_payload else "passed"


class Sweep:
    def __init__(self, build, folder, as_factory=False):
        self.folder = folder
        self.as_factory = as_factory
        # Whoever builds meanwhile does not change what is tested.
        self.pannier, self.bundle_probe = (pathlib.Path(shutil.copy(build / name, folder)) for name in
                                           ("embedder/pannier", "tests/bundle_probe"))
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
        start = time.monotonic()
        folder = self.folder / str(number)
        library = Library(self, number, path, folder)
        try:
            folder.mkdir()
            library.check()
        except Exception as error:  # a fault of this script is a failure, not the end
            if os.path.exists(path):
                library.fail("sweep.py", repr(error))
            else:
                library.facts["outcome"] = "gone before it was reached"
        finally:
            shutil.rmtree(folder, ignore_errors=True)
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
    print_counter(f"processes that did not end by themselves: {ENDINGS.counts.total()}", ENDINGS.counts)
    if not HAS_NAMESPACES:
        print("constructors ran without a process namespace of their own: unshare --pid is not permitted here")
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
    parser.add_argument("--as-factory", action="store_true", help="make bundles that TVM takes for its own")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="each library's outcome, one JSON object a line")
    parser.add_argument("paths", nargs="*", default=ROOTS, metavar="PATH", help="folders or files, instead of the whole machine")
    arguments = parser.parse_intermixed_args()
    missing = [tool for tool in ("strip", "llvm-strip", "eu-strip", "eu-elflint", "patchelf", "readelf") if not shutil.which(tool)]
    if missing:
        parser.error(f"not found: {', '.join(missing)}")

    paths, skipped = find_libraries(arguments.paths)
    chosen = choose_libraries(paths, arguments.sample, skipped)
    results = []
    with (tempfile.TemporaryDirectory(prefix="pannier-sweep-") as folder,
          open(arguments.json or os.devnull, "w", buffering=1) as log,
          concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool):
        sweep = Sweep(arguments.build.resolve(), pathlib.Path(folder), arguments.as_factory)
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
