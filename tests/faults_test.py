#!/usr/bin/env python3
"""Each system call of pannier's that touches a file fails in its turn, falls short, is interrupted, or is the process's last one.

usage: tests/faults_test.py BUILD_DIR [--full] [COMMAND...]

Calls are counted by tests/fault_injector.cc, not timed. Whatever happens, the target is the old file or the new one, whole; an
error is exit status 2 with a message that names the file, and leaves nothing else in the folder. What a killed process leaves, the next
run removes. COMMAND: only these, by a part of their name. --full: every fault at every call, some 20,000; else some 8,000.

Exit status: 0 all as expected; 1 not; 4 nothing can be traced here.
"""

import collections
import concurrent.futures
import dataclasses
import errno
import os
import pathlib
import queue
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile

DATA = pathlib.Path(__file__).parent / "data/mlp"
LITTER = re.compile(r"\.(.+)\.pannier-[a-z2-7]{6}")
PAYLOAD = "--graph {input}/graph.json --params {input}/params.bin --threads 1"


@dataclasses.dataclass
class Command:
    """{input} is the folder of files to read, {target} the file to make, which is `old` before and `new` after. Both are names of
    prepared files (PREPARED); None: there is no such file. Where what is made is not always the same, `accept` is a command that
    passes on it and on no other file."""
    name: str
    words: str
    old: str
    new: str
    accept: str = ""


COMMANDS = [
    Command("embed, new target", f"embed {{input}}/lib.so {PAYLOAD} -o {{target}}", None, "bundle.so"),
    Command("embed, in place", f"embed {{target}} {PAYLOAD}", "lib.so", "bundle.so"),
    Command("embed, onto another", f"embed {{input}}/lib.so {PAYLOAD} -o {{target}}", "other.so", "bundle.so"),
    Command("embed --force, in place", f"embed {{target}} {PAYLOAD} --force", "other.so", "bundle.so"),
    Command("restore, in place", "restore {target}", "bundle.so", "lib.so"),
    Command("restore, new target", "restore {input}/bundle.so -o {target}", None, "lib.so"),
    Command("extract", "extract {input}/bundle.so params -o {folder}", None, "params.bin"),
    Command("embed, fat Mach-O", f"embed {{target}} {PAYLOAD}", "fat.dylib", "fat.model.dylib"),
    Command("embed --force, fat Mach-O", f"embed {{target}} {PAYLOAD} --force", "fat.model.dylib", "fat.model.dylib"),
    Command("restore, fat Mach-O", "restore {target}", "fat.model.dylib", "fat.dylib"),
    Command("embed, PE", f"embed {{target}} {PAYLOAD}", "lib.dll", "model.dll"),
    Command("restore, PE", "restore {target}", "model.dll", "lib.dll"),
    Command("sign, in place", "sign {target} --key {input}/key.pem --threads 1", "bundle.so", "signed.so"),
    Command("sign, new target", "sign {input}/bundle.so --key {input}/key.pem --threads 1 -o {target}", None, "signed.so"),
    Command("sign, P-256", "sign {target} --key {input}/p256.pem --threads 1", "bundle.so", "",
            accept="verify {target} --key {input}/p256.pub"),
    Command("sign --remove", "sign {target} --remove --threads 1", "signed.so", "bundle.so"),
    Command("sign --detached", "sign {input}/bundle.so --detached --key {input}/p256.pem --threads 1 -o {target}", None,
            "detached.sig", accept="verify {input}/bundle.so --signature {target} --key {input}/p256.pub"),
    Command("attach", "attach {target} {input}/signature --key {input}/key.pub --threads 1", "bundle.so", "signed.so"),
    Command("embed --sign", f"embed {{target}} {PAYLOAD} --sign {{input}}/key.pem", "lib.so", "signed.so"),
    Command("sign, fat Mach-O", "sign {target} --key {input}/key.pem --threads 1", "fat.model.dylib", "fat.signed.dylib"),
    Command("sign, PE", "sign {target} --key {input}/key.pem --threads 1", "model.dll", "signed.dll"),
]

