"""The C interface of the loader (pannier/pannier.h), declared for ctypes."""

from __future__ import annotations

import ctypes
import enum
import os
import pathlib
import sys
from ctypes import POINTER, byref, c_char, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent


class ErrorCode(enum.IntEnum):
    """pannier::ErrorCode."""

    INVALID_ARGUMENT = 1
    IO = 2
    NOT_A_BUNDLE = 3
    MALFORMED = 4
    UNSUPPORTED = 5
    NOT_FOUND = 6
    DIGEST_MISMATCH = 7
    ALREADY_BUNDLE = 8
    HOST_CHANGED = 9
    LIMIT = 10
    LOAD_FAILED = 11
    NO_MEMORY = 12
    SIGNATURE = 13


class PannierError(Exception):
    """What pannier refuses, with a message that names the file; `code` is None where the command line tool said so."""

    def __init__(self, message: str, code: int | None = None):
        super().__init__(message)
        self.code = ErrorCode(code) if code is not None and code in ErrorCode._value2member_map_ else code


class DataType(ctypes.Structure):
    _fields_ = [("code", c_uint8), ("bits", c_uint8), ("lanes", c_uint16)]


class Device(ctypes.Structure):
    _fields_ = [("device_type", c_int32), ("device_id", c_int32)]


class DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", c_void_p),
        ("device", Device),
        ("ndim", c_int32),
        ("dtype", DataType),
        ("shape", POINTER(c_int64)),
        ("strides", POINTER(c_int64)),
        ("byte_offset", c_uint64),
    ]


class TensorFacts(ctypes.Structure):
    _fields_ = [
        ("index", c_size_t),
        ("name", c_void_p),
        ("name_length", c_size_t),
        ("dtype", DataType),
        ("device", Device),
        ("shape", POINTER(c_int64)),
        ("ndim", c_int32),
        ("is_zero_copy", c_int),
        ("nbytes", c_size_t),
        ("stored_bytes", c_size_t),
    ]


class ArtifactFacts(ctypes.Structure):
    _fields_ = [
        ("index", c_size_t),
        ("name", c_void_p),
        ("name_length", c_size_t),
        ("size", c_size_t),
        ("stored_bytes", c_size_t),
        ("sha256", c_char * 65),
    ]


class LoadOptions(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("check", c_int),
        ("threads", c_uint32),
        ("global_symbols", c_int),
        ("reserved", c_uint32),
        ("cache_dir", c_char_p),
        ("trusted_keys", POINTER(c_char_p)),
        ("trusted_key_count", c_size_t),
        ("trust", c_int),
        ("reserved_2", c_uint32),
    ]


class _ErrorStruct(ctypes.Structure):
    _fields_ = [("code", c_int), ("message", c_char * 512)]


_BUNDLE = c_void_p
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "load": (c_char_p, POINTER(LoadOptions), POINTER(_BUNDLE)),
    "open": (c_char_p, POINTER(LoadOptions), POINTER(_BUNDLE)),
    "open_memory": (c_void_p, c_size_t, POINTER(LoadOptions), POINTER(_BUNDLE)),
    "find": (c_void_p, POINTER(LoadOptions), POINTER(_BUNDLE)),
    "bundle_path": (_BUNDLE, POINTER(c_char_p)),
    "bundle_library_path": (_BUNDLE, POINTER(c_char_p)),
    "bundle_is_loaded": (_BUNDLE, POINTER(c_int)),
    "bundle_image_digest": (_BUNDLE, c_char_p),
    "bundle_check_digests": (_BUNDLE,),
    "bundle_symbol": (_BUNDLE, c_char_p, POINTER(c_void_p)),
    "artifact_count": (_BUNDLE, POINTER(c_size_t)),
    "artifact_by_index": (_BUNDLE, c_size_t, POINTER(ArtifactFacts)),
    "artifact_by_name": (_BUNDLE, c_char_p, POINTER(ArtifactFacts)),
    "artifact_bytes": (_BUNDLE, c_size_t, POINTER(c_void_p), POINTER(c_size_t)),
    "tensor_count": (_BUNDLE, POINTER(c_size_t)),
    "tensor_by_index": (_BUNDLE, c_size_t, POINTER(TensorFacts)),
    "tensor_by_name": (_BUNDLE, c_char_p, POINTER(TensorFacts)),
    "tensor_data": (_BUNDLE, c_size_t, POINTER(c_void_p)),
    "tensor_mutable_data": (_BUNDLE, c_size_t, POINTER(c_void_p)),
    "tensor_prefetch": (_BUNDLE, c_size_t),
    "decode_all": (_BUNDLE,),
    "prefetch_all": (_BUNDLE,),
    "data_type_name": (DataType, c_char_p),
}


def _find() -> str:
    if path := os.environ.get("PANNIER_LIBRARY"):  # one of another build
        return path
    name = {"win32": "pannier_loader.dll", "darwin": "libpannier_loader.dylib"}.get(sys.platform, "libpannier_loader.so")
    return str(HERE / name)


class Library:
    """The loader's library; loaded when first used, so that importing the package costs nothing."""

    def __init__(self) -> None:
        self._library: ctypes.CDLL | None = None

    @property
    def library(self) -> ctypes.CDLL:
        if self._library is None:
            library = ctypes.CDLL(_find())
            for name, arguments in _SIGNATURES.items():
                function = getattr(library, f"pannier_{name}")
                function.argtypes = [*arguments, POINTER(_ErrorStruct)]
                function.restype = c_int
            library.pannier_bundle_free.argtypes = [_BUNDLE]
            library.pannier_bundle_free.restype = None
            library.pannier_version.restype = c_char_p
            self._library = library
        return self._library

    def call(self, name: str, *arguments: Any) -> None:
        """Calls pannier_NAME; its error becomes a PannierError."""
        error = _ErrorStruct()
        if getattr(self.library, f"pannier_{name}")(*arguments, byref(error)) != 0:
            raise PannierError(error.message.decode("utf-8", "replace"), error.code)


LIBRARY = Library()


def data_type_name(dtype: DataType) -> str:
    text = ctypes.create_string_buffer(64)
    LIBRARY.call("data_type_name", dtype, text)
    return text.value.decode()
