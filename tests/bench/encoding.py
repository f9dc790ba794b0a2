"""Encoding: how much smaller weights become, and how fast they go in and come out, in memory; pannier and others in turns.

Pannier takes each tensor by itself, as the embedder does. The others get all tensors of a model in one piece, which is the best
case for them: their own headers count once, and small tensors cost nothing. Encoding writes into memory that was written to before:
the embedder's buffers, and with the others what malloc keeps for them (at most 32 MiB at a time). Decoding has new pages (fresh) or
the same ones again (warm).
"""

import ctypes
import dataclasses
import json
import pathlib
import subprocess
import time
from collections.abc import Callable, Iterator

import measuring
import peers
import weights
from measuring import Cost

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # mallopt's
LEVELS = (3, 9)
SLOW_LEVEL = 19  # for models of at most SLOW_BYTES
SLOW_BYTES = 8 << 20


@dataclasses.dataclass
class Codec:
    """`encode(data)` gives bytes and `decode(encoded)` new memory; `decode_into(encoded, out)` writes into memory that is there."""

    name: str
    encode: Callable
    decode: Callable | None = None
    decode_into: Callable | None = None
    threads: int = 1
    spoils_input: bool = False


def zstd_codecs(threads: int) -> Iterator[Codec]:
    try:
        import zstandard
    except ImportError:
        return
    for level in (3, 9, 19):
        if level != 19 or threads == 1:
            compressor = zstandard.ZstdCompressor(level=level, threads=threads if threads > 1 else 0)
            yield Codec(f"zstd -{level}", compressor.compress,
                        zstandard.ZstdDecompressor().decompress if threads == 1 else None, None, threads)


def blosc2_codecs(threads: int, width: int) -> Iterator[Codec]:
    try:
        import blosc2
    except ImportError:
        return

    def with_threads(work):

        def call(*arguments):
            blosc2.set_nthreads(threads)
            return work(*arguments)

        return call

    for kind, shuffle in (("shuffle", blosc2.Filter.SHUFFLE), ("bitshuffle", blosc2.Filter.BITSHUFFLE)):
        for level in (1, 5, 9):
            if level == 9 and threads > 1:
                continue

            def encode(data, level=level, shuffle=shuffle):
                return blosc2.compress2(data,
                                        typesize=width,
                                        clevel=level,
                                        codec=blosc2.Codec.ZSTD,
                                        filters=[shuffle],
                                        nthreads=threads)

            yield Codec(f"blosc2 {kind}+zstd {level}", with_threads(encode),
                        lambda encoded: blosc2.decompress2(encoded, nthreads=threads),
                        lambda encoded, out: blosc2.decompress2(encoded, dst=out, nthreads=threads), threads)


def zipnn_codecs(threads: int, dtype: str) -> Iterator[Codec]:
    try:
        zipnn = peers.import_zipnn()
    except ImportError:
        return
    # Of bytes it knows floats only: fp8 is the nearest to int8.
    name = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "int8": "float8_e4m3fn"}[dtype]
    codec = zipnn.ZipNN(bytearray_dtype=name, threads=threads)
    yield Codec("ZipNN" + (" (as fp8)" if dtype == "int8" else ""), codec.compress, codec.decompress, None, threads, True)


