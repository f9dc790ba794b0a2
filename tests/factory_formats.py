#!/usr/bin/env python3
"""pannier embed --as-factory with PE and Mach-O hosts: what TVM asks for is there, as tools see it that are not pannier's.

usage: factory_formats.py PANNIER DATA_DIR WORK           hosts of MinGW's, LLVM's and Zig's linkers
       factory_formats.py PANNIER DATA_DIR WORK FILE...   these hosts alone: each must be embedded into, or refused

With each host: the export that llvm-readobj or llvm-objdump show leads to bytes that are a blob of modules with the graph and the
tensors in it; all other exports are as they were; `pannier verify` finds every byte in order, restore gives the host back, and
`embed --force` makes the same file. GNU strip and llvm-strip leave the symbol, the blob and the image as they are. Under Wine,
LoadLibrary and GetProcAddress lead to the blob (32 bit: where there is a Wine for it).
"""
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys

import factory_blob
import zoo_macho
import zoo_pe

TESTS = pathlib.Path(__file__).resolve().parent
SYMBOL = "__tvm_dev_mblob"
KEY = b"GraphExecutorFactory"


class Failed(Exception):
    """A check that does not hold; its text is for a person."""


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, check=False, **options)
    if done.returncode:
        output = (done.stdout + done.stderr).decode("utf-8", "replace").strip()
        raise Failed(f"{' '.join(os.path.basename(str(word)) for word in command)}: status {done.returncode}: {output}")
    return done.stdout.decode("utf-8", "replace")


def expect(what, found, expected):
    if found != expected:
        raise Failed(f"{what}: found {found!r}, expected {expected!r}")


def first_of(name, versions):
    """LLVM's tools have its version in their names, mostly."""
    return next((found for version in versions if (found := shutil.which(name + version))), None)


NEWEST = ("-19", "-18", "-17", "-16", "", "-15", "-14")  # from LLVM 16 on, llvm-objdump knows LC_DYLD_EXPORTS_TRIE


# ------------------------------------------------------------------------------------------------------ the blob


def string(text):
    return struct.pack("<Q", len(text)) + text


def check_blob(data, graph, params, own=()):
    """`data` begins with the blob. `own`: keys and texts of the device modules that the host had."""
    try:
        blob = factory_blob.parse(data)
    except ValueError as error:
        raise Failed(f"blob: {error}") from error
    expect("blob: key", blob.key, KEY)
    expect("blob: graph", blob.graph, graph)
    expect("blob: params", blob.params_file() == params, True)
    expect("blob: name", blob.name, b"default")
    expect("blob: other modules", blob.others, string(b"_lib") + b"".join(string(key) + string(text) for key, text in own))
    expect("blob: imports", blob.imports(), [[1], list(range(2, 2 + len(own)))] + [[]] * len(own))


def device_blob(modules):
    """What TVM links into a library with device modules: the library imports them all."""
    content = struct.pack("<Q", 2 + len(modules)) + string(b"_lib")
    content += b"".join(string(key) + string(text) for key, text in modules)
    rows, children = [0] + [len(modules)] * (1 + len(modules)), list(range(1, 1 + len(modules)))
    content += string(b"_import_tree") + struct.pack(f"<{1 + len(rows)}Q", len(rows), *rows)
    content += struct.pack(f"<{1 + len(children)}Q", len(children), *children)
    return struct.pack("<Q", len(content)) + content


MODULES = ((b"opencl", b"__kernel void f() {}"), (b"cuda", b"_import_tree is no word of CUDA's"))


def as_c(data, name, attributes):
    return f"{attributes} const unsigned char {name}[] = {{{','.join(map(str, data))}}};\n"


# --------------------------------------------------------------------------------------------------- what tools see


def pe_exports(path):
    """Ordinal, name and address or forwarder of each export."""
    exports = []
    for text in re.findall(r"Export \{(.*?)\}", run("llvm-readobj", "--coff-exports", path), re.DOTALL):
        fields = dict(line.strip().split(":", 1) for line in text.strip().splitlines())
        exports.append((int(fields["Ordinal"]), fields["Name"].strip(), fields.get("RVA", "").strip()))
    return exports


