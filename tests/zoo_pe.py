"""PE files, read independently of the code under test: what Windows' loader demands of them, and what embedding may change."""

import dataclasses
import struct

FILE_DLL = 0x2000
DISCARDABLE = 0x02000000
OUR_SECTION = 0x40000040  # initialised data, readable
EXPORTS, RESOURCES, CERTIFICATES, DEBUG, BOUND_IMPORTS, CLR = 0, 2, 4, 6, 11, 14


class NotRead(Exception):
    """A file of a kind that this reader does not know."""


@dataclasses.dataclass
class Section:
    raw_name: bytes
    memory: int
    address: int
    size: int
    offset: int
    rest: tuple  # relocations, line numbers, their counts
    flags: int

    @property
    def name(self):
        return self.raw_name.rstrip(b"\0").decode("latin-1")


def round_up(value, unit):
    return (value + unit - 1) // unit * unit


class Image:
    def __init__(self, data):
        self.data = data
        if data[:2] != b"MZ" or len(data) < 64:
            raise NotRead("no MZ header")
        self.header, = struct.unpack_from("<I", data, 60)
        if data[self.header:self.header + 4] != b"PE\0\0":
            raise NotRead("no PE header")
        self.machine, count, self.stamp, self.symbols, self.symbol_count, optional, self.flags = \
            struct.unpack_from("<HHIIIHH", data, self.header + 4)
        self.optional = at = self.header + 24
        self.is_64 = struct.unpack_from("<H", data, at)[0] == 0x20B
        (self.code_size, self.data_size, self.bss_size, self.entry) = struct.unpack_from("<4I", data, at + 4)
        self.base, = struct.unpack_from("<Q", data, at + 24) if self.is_64 else struct.unpack_from("<I", data, at + 28)
        self.alignment, self.file_alignment = struct.unpack_from("<II", data, at + 32)
        self.image_size, self.headers_size, self.checksum = struct.unpack_from("<3I", data, at + 56)
        self.directories_at = at + (112 if self.is_64 else 96)
        entries, = struct.unpack_from("<I", data, self.directories_at - 4)
        self.directories = [struct.unpack_from("<II", data, self.directories_at + 8 * i) for i in range(min(entries, 16))]
        self.directories += [(0, 0)] * (16 - len(self.directories))
        self.table = at + optional
        self.sections = []
        for i in range(count):
            fields = struct.unpack_from("<8s6IHHI", data, self.table + 40 * i)
            self.sections.append(Section(*fields[:5], fields[5:9], fields[9]))
        self.table_end = self.table + 40 * count

    def is_dll(self):
        return self.flags & FILE_DLL != 0

    def slack(self):
        first = min((s.offset for s in self.sections if s.offset), default=self.headers_size)
        return min(first, self.headers_size) - self.table_end

    def is_signed(self):
        return self.directories[CERTIFICATES][1] != 0

    def is_managed(self):
        return self.directories[CLR][1] != 0

    def raw_end(self):
        return max((s.offset + s.size for s in self.sections if s.size), default=self.headers_size)

    def offset_of(self, address):
        for s in self.sections:
            if s.address <= address < s.address + max(s.size, s.memory):
                return s.offset + address - s.address
        return address if address < self.headers_size else None

    def content(self, section):
        return self.data[section.offset:section.offset + section.size] if section.size else b""

    def sum(self):
        """The checksum as it should be."""
        at = self.optional + 64
        data = bytes(self.data[:at]) + bytes(4) + bytes(self.data[at + 4:])
        data += bytes(-len(data) % 4)
        # The 16-bit words' sum with the carry brought back, in steps: a sum of 32-bit words is congruent to it modulo 65535.
        total = sum(struct.unpack(f"<{len(data) // 4}I", data))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        return total + len(self.data)

    def debug_entries(self):
        address, size = self.directories[DEBUG]
        at = self.offset_of(address) if size else None
        if at is None:
            return []
        return [struct.unpack_from("<IIHHIIII", self.data, at + 28 * i) for i in range(size // 28)]

    def symbol_table(self):
        """The COFF symbols' fields, without auxiliary records, and the string table."""
        if not self.symbols:
            return [], b""
        end = self.symbols + 18 * self.symbol_count
        if end + 4 > len(self.data):
            return [], b""
        result, i = [], 0
        while i < self.symbol_count:
            name, value, section, kind, storage, extra = struct.unpack_from("<8sIhHBB", self.data, self.symbols + 18 * i)
            result.append((name, value, section, kind, storage, bytes(self.data[self.symbols + 18 * (i + 1):][:18 * extra])))
            i += 1 + extra
        size, = struct.unpack_from("<I", self.data, end)
        return result, bytes(self.data[end:end + size])

    def findings(self):
        """Rules that are broken; empty for a sound image. Sources: ReactOS' loader, the PE specification, LIEF's layout check."""
        found = []
        size = len(self.data)
        if len(self.sections) > 96:
            found.append(f"{len(self.sections)} sections")
        if self.table_end > self.headers_size:
            found.append("the section table ends behind the headers")
        if self.headers_size % self.file_alignment:
            found.append(f"SizeOfHeaders {self.headers_size}")
        expected = round_up(self.headers_size, self.alignment)
        raw = self.headers_size
        for s in self.sections:
            if s.address != expected:
                found.append(f"{s.name}: address 0x{s.address:x}, expected 0x{expected:x}")
            expected = round_up(s.address + (s.memory or s.size), self.alignment)
            if s.size:
                if s.offset < raw:
                    found.append(f"{s.name}: its bytes begin before the end of what is before it")
                raw = s.offset + s.size
                if raw > size:
                    found.append(f"{s.name} ends behind the file")
                if s.offset % self.file_alignment or s.size % self.file_alignment:
                    found.append(f"{s.name}: not aligned in the file")
        if self.image_size != expected:
            found.append(f"SizeOfImage 0x{self.image_size:x}, expected 0x{expected:x}")
        if self.image_size > 0x77000000:
            found.append("SizeOfImage is too large")
        if self.checksum and self.checksum != self.sum():
            found.append(f"CheckSum 0x{self.checksum:x}, expected 0x{self.sum():x}")
        for i, (address, length) in enumerate(self.directories):
            if i == CERTIFICATES and length:
                if address % 8 or address < self.raw_end() or address + length != round_up(size, 8):
                    found.append(f"certificates at {address}, {length} bytes, the file has {size}")
            elif length and address and self.offset_of(address) is None:
                found.append(f"directory {i} leads nowhere")
        for entry in self.debug_entries():
            _, _, _, _, kind, length, address, offset = entry
            if address and offset and length and self.offset_of(address) != offset:
                found.append(f"debug entry of type {kind}: address and offset disagree")
        if self.symbols:
            symbols, strings = self.symbol_table()
            if self.symbols + 18 * self.symbol_count + len(strings) > size or len(strings) < 4:
                found.append("the symbol table ends behind the file")
            if any(section > len(self.sections) for _, _, section, *_ in symbols):
                found.append("a symbol's section does not exist")
            if any(name[:4] == b"\0\0\0\0" and struct.unpack_from("<I", name, 4)[0] >= len(strings) for name, *_ in symbols):
                found.append("a symbol's name is behind the string table")
        return found

    def long_names(self):
        """Sections' names, those in the string table looked up."""
        _, strings = self.symbol_table()
        names = []
        for s in self.sections:
            if s.name.startswith("/") and s.name[1:].isdigit():
                names.append(strings[int(s.name[1:]):].split(b"\0")[0].decode("latin-1"))
            else:
                names.append(s.name)
        return names


def differences(before, after):
    """What embedding changed and should not have."""
    found = []
    for field in ("machine", "stamp", "flags", "is_64", "code_size", "bss_size", "entry", "base", "alignment", "file_alignment",
                  "symbol_count", "table"):
        if getattr(before, field) != getattr(after, field):
            found.append(f"header: {field} {getattr(after, field)}, expected {getattr(before, field)}")
    added = len(after.sections) - len(before.sections)
    ours = [i for i, s in enumerate(after.sections) if s.name.startswith(".tvm")]
    first = ours[0] if ours else 0
    if added < 1 or len(ours) != added or ours != list(range(first, first + added)):
        return found + [f"sections: {[s.name for s in after.sections]}"]
    our_sections = after.sections[first:first + added]
    for s in our_sections:
        if s.flags != OUR_SECTION or s.memory != s.size or s.rest != (0, 0, 0, 0):
            found.append(f"{s.name}: flags 0x{s.flags:x}, {s.memory} bytes in memory, {s.size} in the file")
    payload_start, payload_end = our_sections[0].offset, our_sections[-1].offset + our_sections[-1].size
    grown = after.headers_size - before.headers_size
    moved = after.sections[first + added].address - before.sections[first].address if first < len(before.sections) else 0
    for old, new in zip(before.sections, after.sections[:first] + after.sections[first + added:]):
        is_behind = new.address > our_sections[0].address
        if is_behind and not old.flags & DISCARDABLE:
            found.append(f"{old.name}: lies behind our sections, and is mapped for good")
        if (new.raw_name, new.memory, new.size, new.flags, new.rest[2:]) != (old.raw_name, old.memory, old.size, old.flags, old.rest[2:]):
            found.append(f"{old.name}: header {new}, expected {old}")
        if new.address != old.address + (moved if is_behind else 0):
            found.append(f"{old.name}: address 0x{new.address:x}, expected 0x{old.address:x}")
        old_content, new_content = before.content(old), after.content(new)
        if old_content != new_content and bytes(old_content) != without_debug_offsets(before, after, old, new):
            found.append(f"{old.name}: its bytes differ")
    for i, (old, new) in enumerate(zip(before.directories, after.directories)):
        if new != (old if i != CERTIFICATES else (0, 0)):
            found.append(f"directory {i}: {new}, expected {old}")
    for old, new in zip(before.debug_entries(), after.debug_entries()):
        if old[:7] != new[:7]:
            found.append("a debug entry differs")
        elif before.data[old[7]:old[7] + old[5]] != after.data[new[7]:new[7] + new[5]]:
            found.append(f"debug entry of type {old[4]}: its bytes differ")
    if after.data_size != before.data_size + sum(s.size for s in our_sections):
        found.append(f"SizeOfInitializedData: {after.data_size}, expected {before.data_size} and the payload's")
    if bool(before.checksum) != bool(after.checksum):
        found.append(f"CheckSum: {after.checksum:x}, was {before.checksum:x}")
    old_symbols, old_strings = before.symbol_table()
    new_symbols, new_strings = after.symbol_table()
    shifted = [(n, v, s + (added if s > first else 0), *rest) for n, v, s, *rest in old_symbols]
    if shifted != new_symbols or old_strings != new_strings:
        found.append("the COFF symbols differ")
    # What follows the sections, without the certificates: overlay, symbols.
    old_tail = before.data[before.raw_end():before.directories[CERTIFICATES][0] or len(before.data)]
    new_tail = after.data[max(after.raw_end(), payload_end):]
    if not old_symbols and bytes(old_tail).rstrip(b"\0") != bytes(new_tail).rstrip(b"\0"):
        found.append(f"overlay: {len(new_tail)} bytes, expected {len(old_tail)}, or other ones")
    if any(after.data[after.table_end:min(after.headers_size, payload_start)]) and not any(before.data[before.table_end:before.headers_size]):
        found.append("the rest of the headers is not zero")
    if grown < 0:
        found.append("SizeOfHeaders shrank")
    return found


def without_debug_offsets(before, after, old, new):
    """The new section's bytes with the debug directory's file offsets as they were."""
    content = bytearray(after.content(new))
    address, size = before.directories[DEBUG]
    if old.address <= address < old.address + old.size:
        for i in range(size // 28):
            at = address - old.address + 28 * i + 24
            content[at:at + 4] = before.content(old)[at:at + 4]
    return bytes(content)


def imports(image):
    """The libraries loaded with this one, and the names taken from each."""
    result = {}
    address, size = image.directories[1]
    at = image.offset_of(address) if size else None
    while at is not None and at + 20 <= len(image.data):
        names, _, _, library, addresses = struct.unpack_from("<5I", image.data, at)
        if not library:
            break
        table = image.offset_of(names or addresses)
        symbols = result.setdefault(text_at(image, library), set())
        layout, by_number = ("<Q", 1 << 63) if image.is_64 else ("<I", 1 << 31)
        while table is not None:
            entry, = struct.unpack_from(layout, image.data, table)
            if not entry:
                break
            if not entry & by_number:
                symbols.add(text_at(image, entry + 2))
            table += struct.calcsize(layout)
        at += 20
    return result


def text_at(image, address):
    at = image.offset_of(address)
    return image.data[at:image.data.index(b"\0", at)].decode("latin-1")
