#!/usr/bin/env python3
"""What pannier makes of files that are none, names of every kind, full disks, closed streams, and others who use the same files.

usage: tests/file_kinds_test.py BUILD_DIR

Where nothing can be done: exit status 2, a message that names the file, every file as it was and none besides. Exit status: 0 all
as expected; 1 not. What this machine does not allow is skipped, and counted.
"""

import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile

DATA = pathlib.Path(__file__).parent / "data/mlp"
NOBODY = 65534
HOLDER = """
import ctypes, hashlib, mmap, sys
library = ctypes.CDLL(sys.argv[1])
with open(sys.argv[1], "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
maps = [line.split() for line in open("/proc/self/maps") if sys.argv[1] in line and " r-" in line]
ranges = [[int(end, 16) for end in line[0].split("-")] for line in maps]
def digest():
    found = hashlib.sha256(mapped)
    for begin, end in ranges:
        found.update(ctypes.string_at(begin, end - begin))
    return found.hexdigest()
for line in sys.stdin:
    print(digest(), flush=True)
"""

checks, failures, skips = 0, [], []


def check(name, wrong):
    """`wrong`: what is; false: nothing"""
    global checks
    checks += 1
    if wrong:
        failures.append(name)
        print(f"FAILED  {name}: {wrong}")


def skip(what):
    skips.append(what)
    print(f"skipped {what}")


def run(*words, **options):
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 60, **options}
    return subprocess.run([pannier, *words], **options)


def embed(host, *words, **options):
    return run("embed", host, "--graph", graph, "--params", params, "-q", *words, **options)


def tree(folder):
    """every name, with what a file holds or a link says"""
    found = {}
    for path in sorted(pathlib.Path(folder).rglob("*")):
        facts = path.lstat()
        if stat.S_ISREG(facts.st_mode):
            found[str(path)] = (facts.st_mode, facts.st_ino, path.read_bytes() if os.access(path, os.R_OK) else None)
        else:
            found[str(path)] = (facts.st_mode, os.readlink(path) if path.is_symlink() else None)
    return found


def refusal(done, *names, status=2):
    """what is wrong with a refusal"""
    message = done.stderr.decode("utf-8", "surrogateescape")
    if done.returncode != status:
        return f"found exit status {done.returncode}, expected {status}: {message}"
    if not message.startswith("pannier: ") or message.count("\n") != 1 or not message.endswith("\n"):
        return f"found this message: {message!r}"
    missing = [name for name in names if name not in message]
    return missing and f"{missing} not in the message: {message!r}"


def check_refused(name, folder, command, *names):
    before = tree(folder)
    try:
        wrong = refusal(command(), *names)
    except subprocess.TimeoutExpired:
        wrong = "it waits for ever"
    check(name, wrong or (tree(folder) != before and f"files have changed: {sorted(tree(folder))}"))


def check_done(name, done, target, expected):
    found = pathlib.Path(target).read_bytes() if os.path.exists(target) else None
    check(name, (done.returncode or done.stderr) and f"exit status {done.returncode}: {done.stderr.decode(errors='replace')}" or
          found != expected and "the target is not what it should be")


def printable(name):
    """as messages have it, which cut off what is long (src/text.h)"""
    return "".join(f"\\x{ord(c) & 0xFF:02x}" if ord(c) < 32 or 0xDC80 <= ord(c) <= 0xDCFF else c for c in name)[:100]


def special_files(folder):
    """by name: a path that is no regular file"""
    os.mkfifo(folder / "fifo")
    os.mkdir(folder / "directory")
    listener = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(folder)  # a socket's path is short
    listener.bind("socket")
    os.chdir(here)
    listener.close()
    os.symlink("fifo", folder / "link-to-fifo")
    os.symlink("loop", folder / "loop")
    names = ["fifo", "directory", "socket", "link-to-fifo", "loop", "missing"]
    return [folder / name for name in names] + [pathlib.Path("/dev") / name for name in ("null", "zero", "full")]