def name_table(image):
    """Names in the order of their table, which Windows looks them up in by halving."""
    directory = image.offset_of(image.directories[0][0])
    count, _, names = struct.unpack_from("<3I", image.data, directory + 24)
    offsets = [image.offset_of(address) for address in struct.unpack_from(f"<{count}I", image.data, image.offset_of(names))]
    return [image.data[at:image.data.index(b"\0", at)] for at in offsets]


class Pe:
    suffix = ".dll"
    def __init__(self, path):
        self.path, self.data = path, path.read_bytes()
        self.exports = pe_exports(path)
        self.machine = {0x8664: "x86_64", 0x14C: "i686"}.get(zoo_pe.Image(self.data).machine)
        self.strips = ("llvm-strip", "llvm-objcopy")
        if self.machine:
            self.strips += (f"{self.machine}-w64-mingw32-strip -s", f"{self.machine}-w64-mingw32-strip -S")

    def others(self):
        return [export for export in self.exports if export[1] != SYMBOL]

    def blob(self):
        found = [int(address, 16) for _, name, address in self.exports if name == SYMBOL]
        expect(f"exports named {SYMBOL}", len(found), 1)
        image = zoo_pe.Image(self.data)
        return self.data[image.offset_of(found[0]):]

    def check(self, host):
        expect("Windows' rules", zoo_pe.Image(self.data).findings(), zoo_pe.Image(host.data).findings())
        names = name_table(zoo_pe.Image(self.data))
        expect("names in order", names, sorted(names))
        expect("names", sorted(names), sorted(name.encode() for _, name, _ in self.exports if name))
        if SYMBOL not in [name for _, name, _ in host.exports]:
            last = max((ordinal for ordinal, _, _ in host.exports), default=0)
            expect("ordinal", [ordinal for ordinal, name, _ in self.exports if name == SYMBOL], [last + 1])


class MachO:
    suffix = ".dylib"
    strips = ("llvm-strip -x", "llvm-strip -S", "llvm-objcopy")

    def __init__(self, path):
        self.path, self.data = path, path.read_bytes()
        self.slice = zoo_macho.Slice(self.data)
        try:
            trie = run(first_of("llvm-objdump", NEWEST), "--macho", "--exports-trie", path).partition("Exports trie:\n")[2]
        except Failed as failed:
            # That is what it says to a root without edges, which linkers write where nothing is exported.
            if "node is not an export node in export trie data at node: 0x0" not in str(failed):
                raise
            trie = ""
        self.exports = sorted(tuple(reversed(line.split(maxsplit=1))) for line in trie.splitlines() if line.strip())

    def others(self):
        return [export for export in self.exports if export[0] != "_" + SYMBOL]

    def bytes_at(self, address):
        segment = next(s for s in self.slice.segments if s.address <= address < s.address + s.size)
        return self.data[segment.offset + address - segment.address:]

    def blob(self):
        # llvm-objdump adds the base.
        found = [int(address, 16) for name, address in self.exports if name.split()[0] == "_" + SYMBOL]
        expect(f"exports named _{SYMBOL}", len(found), 1)
        # Where the symbol table has it, it says the same.
        for line in run("llvm-nm", self.path).splitlines():
            if line.endswith(" _" + SYMBOL):
                expect("llvm-nm: address", int(line.split()[0], 16), found[0])
        return self.bytes_at(found[0])

    def check(self, host):
        expect("dyld's rules", [rule for rule in self.slice.findings() if rule not in host.slice.findings()], [])


def library(path):
    return (Pe if path.read_bytes()[:2] == b"MZ" else MachO)(path)


# ----------------------------------------------------------------------------------------------------------- Wine

PROBE = """
#include <stdio.h>
#include <windows.h>
int main(int count, char** words) {
  HMODULE library = LoadLibraryA(words[1]);
  const unsigned char* blob = library ? (const unsigned char*)GetProcAddress(library, "__tvm_dev_mblob") : 0;
  unsigned long long size = 0;
  if (!library) return printf("LoadLibrary: error %lu\\n", GetLastError()), 1;
  if (!blob) return printf("GetProcAddress: error %lu\\n", GetLastError()), 1;
  FILE* out = fopen(words[2], "wb");
  for (int i = 0; i < 8; ++i) size |= (unsigned long long)blob[i] << 8 * i;
  fwrite(blob, 1, 8 + (size_t)size, out);
  return count == 3 && !fclose(out) ? 0 : 1;
}
"""


