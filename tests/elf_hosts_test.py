#!/usr/bin/env python3
"""Hosts of every make: built here with other linkers, layouts, machines and tools; what becomes of each is known beforehand.

usage: tests/elf_hosts_test.py BUILD_DIR [--as-factory] [HOST...]

Each host goes through all of sweep.py's checks, and comes out as the table says: mapped, in the file only, or refused, and why.
Then a debugger and a core file must still find their way through a bundle. A host whose compiler is not here is skipped.

Exit status: 0 all as expected; 1 not.
"""

import collections
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import sweep
from caged_run import run
from elf_headers import Elf

SOURCES = {
    # Functions, data with relocations, uninitialised data, a constructor.
    "model.c": """
        static int weights[4] = {1, 2, 3, 4};
        const int *const tables[] = {weights, weights + 2};
        int scratch[100];
        __attribute__((constructor)) static void start(void) { scratch[0] = 5; }
        int answer(int x) { return x * tables[1][0] + scratch[0]; }
        """,
    "bss.c": "char arena[64 << 20]; char *begin(void) { return arena; }",
    "thread.c": "__thread int counter = 7; __thread char room[300];\n"
                "int *count(void) { return &counter; } char *get(void) { return room; }",
    "versions.c": "int old_answer(void) { return 1; } int new_answer(void) { return 2; }\n"
                  '__asm__(".symver old_answer,answer@V1"); __asm__(".symver new_answer,answer@@V2");',
    "versions.map": "V1 { global: answer; local: *; }; V2 { global: answer; } V1;",
    "pinned.c": '__attribute__((section("pinned"), used)) const char pinned_data[] = "not to be moved";\n'
                "const char *read_pinned(void) { return pinned_data; }",
    "pinned.lds": """SECTIONS {
        . = SIZEOF_HEADERS;
        pinned : { *(pinned) }
        .hash : { *(.hash) } .gnu.hash : { *(.gnu.hash) } .dynsym : { *(.dynsym) } .dynstr : { *(.dynstr) }
        .rela.dyn : { *(.rela.dyn) } .rela.plt : { *(.rela.plt) } .text : { *(.text*) } .eh_frame : { *(.eh_frame) }
        . = ALIGN(4096);
        .dynamic : { *(.dynamic) } .got : { *(.got*) } .data : { *(.data*) } }""",
    # A symbol with the number of the first section, but not in it.
    "ehdr.c": 'extern const char __ehdr_start[] __attribute__((visibility("hidden")));\n'
              "const char *get(void) { return __ehdr_start; }",
    # 4096 functions that no relocation names; the constructor has the last one looked up.
    "many.c": """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <stdlib.h>
        #define F1(n) int many_##n(void) { return 0x##n; }
        #define F16(n) F1(n##0) F1(n##1) F1(n##2) F1(n##3) F1(n##4) F1(n##5) F1(n##6) F1(n##7) \\
          F1(n##8) F1(n##9) F1(n##a) F1(n##b) F1(n##c) F1(n##d) F1(n##e) F1(n##f)
        #define F256(n) F16(n##0) F16(n##1) F16(n##2) F16(n##3) F16(n##4) F16(n##5) F16(n##6) F16(n##7) \\
          F16(n##8) F16(n##9) F16(n##a) F16(n##b) F16(n##c) F16(n##d) F16(n##e) F16(n##f)
        F256(0) F256(1) F256(2) F256(3) F256(4) F256(5) F256(6) F256(7)
        F256(8) F256(9) F256(a) F256(b) F256(c) F256(d) F256(e) F256(f)
        __attribute__((constructor)) static void start(void) { if (!dlsym(RTLD_DEFAULT, "many_fff")) abort(); }
        """,
    "empty.c": "",
    "main.c": "int main(void) { return 0; }",
    "huge.c": "char arena[3L << 29]; char *begin(void) { return arena; }",
    # Notes of several alignments and owners, more than a page of them, and one behind the code.
    "notes.s": "".join(f"""
        .section .note.{name},"a",%note
        .balign {align}
        .long 4, {size}, 1
        .asciz "{name}"
        .fill {size}, 1, 0x2e
        """ for name, align, size in (("aaa", 4, 20), ("bbb", 8, 40), ("ccc", 4, 12), ("ddd", 16, 64))),
    # As Android's NDK has it in every library: labels of the file's own, which only name what is there.
    "identity.s": """
        .section .note.android.ident,"a",%note
        .balign 4
        .type identity, %object
        identity: .long note_data - note_name, note_end - note_data, 1
        note_name: .asciz "Android"
        note_data: .long 21
        ndk_version: .fill 64, 1, 0x72
        note_end: .size identity, . - identity
        """,
    # A note that code reads.
    "read-note.c": '__attribute__((section(".note.mine"), used)) static const struct { int sizes[2], type; char name[4]; int value; }\n'
                   'note = {{4, 4}, 1, "me", 7}; int answer(void) { return *(const volatile int *)&note.value; }\n',
    "notes-long.s": ".section .note.long,\"a\",@note\n.long 4, 5000, 1\n.asciz \"aaa\"\n.fill 5000, 1, 0x2e\n",
    # More sections than an ELF header can count.
    "many.py": "with open('many.s', 'w') as f: f.writelines(f'.section s{i},\"a\"\\n.byte 1\\n' for i in range(65400))",
    # Run as a program, too, as libc.so.6 is: it has an interpreter and an entry, which writes and exits without any library.
    "runs.c": """
        const char interpreter[] __attribute__((section(".interp"))) = "/lib64/ld-linux-x86-64.so.2";
        int answer(int x) { return x + 1; }
        __attribute__((force_align_arg_pointer)) void start(void) {
          static const char text[] = "I run\\n";
          long status;
          __asm__ volatile("syscall" : "=a"(status) : "a"(1L), "D"(1L), "S"(text), "d"(sizeof text - 1) : "rcx", "r11", "memory");
          __asm__ volatile("syscall" : : "a"(60L), "D"(answer(6)) : "rcx", "r11", "memory");
        }
        """,
    # What BOLT does: the program headers lie where no section is, and a symbol has the number of a section that does not exist.
    "room.c": 'static const char space[4096] __attribute__((section("room"), used, aligned(64))) = {0};\n'
              "int symbol = 1; int answer(int x) { return x + symbol; }",
    "like_bolt.py": (pathlib.Path(__file__).parent / "like_bolt.py").read_text(),
    "model.go": 'package main\nimport "C"\nimport "fmt"\n'
                "//export Answer\nfunc Answer(x int) string { return fmt.Sprint(x) }\nfunc main() {}\n",
    "model.rs": '#[no_mangle] pub extern "C" fn answer(x: i32) -> i32 { println!("{x}"); x + 1 }\n',
    "debugged.c": "int inner(int x) {\n  return x * 2; /* line 2 */\n}\nint outer(int x) { return inner(x) + 1; }\n",
    "driver.c": """
        #include <dlfcn.h>
        int main(int argc, char **argv) {
          void *library = dlopen(argv[1], RTLD_NOW);
          return argc == 2 && library ? ((int (*)(int))dlsym(library, "outer"))(20) != 41 : 99;
        }
        """,
}

