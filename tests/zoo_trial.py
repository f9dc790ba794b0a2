"""One library's way through all checks of the zoo: embedded into, judged, changed by tools, brought back."""

import collections
import filecmp
import hashlib
import json
import pathlib
import re
import shutil
import struct

import zoo_macho
import zoo_pe
from zoo_tools import run

MODEL = pathlib.Path(__file__).resolve().parent / "data" / "mlp"
GNU_STRIPS = {"x64": "x86_64-w64-mingw32-strip", "ia32": "i686-w64-mingw32-strip"}

# The reasons for which pannier may refuse a file; any other refusal is a failure.
REFUSALS = {
    "program": r"executable|program",
    "debug symbols": r"debug symbols|dSYM",
    "signed": r"signature|signed|certificate",
    "no room for load commands": r"headerpad",
    "no room for section headers": r"section header",
    "a segment behind __LINKEDIT": r"behind __LINKEDIT",
    "managed": r"\.NET|managed|CLR",
}


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fnv(data):
    value = 14695981039346656037
    for byte in data:
        value = (value ^ byte) * 1099511628211 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def generalised(text):
    """A message without what is particular to one library, to group by."""
    return re.sub(r"0x[0-9a-f]+|\b[0-9a-f]*\d[0-9a-f]*\b", "N", text)[:140]


def new_in(after, before):
    return list((collections.Counter(after) - collections.Counter(before)).elements())