def test_what_is_no_file(folder):
    bad = special_files(folder)
    shutil.copy(host, folder / "lib.so")
    for path in bad:
        name = path.name
        check_refused(f"{name} as HOST", folder, lambda: embed(path, "-o", folder / "new"), str(path))
        check_refused(f"{name} as HOST, in place", folder, lambda: embed(path), str(path))
        check_refused(f"{name} as HOST, --force", folder, lambda: embed(path, "--force"), str(path))
        for option in ("--graph", "--params"):
            check_refused(f"{name} as {option}", folder, lambda: run("embed", folder / "lib.so", option, path), str(path))
        check_refused(f"{name} as --artifact", folder, lambda: run("embed", host, "-o", folder / "new", "--artifact", f"a={path}"),
                      str(path))
        for command in (["inspect"], ["inspect", "--json"], ["verify"], ["verify", "--image"], ["restore"], ["digest"],
                        ["sign", "--key", key], ["sign", "--remove"]):
            check_refused(f"{name}: {command[0]} {command[-1]}", folder, lambda: run(*command, path), str(path))
        if name not in ("fifo", "link-to-fifo"):  # a key may come through one, as bash's <(...) has it
            check_refused(f"{name} as a key", folder, lambda: run("sign", bundle, "--key", path), str(path))
            check_refused(f"{name} as a public key", folder, lambda: run("verify", bundle, "--key", path), str(path))
        check_refused(f"{name}: extract", folder, lambda: run("extract", path, "-o", folder / "x"), str(path))
        check_refused(f"{name}: restore -o", folder, lambda: run("restore", path, "-o", folder / "new"), str(path))
        if name != "missing":
            check_refused(f"{name} as OUT", folder, lambda: embed(folder / "lib.so", "-o", path), str(path))
            check_refused(f"{name} as OUT of restore", folder, lambda: run("restore", bundle, "-o", path), str(path))
        if name not in ("directory", "missing"):
            check_refused(f"{name} as folder of extract", folder, lambda: run("extract", bundle, "-o", path), str(path))
    check_refused("OUT in a folder that is none", folder, lambda: embed(host, "-o", folder / "no/such"), str(folder / "no"))
    check_refused("OUT under a file", folder, lambda: embed(host, "-o", folder / "lib.so/x"), str(folder / "lib.so"))
    check_refused("OUT with a slash at its end", folder, lambda: embed(host, "-o", f"{folder}/new/"), f"{folder}/new/")
    check_refused("an empty name", folder, lambda: embed(""))
    (folder / "empty").touch()
    for command in ("inspect", "verify", "restore"):
        check_refused(f"an empty file: {command}", folder, lambda: run(command, folder / "empty"), str(folder / "empty"))


def test_links(folder):
    os.mkdir(folder / "real")
    real = folder / "real/lib.so"
    shutil.copy(host, real)
    os.symlink("real/lib.so", folder / "one")
    os.symlink(folder / "one", folder / "two")
    check_done("a link to a link to the host, in place", embed(folder / "two"), real, bundle_bytes)
    check("links stay", not (folder / "one").is_symlink() or not (folder / "two").is_symlink())
    check_done("restore through links", run("restore", "-q", folder / "two"), real, host_bytes)
    os.symlink("real/made.so", folder / "dangling")
    check_done("a dangling link as OUT", embed(host, "-o", folder / "dangling"), folder / "real/made.so", bundle_bytes)
    os.symlink("real", folder / "linked")
    check_done("a folder that is a link", embed(host, "-o", folder / "linked/other.so"), folder / "real/other.so", bundle_bytes)
    check("nothing but that", sorted(os.listdir(folder / "real")) != ["lib.so", "made.so", "other.so"])
    os.symlink("no/such/folder/lib.so", folder / "astray")
    check_refused("a link into a folder that is none", folder, lambda: embed(host, "-o", folder / "astray"), str(folder))
    os.link(real, folder / "hard")
    check_refused("hard links", folder, lambda: embed(real), str(real), "hard links")
    check_refused("hard links, restore -o", folder, lambda: run("restore", bundle, "-o", real), str(real), "hard links")


