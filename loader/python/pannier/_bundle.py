"""Bundle, Tensor and Artifact: what is in a bundle, as views of its memory."""

from __future__ import annotations

import collections.abc
import ctypes
import enum
import os
from ctypes import byref, c_char_p, c_int, c_size_t, c_void_p
from typing import TYPE_CHECKING, Any, Iterator, Sequence

from . import _dlpack
from ._library import LIBRARY, ArtifactFacts, ErrorCode, LoadOptions, PannierError, TensorFacts, data_type_name

if TYPE_CHECKING:
    import numpy

StrPath = str | os.PathLike[str]


class Check(enum.IntEnum):
    """How far digests are checked: pannier::Check."""

    STRUCTURE = 0  # sizes, bounds and the manifest's digest
    LAZY = 1  # also each chunk when it is first handed out or decoded
    FULL = 2  # also every chunk at once
    OFF = 3  # no digest


class Trust(enum.IntEnum):
    """What has to be as it was signed: pannier::Trust."""

    FILE = 0
    IMAGE = 1


def _options(check: Check, threads: int, cache_dir: StrPath | None, trusted_keys: Sequence[str | bytes] | None, trust: Trust,
             global_symbols: bool = False) -> LoadOptions:
    options = LoadOptions(ctypes.sizeof(LoadOptions), int(check), threads, int(global_symbols), 0, None, None, 0, int(trust), 0)
    if cache_dir is not None:
        options.cache_dir = os.fsencode(cache_dir)
    if trusted_keys is not None:
        if isinstance(trusted_keys, (str, bytes)):
            raise TypeError("trusted_keys: expected a list of PEM texts")
        pems = [key.encode() if isinstance(key, str) else bytes(key) for key in trusted_keys]
        # At least one element, so that an empty list is not taken for none.
        options.trusted_keys = (c_char_p * max(len(pems), 1))(*pems)
        options.trusted_key_count = len(pems)
    return options


class _Handle:
    """The C handle; freed with the last view of it."""

    def __init__(self, address: int, keeps: Any = None):
        self.address = address
        self.keeps = keeps  # bytes that the bundle was opened from

    def __del__(self) -> None:
        if self.address:
            LIBRARY.library.pannier_bundle_free(self.address)


class Tensor:
    """One entry of params. Its memory is the bundle's: the mapped file where it is stored, else decoded when first asked for.

    Understands DLPack (`torch.from_dlpack(t)`, `tvm.runtime.from_dlpack(t)`, `numpy.from_dlpack(t)`), NumPy's array interface
    (`numpy.asarray(t)`) and, from Python 3.12 on, the buffer protocol. All are read-only views, without a copy; they keep the bundle
    open. `mutable()` is for runtimes that write.
    """

    __slots__ = ("_facts", "_handle", "_writes", "name", "shape", "dtype")

    def __init__(self, handle: _Handle, facts: TensorFacts, writes: bool = False):
        self._handle = handle
        self._facts = facts
        self._writes = writes
        self.name: str = ctypes.string_at(facts.name, facts.name_length).decode()
        self.shape: tuple[int, ...] = tuple(facts.shape[i] for i in range(facts.ndim))
        self.dtype: str = data_type_name(facts.dtype)  # TVM's spelling: "float32", "bfloat16"

    @property
    def nbytes(self) -> int:
        return int(self._facts.nbytes)

    @property
    def stored_bytes(self) -> int:
        return int(self._facts.stored_bytes)

    @property
    def is_zero_copy(self) -> bool:
        return bool(self._facts.is_zero_copy)

    @property
    def data_ptr(self) -> int:
        """The values' address; decodes what is compressed."""
        data = c_void_p()
        LIBRARY.call("tensor_mutable_data" if self._writes else "tensor_data", self._handle.address, self._facts.index, byref(data))
        return data.value or 0

    def mutable(self) -> Tensor:
        """The same values in memory that may be written to. Nobody else sees what is written: not the file, not this tensor."""
        return Tensor(self._handle, self._facts, writes=True)

    def prefetch(self) -> None:
        """Has the system read the tensor's stored bytes ahead."""
        LIBRARY.call("tensor_prefetch", self._handle.address, self._facts.index)

    def tobytes(self) -> bytes:
        return ctypes.string_at(self.data_ptr, self.nbytes) if self.nbytes else b""

    def numpy(self) -> numpy.ndarray:
        """A view. Types that NumPy has not (bfloat16, float8, int4) come as ml_dtypes' where that is installed, else as unsigned
        integers of their size."""
        import numpy

        return numpy.asarray(self).view(_numpy_dtype(self.dtype, self._facts.dtype.bits)).reshape(self.shape)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        dtype = self._facts.dtype
        kind = {0: "i", 1: "u", 2: "f", 5: "c", 6: "b"}.get(dtype.code, "u")
        size = (dtype.bits + 7) // 8
        if dtype.lanes != 1 or size not in (1, 2, 4, 8, 16) or (kind == "f" and size == 1):
            kind = "u" if dtype.lanes == 1 and size in (1, 2, 4, 8) else "V"
            size *= dtype.lanes if kind == "V" else 1
        order = "|" if size == 1 or kind == "V" else "<" if ctypes.c_uint16(1).value.to_bytes(2, "little")[0] and _LITTLE else ">"
        return {
            "version": 3,
            "typestr": f"{order}{kind}{size}",
            "shape": self.shape,
            "data": (self.data_ptr, not self._writes),
            "_keeps": self,  # NumPy keeps this object as the array's base
        }

    def __dlpack__(self, *, stream: Any = None, max_version: tuple[int, int] | None = None, dl_device: tuple[int, int] | None = None,
                   copy: bool | None = None) -> Any:
        if stream is not None or dl_device not in (None, _dlpack.CPU):
            raise BufferError("a bundle's tensors are in the CPU's memory")
        if copy:
            raise BufferError("a bundle hands out views; copy what comes out")
        versioned = max_version is not None and max_version[0] >= 1
        return _dlpack.capsule(self.data_ptr, self._facts.dtype, self.shape, self._handle, versioned=versioned, read_only=not self._writes)

    def __dlpack_device__(self) -> tuple[int, int]:
        return _dlpack.CPU

    def __buffer__(self, flags: int) -> memoryview:
        if flags & 1 and not self._writes:  # PyBUF_WRITABLE
            raise BufferError("read-only; see mutable()")
        view = memoryview((ctypes.c_char * self.nbytes).from_address(self.data_ptr)).cast("B") if self.nbytes else memoryview(b"")
        return view if self._writes else view.toreadonly()

    def __repr__(self) -> str:
        return f"<pannier.Tensor {self.name!r} {self.dtype}{list(self.shape)}{'' if self.is_zero_copy else ' compressed'}>"

    def __reduce__(self) -> Any:
        raise TypeError("a tensor of a bundle is a view of a file; pickle the bundle's path, or tensor.numpy().copy()")


