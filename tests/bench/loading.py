"""Loading: a bundle against the bare library, and against how others load the same tensors; warm and cold."""

import json
import os
import pathlib
import shutil
import sys
from collections.abc import Callable

import embedding
import measuring
import weights

MIB = 1 << 20
LOAD_PEER = pathlib.Path(__file__).with_name("load_peer.py")


def once(*command) -> Callable[[], dict]:
    return lambda: json.loads(measuring.output_of(*command))


def in_turns(ways: dict[str, Callable[[], dict]], rounds: int) -> dict[str, dict]:
    """The minimum of each figure over some rounds; what took more than 3 s sits out after the second."""
    runs: dict[str, list[dict]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            if len(runs[name]) < 2 or runs[name][0]["all"] < 3e6:
                runs[name].append(way())
    return {
        name: {
            key: min(run[key] for run in values) for key in values[0]
        } | {
            "runs": len(values)
        } for name, values in runs.items()
    }


def embed(programs: dict, params: pathlib.Path, out: pathlib.Path, codec: str) -> pathlib.Path:
    measuring.output_of(*embedding.embed_command(programs, params, out, codec))
    return out


def like_dlopen(programs: dict, work: pathlib.Path, shapes: list[tuple[int, int]]) -> list[dict]:
    """LoadBundle of stored bundles of any size against dlopen of the bare host, in one process."""
    rows = []
    for count, size in shapes:
        params = weights.write_params(work / "shape.params", "fp32", count, weights.gaussian(count, size))
        bundle = embed(programs, params, work / "shape.so", "store")
        params.unlink()
        rows.append({
            "tensors": count,
            "bytes": count * size
        } | json.loads(measuring.output_of(programs["load_benchmark"], programs["host"], bundle)))
        bundle.unlink()
    return rows


def against_others(programs: dict, work: pathlib.Path, params: pathlib.Path, rounds: int) -> dict[str, dict | None]:
    """Each in a process of its own; None for who is not there."""
    benchmark = programs["load_benchmark"]
    stored = embed(programs, params, work / "stored.so", "store")
    packed = embed(programs, params, work / "packed.so", "auto")
    ways: dict[str, Callable[[], dict] | None] = {
        "dlopen of the bare host": once(benchmark, "--once", "dlopen", programs["host"]),
        "pannier, stored": once(benchmark, "--once", "load", stored),
        "pannier, compressed, DecodeAll": once(benchmark, "--once", "decode", packed),
        "pannier, compressed, from its cache": once(benchmark, "--once", "cached", packed),
        "read() into memory": once(benchmark, "--once", "read", params),
        "mmap": once(benchmark, "--once", "map", params),
    }
    files = {"params": params}
    if weights.np is not None:
        files["npy"] = work / "same.npy"
        weights.np.save(files["npy"],
                        weights.np.frombuffer(b"".join(t.data for t in weights.read_params(params)), weights.np.float32))
    try:
        import safetensors.numpy
        files["safetensors"] = work / "same.safetensors"
        arrays = {t.name: weights.np.frombuffer(t.data, weights.np.float32) for t in weights.read_params(params)}
        safetensors.numpy.save_file(arrays, files["safetensors"])
    except ImportError:
        pass
    for name, way, module, kind in (
        ("TVM load_param_dict_from_file", "tvm-file", "tvm", "params"),
        ("TVM load_param_dict(bytes)", "tvm-bytes", "tvm", "params"),
        ("safetensors load_file (NumPy)", "safetensors-load", "safetensors", "safetensors"),
        ("safetensors safe_open (NumPy)", "safetensors-open", "safetensors", "safetensors"),
        ("np.load, one array", "np-load", "numpy", "npy"),
        ("np.load mmap_mode, one array", "np-map", "numpy", "npy"),
    ):
        ways[name] = once(sys.executable, LOAD_PEER, way, files[kind]) if is_there(module) and kind in files else None
    measuring.output_of(benchmark, "--once", "cached", packed)  # which makes the cache
    measured = in_turns({name: way for name, way in ways.items() if way}, rounds)
    for path in {stored, packed, *files.values()} - {params}:
        path.unlink()
    shutil.rmtree(f"{packed}.cache")
    return {name: measured.get(name) for name in ways}


def is_there(module: str) -> bool:
    import importlib.util
    return importlib.util.find_spec(module) is not None


def forget(path: pathlib.Path) -> None:
    """Out of the page cache: of this file alone, since others use the machine."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cold(programs: dict, work: pathlib.Path, title: str, params: pathlib.Path, rounds: int) -> dict:
    """Bundles that are not in memory: the compressed one decoded, the stored one read."""
    stored = embed(programs, params, work / "stored.so", "store")
    packed = embed(programs, params, work / "packed.so", "auto")

    def cold_once(way: str, path: pathlib.Path) -> Callable[[], dict]:

        def run() -> dict:
            forget(path)
            return json.loads(measuring.output_of(programs["load_benchmark"], "--once", way, path))

        return run

    sizes = {"stored": stored.stat().st_size, "packed": packed.stat().st_size}
    measured = in_turns(
        {
            "stored, mapped": cold_once("load", stored),
            "stored, read() into memory": cold_once("read", stored),
            "compressed, decoded": cold_once("decode", packed),
        }, rounds)
    stored.unlink()
    packed.unlink()
    return {"title": title, "sizes": sizes, "ways": measured}


def measure(programs: dict, work: pathlib.Path, quick: bool, note: Callable[[str], None]) -> dict:
    results: dict = {}
    rounds = 2 if quick else 5
    note("loading: against dlopen")
    shapes = [(10, 65536), (100, 4096)] if quick else [(125, 40_000), (125, 400_000), (125, 4_000_000), (1000, 4096),
                                                       (1000, 500_000), (10_000, 4096), (100_000, 4096)]
    results["dlopen"] = like_dlopen(programs, work, shapes)
    results["others"] = []
    for count, size in [(10, 65536)] if quick else [(125, 4_000_000), (1000, 500_000), (100_000, 5000)]:
        note(f"loading: {count} tensors, against others")
        params = weights.write_params(work / "load.params", "fp32", count, weights.gaussian(count, size))
        results["others"].append({
            "tensors": count,
            "bytes": count * size,
            "ways": against_others(programs, work, params, rounds if count < 10_000 else 2)
        })
        params.unlink()
    note("loading: cold")
    results["cold"] = []
    if quick:
        results["cold"].append(cold(programs, work, "mlp (tests/data)", programs["params"], rounds))
        return results
    params = weights.write_params(work / "cold.params", "fp32", 125, weights.gaussian(125, 4_000_000))
    results["cold"].append(cold(programs, work, "normal distribution, fp32, 500 MB", params, rounds))
    path = weights.locate(weights.MODELS[0]) if weights.np is not None else None
    for dtype, tensors in weights.variants(path) if path else ():
        if dtype in ("fp32", "bf16"):
            weights.write_params(params, dtype, len(tensors), tensors)
            results["cold"].append(cold(programs, work, f"{weights.MODELS[0].title}, {dtype}", params, rounds))
    params.unlink()
    return results
