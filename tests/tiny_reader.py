#!/usr/bin/env python3
"""A second reader of pannier's bundles, written from docs/format.md alone: lists, extracts and checks one bundle (ELF, Mach-O,
PE).

usage: tiny_reader.py BUNDLE list | extract NAME | check      (zstd content needs the zstd command; of a fat file: its first slice
                                                               that is a bundle, but check takes them all)
"""
import base64
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
        self.format = 1 if data[:4] == b"\x7fELF" else 3 if data[:2] == b"MZ" else 2
        [self.read_elf, self.read_macho, self.read_pe][self.format - 1]()
        self.find_anchor()
        anchor = self.anchor_bytes
        assert anchor[:12] == MAGIC and struct.unpack_from("<H", anchor, 12)[0] == 1, "not a bundle of version 1"
        (self.payload_size, self.manifest_offset, self.manifest_size, self.signature_offset,
         self.signature_size) = struct.unpack_from("<5Q", anchor, 16)
        assert not any(anchor[56:64]) and not any(anchor[96:128]), "reserved bytes of the anchor"
        manifest = self.section(".tvm.manifest", self.manifest_offset, self.manifest_size)
        assert sha256(manifest) == anchor[64:96] and manifest[4:8] == b"PNRM", "manifest"
        self.manifest = Table.root(manifest)
        assert self.manifest.number(3, "B", 1) == self.format, "format"
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

    def read_macho(self):
        data = self.data
        assert data[:4] in (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe"), "neither ELF nor Mach-O"
        self.wide, self.named = data[0] == 0xCF, {}
        _, self.cpu, _, self.type, count, _, self.flags = struct.unpack_from("<7I", data)
        self.commands, self.segments, self.macho_segments = [], [], []
        at = 32 if self.wide else 28
        for _ in range(count):
            kind, size = struct.unpack_from("<2I", data, at)
            self.commands.append((kind, data[at:at + size]))
            if kind in (1, 0x19):
                address, memory, offset, filesize, most, protection, sections, flags = struct.unpack_from(
                    "<4Q4I" if self.wide else "<8I", data, at + 24)
                first, each = (72, 80) if self.wide else (56, 68)
                found = []
                for i in range(sections):
                    f = struct.unpack_from("<16s16sQQ7I" if self.wide else "<16s16sII7I", data, at + first + i * each)
                    found.append(f)  # name, segment, address, size, offset, align, reloff, nreloc, flags, reserved1, reserved2
                name = data[at + 8:at + 24].rstrip(b"\0")
                self.macho_segments.append((name, kind, address, memory, offset, filesize, most, protection, flags, found))
                self.segments.append((1, 4 * (protection & 1), offset, address, filesize, memory))
            at += size

    def read_pe(self):
        data = self.data
        signature, = struct.unpack_from("<I", data, 60)
        assert data[signature:signature + 4] == b"PE\0\0", "no PE header"
        self.pe_machine, count, _, symbols, symbol_count, size, self.characteristics = struct.unpack_from("<2H3I2H", data, signature + 4)
        optional = signature + 24
        self.magic, = struct.unpack_from("<H", data, optional)
        self.entry, = struct.unpack_from("<I", data, optional + 16)
        self.image_base, = struct.unpack_from("<Q", data, optional + 24) if self.magic == 0x20B else struct.unpack_from("<I", data, optional + 28)
        self.section_alignment, file_alignment = struct.unpack_from("<2I", data, optional + 32)
        self.subsystem, self.dll_characteristics = struct.unpack_from("<2H", data, optional + 68)
        first = optional + (112 if self.magic == 0x20B else 96)
        present = min(struct.unpack_from("<I", data, first - 4)[0], 16)
        self.directories = [struct.unpack_from("<2I", data, first + 8 * i) for i in range(present)] + [(0, 0)] * (16 - present)
        strings = symbols + 18 * symbol_count
        self.named, self.segments, self.pe_sections = [], [], []
        for i in range(count):
            name, memory, address, raw_size, raw, _, _, _, _, flags = struct.unpack_from("<8s6I2HI", data, optional + size + 40 * i)
            name = name.rstrip(b"\0").decode(errors="replace")
            if name[:1] == "/" and name[1:].isdecimal() and symbols:
                start = strings + int(name[1:])
                name = data[start:data.index(b"\0", start)].decode(errors="replace")
            raw_size = raw_size if raw else 0
            pages = -(-(memory or raw_size) // self.section_alignment) * self.section_alignment
            self.segments.append((1, 4 if flags & 0x40000000 else 0, raw, address, min(raw_size, pages), memory))
            self.pe_sections.append((name, flags, address, min(memory, raw_size), memory, raw, raw_size))
        address, size = self.directories[6]
        at = next((raw + address - a for _, _, a, n, _, raw, _ in self.pe_sections if size and a <= address and address + size <= a + n), None)
        entries = [] if at is None else [struct.unpack_from("<5I", data, at + i)[4] for i in range(4, size - size % 28, 28)]
        places = [self.entry, *(a for i, (a, _) in enumerate(self.directories) if a and i != 4), *(a for a in entries if a)]
        while self.pe_sections:  # without the debug sections at the end
            name, flags, address, _, memory, raw, raw_size = self.pe_sections[-1]
            is_debug = flags & 0x02000000 and name.startswith((".debug", ".zdebug", ".stab", ".gnu_debuglink")) and raw % file_alignment == 0
            if not is_debug or any(address <= place < address + max(memory, raw_size) for place in places):
                break
            self.pe_sections.pop()

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

    def decode(self, stored, records, size, chunk_size, group=(0, 0)):
        if group[1]:  # a small tensor that shares its chunk with others
            assert size and group[0] + size <= group[1] <= chunk_size and len(records) == 48, "group"
            return self.decode(stored, records, group[1], chunk_size)[group[0]:group[0] + size]
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
            yield tensor, mine, size, chunk_size, table.number(1), (tensor.number(9, "I"), tensor.number(10, "I"))

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
        for tensor, records, size, chunk_size, _, group in tensors:
            shape = tensor.vector(2, "q")
            out += struct.pack("<QQiii", 0xDD5E40F096B4A13F, tensor.number(8), tensor.number(6, "i", 1), tensor.number(7, "i"), len(shape))
            out += tensor.raw(1, 4) + struct.pack(f"<{len(shape)}qq", *shape, size) + self.decode(stored, records, size, chunk_size, group)
        return out

    def describe(self):
        out = []
        for name, artifact in self.artifacts().items():
            entry = {"name": name, "bytes": artifact.number(5), "stored_bytes": artifact.number(4), "sha256": artifact.raw(6, 32).hex()}
            if artifact.number(1, "B") == 1:
                entry["tensors"] = [{"name": t.text(0), "shape": t.vector(2, "q"), "bytes": size} for t, _, size, *_ in self.tensors(artifact)]
            out.append(entry)
        return out

    def host_pieces(self, host):
        """host offset, size, offset in the bundle"""
        if not host.where(4):
            return [(0, host.number(0), 0)]
        at = host.follow(4)
        count = struct.unpack_from("<I", host.data, at)[0]
        return [struct.unpack_from("<3Q", host.data, at + 4 + (-(at + 4) % 8) + 24 * i) for i in range(count)]

    def code_signature(self, size, parameters):
        """the ad-hoc signature of the file's first `size` bytes"""
        version, flags, shift, platform, base, limit, executable, runtime, length, slots, blobs = struct.unpack_from("<4I3Q4I", parameters)
        assert version == 1, "signature facts"
        at = 56
        identifier, at = parameters[at:at + length] + b"\0", at + length
        special, at = parameters[at:at + 32 * slots], at + 32 * slots
        others = []
        for _ in range(blobs):
            slot, length = struct.unpack_from("<2I", parameters, at)
            others.append((slot, parameters[at + 8:at + 8 + length]))
            at += 8 + length
        pages = [sha256(self.data[p:min(p + (1 << shift), size)]) for p in range(0, size, 1 << shift)]
        header = 96 if runtime else 88
        hashes = header + len(identifier) + len(special)
        directory = struct.pack(">9I4B4I4Q", 0xFADE0C02, hashes + 32 * len(pages), 0x20500 if runtime else 0x20400, flags, hashes, header, slots,
                                len(pages), size, 32, 2, platform, shift, 0, 0, 0, 0, 0, base, limit, executable)
        directory += (struct.pack(">2I", runtime, 0) if runtime else b"") + identifier
        directory += b"".join(special[32 * i:32 * i + 32] for i in reversed(range(slots))) + b"".join(pages)
        entries, content, at = [], b"", 12 + 8 * (1 + blobs)
        for slot, blob in [(0, directory)] + others:
            entries.append(struct.pack(">2I", slot, at + len(content)))
            content += blob
        out = b"".join(entries) + content
        out = struct.pack(">3I", 0xFADE0CC0, 12 + len(out), 1 + blobs) + out
        return out + bytes(-len(out) % 16)

    def checksum(self, at):
        """PE's CheckSum, which stands at `at`"""
        data = self.data[:at] + bytes(4) + self.data[at + 4:] + bytes(len(self.data) % 2)
        total = sum(struct.unpack(f"<{len(data) // 2}H", data))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        return struct.pack("<I", total + len(self.data))

    def check(self):
        """every byte of the file: what belongs to a part has its digest, what belongs to none is zero"""
        chunks = set()
        covered = [(self.anchor, 128), (self.place(".tvm.manifest", self.manifest_offset, self.manifest_size), self.manifest_size),
                   (self.place(".tvm.sig", self.signature_offset, self.signature_size), self.signature_size)]
        derived = [(t.number(0, "B"), t.number(1), t.number(2), bytes(t.vector(3, "B")) if t.where(3) else b"")
                   for t in (self.manifest.tables(15) if self.manifest.where(15) else [])]
        without_derived = bytearray(self.data)
        for kind, at, size, parameters in derived:
            without_derived[at:at + size] = bytes(size)
            expected = {1: lambda: self.checksum(at), 2: lambda: self.code_signature(at, parameters)}[kind]()
            assert self.data[at:at + size] == expected, "checksum" if kind == 1 else "code signature"
        host = Table(self.manifest.data, self.manifest.follow(13))
        pieces = self.host_pieces(host)
        covered += [(at, size) for _, at, size, _ in derived if not any(p <= at and at + size <= p + n for _, n, p in pieces)]
        digests, chunk, number = self.indexed(host, 3), host.number(2, "I"), 0
        for _, size, start in pieces:
            for at in range(start, start + size, chunk):
                part = without_derived[at:min(at + chunk, start + size)]
                assert sha256(part) == digests[number:number + 32], f"host at {at:#x}"
                number += 32
            covered.append((start, size))
        assert number == len(digests), "host digests"
        rests = []
        for part in self.manifest.tables(12):
            name, size = part.text(0), part.number(2)
            at = (self.anchor + part.number(1)) % 2**64
            if not self.mapped and (name, size) in [(n, s) for n, _, s in self.named if n.startswith(".tvm.")]:
                at = self.place(name, part.number(1), size)
            if part.number(4, "B") == 1:
                rests.append((name, at, size, part.raw(3, 32)))
                continue
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
                    chunks.add((base + offset, length))  # records may lead to the same stored bytes, if to all of them
                    known = known and codec in (0, 1)
            if known:
                self.extract(name)
        covered += chunks
        for name, begin, size, digest in rests:
            left, at = [], begin
            for start, length in sorted(covered):
                if start < begin + size and start + length > begin:
                    left.append((at, start - at))
                    at = start + length
            left.append((at, begin + size - at))
            assert sha256(b"".join(self.data[at:at + length] for at, length in left)) == digest, name
            covered += left
        end = 0
        for at, size in sorted(c for c in covered if c[1]):
            assert at >= end, f"bytes at {at:#x} belong to two parts"
            assert not any(self.data[end:at]), f"padding at {end:#x}"
            end = at + size
        assert not any(self.data[end:]) and len(self.data) == self.manifest.number(7), "file size"
        self.signatures()
        self.check_image()

    def statement(self):
        """what is signed; by the names of RFC 8785 that json.dumps happens to follow"""
        host = Table(self.manifest.data, self.manifest.follow(13))
        image = Table(self.manifest.data, self.manifest.follow(14))
        manifest = self.place(".tvm.manifest", self.manifest_offset, self.manifest_size)
        subject = lambda name, digest: {"digest": {"sha256": digest.hex()}, "name": name}
        artifacts = [subject(name, artifact.raw(6, 32)) for name, artifact in self.artifacts().items()]
        compact = lambda value: json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        if sum(1 + len(compact(a)) for a in artifacts) > 2048:
            artifacts = []
        return compact({
            "_type": "https://in-toto.io/Statement/v1",
            "predicate": {"format": {1: "ELF", 2: "Mach-O", 3: "PE"}[self.format], "version": "%d.%d" % (self.manifest.number(0, "H"), self.manifest.number(1, "H"))},
            "predicateType": "urn:pannier:bundle:1",
            "subject": [subject("bundle/file", sha256(self.data[manifest:manifest + self.manifest_size])),
                        subject("bundle/host", host.raw(1, 32)), subject("bundle/image", image.raw(7, 32)), *artifacts],
        })

    def signatures(self):
        """(what was signed, [(key id, signature)]) from the signature room"""
        at = self.place(".tvm.sig", self.signature_offset, self.signature_size)
        end = at + self.signature_size
        found = []
        while at + 8 <= end and struct.unpack_from("<I", self.data, at)[0] != 0:
            kind, size = struct.unpack_from("<II", self.data, at)
            assert size and at + 8 + size + -size % 8 <= end and not any(self.data[at + 8 + size:at + 8 + size + -size % 8]), "signature room"
            found += [self.data[at + 8:at + 8 + size]] if kind == 1 else []
            at += 8 + size + -size % 8
        assert not any(self.data[at:end]) and len(found) <= 1, "signature room"
        if not found:
            return b"", []
        envelope = json.loads(found[0])
        payload, kind = base64.b64decode(envelope["payload"], validate=True), envelope["payloadType"]
        assert payload == self.statement() and kind == "application/vnd.in-toto+json", "signed statement"
        signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
        return signed, [(s["keyid"], base64.b64decode(s["sig"], validate=True)) for s in envelope["signatures"]]

    def check_image(self):
        image = Table(self.manifest.data, self.manifest.follow(14))
        at = image.follow(5)
        count = struct.unpack_from("<I", image.data, at)[0]
        # Structs of two u32 and three u64, without padding
        expected = [struct.unpack_from("<IIQQQ", image.data, at + 4 + (-(at + 4) % 8) + 32 * i) for i in range(count)]
        headers = b""
        if self.format == 1:
            found = [(kind, flags, vaddr, filesz, memsz) for kind, flags, _, vaddr, filesz, memsz in self.segments]
            header = self.data[:16] + struct.pack("<HHIQ", *self.machine, self.flags, self.entry)
        elif self.format == 3:
            found = []
            for _, flags, address, both, memory, _, _ in self.pe_sections:
                found.append((1, flags & ~(0x00F00000 | (0 if flags & 0x20000000 else 0x80000000)), address, both, memory))
            header = struct.pack("<4HQHHIQ", self.magic, self.subsystem, self.dll_characteristics, 0, self.image_base,
                                 self.characteristics & ~0x020C, self.pe_machine, self.section_alignment, self.entry)
            headers = b"".join(struct.pack("<2I", *(d if i != 4 else (0, 0))) for i, d in enumerate(self.directories))
            assert headers == bytes(image.vector(8, "B")), "data directories"
        else:
            found = []
            for name, kind, address, memory, _, filesize, most, protection, flags, sections in self.macho_segments:
                if name != b"__LINKEDIT":
                    sizes = (0, 0) if sections or name == b"__TVM" else (filesize, memory)
                    found.append((kind, protection | most << 4 | flags << 8, address, *sizes))
            header = self.data[:16] + struct.pack("<HHIQ", self.type, self.cpu & 0xFFFF, self.flags, 0)
            headers = self.canonical_commands()
            assert headers == bytes(image.vector(8, "B")), "load commands"
        assert found == expected, "program headers"
        spans = self.indexed(image, 6)
        assert sha256(header + b"".join(struct.pack("<IIQQQ", *s) for s in found) + headers + spans) == image.raw(7, 32), "image digest"
        for i in range(0, len(spans), 56):
            address, size, gap, digest = struct.unpack_from("<QQQ32s", spans, i)
            offset = next(o + address - v for kind, _, o, v, n, _ in self.segments if kind == 1 and v <= address and address + size <= v + n)
            data = self.data[offset:offset + size]
            assert sha256(data) == digest or (gap and set(data) in ({0}, {0xCC})), f"image at {address:#x}"


    def canonical_commands(self):
        """load commands as dyld acts on them: without places in __LINKEDIT, but with digests of what is there"""
        left_out = {0x2, 0xB, 0x1D, 0x26, 0x29, 0x3, 0x16, 0x1E, 0x2B, 0x2E, 0x31, 0x36}
        places = {0x22: (8, 16, 24, 32, 40), 0x80000022: (8, 16, 24, 32, 40), 0x80000033: (8,), 0x80000034: (8,), 0x37: (8,), 0x38: (8,)}
        out, segments = b"", iter(self.macho_segments)
        for kind, command in self.commands:
            if kind in (1, 0x19):
                name, _, _, _, _, _, _, _, _, sections = next(segments)
                if name == b"__LINKEDIT":
                    continue
                out += struct.pack("<I16s", kind, name)
                for f in sections if name != b"__TVM" else []:
                    out += struct.pack("<16s16sQQ3I", f[0], f[1], f[2], f[3], *f[8:11])
            elif kind in places:
                out += struct.pack("<I", kind)
                for at in places[kind]:
                    offset, size = struct.unpack_from("<2I", command, at)
                    out += struct.pack("<Q", size) + sha256(self.data[offset:offset + size])
            elif kind not in left_out:
                out += command
        return out


class Fat:
    """A fat Mach-O file: header, slices, and what the slices that are bundles tell of it."""

    def __init__(self, data):
        self.data, self.wide = data, data[3] == 0xBF
        self.slices = self.entries(data)
        self.bundles = {}
        for i, (_, _, offset, size, _) in enumerate(self.slices):
            if MAGIC in data[offset:offset + size]:
                self.bundles[i] = Bundle(data[offset:offset + size])

    def entries(self, header):
        count = struct.unpack_from(">I", header, 4)[0]
        each = 32 if self.wide else 20
        return [struct.unpack_from(">2I2QI" if self.wide else ">5I", header, 8 + i * each) for i in range(count)]

    def check(self):
        records = set()
        for bundle in self.bundles.values():
            bundle.check()
            undo = Table.root(bundle.sections[bundle.manifest.number(10, "I")])
            fat = Table(undo.data, undo.follow(3))
            records.add((fat.number(0), fat.raw(1, 32), bytes(fat.vector(2, "B")), bytes(fat.data[fat.follow(3) + 4:][:32 * len(self.slices)])))
        assert len(records) == 1, "slices of different files"
        _, _, header, digests = records.pop()
        original = self.entries(header)
        sizes = []
        for i, (_, _, offset, size, _) in enumerate(self.slices):
            if i not in self.bundles:
                assert sha256(self.data[offset:offset + size]) == digests[32 * i:32 * i + 32], f"slice {i}"
            sizes.append(self.bundles[i].manifest.number(7) if i in self.bundles else original[i][3])
        expected, end = bytearray(header), len(header)
        for i in sorted(range(len(original)), key=lambda i: original[i][2]):
            align = max(1 << original[i][4], 16384)
            offset = -(-end // align) * align
            assert not any(self.data[end:offset]), f"gap at {end:#x}"
            struct.pack_into(">2Q" if self.wide else ">2I", expected, 16 + i * (32 if self.wide else 20), offset, sizes[i])
            end = offset + sizes[i]
        assert self.data[:len(header)] == expected and len(self.data) == end, "fat header"


def main():
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    fat = Fat(data) if data[:4] in (b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf") else None
    bundle = next(iter(fat.bundles.values())) if fat else Bundle(data)
    if sys.argv[2] == "list":
        print(json.dumps(bundle.describe()))
    elif sys.argv[2] == "extract":
        sys.stdout.buffer.write(bundle.extract(sys.argv[3]))
    else:
        (fat or bundle).check()
        print("every byte accounted for")


if __name__ == "__main__":
    main()
