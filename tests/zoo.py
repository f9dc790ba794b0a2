#!/usr/bin/env python3
"""Zoo: Mach-O and PE libraries that others made and ship, made into bundles, judged by tools that are not ours, and brought back.

usage: tests/zoo.py BUILD_DIR [--sample] [--only TEXT]... [--jobs N] [--per-package N] [--json FILE]

zoo_catalogue.txt lists packages of npm and PyPI, each with version and digest; their ordinary clients fetch what is not in
BUILD_DIR/../zoo yet. Every Mach-O and PE file in them is tried once per content. Of a library a copy is embedded into, and then
  - own readers (zoo_macho.py, zoo_pe.py) find no broken rule that the bare library does not break, and nothing changed but what has to
  - every byte verifies; graph and params come back through the loader's reader and `extract`
  - llvm-objdump, llvm-nm, llvm-readobj, objdump say the same of it as of the bare library; LIEF's layout check still holds
  - code signatures' page digests, PE checksums are right (own readers; rcodesign; LIEF)
  - restored it is the same file; embedded again with --force it is the same bundle
  - strip, install_name_tool, signing leave payload and image intact; a linker links against it; Wine loads it if it loads the bare one
What is no library (programs, debug symbols) has to be refused, and says why; signed libraries until --drop-signature is given.

A tool may harm a library by itself. So what fails after a tool is done to the bare library, too: where that fares the same, the failure
is the tool's, and is counted as such. Tools that are not installed are named at the end.

Exit status: 0 all passed; 1 something failed; 2 bad usage, or a package could not be fetched.
"""

import argparse
import base64
import collections
import concurrent.futures
import dataclasses
import filecmp
import hashlib
import json
import os
import pathlib
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zipfile

import zoo_macho
import zoo_pe

TESTS = pathlib.Path(__file__).resolve().parent
MODEL = TESTS / "data" / "mlp"
TIME_LIMIT = 600  # seconds, for one command
LIEF = "lief==1.0.0"
PYTHON_VERSION = "3.12"  # of the wheels

MACHINES = {0x8664: "x64", 0xAA64: "arm64", 0x14C: "ia32", zoo_macho.CPU_X86_64: "x64", zoo_macho.CPU_ARM64: "arm64"}
GNU_STRIPS = {"x64": "x86_64-w64-mingw32-strip", "ia32": "i686-w64-mingw32-strip"}

# The reasons for which pannier may refuse a file; any other refusal is a failure.
REFUSALS = {
    "program": r"executable|program",
    "debug symbols": r"debug symbols|dSYM",
    "signed": r"signature|signed|certificate",
    "no room for load commands": r"headerpad",
    "no room for section headers": r"section header",
    "managed": r"\.NET|managed|CLR",
}


@dataclasses.dataclass
class Run:
    status: int
    text: str  # stdout and stderr

    def __bool__(self):
        return self.status == 0


def run(*command, environment=None, folder=None, output=None):
    try:
        done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output or subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=TIME_LIMIT, env=environment, cwd=folder, start_new_session=True)
    except subprocess.TimeoutExpired:
        return Run(-1, f"no end after {TIME_LIMIT} s")
    return Run(done.returncode, "" if output else done.stdout.decode("utf-8", "replace").strip())


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def newest(name):
    """Debian's newest LLVM has a number in its tools' names."""
    return next((found for version in ("-19", "-18", "-17", "-16", "") if (found := shutil.which(name + version))), None)


# ------------------------------------------------------------------------------------------------------------------ packages


