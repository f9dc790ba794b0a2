"""Other people's tools that judge what the zoo makes, as this machine has them, and how they are run."""

import dataclasses
import json
import os
import shutil
import subprocess
import threading

import own_python

TIME_LIMIT = 600  # seconds, for one command
LIEF = "lief==1.0.0"

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
/* usage: probe LIBRARY FOLDER RVA SIZE: loads the library, whose own ones lie in the folder; FNV-1a of the bytes mapped at RVA. */
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


@dataclasses.dataclass
class Run:
    status: int
    text: str  # stdout and stderr

    def __bool__(self):
        return self.status == 0


def run(*command, environment=None, folder=None, output=None):
    try:
        done = subprocess.run([str(word) for word in command],
                              stdin=subprocess.DEVNULL,
                              stdout=output or subprocess.PIPE,
                              stderr=subprocess.STDOUT,
                              timeout=TIME_LIMIT,
                              env=environment,
                              cwd=folder,
                              start_new_session=True)
    except subprocess.TimeoutExpired:
        return Run(-1, f"no end after {TIME_LIMIT} s")
    except FileNotFoundError as error:
        return Run(127, f"{error.filename}: not found")
    return Run(done.returncode, "" if output else done.stdout.decode("utf-8", "replace").strip())


def newest(name):
    """Debian's newest LLVM has a number in its tools' names."""
    return next((found for version in ("-19", "-18", "-17", "-16", "") if (found := shutil.which(name + version))), None)


class Tools:
    """The judges that this machine has."""

    def __init__(self, zoo):
        self.zoo, self.absent, self.local = zoo, set(), threading.local()
        names = {
            "objdump": "llvm-objdump",
            "nm": "llvm-nm",
            "strip": "llvm-strip",
            "readobj": "llvm-readobj",
            "install_name": "llvm-install-name-tool",
            "ld64": "ld64.lld"
        }
        for field, name in names.items():
            setattr(self, field, self.need(newest(name), name))
        for field in ("rcodesign", "osslsigncode", "wine", "openssl"):
            setattr(self, field, self.need(shutil.which(field), field))
        self.gnu_objdump = self.need(shutil.which("x86_64-w64-mingw32-objdump"), "x86_64-w64-mingw32-objdump")
        self.gcc = self.need(shutil.which("x86_64-w64-mingw32-gcc"), "x86_64-w64-mingw32-gcc")
        self.python = self.need(own_python.make("zoo", [LIEF]), LIEF)
        self.identity = self.make_identity() if self.osslsigncode and self.openssl else None
        self.probe = self.make_probe() if self.wine and self.gcc else None

    def need(self, found, name):
        if not found:
            self.absent.add(name)
        return found

    def make_identity(self):
        """A key and a certificate that signs itself."""
        key, certificate = self.zoo / "signer.key", self.zoo / "signer.pem"
        if not certificate.exists():
            run(self.openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "3650",
                "-subj", "/CN=zoo keeper", "-addext", "extendedKeyUsage=codeSigning", "-addext", "keyUsage=digitalSignature")
        return key, certificate

    def make_probe(self):
        self.wine_environment = {
            **os.environ, "WINEPREFIX": str(self.zoo / "wine"),
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree=;mshtml="
        }
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
            worker = self.local.lief = subprocess.Popen([self.python, "-c", LIEF_CHECK],
                                                        stdin=subprocess.PIPE,
                                                        stdout=subprocess.PIPE,
                                                        stderr=subprocess.DEVNULL,
                                                        text=True)
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
