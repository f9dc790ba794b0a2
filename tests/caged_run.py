"""Runs commands that may not end, may leave processes behind, or run strangers' constructors; counts how they ended."""

import collections
import dataclasses
import os
import shutil
import signal
import subprocess
import tempfile
import threading

TIME_LIMIT = 300  # seconds, for one command


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
            status, is_late = child.wait(TIME_LIMIT), False
        except subprocess.TimeoutExpired:
            status, is_late = -1, True
        try:
            os.killpg(child.pid, signal.SIGKILL)
            if not is_late:
                ENDINGS.add("left processes behind")
        except ProcessLookupError:
            pass
        if is_late:
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