@dataclasses.dataclass
class Package:
    registry: str
    name: str
    version: str
    platform: str
    integrity: str
    in_sample: bool

    @property
    def title(self):
        return self.name + (f" ({self.platform})" if self.platform else "")

    @property
    def maker(self):
        return self.name.split("/")[0] if self.name.startswith("@") else re.sub(r"-(darwin|win32).*", "", self.name)

    def path(self, cache):
        """Where the package lies; None before it is fetched."""
        if self.registry == "npm":
            return cache / f"{self.name.lstrip('@').replace('/', '-')}-{self.version}.tgz"
        return next(iter(sorted((cache / f"{self.name}-{self.version}-{self.platform}").glob("*.whl"))), None)

    def is_whole(self, cache):
        path = self.path(cache)
        if not path or not path.exists():
            return False
        kind, expected = self.integrity.split("-", 1)
        with open(path, "rb") as file:
            return base64.b64encode(hashlib.file_digest(file, kind).digest()).decode() == expected

    def fetch_commands(self, cache):
        if self.registry == "npm":
            return ["npm", "pack", "--ignore-scripts", "--loglevel=error", "--pack-destination", cache, f"{self.name}@{self.version}"]
        return [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:",
                "--python-version", PYTHON_VERSION, "--platform", self.platform, "-d", cache / f"{self.name}-{self.version}-{self.platform}",
                f"{self.name}=={self.version}"]

    def files(self, cache):
        """Name and bytes of each file."""
        path = self.path(cache)
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as archive:
                for entry in archive.infolist():
                    yield entry.filename, archive.read(entry)
        else:
            with tarfile.open(path) as archive:
                for entry in archive:
                    if entry.isfile():
                        yield entry.name, archive.extractfile(entry).read()


def read_catalogue(path):
    packages = []
    for line in path.read_text().splitlines():
        if line.startswith("#") or not line.strip():
            continue
        mark, registry, what, integrity = line.split()
        name, version = re.fullmatch(r"(@?[^@=]+)(?:@|==)(.+)", what).groups()
        version, _, platform = version.partition("@")
        packages.append(Package(registry, name, version, platform, integrity, mark == "*"))
    return packages


def fetch(packages, cache):
    """Brings the packages that are not in the cache; those that could not be had."""
    cache.mkdir(parents=True, exist_ok=True)
    missing = [package for package in packages if not package.is_whole(cache)]

    def fetch_one(package):
        done = run(*package.fetch_commands(cache))
        if not package.is_whole(cache):
            return f"{package.title} {package.version}: " + (done.text.splitlines() or ["its digest is not the catalogue's"])[-1]
        return None

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return [problem for problem in pool.map(fetch_one, missing) if problem]


# ------------------------------------------------------------------------------------------------------------------ specimens


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
                 (f"no-relocations-{machine}.dll", [gcc, *base, "-nostdlib", "-Wl,--entry=0", "-Wl,--disable-reloc-section", folder / "f.c"]),
                 (f"wide-alignment-{machine}.dll", [gcc, *base, "-s", "-Wl,--section-alignment=65536,--file-alignment=4096", folder / "f.c"])]
    if tools.ld64 and shutil.which("clang"):
        for machine in ("arm64", "x86_64"):
            compiled = folder / f"f-{machine}.o"
            run("clang", "-target", f"{machine}-apple-macos12", "-c", folder / "f.c", "-o", compiled)
            base = [tools.ld64, "-arch", machine, "-platform_version", "macos", "12.0", "12.0", "-dylib", "-undefined", "dynamic_lookup",
                    compiled]
            made += [(f"chained-{machine}.dylib", [*base, "-fixup_chains", "-headerpad", "0x400"]),
                     (f"chained-odd-{machine}.dylib", [*base, "-fixup_chains", "-headerpad", "0x400", "-add_empty_section", "__EXTRA", "__e"]),
                     (f"no-padding-{machine}.dylib", [*base, "-headerpad", "0"]),
                     (f"padding-{machine}.dylib", [*base, "-headerpad", "0x400"]),
                     (f"unsigned-{machine}.dylib", [*base, "-no_adhoc_codesign", "-headerpad", "0x400"])]
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


# ------------------------------------------------------------------------------------------------------------------ judges

