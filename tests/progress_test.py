#!/usr/bin/env python3
"""Progress on a terminal: a line that says how far, how fast and how long still, and that is gone at the end; nothing where there is none.

usage: tests/progress_test.py PANNIER

Lines show after half a second. So that work takes longer on any machine, however fast, the process is stopped most of the time until
one shows.
Exit status: 0 all as expected; 1 not.
"""

import concurrent.futures
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time

pannier = sys.argv[1]
SIZE = 128 << 20
WAITING = r"\r\x1b\[Klaying out the graph, \d+ s"
LINE = r"\r\x1b\[K(%s) [\d.]+ \w+ of [\d.]+ [KMG]iB \(\d+ %%\)(, [\d.]+ \w+/s, \d+ (?:s|min) left)?"
failures = 0


def check(name, wrong):
    global failures
    print(f"{'FAILED' if wrong else 'ok    '}  {name}{': ' if wrong else ''}{wrong or ''}")
    failures += bool(wrong)


def run(words, terminal=True, quiet=False, environment=None):
    """The exit status, and what came out of stderr: a terminal, or a pipe."""
    read, write = pty.openpty() if terminal else os.pipe()
    process = subprocess.Popen([pannier, *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=write,
                               env=environment)
    os.close(write)
    shown = b""
    began = time.monotonic()
    while True:
        if time.monotonic() < began + 1 if quiet else not shown:
            time.sleep(0.003)
            process.send_signal(signal.SIGSTOP)
        while select.select([read], [], [], 0.15)[0]:
            try:
                part = os.read(read, 65536)
            except OSError:  # the terminal's other end is closed
                part = b""
            shown += part
            if not part:
                os.close(read)
                process.send_signal(signal.SIGCONT)
                return process.wait(), shown.decode()
        process.send_signal(signal.SIGCONT)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "large.s").write_text(f'.data\n.globl data\ndata: .quad 1\n.zero {SIZE}\n.section .note.GNU-stack,"",@progbits\n')
        subprocess.run(["gcc", "-shared", "-nostdlib", "-o", folder / "lib.so", folder / "large.s"], check=True)
        os.unlink(folder / "large.s")
        with open(folder / "blob", "wb") as file:
            file.truncate(SIZE)
        key = folder / "key.pem"
        subprocess.run(["openssl", "genpkey", "-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key], check=True,
                       stderr=subprocess.DEVNULL)
        bundle = folder / "model.so"
        embed = ["embed", folder / "lib.so", "--artifact", f"blob={folder / 'blob'}", "--codec", "store", "-o", bundle]
        commands = {
            "embed": (embed, "embedding|verifying"),
            "verify": (["verify", bundle], "verifying"),
            "sign": (["sign", bundle, "--key", key, "-o", folder / "signed.so"], "copying|verifying"),
            "sign --detached": (["sign", bundle, "--key", key, "--detached"], "verifying|reading"),
            "extract": (["extract", bundle, "-o", folder / "parts"], "extracting"),
            "restore": (["restore", bundle, "-o", folder / "back.so"], "copying|verifying"),
        }
        def shows(name):
            words, actions = commands[name]
            status, shown = run(words)
            lines = re.findall(LINE % actions, shown)
            last = shown.rsplit("\r", 1)[-1]
            check(name, (status != 0 or not lines or last != "\x1b[K" or re.sub(LINE % actions, "", shown) != "\r\x1b[K") and (status, shown))

        def shows_nothing(name, words, terminal):
            found = run(words, terminal, quiet=True)
            check(name, found != (0, "") and found)

        shows("embed")
        verify = commands["verify"][0]
        with concurrent.futures.ThreadPoolExecutor() as pool:
            tasks = [pool.submit(shows, name) for name in commands if name != "embed"]
            tasks += [pool.submit(shows_nothing, f"verify {option}", [*verify, option], True) for option in ("--quiet", "--json")]
            tasks.append(pool.submit(shows_nothing, "verify, stderr is a pipe", verify, False))
            for task in tasks:
                task.result()
        # A Graphviz that takes its time, and then fails.
        slow = folder / "slow"
        slow.mkdir()
        (slow / "dot").write_text("#!/bin/sh\nsleep 2\nexit 1\n")
        (slow / "dot").chmod(0o755)
        data = pathlib.Path(__file__).parent / "data" / "mlp"
        model = folder / "mlp.so"
        subprocess.run([pannier, "embed", data / "linux-x86_64/lib.so", "--graph", data / "graph.json", "--params", data / "params.bin", "-q",
                        "-o", model], check=True)
        status, shown = run(["view", model, "-o", folder / "mlp.html"], quiet=True,
                            environment={**os.environ, "PATH": f"{slow}:{os.environ['PATH']}"})
        check("view, while Graphviz runs", (status != 0 or not re.search(WAITING, shown)) and (status, shown))
        with open(bundle, "r+b") as file:  # into the middle of what is stored
            file.seek(bundle.stat().st_size - SIZE // 2)
            file.write(b"damage")
        status, shown = run(verify)
        check("verify, a message on a line of its own", not re.search(r"\r\x1b\[Kpannier: .*: artifact \"blob\": [^\r]*\r\n$", shown) and (status, shown))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
