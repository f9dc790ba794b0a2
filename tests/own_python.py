"""A Python of a test's own: a virtual environment in build/deps with what the test needs from PyPI, made once."""

import fcntl
import os
import pathlib
import shutil
import subprocess
import sys

DEPENDENCIES = pathlib.Path(__file__).resolve().parent.parent / "build" / "deps"


def make(name, requirements):
    """Its interpreter, or none."""
    folder = DEPENDENCIES / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        complete = folder / "complete.txt"
        if not complete.exists() or complete.read_text() != "\n".join(requirements):
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            pip = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            if subprocess.run([*pip, *requirements]).returncode != 0:
                return None
            complete.write_text("\n".join(requirements))
    return folder / "bin/python"


def run_by(name, requirements):
    """Returns once it is this Python that runs the script: true; false where there is none."""
    python = make(name, requirements)
    if python and pathlib.Path(sys.prefix).resolve() != python.parent.parent.resolve():
        os.execv(python, [python, *sys.argv])
    return python is not None