def test_names(folder):
    for name in (b"a b", b" ", b"new\nline", b"tab\t", "äöü 模型".encode(), b"\xff\xfe", b"'\"$`*?", b"-o", b"--force",
                 b"n" * 255, b"." + b"n" * 251 + b".so"):
        name = os.fsdecode(name)
        place = folder / name
        target = place / name
        place.mkdir()
        shutil.copy(host, target)
        label = f"called {name[:20]!r}"
        check_done(f"{label}: embed", embed(target), target, bundle_bytes)
        for command in ("inspect", "verify"):
            done = run(command, target)
            check(f"{label}: {command}", done.returncode or done.stderr or
                  (printable(name).encode("utf-8", "surrogateescape") not in done.stdout and done.stdout))
            done = run(command, "--json", target)
            check(f"{label}: {command} --json", done.returncode or not isinstance(json.loads(done.stdout), dict))
        check_refused(f"{label}: embed again", place, lambda: embed(target), printable(name))
        check_done(f"{label}: embed --force", embed(target, "--force"), target, bundle_bytes)
        check_done(f"{label}: restore", run("restore", "-q", target), target, host_bytes)
        check(f"{label}: nothing but that", os.listdir(place) != [name])
        done = run("embed", f"./{name}", "--graph", graph, "-q", cwd=place)
        check(f"{label}: relative", done.returncode and done.stderr)
        relative = subprocess.run([pannier, "verify", "-q", "--", name], cwd=place, stderr=subprocess.PIPE, check=False)
        check(f"{label}: behind --", relative.returncode and relative.stderr)
    deep = folder
    while len(str(deep)) < 3500:
        deep /= "d" * 200
    deep.mkdir(parents=True)
    check_done("a path of 3500 bytes", embed(host, "-o", deep / "lib.so"), deep / "lib.so", bundle_bytes)
    check_refused("a name of 256 bytes", deep, lambda: embed(host, "-o", deep / ("n" * 256)), "file name too long")
    check_refused("a path of 5000 bytes", deep, lambda: embed(host, "-o", str(folder) + "/d" * 2500), "/d/d")