# The files that commands begin and end with, made without any fault.
PREPARED = {
    "bundle.so": f"embed {{input}}/lib.so {PAYLOAD} -o {{target}}",
    "other.so": "embed {input}/lib.so --artifact labels={input}/graph.json -o {target}",
    "fat.model.dylib": f"embed {{input}}/fat.dylib {PAYLOAD} -o {{target}}",
    "model.dll": f"embed {{input}}/lib.dll {PAYLOAD} -o {{target}}",
    "signed.so": "sign {input}/bundle.so --key {input}/key.pem -o {target}",
    "fat.signed.dylib": "sign {input}/fat.model.dylib --key {input}/key.pem -o {target}",
    "signed.dll": "sign {input}/model.dll --key {input}/key.pem -o {target}",
}

KINDS = ("kill-before", "kill-after", "signal", "error", "short", "cut")
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# Calls that change what a file system holds: between two of them a kill leaves the same, wherever it comes.
CHANGING = {
    "pwrite64", "write", "copy_file_range", "sendfile", "ftruncate", "fallocate", "fsync", "fdatasync", "fchmod", "fchown",
    "fsetxattr", "fremovexattr", "linkat", "renameat", "renameat2", "unlinkat", "mkdir", "openat"
}
# Their failure is no reason to stop.
HINTS = {"fadvise64", "sync_file_range", "close"}
# They transfer a number of bytes, which may be less than was asked for.
TRANSFERS = {"read", "write", "pread64", "pwrite64", "copy_file_range", "sendfile"}
# They may return EINTR, and then are to be made again.
INTERRUPTIBLE = TRANSFERS | {"openat", "ftruncate", "fallocate", "fsync", "fdatasync", "flock"} | HINTS
ERRORS = {
    "openat": [errno.EIO, errno.EMFILE, errno.ENOSPC],
    "mmap": [errno.ENOMEM],
    "fcntl": [errno.EMFILE],
    "flock": [errno.ENOLCK],
    "fchmod": [errno.EPERM],
    "fchown": [errno.EPERM],
    **dict.fromkeys(["write", "pwrite64", "copy_file_range", "ftruncate", "fallocate", "fsync", "fsetxattr"],
                    [errno.EIO, errno.ENOSPC, errno.EDQUOT]),
    **dict.fromkeys(["linkat", "renameat", "renameat2", "mkdir"], [errno.EIO, errno.ENOSPC]),
}  # of others: EIO


@dataclasses.dataclass
class Call:
    name: str
    file: str
    detail: int

    def may_fail_unheard(self, cell, is_named):
        """Is there another way to the same end, or nothing lost? `is_named`: the target has its new name already."""
        if self.name in HINTS:
            return True
        if self.name == "copy_file_range":  # bytes go through memory instead
            return True
        if self.name == "flock":  # as on a file system without locks
            return True
        if self.name == "fchmod" and cell.command.old is None:  # documented: a new file's mode is kept as far as may be
            return True
        if LITTER.fullmatch(pathlib.Path(self.file).name):
            if self.name == "newfstatat":  # then another name is tried
                return True
            if self.name == "openat" and not self.detail & os.O_CREAT:  # a look for what killed processes left
                return True
        if self.name == "fgetxattr":  # then it is set, needed or not; the result is looked at
            return True
        # The file gets a name instead.
        if self.name == "access" or (self.name == "openat" and self.detail & os.O_TMPFILE == os.O_TMPFILE):
            return True
        if pathlib.Path(self.file) == cell.output:  # a look for what killed processes left
            return not is_named
        if self.name == "readlink":  # a link that is not followed is noticed when it is opened
            return True
        # A file's size for the progress that is shown.
        return self.name == "newfstatat" and pathlib.Path(self.file).parent == cell.input


def make_fat(*slices):
    """as lipo has it, slices aligned to 16 KiB"""
    header = struct.pack(">II", 0xCAFEBABE, len(slices))
    body, at = b"", 1 << 14
    for library in slices:
        cpu, subtype = struct.unpack_from("<II", library, 4)
        header += struct.pack(">IIIII", cpu, subtype, at + len(body), len(library), 14)
        body += library + bytes(-len(library) % (1 << 14))
    body = body[:len(body) - (-len(slices[-1]) % (1 << 14))]
    return header.ljust(at, b"\0") + body


