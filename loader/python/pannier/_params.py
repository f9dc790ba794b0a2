"""TVM's .params format, written from arrays of any kind: docs/format.md, section 5, "The original file"."""

from __future__ import annotations

import struct
from typing import IO, Any, Mapping

_LIST_MAGIC = 0xF7E58D4F05049CB7
_TENSOR_MAGIC = 0xDD5E40F096B4A13F
_CODES = {"int": 0, "uint": 1, "float": 2, "bfloat": 4, "complex": 5, "bool": 6}


def _code_and_bits(name: str) -> tuple[int, int]:
    if name == "bool":
        return 1, 1  # as TVM's own writer has it: uint1, a byte each
    for prefix in sorted(_CODES, key=len, reverse=True):
        if name.startswith(prefix) and name[len(prefix):].isdigit():
            return _CODES[prefix], int(name[len(prefix):])
    if name.startswith("float8"):
        raise TypeError(f"dtype {name}: found none that a .params file can say for all versions of TVM")
    raise TypeError(f"dtype {name}: found none that a .params file has")


def _array(value: Any) -> tuple[Any, str]:
    """A compact array with its values, and the dtype's name."""
    import numpy

    name = str(getattr(value, "dtype", ""))
    if hasattr(value, "detach") and hasattr(value, "cpu"):  # PyTorch
        value = value.detach().cpu()
        name = name.removeprefix("torch.")
        if name == "bfloat16":
            import torch

            value = value.view(torch.uint16)
        value = value.numpy()
    elif not isinstance(value, numpy.ndarray):
        value = value.numpy() if hasattr(value, "numpy") else value.asnumpy() if hasattr(value, "asnumpy") else numpy.asarray(value)
        name = name or str(value.dtype)
    array = numpy.ascontiguousarray(value).reshape(value.shape)  # which makes one dimension of none
    if name.startswith(("<", ">", "|", "=")):
        name = array.dtype.name
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    return array, name


def write(file: IO[bytes], params: Mapping[str, Any]) -> None:
    """Tensors of NumPy, TVM, PyTorch, or whatever NumPy takes, one after another: memory does not grow with their number."""
    names = [name.encode() for name in params]
    file.write(struct.pack("<QQQ", _LIST_MAGIC, 0, len(names)))
    for name in names:
        file.write(struct.pack("<Q", len(name)) + name)
    file.write(struct.pack("<Q", len(names)))
    for value in params.values():
        array, dtype = _array(value)
        code, bits = _code_and_bits(dtype)
        file.write(
            struct.pack(f"<QQiiiBBH{array.ndim}qq", _TENSOR_MAGIC, 0, 1, 0, array.ndim, code, bits, 1, *array.shape, array.nbytes))
        file.write(array.reshape(-1).view("u1").data if array.nbytes else b"")