_LITTLE = __import__("sys").byteorder == "little"


def _numpy_dtype(name: str, bits: int) -> Any:
    import numpy

    try:
        return numpy.dtype(name)
    except TypeError:
        pass
    try:
        import ml_dtypes

        return numpy.dtype(getattr(ml_dtypes, name))
    except (ImportError, AttributeError, TypeError):
        return numpy.dtype(f"u{(bits + 7) // 8}") if bits in (4, 8, 16, 32, 64) else numpy.dtype("u1")


class Params(collections.abc.Mapping[str, Tensor], Sequence[Tensor]):
    """The tensors, by name or by number; in the .params file's order."""

    def __init__(self, handle: _Handle):
        self._handle = handle
        count = c_size_t()
        LIBRARY.call("tensor_count", handle.address, byref(count))
        self._count = count.value

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]
        return (self[i].name for i in range(self._count))

    def __getitem__(self, key: str | int) -> Tensor:  # type: ignore[override]
        facts = TensorFacts()
        if isinstance(key, int):
            if not -self._count <= key < self._count:
                raise IndexError(key)
            LIBRARY.call("tensor_by_index", self._handle.address, key % self._count, byref(facts))
            return Tensor(self._handle, facts)
        try:
            LIBRARY.call("tensor_by_name", self._handle.address, key.encode(), byref(facts))
        except PannierError as error:
            if error.code == ErrorCode.NOT_FOUND:
                raise KeyError(key) from None
            raise
        return Tensor(self._handle, facts)

    def __contains__(self, key: object) -> bool:
        try:
            self[key]  # type: ignore[index]
        except (KeyError, IndexError):
            return False
        return True

    def __reversed__(self) -> Iterator[str]:  # type: ignore[override]
        return (self[i].name for i in reversed(range(self._count)))

    def numpy(self) -> dict[str, numpy.ndarray]:
        return {name: tensor.numpy() for name, tensor in self.items()}


class Artifact:
    """A named payload."""

    def __init__(self, handle: _Handle, facts: ArtifactFacts):
        self._handle = handle
        self._index = facts.index
        self.name: str = ctypes.string_at(facts.name, facts.name_length).decode()
        self.size: int = facts.size
        self.stored_bytes: int = facts.stored_bytes
        self.sha256: str = facts.sha256.decode()

    def bytes(self) -> bytes:
        """A copy of the original file."""
        data, size = c_void_p(), c_size_t()
        LIBRARY.call("artifact_bytes", self._handle.address, self._index, byref(data), byref(size))
        return ctypes.string_at(data, size.value) if size.value else b""

    def __repr__(self) -> str:
        return f"<pannier.Artifact {self.name!r}, {self.size} bytes>"