class Cell:
    """A folder for one run at a time: `in` for what is read, `out` for the target."""

    def __init__(self, path, prepared):
        self.path, self.prepared = path, prepared
        self.input, self.output, self.report = path / "in", path / "out", path.parent / f"{path.name}.report"
        shutil.copytree(prepared, self.input)
        self.inputs = sorted(os.listdir(self.input))

    def set_up(self, command):
        self.command = command
        shutil.rmtree(self.output, ignore_errors=True)
        self.output.mkdir()
        self.target = self.output / (command.old or command.new)
        if "{folder}" in command.words:
            self.target = self.output / "bundle.params"
        if command.old:
            shutil.copyfile(self.prepared / command.old, self.target)
            self.target.chmod(0o754)
            if can_chown:
                os.chown(self.target, 12345, 12345)
            if has_attributes:
                os.setxattr(self.target, "user.pannier.test", b"kept")

    def words(self, text):
        return [word.format(input=self.input, target=self.target, folder=self.output) for word in text.split()]

    def run(self, action, number):
        """status, stderr, the calls that were reported"""
        words = [injector, self.path, self.report, action, str(number), pannier, *self.words(self.command.words), "-q"]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        calls = []
        with open(self.report, encoding="utf-8", errors="surrogateescape") as report:
            for line in report:
                name, file, detail = line.rstrip("\n").split("\t")
                calls.append(Call(name, file, int(detail, 16)))
        return done.returncode, done.stderr.decode(errors="replace"), calls

    def run_without_faults(self):
        done = subprocess.run([pannier, *self.words(self.command.words), "-q"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        return done.returncode, done.stderr.decode(errors="replace")

    def state(self):
        """"old", "new" or what is wrong with the target"""
        if not self.target.exists():
            return "old" if self.command.old is None else "no file"
        data = self.target.read_bytes()
        if self.command.old:
            facts = self.target.stat()
            found = [facts.st_mode & 0o7777]
            expected = [0o754]
            if can_chown:
                found += [facts.st_uid, facts.st_gid]
                expected += [12345, 12345]
            if has_attributes:
                found.append(os.listxattr(self.target))
                expected.append(["user.pannier.test"])
            if found != expected:
                return f"mode, owner and attributes {found}, expected {expected}"
            if data == (self.prepared / self.command.old).read_bytes() and self.command.old != self.command.new:
                return "old"
        if self.command.accept:
            accepted = subprocess.run([pannier, *self.words(self.command.accept)], capture_output=True)
            return "new" if accepted.returncode == 0 else "neither old nor accepted"
        return "new" if data == (self.prepared / self.command.new).read_bytes() else f"{len(data)} other bytes"

    def litter(self):
        return sorted(set(os.listdir(self.output)) - {self.target.name})


def faults_of(call, number, command, opened, full, is_long):
    """`opened`: when each file was opened first, by name; `is_long`: the command makes many calls"""
    # Of reads and writes there are many. All are tried with what differs most, and each with some of the rest.
    many = call.name in ("pread64", "pwrite64") and not full
    if many and is_long and number % 3:
        return
    yield "kill-before"
    if full or (call.name in CHANGING and not many):
        yield "kill-after"
        yield f"signal={int(SIGNALS[number % len(SIGNALS)])}"
    errors = ERRORS.get(call.name, [errno.EIO])
    for error in errors[-2:-1] if many and len(errors) > 1 else errors:
        yield f"error={error}"
    if call.name in INTERRUPTIBLE and not (many and number % 2):
        yield f"error={errno.EINTR}"
    if call.name in TRANSFERS and not (many and number % 2 == 0):
        yield "short"
    for name in sorted(set(re.findall(r"\{input\}/(\S+)", command.words))):
        is_small = (prepared / name).stat().st_size <= 4096
        # Its size is known from the second call on.
        if not is_small and number > opened[name] + 1 and (full or number % 8 == 0):
            yield f"cut=in/{name}"


def is_unnamed_phase(call, action):
    """Has the new file a name of its own when the process is killed here, though it was made without one?"""
    return (call.name, action) in {("linkat", "kill-after"), ("renameat", "kill-before")}


def judge(cell, action, plain, status, message, call, is_named):
    """what is wrong; None: nothing"""
    state, litter = cell.state(), cell.litter()
    same = cell.command.old == cell.command.new
    if sorted(os.listdir(cell.input)) != cell.inputs:
        return f"litter beside the input: {sorted(os.listdir(cell.input))}"
    if state not in ("old", "new"):
        return f"the target is neither old nor new: {state}"
    if action.startswith("kill"):
        if status != 137:
            return f"found exit status {status}, expected the process to be killed"
        for name in litter:
            matched = LITTER.fullmatch(name)
            if not matched or matched[1] != cell.target.name:
                return f"litter that is not documented: {litter}"
        if litter and not plain and not is_unnamed_phase(call, action):
            return f"litter though files have no names here: {litter}"
        return check_next_run(cell) if litter else None
    if action.startswith("signal"):
        if litter:
            return f"litter: {litter}"
        return None if status == 128 + int(action.partition("=")[2]) else f"found exit status {status}, expected the signal"

    number = int(action.partition("=")[2]) if action.startswith("error") else 0
    cut = cell.path / action.partition("=")[2] if action.startswith("cut") else None
    if litter:
        if call.name != "unlinkat" or cut:
            return f"litter: {litter}"
        return check_next_run(cell)
    if status == 0:
        if state != "new":
            return "done, but the target is the old one"
        if message:
            return f"done, but with a message: {message}"
        if action == "short" or cut or number == errno.EINTR or call.may_fail_unheard(cell, is_named):
            return None
        return "done as if nothing had happened"
    if status != 2:
        return f"found exit status {status}: {message}"
    # The standard library's streams, which read keys, try to open a file once.
    is_stream = call.name == "openat" and not call.detail & os.O_CLOEXEC
    if action == "short" or (number == errno.EINTR and not is_stream):
        return f"gave up: {message}"
    if not re.fullmatch(r"pannier: .+\n", message):
        return f"found this message: {message!r}"
    names = {(cut or pathlib.Path(call.file)).name, cell.target.name}
    if not any(name in message for name in names):
        return f"the message names none of {sorted(names)}: {message}"
    if state == "new" and not same and "written in full" not in message:
        return f"refused, but the target is new: {message}"
    return None


def check_next_run(cell):
    status, message = cell.run_without_faults()
    if status != 0 or cell.state() != "new" or cell.litter():
        return f"the next run: exit status {status}, target {cell.state()}, left {cell.litter()}: {message}"
    return None


def try_fault(command, action, number, plain, is_named):
    """the kind of fault, or "not reached"; and what is wrong, if something is"""
    cell = cells.get()
    try:
        cell.set_up(command)
        status, message, calls = cell.run(("plain:" if plain else "") + action, number)
        if action.startswith("cut"):
            cut = action.partition("=")[2]
            shutil.copyfile(prepared / pathlib.Path(cut).name, cell.path / cut)
        if not calls:
            return "not reached", None
        call = calls[0]
        wrong = judge(cell, action, plain, status, message, call, is_named)
        return action.partition("=")[0], wrong and f"{action}: {call.name} {call.file} {call.detail:#x}: {wrong.strip()}"
    except (OSError, subprocess.TimeoutExpired) as error:
        return action, f"{action}: call {number}: {error}"
    finally:
        cells.put(cell)


def try_command(command, plain, full, pool):
    """points tried, and what failed"""
    cell = cells.get()
    cell.set_up(command)
    status, message, calls = cell.run(("plain:" if plain else "") + "count", 0)
    wrong = f"{message or cell.state()}, left {cell.litter()}" if status or cell.state() != "new" or cell.litter() else None
    cells.put(cell)
    if wrong:
        return collections.Counter(), [f"without faults: {wrong}"]
    jobs = []
    named = next(number for number, call in reversed(list(enumerate(calls))) if call.name in ("linkat", "renameat", "renameat2"))
    opened = {}
    for number, call in enumerate(calls):
        if call.name == "openat":
            opened.setdefault(pathlib.Path(call.file).name, number)
    for number, call in enumerate(calls):
        for action in faults_of(call, number, command, opened, full, len(calls) > 180):
            jobs.append(pool.submit(try_fault, command, action, number, plain, number > named))
    tried, failures = collections.Counter(), []
    for job in jobs:
        kind, wrong = job.result()
        if wrong:
            failures.append(wrong)
        else:
            tried[kind] += 1
    tried["calls"] = len(calls)
    tried["points"] = sum(tried[kind] for kind in KINDS)
    if tried["not reached"] > len(jobs) // 50:  # threads may make a call more or less, not many
        failures.append(f"{tried['not reached']} of {len(jobs)} faults were not reached")
    return tried, failures


def prepare(folder):
    for name, source in {"graph.json": "graph.json", "params.bin": "params.bin", "lib.so": "linux-x86_64/lib.so",
                         "lib.dll": "windows-x86_64/lib.dll"}.items():
        shutil.copyfile(DATA / source, folder / name)
    (folder / "fat.dylib").write_bytes(make_fat(*((DATA / f"macos-{cpu}/lib.dylib").read_bytes() for cpu in ("x86_64", "arm64"))))
    for key, *kind in (("key", "ed25519"), ("p256", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")):
        subprocess.run(["openssl", "genpkey", "-quiet", "-algorithm", *kind, "-out", folder / f"{key}.pem"], check=True)
        subprocess.run(["openssl", "pkey", "-in", folder / f"{key}.pem", "-pubout", "-out", folder / f"{key}.pub"], check=True)
    for name, words in PREPARED.items():
        subprocess.run([pannier, *words.format(input=folder, target=folder / name).split(), "-q"], check=True)
    (folder / "message").write_bytes(subprocess.check_output([pannier, "digest", folder / "bundle.so"]))
    subprocess.run(["openssl", "pkeyutl", "-sign", "-inkey", folder / "key.pem", "-rawin", "-in", folder / "message",
                    "-out", folder / "signature"], check=True)


def can(function, *arguments):
    try:
        function(*arguments)
    except OSError:
        return False
    return True


build = pathlib.Path(sys.argv[1]).resolve()
pannier, injector = build / "embedder/pannier", build / "tests/fault_injector"
wanted = [word for word in sys.argv[2:] if not word.startswith("--")]
full = "--full" in sys.argv

with tempfile.TemporaryDirectory(dir=build) as temporary:
    work = pathlib.Path(temporary).resolve()
    prepared = work / "prepared"
    prepared.mkdir()
    prepare(prepared)
    probe = work / "probe"
    probe.touch()
    can_chown = can(os.chown, probe, 12345, 12345)
    has_attributes = can(os.setxattr, probe, "user.pannier.test", b"kept")
    workers = os.cpu_count()
    cells = queue.Queue()
    for i in range(workers):
        cells.put(Cell(work / f"cell{i}", prepared))
    traced = subprocess.run([injector, work, work / "report", "count", "0", "/bin/true"])
    if traced.returncode != 0:
        print("no system call can be traced here")
        sys.exit(4)
    skipped = [] if can_chown else ["owners (not root)"]
    skipped += [] if has_attributes else ["extended attributes (not on this file system)"]

    total, failed = collections.Counter(), 0
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for plain in (False, True):
            for command in COMMANDS:
                if plain and not full and not command.name.endswith(("in place", "new target")):
                    continue
                if wanted and not any(word in command.name for word in wanted):
                    continue
                tried, failures = try_command(command, plain, full, pool)
                total += tried
                failed += len(failures)
                kinds = ", ".join(f"{tried[kind]} {kind}" for kind in KINDS)
                print(f"{command.name}{' (plain)' if plain else ''}: {tried['calls']} calls, {tried['points']} faults survived"
                      f" ({kinds}), {tried['not reached']} not reached, {len(failures)} failed", flush=True)
                for failure, count in collections.Counter(failures).items():
                    print(f"  FAILED {f'{count} times ' if count > 1 else ''}{failure}")
    print(f"{total['points']} faults survived, {failed} failed, {total['not reached']} not reached, {len(skipped)} skipped"
          f"{''.join(': ' + what for what in skipped)}")
    sys.exit(1 if failed or not total["points"] else 0)