def openzl_codecs(dtype: str) -> Iterator[Codec]:
    try:
        import numpy as np
        import openzl.ext as zl
    except ImportError:
        return
    part = 1 << 20
    element = {"fp32": np.uint32, "fp16": np.uint16, "bf16": np.uint16, "int8": np.uint8}[dtype]
    split = {
        "fp32": zl.nodes.Float32Deconstruct,
        "fp16": zl.nodes.Float16Deconstruct,
        "bf16": zl.nodes.BFloat16Deconstruct
    }.get(dtype)
    graphs = zl.graphs
    profiles = {  # of sign and fraction, and of the exponent: the fastest of these graphs and the one that saves most
        "fp32": [(graphs.Store, graphs.Entropy), (graphs.Compress, graphs.Entropy)],
        "fp16": [(graphs.Huffman, graphs.Huffman), (graphs.Compress, graphs.Entropy)],
        "bf16": [(graphs.Store, graphs.Entropy), (graphs.Huffman, graphs.Huffman)],
        "int8": [(graphs.Huffman, None), (graphs.Compress, None)],
    }[dtype]
    for fraction, exponent in profiles:
        compressor = zl.Compressor()
        graph = split()(compressor, fraction(), exponent()) if split else fraction()(compressor)
        compressor.select_starting_graph(graph)
        compressing, decompressing = zl.CCtx(), zl.DCtx()
        compressing.ref_compressor(compressor)
        compressing.set_parameter(zl.CParam.FormatVersion, zl.MAX_FORMAT_VERSION)
        compressing.set_parameter(zl.CParam.StickyParameters, 1)

        def encode(data, compressing=compressing):
            values = np.frombuffer(data, element)
            step = part // values.itemsize
            return [compressing.compress([zl.Input(zl.Type.Numeric, values[i:i + step])]) for i in range(0, len(values), step)]

        def decode(encoded, decompressing=decompressing):
            return [decompressing.decompress(piece)[0].content.as_nparray() for piece in encoded]

        title = fraction.__name__ + (f" + {exponent.__name__}" if exponent else "")
        yield Codec(f"OpenZL {title.lower()}", encode, decode)


def peer_codecs(dtype: str) -> Iterator[Codec]:
    width = weights.DTYPES[dtype][1] // 8
    for threads in (1, 2):
        yield from zstd_codecs(threads)
        yield from blosc2_codecs(threads, width)
        yield from zipnn_codecs(threads, dtype)
    yield from openzl_codecs(dtype)


def size_of(encoded) -> int:
    return sum(map(len, encoded)) if isinstance(encoded, list) else len(encoded)


def joined(decoded) -> bytes:
    return b"".join(piece.tobytes() for piece in decoded) if isinstance(decoded, list) else bytes(decoded)


class PeerSteps:
    """The steps that one codec of others takes turns with."""

    def __init__(self, codec: Codec, data: bytes):
        self.codec = codec
        self.data = data
        self.warm = bytearray(len(data))
        self.first = timed(self.encode, self.input())
        if codec.decode and joined(codec.decode(self.encoded)) != data:
            raise RuntimeError("decodes to other bytes")

    def encode(self, data: bytes) -> None:
        self.encoded = self.codec.encode(data)

    def input(self):
        return bytes(bytearray(self.data)) if self.codec.spoils_input else self.data

    def steps(self) -> dict[str, Callable[[], Cost]]:
        suffix = f"{self.codec.threads}t"
        found = {f"encode {suffix}": lambda: timed(self.codec.encode, self.input())}
        if self.codec.decode:
            found[f"decode {suffix} fresh"] = self.decode_fresh
        if self.codec.decode_into:
            found[f"decode {suffix} warm"] = lambda: timed(self.codec.decode_into, self.encoded, self.warm)
        return found

    def decode_fresh(self) -> Cost:
        """With a result of new pages: malloc gives back all that was freed before."""
        ctypes.CDLL(None).malloc_trim(0)
        return timed(self.codec.decode, self.encoded)


def timed(work: Callable, *arguments) -> Cost:
    cpu, start = time.process_time(), time.perf_counter()
    result = work(*arguments)
    cost = Cost(time.perf_counter() - start, time.process_time() - cpu)
    del result  # after the clock stopped
    return cost


