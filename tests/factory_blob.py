"""TVM's blob of modules, as export_library writes it: taken apart by a parser that shares nothing with pannier's.

usage: tests/factory_blob.py LIBRARY OFFSET      prints what the blob at that offset of the file holds

The layout is in src/module_blob.h's first comment; TVM's own reader is src/runtime/library_module.cc and, for the factory,
src/runtime/graph_executor/graph_executor_factory.cc.
"""

from __future__ import annotations

import dataclasses
import pathlib
import struct
import sys


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        if size > len(self.data) - self.at:
            raise ValueError(f"found {len(self.data) - self.at} bytes at {self.at}, expected {size}")
        self.at += size
        return self.data[self.at - size : self.at]

    def word(self) -> int:
        return struct.unpack("<Q", self.take(8))[0]

    def string(self) -> bytes:
        return self.take(self.word())

    def words(self) -> list[int]:
        return [self.word() for _ in range(self.word())]

    def tensor(self) -> bytes:
        """A tensor as .params files have it, header and data."""
        begin = self.at
        magic, _, _, _, dimensions, _, bits, lanes = struct.unpack("<QQiiiBBH", self.take(32))
        if magic != 0xDD5E40F096B4A13F:
            raise ValueError(f"tensor: found magic {magic:#x}")
        shape = struct.unpack(f"<{dimensions}q", self.take(8 * dimensions))
        (size,) = struct.unpack("<q", self.take(8))
        count = 1
        for dimension in shape:
            count *= dimension
        if size != count * ((bits * lanes + 7) // 8):
            raise ValueError(f"tensor: found {size} bytes of shape {shape}")
        self.take(size)
        return self.data[begin : self.at]


@dataclasses.dataclass
class Blob:
    size: int  # of all of it
    key: bytes  # of the factory
    graph: bytes
    names: list[bytes]
    tensors: list[bytes]
    name: bytes  # of the module that the factory makes
    others: bytes  # entries of all other modules, "_lib" among them
    rows: list[int]
    children: list[int]

    def params_file(self) -> bytes:
        """The .params file with these tensors."""
        out = struct.pack("<QQQ", 0xF7E58D4F05049CB7, 0, len(self.names))
        out += b"".join(struct.pack("<Q", len(name)) + name for name in self.names)
        return out + struct.pack("<Q", len(self.tensors)) + b"".join(self.tensors)

    def imports(self) -> list[list[int]]:
        return [self.children[a:b] for a, b in zip(self.rows, self.rows[1:])]


def parse(data: bytes) -> Blob:
    """`data` begins with the blob. ValueError: it is not the blob of a factory."""
    size = struct.unpack_from("<Q", data)[0]
    reader = Reader(data[8 : 8 + size])
    if len(reader.data) != size:
        raise ValueError(f"found {len(reader.data)} bytes, expected {size}")
    entries = reader.word()
    key = reader.string()
    if key not in (b"GraphExecutorFactory", b"GraphRuntimeFactory"):
        raise ValueError(f"found the key {key!r}")
    graph = reader.string()
    count = reader.word()
    names = [reader.string() for _ in range(reader.word())]
    if count != len(names):
        raise ValueError(f"found {len(names)} names, expected {count}")
    tensors = [reader.tensor() for _ in range(count)]
    name = reader.string()
    # Only a device module's own reader knows where it ends; the tree is at the end.
    tree = struct.pack("<Q", 12) + b"_import_tree"
    begin = reader.at
    reader.at = reader.data.rindex(tree)
    others = reader.data[begin : reader.at]
    reader.take(len(tree))
    rows, children = reader.words(), reader.words()
    if reader.at != size or len(rows) != entries:
        raise ValueError(f"found a tree of {len(rows) - 1} modules that ends at {reader.at}, expected {entries - 1} and {size}")
    if rows[0] != 0 or rows != sorted(rows) or rows[-1] != len(children) or any(child >= entries - 1 for child in children):
        raise ValueError(f"found the tree {rows}, {children}")
    return Blob(8 + size, key, graph, names, tensors, name, others, rows, children)


if __name__ == "__main__":
    blob = parse(pathlib.Path(sys.argv[1]).read_bytes()[int(sys.argv[2], 0) :])
    print(f"{blob.size} bytes: {blob.key.decode()} {blob.name.decode()!r}, graph of {len(blob.graph)} bytes, {len(blob.tensors)} tensors,")
    print(f"imports {blob.imports()}, other modules in {len(blob.others)} bytes")
