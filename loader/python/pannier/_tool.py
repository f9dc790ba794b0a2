"""The command line tool, as functions. It runs as a process of its own: whatever a host does to it, Python goes on."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from typing import Any, Mapping, Sequence

from ._library import HERE, PannierError

StrPath = str | os.PathLike[str]


def executable() -> str:
    """The tool that came with the package, or the one that PANNIER_EXECUTABLE names."""
    if path := os.environ.get("PANNIER_EXECUTABLE"):
        return path
    return str(HERE / ("pannier.exe" if sys.platform == "win32" else "pannier"))


def run(*words: StrPath | None, accepts: Sequence[int] = (0,)) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run([executable(), *(os.fspath(word) for word in words if word is not None)],
                          stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE,
                          check=False)
    if done.returncode not in accepts:
        message = done.stderr.decode("utf-8", "replace").strip().removeprefix("pannier: ")
        raise PannierError(message or f"pannier: exit status {done.returncode}")
    return done


def embed(host: StrPath, output: StrPath | None = None, *, graph: StrPath | None = None, params: StrPath | None = None,
          artifacts: Mapping[str, StrPath] | None = None, codec: str | None = None, level: int | None = None, threads: int = 0,
          sign: StrPath | None = None, strict: bool = False, force: bool = False, drop_signature: bool = False,
          as_factory: bool = False, tvm: str | None = None) -> dict[str, Any]:
    """Puts files into a shared library: `pannier embed`. Without `output` the host is replaced. Returns what `--json` prints.

    `codec` is "auto", "store", "zstd" or "planes"; without it, the tool's own choice. With `strict`, graph, params
    and library that are not of one model are refused; else the result's "misfits" tell of it. With `as_factory`, TVM 0.8 to 0.19 loads the
    result as an export of its own (0.7: tvm="0.7"), and tensors are stored as they are.
    """
    words: list[StrPath] = ["embed", host, "--json", "--threads", str(threads)]
    words += ["--codec", codec] if codec is not None else []
    for option, value in (("-o", output), ("--graph", graph), ("--params", params), ("--sign", sign)):
        words += [option, value] if value is not None else []
    words += ["--level", str(level)] if level is not None else []
    for name, path in (artifacts or {}).items():
        words += ["--artifact", f"{name}={os.fspath(path)}"]
    words += ["--strict"] if strict else []
    words += ["--force"] if force else []
    words += ["--drop-signature"] if drop_signature else []
    words += ["--as-factory"] if as_factory else []
    words += ["--tvm", tvm] if tvm is not None else []
    result: dict[str, Any] = json.loads(run(*words).stdout)
    return result


def inspect(bundle: StrPath) -> dict[str, Any]:
    """What is inside: `pannier inspect --json`."""
    result: dict[str, Any] = json.loads(run("inspect", bundle, "--json").stdout)
    return result


def verify(bundle: StrPath, *, image: bool = False, keys: Sequence[StrPath] = (), any_of: bool = False) -> dict[str, Any]:
    """Every byte checked: `pannier verify --json`; look at "passed" and "differences". `keys` are files with public keys."""
    words: list[StrPath] = ["verify", bundle, "--json"]
    words += ["--image"] if image else []
    for key in keys:
        words += ["--key", key]
    words += ["--any-of"] if any_of else []
    result: dict[str, Any] = json.loads(run(*words, accepts=(0, 1)).stdout)
    return result


def sign(bundle: StrPath, key: StrPath, output: StrPath | None = None) -> None:
    """Signs with a private key (PEM file): `pannier sign`."""
    run("sign", bundle, "--key", key, "-q", *(("-o", output) if output is not None else ()))


def extract(bundle: StrPath, folder: StrPath, names: Sequence[str] = ()) -> None:
    """Writes artifacts as files, byte for byte: `pannier extract`."""
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    run("extract", bundle, *names, "-o", folder, "-q")


def restore(bundle: StrPath, output: StrPath | None = None) -> None:
    """Gives back the original library: `pannier restore`."""
    run("restore", bundle, "-q", *(("-o", output) if output is not None else ()))


def main() -> int:
    """The command `pannier` of the package: the tool takes this process's place."""
    command = [executable(), *sys.argv[1:]]
    if sys.platform == "win32":  # where execv would return to the shell at once
        return subprocess.run(command, check=False).returncode
    os.execv(command[0], command)