GCC = "gcc -shared -fPIC -O1 -o OUT"
MAPPED = ("mapped", "")
PINNED = ("file only", "pinned follows the program headers and cannot be moved")


def refused(message):
    return "refused", message


EXECUTABLE = refused("found an executable, expected a shared library; link the model as one (-shared) and load it")
PIE = refused("found a position-independent executable, expected a shared library; link the model as one (-shared) and load it")

# Name, commands separated by "&&" (OUT: the host to make), what comes of it. A command's words are split at spaces.
HOSTS = [
    ("gnu-ld", f"{GCC} model.c", MAPPED),
    ("lld", "clang -shared -fPIC -fuse-ld=lld -o OUT model.c", MAPPED),
    ("gold", f"{GCC} -fuse-ld=gold model.c", MAPPED),
    ("mold", f"{GCC} -fuse-ld=mold model.c", MAPPED),
    ("noseparate-code", f"{GCC} -Wl,-z,noseparate-code model.c", MAPPED),
    ("separate-code", f"{GCC} -Wl,-z,separate-code model.c", MAPPED),
    ("lld-separate-loadable", "clang -shared -fPIC -fuse-ld=lld -Wl,-z,separate-loadable-segments -o OUT model.c", MAPPED),
    ("lld-rosegment", "clang -shared -fPIC -fuse-ld=lld -Wl,--no-rosegment -o OUT model.c", MAPPED),
    ("relr", f"{GCC} -Wl,-z,pack-relative-relocs model.c", MAPPED),
    ("lld-relr", "clang -shared -fPIC -fuse-ld=lld -Wl,--pack-dyn-relocs=relr -o OUT model.c", MAPPED),
    ("lld-android-relocs", "clang -shared -fPIC -fuse-ld=lld -Wl,--pack-dyn-relocs=android -o OUT model.c", MAPPED),
    ("bss", f"{GCC} bss.c", MAPPED),
    ("bss-huge", f"{GCC} huge.c", MAPPED),
    ("notes-several", f"{GCC} model.c notes.s", MAPPED),
    ("notes-several-lld", "clang -shared -fPIC -fuse-ld=lld -Wl,--build-id -o OUT model.c notes.s", MAPPED),
    ("notes-long", f"{GCC} model.c notes-long.s", MAPPED),
    ("notes-identity", "clang -shared -fPIC -fuse-ld=lld -Wl,--build-id -o OUT model.c identity.s", MAPPED),
    ("notes-identity-gnu", f"{GCC} model.c identity.s", MAPPED),
    ("notes-read", "clang -shared -fPIC -fuse-ld=lld -o OUT read-note.c",
     ("file only", ".note.mine follows the program headers and cannot be moved")),
    # Their assemblers put a mapping symbol ($d) into every section.
    *((f"notes-{triple}", f"{triple}-gcc -shared -fPIC -o OUT model.c notes.s identity.s", MAPPED)
      for triple in ("aarch64-linux-gnu", "arm-linux-gnueabihf", "riscv64-linux-gnu")),
    ("lld-nognustack", "clang -shared -fPIC -fuse-ld=lld -Wl,-z,nognustack -o OUT model.c", MAPPED),
    ("lld-separate-code", "clang -shared -fPIC -fuse-ld=lld -Wl,-z,separate-code -o OUT model.c", MAPPED),
    ("mold-relr", f"{GCC} -fuse-ld=mold -Wl,--pack-dyn-relocs=relr model.c", MAPPED),
    ("mold-separate-code", f"{GCC} -fuse-ld=mold -Wl,-z,separate-loadable-segments model.c", MAPPED),
    ("gold-rosegment", f"{GCC} -fuse-ld=gold -Wl,--rosegment model.c",
     ("file only", ".init follows the program headers and cannot be moved")),
    ("runs", f"{GCC} -nostdlib -Wl,-e,start runs.c", MAPPED),
    ("libc", "cp /lib/x86_64-linux-gnu/libc.so.6 OUT", MAPPED),
    ("bolt", f"{GCC} room.c && python3 like_bolt.py OUT middle", MAPPED),
    ("missing-section", f"{GCC} room.c && python3 like_bolt.py OUT stay 6", MAPPED),
    ("bolt-covered", f"{GCC} room.c && python3 like_bolt.py OUT covered", MAPPED),
    ("bolt-end", f"{GCC} room.c && python3 like_bolt.py OUT end", ("file only", "unknown bytes follow the program headers")),
    ("bolt-end-stripped", f"{GCC} -s room.c && python3 like_bolt.py OUT end",
     ("file only", "unknown bytes follow the program headers")),
    ("bolt-missing-section", f"{GCC} room.c && python3 like_bolt.py OUT middle 5", MAPPED),
    ("many-sections", "python3 many.py && clang -shared -fPIC -fuse-ld=lld -nostdlib -o OUT many.s",
     refused("sections: found N, expected fewer than 65280; strip it, or merge sections when linking")),
    # Debian 12 has neither; what becomes of them is not known, but whatever it is has to pass the checks.
    ("upx", f"{GCC} model.c && upx -q OUT", None),
    ("prelink", f"{GCC} model.c && prelink OUT", None),
    ("page-64k", f"{GCC} -Wl,-z,max-page-size=65536 model.c", MAPPED),
    ("page-2m", f"{GCC} -Wl,-z,max-page-size=0x200000 model.c", MAPPED),
    ("page-4k-common-64k", f"{GCC} -Wl,-z,max-page-size=65536,-z,common-page-size=65536,-z,noseparate-code model.c", MAPPED),
    ("hash-sysv", f"{GCC} -Wl,--hash-style=sysv model.c", MAPPED),
    ("hash-gnu", f"{GCC} -Wl,--hash-style=gnu model.c", MAPPED),
    ("hash-both", f"{GCC} -Wl,--hash-style=both model.c", MAPPED),
    ("no-build-id", f"{GCC} -Wl,--build-id=none model.c", MAPPED),
    ("no-notes", f"{GCC} -Wl,--build-id=none -fcf-protection=none -nostdlib model.c", MAPPED),
    ("build-id-long", f"{GCC} -Wl,--build-id=0x{'5a' * 64} model.c", MAPPED),
    ("no-symbols", f"{GCC} -nostdlib empty.c", MAPPED),
    ("no-symbols-sysv", f"{GCC} -nostdlib -Wl,--hash-style=sysv,--build-id=none -fcf-protection=none empty.c", MAPPED),
    ("tls", f"{GCC} thread.c", MAPPED),
    ("versions", f"{GCC} -Wl,--version-script=versions.map versions.c", MAPPED),
    ("ehdr-start", f"{GCC} ehdr.c", MAPPED),
    ("symbolic-now", f"{GCC} -Wl,-Bsymbolic,-z,now,-z,relro model.c", MAPPED),
    ("norelro-lazy", f"{GCC} -Wl,-z,lazy,-z,norelro model.c", MAPPED),
    ("execstack", f"{GCC} -Wl,-z,execstack model.c", MAPPED),
    ("omagic", f"{GCC} -nostdlib -Wl,-N model.c", ("file only", "a segment begins or ends right behind the program headers")),
    ("interpreter", f"{GCC} -Wl,--dynamic-linker=/lib64/ld-linux-x86-64.so.2 model.c", MAPPED),
    ("image-base", f"{GCC} -Wl,-Ttext-segment=0x10000000 model.c", MAPPED),
    ("musl", "musl-gcc -shared -fPIC -o OUT model.c", MAPPED),
    ("debug", f"{GCC} -g model.c", MAPPED),
    ("debug-compressed", f"{GCC} -g -gz model.c", MAPPED),
    ("emit-relocs", f"{GCC} -Wl,--emit-relocs model.c", MAPPED),
    ("stripped", f"{GCC} -s model.c", MAPPED),
    ("eu-stripped", f"{GCC} model.c && eu-strip OUT", MAPPED),
    ("llvm-stripped", f"{GCC} model.c && llvm-strip -s OUT", MAPPED),
    ("patchelf-rpath", f"{GCC} model.c && patchelf --set-rpath /a/path/that/does/not/fit/into/the/old/table OUT", MAPPED),
    # Behind the program headers is what patchelf leaves of two sections, and the zeroes between them.
    ("patchelf-marks", f"{GCC} -fcf-protection=none -Wl,--build-id=0x{'5a' * 60} model.c && "
     "patchelf --set-rpath /a/path/that/does/not/fit/into/the/old/table OUT", MAPPED),
    ("patchelf-needed", f"{GCC} model.c && patchelf --add-needed libm.so.6 OUT", MAPPED),
    ("patchelf-twice", f"{GCC} model.c && patchelf --add-needed libm.so.6 OUT && patchelf --set-soname libmany.so.1 OUT",
     MAPPED),
    ("objcopy-section", f"{GCC} model.c && objcopy --add-section .extra=model.c OUT", MAPPED),
    ("sectionless", f"{GCC} model.c && llvm-objcopy --strip-sections OUT", MAPPED),
    ("sectionless-sysv", f"{GCC} -Wl,--hash-style=sysv model.c && llvm-objcopy --strip-sections OUT", MAPPED),
    ("sectionless-lld", "clang -shared -fPIC -fuse-ld=lld -o OUT model.c && llvm-objcopy --strip-sections OUT", MAPPED),
    ("many", "clang -shared -fPIC -fuse-ld=lld -Wl,--build-id=none -o OUT many.c", MAPPED),
    ("sectionless-many",
     "clang -shared -fPIC -fuse-ld=lld -Wl,--build-id=none -o OUT many.c && llvm-objcopy --strip-sections OUT", MAPPED),
    ("go", "go build -buildmode=c-shared -o OUT model.go", MAPPED),
    ("rust", "rustc --crate-type=cdylib -o OUT model.rs", MAPPED),
    ("pinned", "gcc -shared -fPIC -nostdlib -Wl,--build-id=none -Wl,-T,pinned.lds -o OUT pinned.c", PINNED),
    *((triple, f"{triple}-gcc -shared -fPIC -o OUT model.c", MAPPED) for triple in
      ("i686-linux-gnu", "aarch64-linux-gnu", "arm-linux-gnueabihf", "riscv64-linux-gnu", "powerpc64le-linux-gnu",
       "s390x-linux-gnu", "powerpc-linux-gnu")),
    # Its .hash has words of 8 bytes.
    ("s390x-sectionless",
     "s390x-linux-gnu-gcc -shared -fPIC -Wl,--hash-style=sysv -o OUT model.c && llvm-objcopy --strip-sections OUT", MAPPED),
    ("executable", "gcc -no-pie -o OUT main.c", EXECUTABLE),
    ("static", "gcc -static -o OUT main.c", EXECUTABLE),
    ("pie", "gcc -pie -fPIE -o OUT main.c", PIE),
    ("static-pie", "gcc -static-pie -fPIE -o OUT main.c", PIE),
    ("object", "gcc -c -o OUT model.c",
     refused("found a relocatable object, expected a shared library; link it with -shared first")),
    ("archive", "gcc -c -o model.o model.c && ar rc OUT model.o",
     refused("found a static archive, expected a shared library")),
    ("debug-only", f"{GCC} -g model.c && objcopy --only-keep-debug OUT",
     refused("found a file of debug symbols, expected a shared library")),
    ("overlay", f"{GCC} model.c && dd if=main.c of=OUT bs=28 count=1 oflag=append conv=notrunc",
     refused("found 28 bytes behind the end of the ELF file (an overlay, at N), expected none; whoever reads them from the file's "
             "end would no longer find them")),
    ("openharmony-signed", f"{GCC} model.c && objcopy --add-section .codesign=model.c OUT",
     refused("found OpenHarmony's code signature (.codesign), which any change breaks; embed first, then sign")),
    ("text", "cp main.c OUT", refused("found a file of unknown format, expected a shared library")),
    ("nothing", "cp empty.c OUT", refused("found a file of unknown format, expected a shared library")),
]