def test_rights(folder):
    if os.geteuid() != 0:
        skip("rights: needs root to become somebody else")
        return
    folder.chmod(0o755)
    place = folder / "place"
    place.mkdir()
    shutil.copy(host, place / "lib.so")
    shutil.copy(bundle, place / "bundle.so")
    nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    probe = subprocess.run([pannier, "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **nobody)
    if probe.returncode != 0:
        skip("rights: another user may not run pannier where it lies")
        return

    def refused(name, command, *names):
        check_refused(name, folder, command, *names)

    os.chown(place / "lib.so", NOBODY, NOBODY)
    refused("a folder that may not be written to", lambda: embed(place / "lib.so", **nobody), str(place), "permission denied")
    refused("the same, a new file", lambda: embed(place / "lib.so", "-o", place / "new", **nobody),
            str(place), "permission denied")
    refused("the same, restore", lambda: run("restore", place / "bundle.so", **nobody), str(place), "permission denied")
    for into in (place, place / "x"):
        refused(f"the same, extract into {into.name}", lambda: run("extract", place / "bundle.so", "-o", into, **nobody),
                str(into), "ermission denied")
    (place / "lib.so").chmod(0)
    for words in (["inspect"], ["verify"], ["restore"], ["embed", "--graph", graph]):
        refused(f"a file that may not be read: {words[0]}", lambda: run(*words, place / "lib.so", **nobody),
                str(place / "lib.so"), "permission denied")
    place.chmod(0o700)
    refused("a folder that may not be searched", lambda: embed(place / "lib.so", **nobody),
            str(place / "lib.so"), "permission denied")
    refused("a folder that may not be searched, as OUT", lambda: embed(host, "-o", place / "x", **nobody),
            str(place), "permission denied")
    place.chmod(0o777)
    (place / "lib.so").chmod(0o644)
    os.chown(place / "lib.so", 0, 0)
    refused("an owner that cannot be kept", lambda: embed(place / "lib.so", **nobody), str(place / "lib.so"), "owner")
    place.chmod(0o1777)
    os.chown(place / "lib.so", 0, NOBODY)
    refused("somebody else's in a folder like /tmp", lambda: embed(place / "lib.so", **nobody), str(place / "lib.so"))
    os.chown(place / "lib.so", NOBODY, NOBODY)
    check_done("one's own in a folder like /tmp", embed(place / "lib.so", **nobody), place / "lib.so", bundle_bytes)
    read_only = folder / "read-only"
    read_only.mkdir()
    shutil.copy(host, read_only / "lib.so")
    if subprocess.run(["mount", "--bind", "-o", "ro", read_only, read_only], stderr=subprocess.DEVNULL).returncode == 0:
        subprocess.run(["mount", "-o", "remount,bind,ro", read_only], stderr=subprocess.DEVNULL)
        refused("a read-only file system", lambda: embed(read_only / "lib.so"), str(read_only), "read-only file system")
        subprocess.run(["umount", read_only], check=True)
    else:
        skip("a read-only file system: may not mount one")


def fill(ballast, room):
    """all of its file system but `room` bytes"""
    with open(ballast, "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            file.truncate(file.tell() // 4096 * 4096 - room)


def test_full_disk(folder):
    small = folder / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "small", small], stderr=subprocess.DEVNULL).returncode == 0:
        try:
            shutil.copy(host, small / "lib.so")
            for room in (0, 4, 40, 200, 400):  # KiB
                fill(small / "ballast", room * 1024)
                for words, size in ((["embed", small / "lib.so", "--graph", graph, "--params", params], len(bundle_bytes)),
                                    (["embed", host, "--graph", graph, "--params", params, "-o", small / "x"], len(bundle_bytes)),
                                    (["sign", bundle, "--key", key, "-o", small / "x"], len(bundle_bytes)),
                                    (["extract", bundle, "params", "-o", small], params.stat().st_size),
                                    (["restore", bundle, "-o", small / "x"], len(host_bytes))):
                    if room * 1024 < size:
                        check_refused(f"a disk with {room} KiB left: {words[0]}", small, lambda: run(*words),
                                      str(small), "no space left")
            (small / "ballast").unlink()
            check_done("a disk with room again", embed(small / "lib.so"), small / "lib.so", bundle_bytes)
        finally:
            subprocess.run(["umount", small], check=True)
    else:
        skip("a full disk: may not mount a small one")
    for limit in (1, 4096, 100_000, len(bundle_bytes) - 1):
        def limited(limit=limit):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        check_refused(f"files of {limit} bytes at most", folder, lambda: embed(host, "-o", folder / "x", preexec_fn=limited),
                      str(folder / "x"), "too large")

    def few_files():
        resource.setrlimit(resource.RLIMIT_NOFILE, (7, 7))

    check_refused("few open files", folder, lambda: embed(host, "-o", folder / "x", preexec_fn=few_files), "too many open files")


def test_streams(folder):
    target = folder / "lib.so"
    embedding = ["embed", host, "--graph", graph]
    printing = [["inspect", bundle], ["inspect", "--json", bundle], ["verify", bundle], ["verify", "--json", bundle],
                ["extract", bundle, "params", "-o", "-"], ["extract", bundle, "graph", "-o", "-"],
                ["extract", bundle, "-o", folder / "x", "--json"], [*embedding, "-o", target],
                [*embedding, "-o", target, "--json"], [*embedding, "--dry-run"],
                ["restore", bundle, "-o", target], ["restore", bundle, "-o", target, "--json"],
                ["digest", bundle], ["sign", bundle, "--key", key, "-o", target], ["--help"], ["embed", "--help"], ["--version"]]
    for words in printing:
        label = " ".join(str(word) for word in words if not isinstance(word, pathlib.Path))
        with open("/dev/full", "wb") as full:
            check(f"stdout is full: {label}", refusal(run(*words, stdout=full), "stdout"))
        check(f"stdout is closed: {label}", refusal(run(*words, stdout=None, preexec_fn=lambda: os.close(1)), "stdout"))
        reading, writing = os.pipe()
        os.close(reading)
        done = run(*words, stdout=writing, restore_signals=False)  # Python ignores SIGPIPE
        check(f"nobody reads stdout, SIGPIPE ignored: {label}", refusal(done, "stdout"))
        done = run(*words, stdout=writing)
        check(f"nobody reads stdout: {label}", done.returncode != -signal.SIGPIPE and f"exit status {done.returncode}")
        os.close(writing)
    for closed in ((0,), (2,), (0, 1), (1, 2), (0, 2), (0, 1, 2)):
        def run_closed(*words, closed=closed):
            return run(*words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       preexec_fn=lambda: [os.close(number) for number in closed])

        target.unlink(missing_ok=True)
        shutil.copy(host, target)
        whole = ["embed", target, "--graph", graph, "--params", params]
        done = run_closed(*whole, "-q")
        check(f"closed streams {closed}: embed -q", done.returncode or target.read_bytes() != bundle_bytes)
        done = run_closed(*whole, "--force")
        check(f"closed streams {closed}: the target is whole", target.read_bytes() != bundle_bytes)
        check(f"closed streams {closed}: exit status", done.returncode != (2 if 1 in closed else 0) and done.returncode)
        done = run_closed("inspect", folder / "missing")
        check(f"closed streams {closed}: refused", done.returncode != 2 and f"exit status {done.returncode}")


def test_running_target(folder):
    target = folder / "lib.so"
    shutil.copy(host, target)
    for name, command in {"embed": lambda: embed(target), "embed --force": lambda: embed(target, "--force"),
                          "restore": lambda: run("restore", "-q", target)}.items():
        holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  text=True)

        def digest():
            holder.stdin.write("?\n")
            holder.stdin.flush()
            return holder.stdout.readline()

        before = digest()
        done = command()
        after = digest()
        holder.stdin.close()
        check(f"{name} on a library in use", done.returncode and done.stderr)
        check(f"{name} on a library in use: it goes on running, its bytes unchanged",
              holder.wait() or not before or before != after)
    check("the last of them restored the host", target.read_bytes() != host_bytes)


