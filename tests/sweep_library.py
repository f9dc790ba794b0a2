"""One library's way through all checks of sweep.py: embedded into, loaded, looked at, restored, and given to the tools that users have."""

import collections
import hashlib
import json
import os
import re
import shutil
import struct

import factory_blob
from caged_run import run, run_caged
from elf_headers import PAGE, PT_LOAD, Elf

TOOLS = {
    "strip -s": ["STRIP", "-s"],
    "strip --strip-debug": ["STRIP", "--strip-debug"],
    "llvm-strip -s": ["llvm-strip", "-s"],
    "eu-strip": ["eu-strip"],
    "patchelf --set-rpath": ["patchelf", "--set-rpath", "RPATH"],
}
BLOB = "__tvm_dev_mblob"


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lint(path):
    """eu-elflint's findings and how often each occurs, without what names one place: section numbers, addresses."""
    text = run("eu-elflint", "--gnu-ld", path).text
    text = re.sub(r"section \[ *\d+\]", "section", text)
    text = re.sub(r"0x[0-9a-f]+|\b\d+\b", "N", text)
    text = re.sub(r"(cannot get content of note section): .*", r"\1", text)  # the reason is of whatever libelf failed at before
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
        if self.bare_load:
            return None if self.probe("dlopen", bare) else "the bare library does not load any more, either"
        # What cannot be loaded here is judged by its headers.
        if self.elf.is_mappable() and not Elf(bare).is_mappable():
            return "the bare library cannot be mapped any more, either"
        return None

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