# Answers each line "FORMAT PATH" with a line.
LIEF_CHECK = """
import json, sys, lief
lief.logging.disable()
for line in sys.stdin:
    kind, path = line.rstrip("\\n").split(" ", 1)
    if kind == "PE":
        library = lief.PE.parse(path)
        ok, message = lief.PE.check_layout(library) if library else (False, "not parsed")
        sums = (library.optional_header.checksum, library.compute_checksum()) if library else (0, 0)
        if ok and sums[0] not in (0, sums[1]):
            ok, message = False, "CheckSum 0x%x, expected 0x%x" % sums
    else:
        library = lief.MachO.parse(path)
        ok, message = lief.MachO.check_layout(library) if library else (False, "not parsed")
    print(json.dumps([ok, message]), flush=True)
"""

WINE_PROBE = r"""
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
/* usage: probe LIBRARY FOLDER RVA SIZE: loads the library, whose own libraries lie in the folder; FNV-1a of the bytes mapped at RVA. */
/* What add-ons for Node take from the program that loads them, before it calls them. */
__declspec(dllexport) void napi_module_register(void* module) { (void)module; }
__declspec(dllexport) void node_module_register(void* module) { (void)module; }
int main(int argc, char** argv) {
  SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX | SEM_NOOPENFILEERRORBOX);
  if (argc != 5) return 9;
  SetDllDirectoryA(argv[2]);
  HMODULE library = LoadLibraryA(argv[1]);
  if (!library) { printf("error %lu\n", GetLastError()); return 2; }
  unsigned long long hash = 14695981039346656037ull, size = strtoull(argv[4], 0, 0);
  const unsigned char* bytes = (const unsigned char*)library + strtoull(argv[3], 0, 0);
  for (unsigned long long i = 0; i < size; i++) hash = (hash ^ bytes[i]) * 1099511628211ull;
  printf("%016llx\n", hash);
  fflush(stdout);
  TerminateProcess(GetCurrentProcess(), 0);
  return 0;
}
"""


def fnv(data):
    value = 14695981039346656037
    for byte in data:
        value = (value ^ byte) * 1099511628211 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


class Tools:
    """The judges that this machine has."""

    def __init__(self, zoo):
        self.zoo, self.absent, self.local = zoo, set(), threading.local()
        names = {"objdump": "llvm-objdump", "nm": "llvm-nm", "strip": "llvm-strip", "readobj": "llvm-readobj",
                 "install_name": "llvm-install-name-tool", "ld64": "ld64.lld"}
        for field, name in names.items():
            setattr(self, field, self.need(newest(name), name))
        for field in ("rcodesign", "osslsigncode", "wine", "openssl"):
            setattr(self, field, self.need(shutil.which(field), field))
        self.rcodesign = self.rcodesign or None
        self.gnu_objdump = self.need(shutil.which("x86_64-w64-mingw32-objdump"), "x86_64-w64-mingw32-objdump")
        self.gcc = self.need(shutil.which("x86_64-w64-mingw32-gcc"), "x86_64-w64-mingw32-gcc")
        self.python = self.make_python()
        self.identity = self.make_identity() if self.osslsigncode and self.openssl else None
        self.probe = self.make_probe() if self.wine and self.gcc else None

    def need(self, found, name):
        if not found:
            self.absent.add(name)
        return found

    def make_python(self):
        python = self.zoo / "venv" / "bin" / "python"
        check = [python, "-c", "import lief"]
        if python.exists() and run(*check):
            return python
        done = run(sys.executable, "-m", "venv", self.zoo / "venv") and run(python, "-m", "pip", "install", "-q", LIEF)
        return self.need(python if done and run(*check) else None, LIEF)

    def make_identity(self):
        """A key and a certificate that signs itself."""
        key, certificate = self.zoo / "signer.key", self.zoo / "signer.pem"
        if not certificate.exists():
            run(self.openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "3650",
                "-subj", "/CN=zoo keeper", "-addext", "extendedKeyUsage=codeSigning", "-addext", "keyUsage=digitalSignature")
        return key, certificate

    def make_probe(self):
        self.wine_environment = {**os.environ, "WINEPREFIX": str(self.zoo / "wine"), "WINEDEBUG": "-all",
                                 "WINEDLLOVERRIDES": "mscoree=;mshtml="}
        self.system = self.zoo / "wine" / "drive_c" / "windows" / "system32"
        (self.zoo / "wine").mkdir(exist_ok=True)
        source, probe = self.zoo / "probe.c", self.zoo / "probe.exe"
        source.write_text(WINE_PROBE)
        if not run(self.gcc, "-O2", source, "-o", probe):
            return self.need(None, "the program that calls LoadLibrary")
        started = self.system.exists() or run("wineboot", "-i", environment=self.wine_environment)
        return self.need(probe if started else None, "a Wine prefix")

    def lief(self, format_name, path):
        """Is the layout sound, and if not, what is wrong? A thread's own LIEF answers, since it takes long to start."""
        worker = getattr(self.local, "lief", None)
        if not worker or worker.poll() is not None:
            worker = self.local.lief = subprocess.Popen([self.python, "-c", LIEF_CHECK], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                                        stderr=subprocess.DEVNULL, text=True)
        limit = threading.Timer(TIME_LIMIT, worker.kill)
        limit.start()
        try:
            worker.stdin.write(f"{format_name} {path}\n")
            worker.stdin.flush()
            return tuple(json.loads(worker.stdout.readline()))
        except (OSError, ValueError):
            worker.kill()
            return False, f"LIEF ended without an answer, status {worker.wait()}"
        finally:
            limit.cancel()