class Wine:
    """Runs the probe of a word size; `program` is None where there is no Wine for it."""

    def __init__(self, work, machine):
        self.folder = work / f"wine-{machine}"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.program = self.find(machine)
        if not self.program:
            return
        (self.folder / "probe.c").write_text(PROBE)
        run(f"{machine}-w64-mingw32-gcc", "-O1", "-o", self.folder / "probe.exe", self.folder / "probe.c")
        # What tests/wine.sh says.
        self.environment = {
            **os.environ, "LC_ALL": "C.UTF-8",
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree,mshtml,winemenubuilder.exe=",
            "DISPLAY": "",
            "WINEPREFIX": str(self.folder / "prefix"),
            "WINEPATH": self.runtime_path(machine),
            **({"WINEARCH": "win32"} if machine == "i686" else {})
        }
        run(self.program, "wineboot", "--init", env=self.environment, timeout=300)
        run(self.program, "cmd", "/c", "exit", env=self.environment, timeout=60)

    @staticmethod
    def runtime_path(machine):
        """The folders of MinGW's own DLLs; Wine's own programs of 32 bit find zlib in the second."""
        compiler = run(f"{machine}-w64-mingw32-gcc-posix", "-print-file-name=libstdc++-6.dll").strip()
        folders = (os.path.dirname(compiler), f"/usr/{machine}-w64-mingw32/lib")
        return ";".join(f"Z:{folder}".replace("/", "\\") for folder in folders)

    @staticmethod
    def find(machine):
        if machine == "x86_64":
            return "/usr/lib/wine/wine64"
        try:
            return run(TESTS.parent / "cmake" / "fetch_wine32.sh", TESTS.parent / "build" / "deps").split()[-1]
        except Failed as failed:
            print(f"skipped Wine for 32 bit: {failed}")
            return None

    def blob(self, path):
        out = self.folder / "blob"
        out.unlink(missing_ok=True)
        run(self.program, self.folder / "probe.exe", f"Z:{path}".replace("/", "\\"), f"Z:{out}".replace("/", "\\"),
            env=self.environment, timeout=120)
        return out.read_bytes()

    def close(self):
        if self.program:
            subprocess.run(["/usr/lib/wine/wineserver64", "--kill", "--wait"], env=self.environment, timeout=60, check=False)
        shutil.rmtree(self.folder)


# --------------------------------------------------------------------------------------------------------- the tests


class Test:

    def __init__(self, pannier, data, work):
        self.pannier, self.work = pannier, work
        self.graph, self.params = data / "graph.json", data / "params.bin"
        self.failures = self.refused = 0
        self.wine = {}

    def embed(self, host, out, *options):
        run(self.pannier, "embed", "-q", host, "--as-factory", "--graph", self.graph, "--params", self.params, "-o", out, *options)

    def check_blob(self, data, own):
        check_blob(data, self.graph.read_bytes(), self.params.read_bytes(), own)

    def check_bundle(self, path, host, own, loads=True):
        bundle = library(path)
        self.check_blob(bundle.blob(), own)
        expect("other exports", bundle.others(), host.others())
        if loads and isinstance(bundle, Pe) and (wine := self.wine.get(bundle.machine)):
            self.check_blob(wine.blob(path), own)
        return bundle

    def check_host(self, path, own, strips):
        host = library(path)
        bundle, other = self.work / f"bundle{host.suffix}", self.work / f"other{host.suffix}"
        self.embed(path, bundle)
        self.check_bundle(bundle, host, own).check(host)
        run(self.pannier, "verify", bundle)
        run(self.pannier, "verify", "--image", bundle)
        run(self.pannier, "restore", "-q", bundle, "-o", other)
        expect("restore gives the host back", other.read_bytes() == host.data, True)
        self.embed(bundle, other, "--force")
        expect("embed --force makes the same", other.read_bytes() == bundle.read_bytes(), True)
        for strip in host.strips if strips else ():
            try:
                program, *options = strip.split()
                run(program, *options, *(("-o", other, bundle) if program.endswith("strip") else (bundle, other)))
                self.check_bundle(other, host, own, loads=strip.endswith("-s"))
                run(self.pannier, "verify", "--image", other)
            except Failed as failed:
                raise Failed(f"{strip}: {failed}") from failed

    def host(self, name, path, own=(), strips=True):
        try:
            self.check_host(path, own, strips)
            print(f"ok      {name}")
        except Failed as failed:
            print(f"FAILED  {name}: {failed}")
            self.failures += 1

    def refusal(self, name, path, text):
        try:
            self.embed(path, self.work / "refused")
            failed = "it was not"
        except Failed as refusal:
            failed = None if text in str(refusal) else str(refusal)
        print(f"FAILED  refused: {name}: {failed}" if failed else f"ok      refused: {name}")
        self.failures += bool(failed)

    def stranger(self, path):
        """A host that nobody made for this: any clear refusal will do."""
        try:
            self.embed(path, self.work / "stranger")
        except Failed as refusal:
            print(f"refused {path}: {str(refusal).rpartition(': status ')[2]}")
            self.refused += 1
            if "status 2" not in str(refusal):
                self.failures += 1
            return
        self.host(path, path, strips=False)


