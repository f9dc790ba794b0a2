# Writes a .params file (docs: tests/data, TVM's save_param_dict) whose values check_bundle.cc knows: usage make_params.py FILE.
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import params_file

U64 = 2**64 - 1


def tensors():
    """(name, kind, shape, data); kPatterns in check_bundle.cc says the same."""
    yield "fc/weight:0", (2, 32, 1), (700, 1001), struct.pack("<700700f", *((i * 7919 % 1009) / 8 - 50 for i in range(700700)))
    yield "int64", (0, 64, 1), (3, 5, 7), struct.pack("<105Q", *((i * 0x0123456789ABCDEF + 0x1122334455667788) & U64 for i in range(105)))
    yield "float16", (2, 16, 1), (513,), struct.pack("<513e", *(1 + i / 1024 for i in range(513)))
    yield "float64", (2, 64, 1), (17,), struct.pack("<17d", *((i + 1) * (1 + 2.0**-44) for i in range(17)))
    yield "int8", (0, 8, 1), (255,), bytes(i * 7 % 256 for i in range(255))
    yield "uint16x4", (1, 16, 4), (33,), struct.pack("<132H", *(i * 259 + 1 for i in range(132)))
    yield "bfloat16", (4, 16, 1), (4, 10), struct.pack("<40H", *(0x3F81 + i for i in range(40)))
    yield "bool", (1, 1, 1), (9,), bytes(i % 2 for i in range(9))
    yield "complex64", (5, 64, 1), (6,), struct.pack("<12f", *(i - 2.5 for i in range(12)))
    yield "scalar", (2, 32, 1), (), struct.pack("<f", -1234.5)
    yield "empty", (2, 32, 1), (0, 3), b""


pathlib.Path(sys.argv[1]).write_bytes(params_file.pack(tensors()))
