"""DLPack capsules (https://dmlc.github.io/dlpack/latest/): memory of a bundle handed to whoever speaks it, without a copy.

A managed tensor keeps its bundle open until the consumer calls its deleter.
"""

from __future__ import annotations

import ctypes
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int64, c_uint32, c_uint64, c_void_p, py_object
from typing import Any

from ._library import DLTensor

CPU = (1, 0)  # kDLCPU, device 0
FLAG_READ_ONLY = 1


class _Managed(ctypes.Structure):
    pass


class _ManagedVersioned(ctypes.Structure):
    pass


_Deleter = CFUNCTYPE(None, c_void_p)
_Managed._fields_ = [("dl_tensor", DLTensor), ("manager_ctx", c_void_p), ("deleter", _Deleter)]
_ManagedVersioned._fields_ = [
    ("major", c_uint32),
    ("minor", c_uint32),
    ("manager_ctx", c_void_p),
    ("deleter", _Deleter),
    ("flags", c_uint64),
    ("dl_tensor", DLTensor),
]

_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = py_object
_new_capsule.argtypes = [c_void_p, c_char_p, c_void_p]
_is_capsule = ctypes.pythonapi.PyCapsule_IsValid
_is_capsule.argtypes = [c_void_p, c_char_p]
_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype = c_void_p
_capsule_pointer.argtypes = [c_void_p, c_char_p]

_alive: dict[int, Any] = {}  # what consumers hold, by the managed tensor's address


@_Deleter  # type: ignore[untyped-decorator]
def _delete(address: int) -> None:
    _alive.pop(address, None)


def _forget_unused(name: bytes) -> Any:
    """A capsule's destructor: who has taken the tensor has renamed the capsule, and deletes the tensor himself."""

    @CFUNCTYPE(None, c_void_p)  # type: ignore[untyped-decorator]
    def destructor(capsule: int) -> None:
        if _is_capsule(capsule, name):
            _delete(_capsule_pointer(capsule, name))

    return destructor


_NAME = b"dltensor"
_NAME_VERSIONED = b"dltensor_versioned"
_forget = _forget_unused(_NAME)
_forget_versioned = _forget_unused(_NAME_VERSIONED)


def capsule(data: int, dtype: Any, shape: tuple[int, ...], owner: Any, *, versioned: bool, read_only: bool) -> Any:
    """`owner` stays alive for as long as the consumer needs `data`."""
    extents = (c_int64 * max(len(shape), 1))(*shape)
    managed = _ManagedVersioned() if versioned else _Managed()
    tensor = managed.dl_tensor
    tensor.data = data
    tensor.device.device_type, tensor.device.device_id = CPU
    tensor.ndim = len(shape)
    tensor.dtype = dtype
    tensor.shape = ctypes.cast(extents, POINTER(c_int64))
    tensor.strides = None
    tensor.byte_offset = 0
    managed.deleter = _delete
    if versioned:
        managed.major, managed.minor = 1, 0
        managed.flags = FLAG_READ_ONLY if read_only else 0
    address = ctypes.addressof(managed)
    _alive[address] = (managed, extents, owner)
    name, forget = (_NAME_VERSIONED, _forget_versioned) if versioned else (_NAME, _forget)
    return _new_capsule(address, name, ctypes.cast(forget, c_void_p))