def build_pe(work):
    """Libraries of MinGW's and LLVM's linkers: name, path, device modules."""
    source = work / "pe.c"
    entry = "int __stdcall DllMainCRTStartup(void* module, unsigned long reason, void* reserved) { return 1; }\n"
    exported = "__declspec(dllexport) int answer(int x) { return x * 3 + 1; }\n__declspec(dllexport) int zzz = 7;\n"
    own = as_c(device_blob(MODULES), SYMBOL, "__declspec(dllexport)")
    aliases = "EXPORTS\n answer\n sleep_of_kernel32=kernel32.Sleep\n a_first=kernel32.Beep\n by_number @40 NONAME\n"
    code = exported + "int by_number(void) { return 40; }\n"
    for machine in ("x86_64", "i686"):
        gcc = [f"{machine}-w64-mingw32-gcc", "-O1", "-nostdlib", "-shared", source]
        gcc += ["-Wl,-e,_DllMainCRTStartup@12"] if machine == "i686" else []
        (work / "names.def").write_text(aliases)
        for name, text, options, modules in (("exports", exported, ["-s"], ()), ("none", "", ["-s"], ()),
                                             ("debug", exported, ["-g"], ()), ("forwarders", code, ["-s", work / "names.def"], ()),
                                             ("own", exported + own, ["-s"], MODULES)):
            source.write_text(entry + text)
            path = work / f"gnu-{name}-{machine}.dll"
            run(*gcc, *options, "-o", path)
            yield path, modules
    for machine in ("x86_64", "i686", "aarch64"):
        entry_name = "DllMainCRTStartup@12" if machine == "i686" else "DllMainCRTStartup"
        for name, text, options, modules in (("exports", exported, [], ()), ("none", "", [], ()),
                                             ("forwarders", code, [f"/def:{work}/names.def"], ()), ("own", own, [], MODULES)):
            source.write_text(entry + text)
            path = work / f"lld-{name}-{machine}.dll"
            run("clang", "-target", f"{machine}-windows-msvc", "-O1", "-ffreestanding", "-c", source, "-o", work / "pe.obj")
            run("lld-link", "/dll", "/nodefaultlib", f"/entry:{entry_name}", f"/out:{path}", *options, work / "pe.obj")
            yield path, modules


