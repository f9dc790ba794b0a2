#!/usr/bin/env python3
"""A second reader of pannier's bundles, written from docs/format.md alone: lists, extracts and checks one ELF bundle.

usage: tiny_reader.py BUNDLE list | extract NAME | check      (zstd content needs the zstd command)
"""
import hashlib
import json
import struct
import subprocess
import sys

MAGIC = bytes.fromhex("8950414e4e4945520d0a1a0a")


def sha256(data):
    return hashlib.sha256(data).digest()


class Table:
    """A FlatBuffers table: fields by their number in the schema."""

    def __init__(self, data, at):
        self.data, self.at = data, at
        self.vtable = at - struct.unpack_from("<i", data, at)[0]
        self.size = struct.unpack_from("<H", data, self.vtable)[0]

    @classmethod
    def root(cls, data):
        return cls(data, struct.unpack_from("<I", data, 0)[0])

    def where(self, field):
        slot = 4 + 2 * field
        offset = struct.unpack_from("<H", self.data, self.vtable + slot)[0] if slot < self.size else 0
        return self.at + offset if offset else None

    def number(self, field, kind="Q", default=0):
        at = self.where(field)
        return default if at is None else struct.unpack_from("<" + kind, self.data, at)[0]

    def raw(self, field, size):
        at = self.where(field)
        return self.data[at:at + size]

    def follow(self, field):
        at = self.where(field)
        return at + struct.unpack_from("<I", self.data, at)[0]

    def text(self, field):
        at = self.follow(field)
        length = struct.unpack_from("<I", self.data, at)[0]
        return self.data[at + 4:at + 4 + length].decode()

    def vector(self, field, kind):
        at = self.follow(field)
        count = struct.unpack_from("<I", self.data, at)[0]
        return list(struct.unpack_from(f"<{count}{kind}", self.data, at + 4))

    def tables(self, field):
        at = self.follow(field)
        count = struct.unpack_from("<I", self.data, at)[0]
        places = [at + 4 + 4 * i for i in range(count)]
        return [Table(self.data, p + struct.unpack_from("<I", self.data, p)[0]) for p in places]

    def index_range(self, field):
        """offset, size and SHA-256 of a range of the index section"""
        return struct.unpack("<QQ32s", self.raw(field, 48))


def zstd(frame):
    return subprocess.run(["zstd", "-dcq"], input=frame, stdout=subprocess.PIPE, check=True).stdout


def planes(stored, size):
    width, rotation, reserved = struct.unpack_from("<BBH", stored)
    assert width in (1, 2, 4, 8) and rotation in (0, 1) and reserved == 0, "planes"
    count, at = size // width, 4 + 4 * width
    out = bytearray(count * width)
    for i, entry in enumerate(struct.unpack_from(f"<{width}I", stored, 4)):
        plane = stored[at:at + (entry & 0x7fffffff)]
        at += len(plane)
        out[i::width] = zstd(plane) if entry >> 31 else plane  # fails on another count
    if rotation:
        elements = f"<{count}{dict(zip((1, 2, 4, 8), 'BHIQ'))[width]}"
        out = struct.pack(elements, *(x >> 1 | (x & 1) << 8 * width - 1 for x in struct.unpack(elements, out)))
    assert len(stored) - at == size % width, "planes' rest"
    return bytes(out) + stored[at:]


