"""Pannier: a TVM model's graph and parameters inside its compiled library.

    pannier.export(relay.build(...), "model.so")          # one file to ship
    bundle = pannier.load("model.so")                     # graph_json, params (NumPy, DLPack: without a copy), symbols
    bundle.graph_executor().run()                         # where TVM is there

Errors are PannierError. The loader's library and the `pannier` tool come with the package; PANNIER_LIBRARY and PANNIER_EXECUTABLE
name others.
"""

from ._bundle import Artifact, Bundle, Check, Params, Tensor, Trust, load, open, open_bytes  # noqa: A004
from ._library import LIBRARY, ErrorCode, PannierError
from ._tool import embed, executable, extract, inspect, restore, sign, verify
from ._tvm import export


def loader_version() -> str:
    """The version of the loader's library."""
    return str(LIBRARY.library.pannier_version().decode())


__all__ = [
    "Artifact",
    "Bundle",
    "Check",
    "ErrorCode",
    "PannierError",
    "Params",
    "Tensor",
    "Trust",
    "embed",
    "executable",
    "export",
    "extract",
    "inspect",
    "load",
    "loader_version",
    "open",
    "open_bytes",
    "restore",
    "sign",
    "verify",
]