def build_macho(work):
    source, linked = work / "macho.c", work / "macho.o"
    exported = "int answer(int x) { return x * 3 + 1; }\nint answers[4];\n"
    # Names that begin alike, on both sides of the symbol's.
    alike = "".join(f"int {name} = 1;\n" for name in ("__tvm", "__tvm_dev_mblob_size", "__tvm_dev_mblo", "__tvm_module_ctx"))
    many = "".join(f"int some_{i}_name_{i * 7919 % 1000} = {i};\n" for i in range(3000))
    linkers = [("lld", first_of("ld64.lld", ("-14", "-15", "")), [])]
    if chained := first_of("ld64.lld", NEWEST[:4]):
        linkers.append(("chained", chained, ["-fixup_chains"]))
    else:
        print("skipped chained fixups: found no ld64.lld of LLVM 16 or later")
    for machine in ("x86_64", "arm64"):
        for name, text, modules in (("exports", exported, ()), ("alike", alike, ()), ("many", many, ()),
                                    ("own", exported + as_c(device_blob(MODULES), SYMBOL, ""), MODULES)):
            source.write_text(text + "static int value;\nint* pointer = &value;\n")
            run("clang", "-target", f"{machine}-apple-macos12", "-O1", "-c", source, "-o", linked)
            for linker, program, options in linkers:
                path = work / f"{linker}-{name}-{machine}.dylib"
                run(program, "-arch", machine, "-platform_version", "macos", "12.0", "12.0", "-dylib", "-headerpad", "0x400",
                    "-install_name", "@rpath/a.dylib", *options, "-o", path, linked)
                yield path, modules, linker


def check_fat(test, work, data):
    thin = [data / f"macos-{machine}" / "lib.dylib" for machine in ("arm64", "x86_64")]
    fat, bundle = work / "fat.dylib", work / "fat-bundle.dylib"
    try:
        lipo = first_of("llvm-lipo", NEWEST)
        run(lipo, "-create", *thin, "-output", fat)
        test.embed(fat, bundle)
        run(test.pannier, "verify", bundle)
        for host, machine in zip(thin, ("arm64", "x86_64")):
            run(lipo, "-thin", machine, bundle, "-output", work / "thin.dylib")
            test.check_bundle(work / "thin.dylib", library(host), ())
        run(test.pannier, "restore", "-q", bundle, "-o", work / "restored.dylib")
        expect("restore gives the host back", (work / "restored.dylib").read_bytes() == fat.read_bytes(), True)
        print("ok      fat")
    except Failed as failed:
        print(f"FAILED  fat: {failed}")
        test.failures += 1


def check_refusals(test, work):
    source = work / "refused.c"
    source.write_text("int __stdcall DllMainCRTStartup(void* m, unsigned long r, void* x) { return 1; }\n")
    (work / "refused.def").write_text(f"EXPORTS\n {SYMBOL}=other.{SYMBOL}\n")
    run("x86_64-w64-mingw32-gcc", "-nostdlib", "-shared", source, work / "refused.def", "-o", work / "forwarded.dll")
    test.refusal("a blob in another library", work / "forwarded.dll", "found a forwarder to other.__tvm_dev_mblob")


def check_macho(test, work, data):
    for machine in ("x86_64", "arm64"):
        test.host(f"macos-{machine}", data / f"macos-{machine}" / "lib.dylib")
    # LLVM 14's strip damages chained fixups, those of the host itself, too.
    for path, modules, linker in build_macho(work):
        test.host(path.stem, path, modules, strips=linker != "chained")
    check_fat(test, work, data)


def check_pe(test, work, data):
    for machine in ("x86_64", "i686"):
        wine = Wine(work, machine)
        if wine.program:
            test.wine[machine] = wine
    for machine in ("x86_64", "i686"):
        test.host(f"windows-{machine}", data / f"windows-{machine}" / "lib.dll")
    for path, modules in build_pe(work):
        test.host(path.stem, path, modules)
    for wine in test.wine.values():
        wine.close()


def main():
    pannier, data, work = (pathlib.Path(word).resolve() for word in sys.argv[1:4])
    work.mkdir(parents=True, exist_ok=True)
    test = Test(pannier, data, work)
    if strangers := sys.argv[4:]:
        for path in strangers:
            test.stranger(pathlib.Path(path).resolve())
        print(f"{len(strangers)} hosts, {test.refused} refused, {test.failures} failed")
        return test.failures != 0
    check_macho(test, work, data)
    check_pe(test, work, data)
    check_refusals(test, work)
    print(f"{test.failures} failed")
    return test.failures != 0


if __name__ == "__main__":
    sys.exit(main())