def command_words(command, out):
    return [word.replace("OUT", str(out)) for word in command.split()]


def build(name, commands, folder):
    """The host's path, or why there is none."""
    out = folder / f"lib{name}.so"
    environment = {**os.environ, "GOCACHE": str(folder / "go-cache"), "GOFLAGS": "-mod=mod", "GO111MODULE": "off"}
    for command in commands.split("&&"):
        words = command_words(command, out)
        if not shutil.which(words[0]):
            return None, f"no {words[0]}"
        done = subprocess.run(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
        if done.returncode != 0:
            text = done.stdout.decode("utf-8", "replace").strip()
            # gcc and clang name a linker that is not there.
            if re.search(r"(?m)cannot find .ld.$|invalid linker name", text):
                return None, "no such linker"
            raise RuntimeError(f"{name}: {' '.join(words)}: {text[-500:]}")
    return out, None


class HostsTest:
    def __init__(self, build_folder, folder, as_factory):
        self.sources = folder / "sources"
        self.sources.mkdir()
        for name, text in SOURCES.items():
            (self.sources / name).write_text(text)
        self.sweep = sweep.Sweep(build_folder, folder, as_factory)
        self.folder = folder
        self.counts = collections.Counter()

    def line(self, status, name, text=""):
        self.counts[status] += 1
        print(f"{status:8}{name:24}{text}", flush=True)

    def check_host(self, number, host):
        """Status and words of one host."""
        name, commands, expected = host
        try:
            path, why_not = build(name, commands, self.sources)
        except RuntimeError as error:
            return "FAILED", str(error)
        if path is None:
            return "skipped", why_not
        result = self.sweep.check(number, str(path))
        if expected is not None and expected[0] == "file only" and self.sweep.as_factory:
            expected = refused(f"no symbol can lead to a payload that is not mapped: {expected[1]}")
        problems = [f"{check}: {reason}" for check, reason in result["failures"]]
        found = (result.get("outcome"), re.sub(r"0x[0-9a-f]+|(?<=sections: found )\d+", "N", result.get("reason", "")))
        if expected is not None and found != expected:
            problems.append(f"found {found}, expected {expected}")
        explained = {f"{tool}: {text}" for tool, text in result["tools"].items() if text != "passed"}
        return ("FAILED", "; ".join(problems)) if problems else ("ok", "; ".join([found[0], *sorted(explained)]))

    def check_hosts(self, hosts):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for host, (status, text) in zip(hosts, pool.map(self.check_host, range(0, 4 * len(hosts), 4), hosts)):
                self.line(status, host[0], text)

    def expect(self, name, text, *patterns):
        missing = [pattern for pattern in patterns if not re.search(pattern, text)]
        self.line("FAILED" if missing else "ok", name, f"{missing} not in: {text[-1500:]}" if missing else "")

    def check_not_a_file(self):
        done = run(self.sweep.pannier, "embed", self.folder, "--artifact", f"a={__file__}")
        self.expect("folder", f"{done.status}: {done.text}", "^2: .*: file type: found a directory, expected a regular file$")

    def check_program(self):
        """A library that is a program, too, as libc.so.6 is, still runs."""
        programs = (("runs", None, "^7: I run$"), ("libc", "/lib/x86_64-linux-gnu/libc.so.6", "^0: GNU C Library"))
        for name, host, pattern in programs:
            bundle = self.folder / f"{name}.so"
            if host is None:
                subprocess.run([*command_words(GCC, bundle), "-nostdlib", "-Wl,-e,start", "runs.c"], cwd=self.sources, check=True)
            elif not os.path.exists(host):
                self.line("skipped", name, f"no {host}")
                continue
            else:
                shutil.copy(host, bundle)
            embedded = run(self.sweep.pannier, "embed", bundle, "--graph", self.sweep.payload / "graph.json")
            for tool in ("no tool", "strip -s", "eu-strip"):
                if tool != "no tool":
                    run(*tool.split(), bundle)
                done = run(bundle)
                self.expect(f"{name} as a program, {tool}", f"{done.status}: {done.text}", pattern)
            self.expect(f"{name} embedded", str(embedded.status), "^0$")

    def check_debuggers(self):
        """Lines and a backtrace from inside a bundle; its build id in a core file."""
        if not (shutil.which("gdb") and shutil.which("eu-unstrip")):
            return self.line("skipped", "gdb", "no gdb or no eu-unstrip")
        for command in ("gcc -g -O0 -shared -fPIC -Wl,--build-id=sha1 -o libdebugged.so debugged.c",
                        "gcc -g -o driver driver.c -ldl"):
            subprocess.run(command.split(), cwd=self.sources, check=True)
        bundle, core = self.folder / "libdebugged.so", self.folder / "core"
        payload = self.sweep.payload
        done = run(self.sweep.pannier, "embed", self.sources / "libdebugged.so", "--graph", payload / "graph.json",
                         "--params", payload / "small.params", "-o", bundle)
        self.expect("embed, to be debugged", str(done.status), "^0$")
        commands = ["set breakpoint pending on", "break inner", f"run {bundle}", "backtrace", f"generate-core-file {core}", "kill"]
        gdb = ["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off"]
        shown = run(*gdb, *(word for command in commands for word in ("-ex", command)), self.sources / "driver")
        frames = [r"#0 .*inner \(x=20\) at .*debugged\.c:2", r"#1 .* in outer \(x=20\) at .*debugged\.c:4"]
        self.expect("gdb", shown.text, "Breakpoint 1, inner", *frames, r"#2 .* in main .* at .*driver\.c:5")
        build_id, end = Elf(bundle).build_id()
        notes = run("readelf", "-n", bundle)
        self.expect("build id, readelf", notes.text, build_id.hex())
        self.expect("build id, first page", "inside" if end <= 4096 else f"ends at {end}", "inside")
        modules = run("eu-unstrip", "-n", f"--core={core}")
        self.expect("build id, core file", modules.text, rf"(?m)^0x\S+ {build_id.hex()}@\S+ .*libdebugged\.so")
        shown = run(*gdb, "-ex", "backtrace", self.sources / "driver", core)
        self.expect("gdb, core file", shown.text, *frames)
        done = run(self.sweep.pannier, "embed", core, "--graph", payload / "graph.json", "-o", self.folder / "core.bundle")
        self.expect("core file as a host", f"{done.status}: {done.text}", "^2: .*: found a core file, expected a shared library$")


def main():
    if len(sys.argv) < 2:
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 2
    as_factory = "--as-factory" in sys.argv
    names = [word for word in sys.argv[2:] if word != "--as-factory"]
    chosen = [host for host in HOSTS if not names or host[0] in names]
    with tempfile.TemporaryDirectory(prefix="pannier-hosts-") as folder:
        test = HostsTest(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(folder), as_factory)
        test.check_hosts(chosen)
        if chosen == HOSTS and not as_factory:
            test.check_not_a_file()
            test.check_program()
            test.check_debuggers()
    print(f"{test.counts['ok']} ok, {test.counts['FAILED']} failed, {test.counts['skipped']} skipped")
    return 1 if test.counts["FAILED"] else 0


if __name__ == "__main__":
    sys.exit(main())
