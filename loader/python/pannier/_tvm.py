"""TVM on both sides: what relay.build or tvm.compile gives becomes one file, and comes back as what TVM's runtime takes.

Nothing here imports TVM before it is needed; versions are told apart by what they have.
"""

from __future__ import annotations

import os
import pathlib
import tempfile
from typing import Any, Mapping

from . import _params, _tool

StrPath = str | os.PathLike[str]

# Params of a Relax function have no names of their own: they are kept as FUNCTION/NUMBER.
_SEPARATOR = "/"


def _named(params: Any) -> dict[str, Any]:
    """{name: tensor}, {function: [tensors]} (relax.frontend.detach_params) or a list, by names."""
    if params is None:
        return {}
    if not isinstance(params, Mapping):
        params = {"main": list(params)}
    named: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, (list, tuple)):
            named.update({f"{name}{_SEPARATOR}{i}": tensor for i, tensor in enumerate(value)})
        else:
            named[name] = value
    return named


def _is_path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike))


def export(library: Any, path: StrPath, *, graph: Any = None, params: Any = None, artifacts: Mapping[str, StrPath] | None = None,
           codec: str | None = None, level: int | None = None, threads: int = 0, sign: StrPath | None = None,
           strict: bool = False, as_factory: bool = False, tvm: str | None = None, **export_library: Any) -> dict[str, Any]:
    """Makes one shared library of what TVM compiled.

    `library` is what `relay.build` returns (anything with get_lib, get_graph_json and get_params), what `tvm.compile` or
    `relax.build` returns (anything with export_library), or the path of a library. `graph` is JSON text or the path of a file;
    `params` is {name: tensor}, what relax.frontend.detach_params gives, or the path of a .params file. Both replace what `library`
    itself has. `codec`, `level`, `threads` and `strict` are those of `pannier embed`; `sign` is the path of a private key. With
    `as_factory`, TVM 0.8 to 0.19 loads the result as an export of its own, without pannier (0.7: tvm="0.7"). What else is given goes
    to TVM's export_library.
    """
    with tempfile.TemporaryDirectory(dir=pathlib.Path(path).resolve().parent, prefix=".pannier-export-") as folder:
        work = pathlib.Path(folder)
        if not _is_path(library) and hasattr(library, "get_lib"):
            graph = library.get_graph_json() if graph is None else graph
            params = library.get_params() if params is None else params
            library = library.get_lib()
        host = work / "lib.so"
        if _is_path(library):
            host = pathlib.Path(library)
        elif hasattr(library, "export_library"):
            library.export_library(str(host), **export_library)
        else:
            raise TypeError(f"library: found {type(library).__name__}, expected a path or something with get_lib or export_library")
        if isinstance(graph, str) and graph.lstrip().startswith("{"):
            (work / "graph.json").write_text(graph)
            graph = work / "graph.json"
        if params is not None and not _is_path(params):
            with open(work / "params.bin", "wb") as file:
                _params.write(file, _named(params))
            params = work / "params.bin"
        return _tool.embed(host, path, graph=graph, params=params, artifacts=artifacts, codec=codec, level=level, threads=threads,
                           sign=sign, strict=strict, as_factory=as_factory, tvm=tvm)


def _cpu(device: Any) -> Any:
    import tvm

    return tvm.cpu() if device is None else device


def module(bundle: Any) -> Any:
    """TVM loads the library by itself: the dynamic loader gives it the one that is loaded."""
    if not bundle.is_loaded:
        raise ValueError("the bundle's code is not loaded; use pannier.load")
    # Not by load_module: it would resolve the name that a library checked with trusted keys has, and load the file instead.
    for name in ("ffi.Module.load_from_file.so", "runtime.module.loadfile_so"):
        if (load := _global_function(name)) is not None:
            return load(bundle.library_path, "so")
    raise RuntimeError("TVM has no function that loads a shared library")


def _global_function(name: str) -> Any:
    try:
        import tvm_ffi

        return tvm_ffi.get_global_func(name, allow_missing=True)
    except ImportError:
        import tvm

        return tvm.get_global_func(name, allow_missing=True)


def from_dlpack(tensor: Any) -> Any:
    import tvm

    for place in (tvm.runtime, getattr(tvm, "nd", None), tvm.runtime.ndarray if hasattr(tvm.runtime, "ndarray") else None):
        if place is not None and hasattr(place, "from_dlpack"):
            return place.from_dlpack(tensor)
    import tvm_ffi

    return tvm_ffi.from_dlpack(tensor)


def graph_executor(bundle: Any, device: Any = None) -> Any:
    from tvm.contrib import graph_executor as executor  # up to 0.19

    device = _cpu(device)
    made = executor.create(bundle.graph_json, module(bundle), device)
    bundle.decode_all()
    inputs = _input_names(made)
    kept = []
    for name, tensor in bundle.params.items():
        if inputs is not None and name not in inputs:
            continue
        if hasattr(made, "set_input_zero_copy"):
            kept.append(from_dlpack(tensor.mutable()))
            made.set_input_zero_copy(name, kept[-1])  # the executor keeps the address alone
        else:
            made.set_input(name, tensor.numpy())
    made.pannier_params = (bundle, kept)
    return made


def _input_names(executor: Any) -> set[str] | None:
    """None: this version does not tell."""
    return {str(name) for name in executor.get_input_info()[0]} if hasattr(executor, "get_input_info") else None


def virtual_machine(bundle: Any, device: Any = None) -> Any:
    from tvm import relax

    return relax.VirtualMachine(module(bundle), _cpu(device))


def relax_params(bundle: Any, function: str = "main", device: Any = None) -> list[Any]:
    bundle.decode_all()
    found: list[Any] = []
    while (name := f"{function}{_SEPARATOR}{len(found)}") in bundle.params:
        tensor = from_dlpack(bundle.params[name].mutable())
        found.append(tensor if device is None else tensor.copyto(device))
    return found


__all__ = ["export", "from_dlpack", "graph_executor", "module", "relax_params", "virtual_machine"]
