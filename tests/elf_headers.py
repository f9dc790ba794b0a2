"""Headers of an ELF file, read apart from the code under test, and what a tool changed of the library as it is mapped."""

import struct

ET_DYN = 3
PT_LOAD, PT_DYNAMIC, PT_NOTE, PT_PHDR = 1, 2, 4, 6
SHT_NULL, SHT_NOBITS, SHF_ALLOC = 0, 8, 2
PAGE = 4096
DT_FLAGS_1, DF_1_PIE = 0x6FFFFFFB, 0x08000000


class Elf:
    """Headers of an ELF file, for comparisons that are independent of the code under test."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = data = file.read()
        self.is_64 = data[4] == 2
        self.order = "<" if data[5] == 1 else ">"
        self.type, self.machine = struct.unpack_from(self.order + "HH", data, 16)
        self.key = (self.machine, data[4], data[5])
        offset, = struct.unpack_from(self.order + ("Q" if self.is_64 else "I"), data, 32 if self.is_64 else 28)
        size, count = struct.unpack_from(self.order + "HH", data, 54 if self.is_64 else 42)
        self.table = (offset, offset + size * count)
        self.segments, self.is_congruent = [], True
        for i in range(count):
            if self.is_64:
                fields = struct.unpack_from(self.order + "IIQQQQQQ", data, offset + i * size)
                kind, flags, start, address, _, in_file, in_memory, align = fields
            else:
                fields = struct.unpack_from(self.order + "IIIIIIII", data, offset + i * size)
                kind, start, address, _, in_file, in_memory, flags, align = fields
            self.segments.append((kind, flags, start, address, in_file, in_memory))
            self.is_congruent &= kind != PT_LOAD or (address - start) % max(align, 1) == 0

    def at(self, address, size):
        """The file's bytes that are mapped there; None if there are fewer."""
        for kind, _, start, segment, in_file, _ in self.segments:
            if kind == PT_LOAD and segment <= address and address + size <= segment + in_file:
                found = self.data[start + address - segment:start + address - segment + size]
                return found if len(found) == size else None
        return None

    def is_mappable(self):
        """Are segments in step with their pages and apart, and is the dynamic section mapped from its offset to its address?"""
        loads = sorted((address, address + size) for kind, _, _, address, _, size in self.segments if kind == PT_LOAD)
        are_apart = all(end <= begin for (_, end), (begin, _) in zip(loads, loads[1:]))
        return self.is_congruent and are_apart and all(self.at(address, size) == self.data[start:start + size]
                                                       for kind, _, start, address, size, _ in self.segments if kind == PT_DYNAMIC)

    def sections(self):
        """Name, file offset, address and size of each section that is mapped with bytes of the file."""
        header = struct.Struct(self.order + ("IIQQQQ" if self.is_64 else "IIIIII"))
        table, = struct.unpack_from(self.order + ("Q" if self.is_64 else "I"), self.data, 40 if self.is_64 else 32)
        size, count, names = struct.unpack_from(self.order + "HHH", self.data, 58 if self.is_64 else 46)
        if table == 0:
            return []
        if count == 0:
            count = header.unpack_from(self.data, table)[5]
        if names == 0xFFFF:
            names, = struct.unpack_from(self.order + "I", self.data, table + (40 if self.is_64 else 24))
        strings = header.unpack_from(self.data, table + names * size)[4]
        sections = []
        for i in range(count):
            name, kind, flags, address, offset, length = header.unpack_from(self.data, table + i * size)
            if flags & SHF_ALLOC and kind not in (SHT_NULL, SHT_NOBITS) and length != 0:
                start = strings + name
                sections.append((bytes(self.data[start:self.data.index(0, start)]).decode(), offset, address, length))
        return sections

    def damage(self, after, count):
        """What a tool changed of this library as it is mapped: numbers of its first `count` program headers, and pages of sections.

        What no section covers counts by its address, and not when it is zeroes now: no harm is known that this does.
        """
        meanings = {(s[0], s[1], *s[3:]) for s in after.segments}
        changed = set()
        for i, (kind, flags, _, *place) in enumerate(self.segments[:count]):
            # Its size is the table's, and its place strip's choice.
            if kind != PT_PHDR and (kind, flags, *place) not in meanings:
                changed.add(("program header", i))
        sections = sorted(self.sections(), key=lambda section: section[1])
        for name, offset, address, size in sections:
            for at in range(0, size, PAGE) if offset != self.table[0] else ():
                length = min(PAGE, size - at)
                if after.at(address + at, length) != self.data[offset + at:offset + at + length]:
                    changed.add((name, at))
        covered = sorted([(0, 64 if self.is_64 else 52), self.table, *((s[1], s[1] + s[3]) for s in sections)])
        for kind, _, start, address, in_file, _ in self.segments[:count]:
            at, end = start, start + in_file
            for begin, stop in [*covered, (end, end)] if kind == PT_LOAD else ():
                while at < min(begin, end):
                    length = min(PAGE - at % PAGE, min(begin, end) - at)
                    found = after.at(address + at - start, length)
                    if found != self.data[at:at + length] and (found is None or any(found)):
                        changed.add(("between sections", (address + at - start) // PAGE))
                    at += length
                at = max(at, stop)
        return changed

    def is_executable(self):
        entry = struct.Struct(self.order + ("QQ" if self.is_64 else "II"))
        for kind, _, start, _, in_file, _ in self.segments:
            if kind != PT_DYNAMIC:
                continue
            for tag, value in entry.iter_unpack(self.data[start:start + in_file // entry.size * entry.size]):
                if tag == DT_FLAGS_1:
                    return value & DF_1_PIE != 0
        return False

    def build_id(self):
        """Its bytes and where they end in the file."""
        for kind, _, start, _, in_file, _ in self.segments:
            at = start
            while kind == PT_NOTE and at + 12 <= start + in_file:
                name_size, size, note = struct.unpack_from(self.order + "III", self.data, at)
                description = at + 12 + (name_size + 3) // 4 * 4
                if note == 3 and self.data[at + 12:at + 16] == b"GNU\0":
                    return self.data[description:description + size], description + size
                at = description + (size + 3) // 4 * 4
        return None, 0