class Bundle:
    def __init__(self, data):
        self.data = data
        self.read_elf()
        self.find_anchor()
        anchor = self.anchor_bytes
        assert anchor[:12] == MAGIC and struct.unpack_from("<H", anchor, 12)[0] == 1, "not a bundle of version 1"
        (self.payload_size, self.manifest_offset, self.manifest_size, self.signature_offset,
         self.signature_size) = struct.unpack_from("<5Q", anchor, 16)
        assert not any(anchor[56:64]) and not any(anchor[96:128]), "reserved bytes of the anchor"
        manifest = self.section(".tvm.manifest", self.manifest_offset, self.manifest_size)
        assert sha256(manifest) == anchor[64:96] and manifest[4:8] == b"PNRM", "manifest"
        self.manifest = Table.root(manifest)
        assert self.manifest.number(4, "B", 1) == (1 if self.mapped else 2), "placement"
        self.sections = [self.section(s.text(0), s.number(1), s.number(2)) for s in self.manifest.tables(8)]
        self.index = self.sections[self.manifest.number(9, "I")]

    def read_elf(self):
        data = self.data
        assert data[:4] == b"\x7fELF", "not ELF"
        self.wide, self.order = data[4] == 2, "<" if data[5] == 1 else ">"
        word = "Q" if self.wide else "I"
        self.machine = struct.unpack_from(self.order + "HH", data, 16)
        self.entry, phoff, shoff, self.flags, _, phsize, phnum, shsize, shnum, names = struct.unpack_from(
            self.order + 3 * word + "IHHHHHH", data, 24)
        self.segments = []
        for i in range(phnum):
            f = struct.unpack_from(self.order + ("IIQQQQQQ" if self.wide else "8I"), data, phoff + i * phsize)
            # type, flags, offset, vaddr, filesz, memsz
            self.segments.append((f[0], f[1], f[2], f[3], f[5], f[6]) if self.wide else (f[0], f[6], f[1], f[2], f[4], f[5]))
        headers = [struct.unpack_from(self.order + ("IIQQQQ" if self.wide else "6I"), data, shoff + i * shsize) for i in range(shnum)]
        self.named = []
        for name, kind, _, _, offset, size in headers:
            start = headers[names][4] + name
            text = data[start:data.index(b"\0", start)].decode(errors="replace")
            if kind not in (0, 8):
                self.named.append((text, offset, size))

    def find_anchor(self):
        self.mapped = True
        for kind, flags, offset, _, filesz, _ in self.segments:
            if kind == 1 and flags & 4 and filesz >= 128 and self.data[offset:offset + 12] == MAGIC:
                self.anchor = offset
                break
        else:
            self.mapped = False
            self.anchor = next(offset for name, offset, _ in self.named if name == ".tvm.anchor")
        self.anchor_bytes = self.data[self.anchor:self.anchor + 128]

    def place(self, name, offset, size):
        """where in the file a section is"""
        if self.mapped:
            return self.anchor + offset
        return next(found for other, found, length in self.named if (other, length) == (name, size))

    def section(self, name, offset, size):
        at = self.place(name, offset, size)
        assert at + size <= len(self.data), name
        return self.data[at:at + size]

    def indexed(self, table, field):
        offset, size, digest = table.index_range(field)
        data = self.index[offset:offset + size]
        assert len(data) == size and sha256(data) == digest, "index range"
        return data

    def artifacts(self):
        return {a.text(0): a for a in self.manifest.tables(11)}

    def stored(self, artifact):
        start = artifact.number(3)
        return self.sections[artifact.number(2, "I")][start:start + artifact.number(4)]

    def decode(self, stored, records, size, chunk_size):
        out = b""
        for at in range(0, len(records), 48):
            offset, length, codec, digest = struct.unpack_from("<QIB3x32s", records, at)
            chunk = stored[offset:offset + length]
            assert sha256(chunk) == digest, "chunk"
            assert codec in (0, 1, 2), f"codec {codec} is of a later version"
            original = min(chunk_size, size - len(out))
            if codec != 0:
                chunk = zstd(chunk) if codec == 1 else planes(chunk, original)
            assert len(chunk) == original, "chunk size"
            out += chunk
        assert len(out) == size, "size"
        return out

    def tensors(self, artifact):
        table = Table.root(self.indexed(artifact, 9))
        chunk_size = table.number(0, "I")
        start, count = artifact.number(10), artifact.number(11)
        records = self.index[start:start + 48 * count]
        for tensor in table.tables(2):
            size = tensor.number(3)
            first = tensor.number(4)
            mine = records[48 * first:48 * (first + -(-size // chunk_size))]
            assert sha256(mine) == tensor.raw(5, 32), "chunk table"
            yield tensor, mine, size, chunk_size, table.number(1)

    def extract(self, name):
        artifact = self.artifacts()[name]
        stored = self.stored(artifact)
        assert artifact.number(1, "B") in (0, 1), f"kind {artifact.number(1, 'B')} is of a later version"
        if artifact.number(1, "B") == 0:
            out = self.decode(stored, self.indexed(artifact, 8), artifact.number(5), artifact.number(7, "I"))
        else:
            out = self.extract_params(artifact, stored)
        assert len(out) == artifact.number(5) and sha256(out) == artifact.raw(6, 32), name
        return out

    def extract_params(self, artifact, stored):
        tensors = list(self.tensors(artifact))
        reserved = tensors[0][4] if tensors else Table.root(self.indexed(artifact, 9)).number(1)
        out = struct.pack("<QQQ", 0xF7E58D4F05049CB7, reserved, len(tensors))
        for tensor, *_ in tensors:
            name = tensor.text(0).encode()
            out += struct.pack("<Q", len(name)) + name
        out += struct.pack("<Q", len(tensors))
        for tensor, records, size, chunk_size, _ in tensors:
            shape = tensor.vector(2, "q")
            out += struct.pack("<QQiii", 0xDD5E40F096B4A13F, tensor.number(8), tensor.number(6, "i", 1), tensor.number(7, "i"), len(shape))
            out += tensor.raw(1, 4) + struct.pack(f"<{len(shape)}qq", *shape, size) + self.decode(stored, records, size, chunk_size)
        return out

    def describe(self):
        out = []
        for name, artifact in self.artifacts().items():
            entry = {"name": name, "bytes": artifact.number(5), "stored_bytes": artifact.number(4), "sha256": artifact.raw(6, 32).hex()}
            if artifact.number(1, "B") == 1:
                entry["tensors"] = [{"name": t.text(0), "shape": t.vector(2, "q"), "bytes": size} for t, _, size, *_ in self.tensors(artifact)]
            out.append(entry)
        return out

    def check(self):
        """every byte of the file: what belongs to a part has its digest, what belongs to none is zero"""
        covered = [(self.anchor, 128), (self.place(".tvm.manifest", self.manifest_offset, self.manifest_size), self.manifest_size),
                   (self.place(".tvm.sig", self.signature_offset, self.signature_size), self.signature_size)]
        host = Table(self.manifest.data, self.manifest.follow(13))
        digests, chunk = self.indexed(host, 3), host.number(2, "I")
        for i in range(0, len(digests), 32):
            at = i // 32 * chunk
            assert sha256(self.data[at:min(at + chunk, host.number(0))]) == digests[i:i + 32], f"host at {at:#x}"
        covered.append((0, host.number(0)))
        for part in self.manifest.tables(12):
            name, size = part.text(0), part.number(2)
            at = self.anchor + part.number(1)
            if not self.mapped and (name, size) in [(n, s) for n, _, s in self.named if n.startswith(".tvm.")]:
                at = self.place(name, part.number(1), size)
            assert sha256(self.data[at:at + size]) == part.raw(3, 32), name
            covered.append((at, size))
        sections = self.manifest.tables(8)
        for name, artifact in self.artifacts().items():
            kind = artifact.number(1, "B")
            section = sections[artifact.number(2, "I")]
            base = self.place(section.text(0), section.number(1), section.number(2)) + artifact.number(3)
            tables = [t[1] for t in self.tensors(artifact)] if kind == 1 else [self.indexed(artifact, 8)]
            known = kind in (0, 1)
            for records in tables:
                for at in range(0, len(records), 48):
                    offset, length, codec, digest = struct.unpack_from("<QIB3x32s", records, at)
                    assert sha256(self.stored(artifact)[offset:offset + length]) == digest, name
                    covered.append((base + offset, length))
                    known = known and codec in (0, 1)
            if known:
                self.extract(name)
        end = 0
        for at, size in sorted(c for c in covered if c[1]):
            assert at >= end, f"bytes at {at:#x} belong to two parts"
            assert not any(self.data[end:at]), f"padding at {end:#x}"
            end = at + size
        assert not any(self.data[end:]) and len(self.data) == self.manifest.number(7), "file size"
        self.check_image()

    def check_image(self):
        image = Table(self.manifest.data, self.manifest.follow(14))
        at = image.follow(5)
        count = struct.unpack_from("<I", image.data, at)[0]
        # Structs of two u32 and three u64, without padding
        expected = [struct.unpack_from("<IIQQQ", image.data, at + 4 + (-(at + 4) % 8) + 32 * i) for i in range(count)]
        found = [(kind, flags, vaddr, filesz, memsz) for kind, flags, _, vaddr, filesz, memsz in self.segments]
        assert found == expected, "program headers"
        spans = self.indexed(image, 6)
        header = self.data[:16] + struct.pack("<HHIQ", *self.machine, self.flags, self.entry)
        assert sha256(header + b"".join(struct.pack("<IIQQQ", *s) for s in found) + spans) == image.raw(7, 32), "image digest"
        for i in range(0, len(spans), 56):
            address, size, gap, digest = struct.unpack_from("<QQQ32s", spans, i)
            offset = next(o + address - v for kind, _, o, v, n, _ in self.segments if kind == 1 and v <= address and address + size <= v + n)
            data = self.data[offset:offset + size]
            assert sha256(data) == digest or (gap and not any(data)), f"image at {address:#x}"


def main():
    with open(sys.argv[1], "rb") as file:
        bundle = Bundle(file.read())
    if sys.argv[2] == "list":
        print(json.dumps(bundle.describe()))
    elif sys.argv[2] == "extract":
        sys.stdout.buffer.write(bundle.extract(sys.argv[3]))
    else:
        bundle.check()
        print("every byte accounted for")


if __name__ == "__main__":
    main()