class Trial:
    """One specimen's way through all checks, in a folder of its own."""

    def __init__(self, keeper, specimen, folder):
        self.keeper, self.tools, self.specimen, self.folder = keeper, keeper.tools, specimen, folder
        self.failures, self.marks, self.facts = [], {}, {
            "format": specimen.format,
            "architecture": specimen.architecture,
            "kind": specimen.kind,
            "maker": specimen.maker
        }

    def fail(self, check, reason):
        self.failures.append((check, reason))
        self.marks[check] = "failed"

    def mark(self, check, wrong, explanation=None):
        """wrong: None, or what is wrong; explanation: why it is not our fault, if it is not."""
        if not wrong:
            self.marks.setdefault(check, "passed")
        elif explanation:
            self.marks[check] = f"explained: {explanation}"
        else:
            self.fail(check, wrong)

    def pannier(self, *words):
        return run(self.keeper.pannier, *words)

    def embed(self, host, *options):
        words = [
            word for word, fact in (("--drop-signature", "was signed"), ("--sectionless", "sectionless")) if self.facts.get(fact)
        ]
        return self.pannier("embed", host, "--graph", MODEL / "graph.json", "--params", MODEL / "params.bin", "--json", *words,
                            *options)

    def place(self, folder, source):
        """A copy of its own, under the library's name."""
        target = self.folder / folder / self.specimen.name
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, target)
        return target

    def read(self, path):
        """The images of a file: one, or one a slice."""
        with open(path, "rb") as file:
            data = file.read()
        if self.specimen.format == "PE":
            return [zoo_pe.Image(data)]
        return [image for *_, image in zoo_macho.slices(data)]

    def findings(self, path):
        try:
            return [f"slice {i}: {finding}" for i, image in enumerate(self.read(path)) for finding in image.findings()]
        except (zoo_macho.NotRead, zoo_pe.NotRead, struct.error) as error:
            return [f"not readable: {error}"]

    def payload_wrong(self, path):
        """None when the payload can be read and is whole, in every slice."""
        probed = run(self.keeper.bundle_probe, "open", path, MODEL / "graph.json", MODEL / "params.bin")
        return None if probed else f"payload: status {probed.status}: {probed.text[-300:]}"

    def refused(self, text):
        return next((kind for kind, pattern in REFUSALS.items() if re.search(pattern, text)), None)

    def check(self):
        self.bare = self.place("bare", self.specimen.path)
        self.images = self.read(self.bare)
        self.bare_findings = self.findings(self.bare)
        self.bundle = self.folder / "bundle" / self.specimen.name
        self.bundle.parent.mkdir()
        signed = (self.images[0].is_signed() if self.specimen.format == "PE" else any(
            image.signature() == "identity" for image in self.images))
        done = self.embed(self.bare, "-o", self.bundle, "--codec", "store")
        if signed and (self.specimen.format == "PE" or self.specimen.kind in ("dylib", "bundle")):
            is_said = "--drop-signature" in done.text and self.refused(done.text) == "signed"
            self.mark(
                "refused while signed",
                None if done.status == 2 and is_said and not self.bundle.exists() else f"status {done.status}: {done.text[:300]}")
            self.facts["was signed"] = True
            done = self.embed(self.bare, "-o", self.bundle, "--codec", "store")
        if not done and "--sectionless" in done.text and not self.bundle.exists():
            self.facts["sectionless"] = True
            done = self.embed(self.bare, "-o", self.bundle, "--codec", "store")
        if not done:
            self.check_refusal(done)
            return
        if self.specimen.kind == "debug symbols":
            self.fail("refusal", "debug symbols were embedded into")
        self.facts["outcome"] = "embedded"
        self.facts["changed"] = json.loads(done.text)["host_bytes_changed"]
        self.check_bundle()
        if self.failures:
            return  # what tools do to a bad bundle says nothing
        if self.specimen.format == "PE":
            self.judge_pe()
        else:
            self.judge_macho()

    def check_refusal(self, done):
        text = done.text.replace(f"pannier: {self.bare}: ", "").replace(f"pannier: {self.bundle}: ", "")
        kind = self.refused(text)
        self.facts["outcome"], self.facts["reason"] = "refused", re.sub(r"0x[0-9a-f]+|\b\d+\b", "N",
                                                                        text.splitlines()[0] if text else "")
        if done.status != 2 or self.bundle.exists():
            self.fail("refusal", f"status {done.status}, written: {self.bundle.exists()}: {text[:300]}")
        elif self.specimen.kind in ("program", "debug symbols"):
            self.mark("refusal", None if kind == self.specimen.kind else f"a {self.specimen.kind}, refused with: {text[:300]}")
        elif kind == "no room for load commands":
            room = min(image.slack() for image in self.images)
            self.facts["room"] = room
            self.mark("refusal", None if room < 312 else f"there are {room} bytes of room: {text[:300]}")
        elif kind == "a segment behind __LINKEDIT":
            is_so = any(image.segments[-1].name != "__LINKEDIT" for image in self.images)
            self.mark("refusal", None if is_so else f"__LINKEDIT is the last segment: {text[:300]}")
        elif kind == "no room for section headers":
            self.mark("refusal",
                      None if self.images[0].slack() < 120 else f"there are {self.images[0].slack()} bytes of room: {text[:300]}")
        else:
            self.mark("refusal", None if kind == self.specimen.kind else f"a {self.specimen.kind}, refused with: {text[:300]}")

    def check_bundle(self):
        bundle = self.bundle
        self.mark("rules", "; ".join(new_in(self.findings(bundle), self.bare_findings)[:5]))
        try:
            after = self.read(bundle)
            compare = zoo_pe.differences if self.specimen.format == "PE" else zoo_macho.differences
            wrong = [f"{difference}" for old, new in zip(self.images, after) for difference in compare(old, new)]
            if len(after) != len(self.images):
                wrong.append(f"{len(after)} slices")
            self.mark("host as it was", "; ".join(wrong[:5]))
            self.facts["room"] = min(image.slack() for image in self.images)
        except (zoo_macho.NotRead, zoo_pe.NotRead, struct.error) as error:
            self.fail("host as it was", str(error))
        for words in (["verify"], ["verify", "--image"], ["inspect", "--json"]):
            done = self.pannier(*words, bundle)
            self.mark(" ".join(words), None if done else f"status {done.status}: {done.text[-300:]}")
        self.mark("payload", self.payload_wrong(bundle))
        extracted = self.folder / "extracted"
        done = self.pannier("extract", bundle, "-o", extracted, "-q")
        contents = sorted(digest(path) for path in extracted.iterdir()) if done else []
        expected = sorted((digest(MODEL / "graph.json"), digest(MODEL / "params.bin")))
        self.mark("extract", None if contents == expected else f"status {done.status}: {done.text[-300:]}")
        self.check_restore(bundle, "store")
        again = self.place("again", bundle)
        done = self.embed(again, "--force", "--codec", "store")
        self.mark(
            "embed --force", None if done and filecmp.cmp(again, bundle, shallow=False) else
            done.text[-300:] if not done else "the bundle differs from the first one")
        again.unlink()
        small = self.folder / "small"
        done = self.embed(self.bare, "-o", small, "--codec", "auto")
        if not done:
            self.fail("embed --codec auto", done.text[-300:])
            return
        self.mark("rules, codec auto", "; ".join(new_in(self.findings(small), self.bare_findings)[:5]))
        done = self.pannier("verify", small)
        self.mark("verify, codec auto", None if done else f"status {done.status}: {done.text[-300:]}")
        self.mark("payload, codec auto", self.payload_wrong(small))
        self.check_restore(small, "auto")
        small.unlink()

    def check_restore(self, bundle, codec):
        restored = self.folder / "restored"
        restored.unlink(missing_ok=True)
        done = self.pannier("restore", bundle, "-o", restored, "-q")
        self.mark(
            f"restore, codec {codec}", None if done and filecmp.cmp(restored, self.specimen.path, shallow=False) else
            done.text[-300:] if not done else "the restored library differs from the original")
        restored.unlink(missing_ok=True)

    # What a tool says of both files; each is called by the same name, from its own folder.
    def compare_words(self, check, command, patterns=()):
        """patterns: what may differ, removed before the comparison."""
        outputs, statuses = [], []
        for path in (self.bare, self.bundle):
            output = self.folder / f"words-{path.parent.name}"
            with open(output, "wb") as file:
                statuses.append(run(*command, path.name, folder=path.parent, output=file).status)
            if patterns:
                text = output.read_text(errors="replace")
                for pattern in patterns:
                    text = re.sub(pattern, "", text, flags=re.M)
                output.write_text(text)
            outputs.append(output)
        if statuses[0] != 0 and statuses[0] == statuses[1]:
            said = re.sub(r"\S*/|0x[0-9a-f]+|\b\d+\b", "", outputs[0].read_text(errors="replace").strip()[-160:].splitlines()[-1])
            self.marks[check] = f"explained: it refuses the bare library, too: {said}"
        elif filecmp.cmp(outputs[0], outputs[1], shallow=False) and statuses[0] == statuses[1]:
            self.mark(check, None)
        else:
            self.fail(check, f"statuses {statuses}: " + run("diff", *outputs).text[:400])
        for output in outputs:
            output.unlink()

    def check_lief(self):
        if not self.tools.python:
            return
        after, said = self.tools.lief(self.specimen.format, self.bundle)
        before, said_before = (True, "") if after else self.bare_lief()
        self.mark("LIEF's layout check", None if after else f"{said}; of the bare library: {said_before}",
                  f"false for the bare library, too: {said}"[:120] if not before and said == said_before else None)

    def bare_lief(self):
        return self.tools.lief(self.specimen.format, self.bare)

    def check_tool(self, name, command, is_image_kept=True, judge=None):
        """Applies a tool to a copy of the bundle, and to one of the bare library when something has to be explained."""
        bundle = self.place("changed", self.bundle)
        applied = run(*command(bundle))
        problems = self.wrong_after(bundle, is_image_kept, judge) if applied else {"tool": f"it failed: {applied.text[-300:]}"}
        if not problems:
            self.mark(name, None)
            return
        bare = self.place("changed-bare", self.bare)
        bare_applied = run(*command(bare))
        explanations = {}
        if not bare_applied:
            said = re.sub(r"'[^']*'|\S*/\S*", "", (bare_applied.text or "no message").splitlines()[-1])
            explanations = {kind: "it refuses the bare library, too: " + generalised(said) for kind in problems}
        elif applied:
            # A harm to the payload is never explained.
            broken = {generalised(finding) for finding in new_in(self.findings(bare), self.bare_findings)}
            if broken and {generalised(finding) for finding in problems.get("rules", [])} <= broken:
                explanations["rules"] = "it breaks the bare library, too: " + sorted(broken)[0]
            if changed := self.image_changes(bare):
                explanations["image"] = "it changes the bare library's image, too: " + changed
            if judge and (said := judge(bare)):
                explanations["judge"] = "so it is for the bare library: " + generalised(said)
        for kind, problem in problems.items():
            self.mark(name, f"{kind}: {problem}", explanations.get(kind))

    def originals(self, bundle):
        """What may be restored: the library; or, if a tool took the only slice out of a fat file (rcodesign does), that slice."""
        originals = [self.specimen.path.read_bytes()]
        if self.specimen.format == "Mach-O" and originals[0][:3] == b"\xca\xfe\xba" and bundle.read_bytes()[:3] != b"\xca\xfe\xba":
            originals += [image.data for *_, image in zoo_macho.slices(originals[0])]
        return originals

    def wrong_after(self, bundle, is_image_kept, judge):
        """What is wrong with a bundle that a tool changed, by kind."""
        wrong = {"payload": self.payload_wrong(bundle), "rules": new_in(self.findings(bundle), self.bare_findings)[:5]}
        verified = self.pannier("verify", "--image", bundle)
        if verified.status not in ((0,) if is_image_kept else (0, 1)):
            wrong["image"] = f"verify --image: status {verified.status}: {verified.text[-200:]}"
        is_same = filecmp.cmp(bundle, self.bundle, shallow=False)
        restored = self.folder / "restored"
        done = self.pannier("restore", bundle, "-o", restored)
        if done and restored.read_bytes() not in self.originals(bundle):
            wrong["restore"] = "made another file than the original"
        elif not done and (done.status != 2 or restored.exists() or is_same):
            wrong["restore"] = f"status {done.status}: {done.text[-200:]}"
        restored.unlink(missing_ok=True)
        if judge:
            wrong["judge"] = judge(bundle)
        return {kind: problem for kind, problem in wrong.items() if problem}

    def image_changes(self, bare):
        """What of the image a tool changed in the bare library; empty if nothing."""
        try:
            now = self.read(bare)
        except (zoo_macho.NotRead, zoo_pe.NotRead, struct.error):
            return "not readable any more"
        for old, new in zip(self.images, now):
            if self.specimen.format == "PE":
                for field in ("entry", "base", "alignment"):
                    if getattr(old, field) != getattr(new, field):
                        return field
                if old.directories[:4] + old.directories[5:6] + old.directories[7:] != \
                        new.directories[:4] + new.directories[5:6] + new.directories[7:]:
                    return "directories"
                kept = [s for s in old.sections if not s.flags & zoo_pe.DISCARDABLE or s.name == ".reloc"]
                left = [s for s in new.sections if not s.flags & zoo_pe.DISCARDABLE or s.name == ".reloc"]
                if [(s.raw_name, s.address, s.flags) for s in kept] != [(s.raw_name, s.address, s.flags) for s in left]:
                    return "sections"
                if [s.memory for s in kept] != [s.memory for s in left]:
                    return "sections' sizes in memory"
                for a, b in zip(kept, left):
                    size = min(a.size, b.size)
                    if old.content(a)[:size] != new.content(b)[:size]:
                        return "a section's bytes"
            else:
                facts = [[(s.name, s.address, s.memory, s.fixed, [(x.name, x.address, x.size, x.fixed)
                                                                  for x in s.sections])
                          for s in image.segments
                          if s.name != "__LINKEDIT"]
                         for image in (old, new)]
                if facts[0] != facts[1]:
                    return "segments"
                for name in ("rebase", "bind", "weak bind", "lazy bind", "exports", "exports trie"):
                    if old.blob(name) != new.blob(name):
                        return name
                if old.chained_fixups() != new.chained_fixups():
                    return "chained fixups"
                for a in old.segments[:-1]:
                    b = new.segment(a.name)
                    begin = old.first_content() if a.offset == 0 else 0
                    if old.data[a.offset + begin:a.offset + a.size] != new.data[b.offset + begin:b.offset + b.size]:
                        return "a segment's bytes"
        return ""

    def judge_macho(self):
        tools = self.tools
        self.check_lief()
        if tools.objdump:
            chained = ["--dyld-info"] if "--dyld-info" in self.keeper.objdump_help else []
            self.compare_words("llvm-objdump", [
                tools.objdump, "--macho", "--arch=all", "--rebase", "--bind", "--lazy-bind", "--weak-bind", "--exports-trie",
                "--indirect-symbols", "--function-starts", *chained
            ])
        if tools.nm:
            self.compare_words("llvm-nm", [tools.nm, "-m", "--arch=all"])
        # They write segments anew, section by section: one without sections is lost, as --sectionless says.
        is_lost = self.facts.get("sectionless", False)
        if tools.strip and not is_lost:
            self.check_tool("llvm-strip", lambda path: [tools.strip, path])
            self.check_tool("llvm-strip -x", lambda path: [tools.strip, "-x", path])
        if tools.install_name and not is_lost and min(image.slack() for image in self.read(self.bundle)) < 32:
            self.marks[
                "llvm-install-name-tool -add_rpath"] = "explained: no room is left for a run path, which the tool does not notice"
        elif tools.install_name and not is_lost:
            self.check_tool("llvm-install-name-tool -add_rpath",
                            lambda path: [tools.install_name, "-add_rpath", "@loader_path/x", path],
                            is_image_kept=False)
        if tools.ld64 and self.specimen.kind == "dylib":
            self.check_link()
        if tools.rcodesign:
            verified = run(tools.rcodesign, "verify", self.bundle)
            is_bad = "digest mismatch" in verified.text
            self.mark("rcodesign verify", verified.text[-300:] if is_bad else None)
            room = min(image.slack() for image in self.read(self.bundle))
            if room < 16 and any(image.signature() is None for image in self.images):
                self.marks["rcodesign sign"] = "explained: no room is left for a signature's load command"
            else:
                self.check_tool("rcodesign sign", lambda path: [tools.rcodesign, "sign", path])

    def check_link(self):
        """A small library that uses one of its symbols is linked against it, and bound to it."""
        names = {zoo_macho.CPU_ARM64: "arm64", zoo_macho.CPU_X86_64: "x86_64"}
        image = self.images[0]
        architecture = names.get(image.cpu)
        listed = run(self.tools.nm, "-g", "--defined-only", "-j", f"--arch={architecture}", self.bare).text.split()
        symbol = next((word for word in listed if re.fullmatch(r"_[A-Za-z]\w*", word)), None)
        if not symbol or not shutil.which("clang"):
            self.marks["ld64.lld"] = "explained: no symbol to link to" if symbol is None else "explained: no clang"
            return
        source, compiled = self.folder / "user.s", self.folder / "user.o"
        source.write_text(f".data\n.globl _user\n.p2align 3\n_user: .quad {symbol}\n.subsections_via_symbols\n")
        if not run("clang", "-target", f"{architecture}-apple-macos12", "-c", source, "-o", compiled):
            self.fail("ld64.lld", "the user of a symbol was not compiled")
            return
        results = []
        for path in (self.bare, self.bundle):
            output = self.folder / "user.dylib"
            output.unlink(missing_ok=True)
            done = run(self.tools.ld64,
                       "-arch",
                       architecture,
                       "-platform_version",
                       "macos",
                       "12.0",
                       "12.0",
                       "-dylib",
                       compiled,
                       path.name,
                       "-o",
                       output,
                       folder=path.parent)
            bound = run(self.tools.objdump, "--macho", "--bind", output).text if done else done.text
            results.append((done.status, bound.replace(str(output), "")))
        if results[0][0] != 0 and results[0] == results[1]:
            self.marks["ld64.lld"] = "explained: it refuses the bare library, too: " + re.sub(
                r"\S*/\S*", "", results[0][1].splitlines()[0])[:110]
        else:
            self.mark("ld64.lld", None if results[0] == results[1] and symbol in results[1][1] else f"{results}"[:400])

    def judge_pe(self):
        tools, architecture = self.tools, self.specimen.architecture
        self.check_lief()
        changing = [
            r"^ *(SectionCount|SizeOfInitializedData|SizeOfImage|CheckSum|PointerToSymbolTable|CertificateTable\w*|SizeOfHeaders)"
            r"\b.*$", r"^ *PointerToRawData:.*$"
        ]
        if tools.readobj:
            self.compare_words("llvm-readobj", [
                tools.readobj, "--file-headers", "--coff-imports", "--coff-exports", "--coff-basereloc", "--coff-load-config",
                "--coff-tls-directory", "--coff-debug-directory"
            ], changing)
        if tools.gnu_objdump and architecture == "x64":
            self.compare_words("objdump -p", [tools.gnu_objdump, "-p"], [
                r"^(SizeOfInitializedData|SizeOfImage|CheckSum|SizeOfHeaders|Entry 4 |NumberOfSections)\b.*$",
                r"^ *\d+ +(CodeView|Repro|POGO|Feature|\w+) +[0-9a-f]{8} [0-9a-f]{8} [0-9a-f]{8}$"
            ])
        strips = {"llvm-strip": tools.strip, "strip": GNU_STRIPS.get(architecture) and shutil.which(GNU_STRIPS[architecture])}
        for name, strip in strips.items():
            if strip:
                self.check_tool(name, lambda path, strip=strip: [strip, path], judge=self.lief_after)
                self.check_tool(f"{name} -S", lambda path, strip=strip: [strip, "-S", path], judge=self.lief_after)
        if tools.identity:
            self.check_tool("osslsigncode", self.sign, judge=self.signature_after)
        if tools.probe and architecture == "x64":
            self.check_wine()

    def lief_after(self, path):
        ok, said = self.tools.lief("PE", path) if self.tools.python else (True, "")
        return "" if ok else f"LIEF's layout check: {said}"

    def sign(self, path):
        """In a shell, since it writes to another file."""
        key, certificate = self.tools.identity
        if zoo_pe.Image(path.read_bytes()).is_signed():  # the bare one
            return ["true"]
        script = '"$0" sign -h sha256 -certs "$2" -key "$1" -in "$3" -out "$3.signed" && mv "$3.signed" "$3"'
        return ["sh", "-c", script, self.tools.osslsigncode, key, certificate, path]

    def signature_after(self, path):
        verified = run(self.tools.osslsigncode, "verify", "-CAfile", self.tools.identity[1], "-in", path)
        return "" if verified and "Succeeded" in verified.text else f"osslsigncode verify: {verified.text[-300:]}"

    def check_wine(self):
        """Loaded in Wine, with stand-ins for the program's own libraries; the payload as it is mapped then."""
        image = self.images[0]
        after = self.read(self.bundle)[0]
        ours = [s for s in after.sections if s.name.startswith(".tvm")]
        start, end = ours[0], ours[-1]
        # FNV in Python is slow: the first 64 KiB and the manifest's end tell enough.
        size = min(65536, end.address + end.size - start.address)
        libraries = self.folder / "libraries"
        libraries.mkdir()
        for name, symbols in zoo_pe.imports(image).items():
            lower = name.lower()
            if (self.tools.system / lower).exists() or lower.startswith(("api-ms-", "ext-ms-")):
                continue
            sibling = next((path for path in (
                self.specimen.siblings.iterdir() if self.specimen.siblings and self.specimen.siblings.exists() else [])
                            if path.name.lower() == lower), None)
            if sibling:
                for path in self.specimen.siblings.iterdir():
                    if path.name != self.specimen.name and not (libraries / path.name).exists():
                        (libraries / path.name).symlink_to(path)
            elif symbols:
                self.facts["stand-ins"] = True
                self.make_stand_in(libraries / name, symbols)

        def load(path, address, length):
            environment = dict(self.tools.wine_environment)
            environment["WINEDLLOVERRIDES"] += f";{path.stem}=n"  # this one, not Wine's own of the same name
            done = run(self.tools.wine,
                       self.tools.probe,
                       "Z:" + str(path).replace("/", "\\"),
                       "Z:" + str(libraries).replace("/", "\\"),
                       address,
                       length,
                       environment=environment)
            return done.status, done.text.splitlines()[-1].strip() if done.text else ""

        bare = load(self.bare, 0, 0)
        loaded = load(self.bundle, start.address, size)
        self.facts["loads bare"] = bare[0] == 0
        self.facts["loads with payload"] = loaded[0] == 0
        if bare[0] == 0:
            expected = fnv(after.data[start.offset:start.offset + size])
            self.mark("Wine", None if loaded == (0, expected) else f"{loaded}, expected {(0, expected)}")
        else:
            is_same = bare[0] == loaded[0] and generalised(bare[1]) == generalised(loaded[1])
            self.mark("Wine", f"bundle: {loaded}, bare: {bare}",
                      f"the bare library does not load, either: {bare[0]} {generalised(bare[1])}" if is_same else None)

    def make_stand_in(self, path, symbols):
        source, exports = path.with_suffix(".s"), path.with_suffix(".def")
        names = sorted(symbols)
        source.write_text(".bss\n" + "".join(f'.globl "s{i}"\ns{i}: .skip 256\n' for i in range(len(names))))
        exports.write_text(f'LIBRARY "{path.name}"\nEXPORTS\n' + "".join(f'"{name}"=s{i} DATA\n' for i, name in enumerate(names)))
        run(self.tools.gcc, "-shared", "-nostdlib", "-Wl,--entry=0", source, exports, "-o", path)