class OurSteps:
    """The same for pannier: codec_benchmark does them when asked to."""

    def __init__(self, program: pathlib.Path, params: pathlib.Path, codec: str, level: int):
        self.process = subprocess.Popen([program, params, codec, str(level)],
                                        stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE,
                                        text=True)
        self.facts = json.loads(self.process.stdout.readline() or "{}")
        if not self.facts:
            raise RuntimeError(f"codec_benchmark {params} {codec} {level}: exit status {self.process.wait()}")

    def ask(self, line: str) -> Cost:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        wall, cpu = self.process.stdout.readline().split()
        return Cost(float(wall), float(cpu))

    def steps(self) -> dict[str, Callable[[], Cost]]:
        found = {}
        for threads in (1, 2):
            found[f"encode {threads}t"] = lambda threads=threads: self.ask(f"encode {threads}")
            for memory in ("warm", "fresh", "huge"):
                found[f"decode {threads}t {memory}"] = lambda threads=threads, memory=memory: self.ask(f"decode {threads} {memory}")
        return found

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def compare(programs: dict, params: pathlib.Path, dtype: str, rounds: int, levels: tuple[int, ...]) -> dict:
    """All codecs on one file: for each its size, and the minimum of wall and CPU seconds for each step; and who of others fails."""
    data = b"".join(tensor.data for tensor in weights.read_params(params))
    for option, value in ((TRIM_THRESHOLD, 1 << 30), (MMAP_THRESHOLD, 32 << 20)):  # the most that glibc takes
        ctypes.CDLL(None).mallopt(option, value)
    results: dict[str, dict] = {}
    turns: dict[tuple[str, str], Callable[[], Cost]] = {}
    ours, failures = [], []
    contestants = [("auto", levels[0]), ("planes", levels[0]), ("zstd", levels[0])] + [("auto", level) for level in levels[1:]]
    for codec, level in contestants:
        steps = OurSteps(programs["codec_benchmark"], params, codec, level)
        ours.append(steps)
        name = f"pannier {codec}" + (f" level {level}" if level != levels[0] else "")
        results[name] = {"size": steps.facts["encoded"], "steps": {}}
        turns.update({(name, step): work for step, work in steps.steps().items()})
    for codec in peer_codecs(dtype):
        try:
            peer = PeerSteps(codec, data)
        except Exception as error:  # of any kind: it is not ours
            failures.append(f"{codec.name}, {codec.threads} threads: {str(error).splitlines()[0]}")
            continue
        entry = results.setdefault(codec.name, {"size": size_of(peer.encoded), "steps": {}})
        slow = peer.first.wall > 1.5  # so that its first run is its only one
        if slow:
            entry["steps"][f"encode {codec.threads}t"] = measuring.least([peer.first])
        turns.update({(codec.name, step): work for step, work in peer.steps().items() if not (slow and step.startswith("encode"))})
    for kind in ("encode", "decode"):  # one after the other: what makes memory fresh for decoding must not do so for encoding
        of_kind = {key: work for key, work in turns.items() if key[1].startswith(kind)}
        for (name, step), costs in measuring.in_turns(of_kind, rounds, 1.0).items():
            results[name]["steps"][step] = measuring.least(costs)
    for steps in ours:
        steps.close()
    return {"bytes": len(data), "codecs": results, "failures": failures}


def stored_by_pannier(programs: dict, params: pathlib.Path, codec: str, level: int) -> int:
    """What `params` takes in a bundle, padding included."""
    report = json.loads(
        measuring.output_of(programs["pannier"], "embed", programs["host"], "--params", params, "--codec", codec, "--level", level,
                            "--dry-run", "--json"))
    return next(artifact["stored_bytes"] for artifact in report["artifacts"] if artifact["name"] == "params")


def measure(programs: dict, work: pathlib.Path, quick: bool, note: Callable[[str], None]) -> dict:
    files: list[tuple[str, str, pathlib.Path]] = []
    absent = []
    if quick:
        files.append(("mlp (tests/data)", "fp32", programs["params"]))
    for model in [] if quick else weights.MODELS:
        path = weights.locate(model) if weights.np is not None else None
        if path is None:
            absent.append(model.title)
            continue
        for dtype, tensors in weights.variants(path):
            name = f"{model.title}-{dtype}.params".replace(" ", "-")
            files.append((model.title, dtype, weights.write_params(work / name, dtype, len(tensors), tensors)))
    entries = []
    for title, dtype, params in files:
        note(f"codecs: {title}, {dtype}")
        small = params.stat().st_size <= SLOW_BYTES
        levels = LEVELS + ((SLOW_LEVEL,) if small else ())
        entry = compare(programs, params, dtype, 3 if quick else 5, levels)
        entry.update(model=title,
                     dtype=dtype,
                     stored={
                         f"{codec} {level}": stored_by_pannier(programs, params, codec, level) for level in levels
                         for codec in ("auto", "store", "zstd", "planes")
                     })
        entries.append(entry)
        if not quick:
            params.unlink()
    return {"entries": entries, "absent": absent}