def test_two_at_once(folder):
    target = folder / "lib.so"
    one = ["embed", target, "--graph", graph, "--params", params, "-q", "--force"]
    other = ["embed", target, "--artifact", f"labels={graph}", "-q", "--force"]
    run("embed", host, "--artifact", f"labels={graph}", "-q", "-o", folder / "other.so")
    versions = {bundle_bytes: 0, (folder / "other.so").read_bytes(): 1}
    for name, commands, results in (("both embed", (one, other), {bundle_bytes, *versions}),
                                    ("embed and restore", (one, ["restore", "-q", target]), {bundle_bytes, host_bytes}),
                                    ("both sign", (["sign", target, "--key", key, "-q"],) * 2, {signed_bytes}),
                                    ("both restore", (["restore", "-q", target],) * 2, {host_bytes}),
                                    ("four embed", (one, other) * 2, {*versions})):
        refused = wrong = 0
        for _ in range(60):
            shutil.copy(bundle, folder / "next")
            os.replace(folder / "next", target)
            running = [subprocess.Popen([pannier, *command], stderr=subprocess.PIPE) for command in commands]
            outcomes = [(process.communicate()[1].decode(), process.returncode) for process in running]
            done = sum(status == 0 for _, status in outcomes)
            for message, status in outcomes:
                good = (status == 0 and not message) or (status == 2 and message.startswith(f"pannier: {target}: "))
                refused += status == 2
                wrong += not good
                if not good:
                    print(f"        exit status {status}: {message}")
            wrong += target.read_bytes() not in results or done == 0 or sorted(os.listdir(folder)) != ["lib.so", "other.so"]
        check(f"two at once, {name} ({refused} refusals in 60 rounds)", wrong)


def test_signals(folder):
    """the faults test sends them at each call; here, that those which were ignored stay so"""
    target = folder / "lib.so"
    shutil.copy(host, target)
    def ignore():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    done = embed(target, preexec_fn=ignore)
    check("nohup", done.returncode or target.read_bytes() != bundle_bytes)
    # It waits for its output to be read, more than a pipe holds.
    process = subprocess.Popen([pannier, "extract", bundle, "params", "-o", "-"], stdout=subprocess.PIPE, preexec_fn=ignore)
    begin = process.stdout.read(1)
    process.send_signal(signal.SIGHUP)
    check("SIGHUP stays ignored", begin + process.stdout.read() != params.read_bytes() or process.wait())


build = pathlib.Path(sys.argv[1]).resolve()
pannier = build / "embedder/pannier"
with tempfile.TemporaryDirectory(dir=build) as temporary:
    work = pathlib.Path(temporary).resolve()
    work.chmod(0o755)
    inputs = work / "inputs"
    inputs.mkdir()
    graph, params, host = (pathlib.Path(shutil.copy(DATA / name, inputs))
                           for name in ("graph.json", "params.bin", "linux-x86_64/lib.so"))
    bundle = inputs / "bundle.so"
    assert embed(host, "-o", bundle).returncode == 0
    key, signed = inputs / "key.pem", inputs / "signed.so"
    subprocess.run(["openssl", "genpkey", "-quiet", "-algorithm", "ed25519", "-out", key], check=True)
    assert run("sign", bundle, "--key", key, "-o", signed).returncode == 0
    host_bytes, bundle_bytes, signed_bytes = host.read_bytes(), bundle.read_bytes(), signed.read_bytes()
    before = tree(inputs)
    for test in (test_what_is_no_file, test_links, test_names, test_rights, test_full_disk, test_streams, test_running_target,
                 test_two_at_once, test_signals):
        folder = work / test.__name__
        folder.mkdir()
        test(folder)
    check("the inputs are as they were", tree(inputs) != before)
print(f"{checks} checks, {len(failures)} failed, {len(skips)} skipped")
sys.exit(1 if failures else 0)