# ------------------------------------------------------------------------------------------------------------------ the way through


def generalised(text):
    """A message without what is particular to one library, to group by."""
    return re.sub(r"0x[0-9a-f]+|\b[0-9a-f]*\d[0-9a-f]*\b", "N", text)[:140]


def new_in(after, before):
    return list((collections.Counter(after) - collections.Counter(before)).elements())


class Trial:
    """One specimen's way through all checks, in a folder of its own."""

    def __init__(self, keeper, specimen, folder):
        self.keeper, self.tools, self.specimen, self.folder = keeper, keeper.tools, specimen, folder
        self.failures, self.marks, self.facts = [], {}, {"format": specimen.format, "architecture": specimen.architecture,
                                                         "kind": specimen.kind, "maker": specimen.maker}

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
        words = [word for word, fact in (("--drop-signature", "was signed"), ("--sectionless", "sectionless")) if self.facts.get(fact)]
        return self.pannier("embed", host, "--graph", MODEL / "graph.json", "--params", MODEL / "params.bin", "--json", *words, *options)

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
        signed = (self.images[0].is_signed() if self.specimen.format == "PE" else
                  any(image.signature() == "identity" for image in self.images))
        done = self.embed(self.bare, "-o", self.bundle, "--codec", "store")
        if signed and (self.specimen.format == "PE" or self.specimen.kind in ("dylib", "bundle")):
            is_said = "--drop-signature" in done.text and self.refused(done.text) == "signed"
            self.mark("refused while signed", None if done.status == 2 and is_said and not self.bundle.exists() else
                      f"status {done.status}: {done.text[:300]}")
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
        self.facts["outcome"], self.facts["reason"] = "refused", re.sub(r"0x[0-9a-f]+|\b\d+\b", "N", text.splitlines()[0] if text else "")
        if done.status != 2 or self.bundle.exists():
            self.fail("refusal", f"status {done.status}, written: {self.bundle.exists()}: {text[:300]}")
        elif self.specimen.kind in ("program", "debug symbols"):
            self.mark("refusal", None if kind == self.specimen.kind else f"a {self.specimen.kind}, refused with: {text[:300]}")
        elif kind == "no room for load commands":
            room = min(image.slack() for image in self.images)
            self.facts["room"] = room
            self.mark("refusal", None if room < 312 else f"there are {room} bytes of room: {text[:300]}")
        elif kind == "no room for section headers":
            self.mark("refusal", None if self.images[0].slack() < 120 else f"there are {self.images[0].slack()} bytes of room: {text[:300]}")
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
        self.mark("embed --force", None if done and filecmp.cmp(again, bundle, shallow=False) else
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
        self.mark(f"restore, codec {codec}", None if done and filecmp.cmp(restored, self.specimen.path, shallow=False) else
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
        elif filecmp.cmp(*outputs, shallow=False) and statuses[0] == statuses[1]:
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

    def wrong_after(self, bundle, is_image_kept, judge):
        """What is wrong with a bundle that a tool changed, by kind."""
        wrong = {"payload": self.payload_wrong(bundle), "rules": new_in(self.findings(bundle), self.bare_findings)[:5]}
        verified = self.pannier("verify", "--image", bundle)
        if verified.status not in ((0,) if is_image_kept else (0, 1)):
            wrong["image"] = f"verify --image: status {verified.status}: {verified.text[-200:]}"
        is_same = filecmp.cmp(bundle, self.bundle, shallow=False)
        restored = self.folder / "restored"
        done = self.pannier("restore", bundle, "-o", restored)
        if done and not filecmp.cmp(restored, self.specimen.path, shallow=False):
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
                facts = [[(s.name, s.address, s.memory, s.fixed, [(x.name, x.address, x.size, x.fixed) for x in s.sections])
                          for s in image.segments if s.name != "__LINKEDIT"] for image in (old, new)]
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
            self.compare_words("llvm-objdump", [tools.objdump, "--macho", "--arch=all", "--rebase", "--bind", "--lazy-bind", "--weak-bind",
                                                "--exports-trie", "--indirect-symbols", "--function-starts", *chained])
        if tools.nm:
            self.compare_words("llvm-nm", [tools.nm, "-m", "--arch=all"])
        # They write segments anew, section by section: one without sections is lost, as --sectionless says.
        is_lost = self.facts.get("sectionless", False)
        if tools.strip and not is_lost:
            self.check_tool("llvm-strip", lambda path: [tools.strip, path])
            self.check_tool("llvm-strip -x", lambda path: [tools.strip, "-x", path])
        if tools.install_name and not is_lost and min(image.slack() for image in self.read(self.bundle)) < 32:
            self.marks["llvm-install-name-tool -add_rpath"] = "explained: no room is left for a run path, which the tool does not notice"
        elif tools.install_name and not is_lost:
            self.check_tool("llvm-install-name-tool -add_rpath", lambda path: [tools.install_name, "-add_rpath", "@loader_path/x", path],
                            is_image_kept=False)
        if tools.ld64 and self.specimen.kind == "dylib":
            self.check_link()
        if tools.rcodesign:
            verified, bare = (run(tools.rcodesign, "verify", path) for path in (self.bundle, self.bare))
            is_bad = "digest mismatch" in verified.text
            self.mark("rcodesign verify", verified.text[-300:] if is_bad else None)
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
            done = run(self.tools.ld64, "-arch", architecture, "-platform_version", "macos", "12.0", "12.0", "-dylib", compiled, path.name,
                       "-o", output, folder=path.parent)
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
        changing = [r"^ *(SectionCount|SizeOfInitializedData|SizeOfImage|CheckSum|PointerToSymbolTable|CertificateTable\w*|SizeOfHeaders)"
                    r"\b.*$", r"^ *PointerToRawData:.*$"]
        if tools.readobj:
            self.compare_words("llvm-readobj", [tools.readobj, "--file-headers", "--coff-imports", "--coff-exports", "--coff-basereloc",
                                                "--coff-load-config", "--coff-tls-directory", "--coff-debug-directory"], changing)
        if tools.gnu_objdump and architecture == "x64":
            self.compare_words("objdump -p", [tools.gnu_objdump, "-p"],
                               [r"^(SizeOfInitializedData|SizeOfImage|CheckSum|SizeOfHeaders|Entry 4 |NumberOfSections)\b.*$",
                                r"^ *\d+ +(CodeView|Repro|POGO|Feature|\w+) +[0-9a-f]{8} [0-9a-f]{8} [0-9a-f]{8}$"])
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
            sibling = next((path for path in (self.specimen.siblings.iterdir() if self.specimen.siblings and
                                              self.specimen.siblings.exists() else []) if path.name.lower() == lower), None)
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
            done = run(self.tools.wine, self.tools.probe, "Z:" + str(path).replace("/", "\\"), "Z:" + str(libraries).replace("/", "\\"),
                       address, length, environment=environment)
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
        return {"library": specimen.title, "bytes": specimen.path.stat().st_size, "seconds": round(time.monotonic() - start, 1),
                "failures": trial.failures, "checks": trial.marks, **trial.facts}


# ------------------------------------------------------------------------------------------------------------------ self-test and report


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
    linkedit = next(at for kind, at, _ in image.commands
                    if kind == zoo_macho.LC_SEGMENT_64 and image.data[at + 8:at + 18] == b"__LINKEDIT")
    expect("Mach-O: a byte of code", zoo_macho.Slice, macho, lambda data: data.__setitem__(text, data[text] ^ 1))
    expect("Mach-O: __LINKEDIT's address", zoo_macho.Slice, macho, put("<Q", linkedit + 24, image.segments[0].address))
    expect("Mach-O: __LINKEDIT's size", zoo_macho.Slice, macho, put("<Q", linkedit + 48, image.segments[-1].size - 16))
    expect("Mach-O: a segment's name", zoo_macho.Slice, macho, put("<16s", linkedit + 8, b"__LINKEDIX"))
    image = zoo_pe.Image(pe.read_bytes())
    expect("PE: a byte of code", zoo_pe.Image, pe, lambda data: data.__setitem__(image.headers_size, data[image.headers_size] ^ 1))
    expect("PE: SizeOfImage", zoo_pe.Image, pe, put("<I", image.optional + 56, image.image_size + image.alignment))
    expect("PE: a section's address", zoo_pe.Image, pe, put("<I", image.table + 40 + 12, image.sections[1].address + image.alignment))
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
        print(f"\n{format_name}: {len(of_format)} files of {len({r['maker'] for r in of_format})} makers tried, {len(embedded)} embedded, "
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
            restored = sum(all(r["checks"].get(f"restore, codec {codec}") == "passed" for codec in ("store", "auto")) for r in embedded)
            print(f"host bytes changed: median {statistics.median(changed):g}, largest {max(changed)}")
            print(f"restored exactly: {restored} of {len(embedded)}")
        if tried := [r for r in embedded if "loads bare" in r]:
            print(f"Wine: {sum(r['loads bare'] for r in tried)} of {len(tried)} load bare "
                  f"({sum(r['loads bare'] and r.get('stand-ins', False) for r in tried)} with stand-ins for their program's libraries), "
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
        print(f"FAILED the test's own judges: {name}")
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
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="only packages and files with this in their name")
    parser.add_argument("--per-package", type=int, metavar="N", help="no more than N files of one kind from a package")
    parser.add_argument("--jobs", type=int, default=2, metavar="N")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="each library's outcome, one JSON object a line")
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    zoo = build.parent / "zoo"
    packages = [p for p in read_catalogue(TESTS / "zoo_catalogue.txt") if p.in_sample or not arguments.sample]
    if problems := fetch(packages, zoo / "cache"):
        print("\n".join(problems), file=sys.stderr)
        return 2

    tools, skipped, results = Tools(zoo), collections.Counter(), []
    specimens = find_specimens(packages, zoo / "cache", zoo, tools, arguments.per_package, skipped)
    if arguments.only:
        specimens = [s for s in specimens if any(text in s.title for text in arguments.only)]
    with (tempfile.TemporaryDirectory(prefix="pannier-zoo-") as folder,
          open(arguments.json or os.devnull, "w", buffering=1) as log,
          concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool):
        keeper = Keeper(build, tools, pathlib.Path(folder))
        for number, result in enumerate(pool.map(keeper.check, specimens)):
            results.append(result)
            print(json.dumps(result), file=log)
            for check, reason in result["failures"]:
                print(f"FAILED {result['library']}: {check}: {reason}", file=sys.stderr)
            if number % 50 == 49:
                print(f"{number + 1} of {len(specimens)}", file=sys.stderr)
    return 0 if report(results, skipped, tools, check_judges()) else 1


if __name__ == "__main__":
    sys.exit(main())