class Bundle:
    """A library with its artifacts. Use `pannier.load` or `pannier.open`.

    As a context manager it is closed at the end; views of it that are still there (NumPy arrays, DLPack consumers) keep its memory
    until they go.
    """

    def __init__(self, handle: _Handle):
        self._handle: _Handle | None = handle

    @property
    def _open(self) -> _Handle:
        if self._handle is None:
            raise ValueError("the bundle is closed")
        return self._handle

    def close(self) -> None:
        self._handle = None

    def __enter__(self) -> Bundle:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> Any:
        raise TypeError("a bundle is a loaded library; pickle its path")

    @property
    def path(self) -> str:
        path = c_char_p()
        LIBRARY.call("bundle_path", self._open.address, byref(path))
        return os.fsdecode(path.value or b"")

    @property
    def library_path(self) -> str:
        """The name by which the dynamic loader knows the library: the path, but with trusted keys the checked copy's."""
        path = c_char_p()
        LIBRARY.call("bundle_library_path", self._open.address, byref(path))
        return os.fsdecode(path.value or b"")

    @property
    def is_loaded(self) -> bool:
        loaded = c_int()
        LIBRARY.call("bundle_is_loaded", self._open.address, byref(loaded))
        return bool(loaded.value)

    @property
    def image_digest(self) -> str:
        text = ctypes.create_string_buffer(65)
        LIBRARY.call("bundle_image_digest", self._open.address, text)
        return text.value.decode()

    @property
    def graph_json(self) -> str:
        """TVM's graph, as text. PannierError (NOT_FOUND) when there is none."""
        return self["graph"].bytes().decode()

    @property
    def params(self) -> Params:
        return Params(self._open)

    @property
    def artifacts(self) -> list[Artifact]:
        count = c_size_t()
        LIBRARY.call("artifact_count", self._open.address, byref(count))
        found = []
        for i in range(count.value):
            facts = ArtifactFacts()
            LIBRARY.call("artifact_by_index", self._open.address, i, byref(facts))
            found.append(Artifact(self._open, facts))
        return found

    def __getitem__(self, name: str) -> Artifact:
        facts = ArtifactFacts()
        LIBRARY.call("artifact_by_name", self._open.address, name.encode(), byref(facts))
        return Artifact(self._open, facts)

    def __contains__(self, name: object) -> bool:
        return any(artifact.name == name for artifact in self.artifacts)

    def symbol(self, name: str) -> int:
        """The address of an exported function or object."""
        address = c_void_p()
        LIBRARY.call("bundle_symbol", self._open.address, name.encode(), byref(address))
        return address.value or 0

    def check_digests(self) -> None:
        LIBRARY.call("bundle_check_digests", self._open.address)

    def decode_all(self) -> None:
        """Decodes all tensors now, on all cores."""
        LIBRARY.call("decode_all", self._open.address)

    def prefetch(self) -> None:
        LIBRARY.call("prefetch_all", self._open.address)

    def __repr__(self) -> str:
        return "<pannier.Bundle, closed>" if self._handle is None else f"<pannier.Bundle {self.path!r}>"

    # What TVM makes of it; pannier/_tvm.py.

    def module(self) -> Any:
        """The library as TVM's module."""
        from . import _tvm

        return _tvm.module(self)

    def graph_executor(self, device: Any = None) -> Any:
        """TVM's graph executor (TVM 0.8 to 0.19) with graph and params set."""
        from . import _tvm

        return _tvm.graph_executor(self, device)

    def virtual_machine(self, device: Any = None) -> Any:
        """TVM's Relax virtual machine."""
        from . import _tvm

        return _tvm.virtual_machine(self, device)

    def relax_params(self, function: str = "main", device: Any = None) -> list[Any]:
        """The params of a Relax function as TVM's tensors, in the order in which the function takes them."""
        from . import _tvm

        return _tvm.relax_params(self, function, device)


def _make(function: str, *arguments: Any, keeps: Any = None) -> Bundle:
    handle = c_void_p()
    LIBRARY.call(function, *arguments, byref(handle))
    return Bundle(_Handle(handle.value or 0, keeps))


def load(path: StrPath, *, check: Check = Check.STRUCTURE, threads: int = 0, cache_dir: StrPath | None = None,
         trusted_keys: Sequence[str | bytes] | None = None, trust: Trust = Trust.FILE, global_symbols: bool = False) -> Bundle:
    """Loads the library with the system's dynamic loader, and finds its artifacts in memory: pannier::LoadBundle.

    With `trusted_keys` (PEM texts), only if one of them has signed it, and before any of its code runs.
    """
    return _make("load", os.fsencode(path), byref(_options(check, threads, cache_dir, trusted_keys, trust, global_symbols)))


def open(path: StrPath, *, check: Check = Check.STRUCTURE, threads: int = 0, cache_dir: StrPath | None = None,  # noqa: A001
         trusted_keys: Sequence[str | bytes] | None = None, trust: Trust = Trust.FILE) -> Bundle:
    """Reads a bundle without running any of its code; of any format, on any system: pannier::OpenBundle."""
    return _make("open", os.fsencode(path), byref(_options(check, threads, cache_dir, trusted_keys, trust)))


def open_bytes(data: bytes, *, check: Check = Check.STRUCTURE, threads: int = 0, trusted_keys: Sequence[str | bytes] | None = None,
               trust: Trust = Trust.FILE) -> Bundle:
    """The same for bytes in memory."""
    options = _options(check, threads, None, trusted_keys, trust)
    return _make("open_memory", ctypes.cast(c_char_p(data), c_void_p), len(data), byref(options), keeps=data)
