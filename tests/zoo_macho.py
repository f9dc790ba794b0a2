"""Mach-O files, read independently of the code under test: what dyld and the kernel demand, and what embedding may change."""

import dataclasses
import hashlib
import struct

CPU_X86_64, CPU_ARM64 = 0x01000007, 0x0100000C
LC_SEGMENT_64, LC_SYMTAB, LC_DYSYMTAB, LC_UUID, LC_CODE_SIGNATURE = 0x19, 0x2, 0xB, 0x1B, 0x1D
LC_DYLD_INFO, LC_DYLD_INFO_ONLY, LC_BUILD_VERSION, LC_SOURCE_VERSION = 0x22, 0x80000022, 0x32, 0x2A
LC_FUNCTION_STARTS, LC_DATA_IN_CODE, LC_CHAINED_FIXUPS = 0x26, 0x29, 0x80000034
DATA_COMMANDS = {
    0x1D: "signature",
    0x1E: "split info",
    0x26: "function starts",
    0x29: "data in code",
    0x2B: "dylib DRs",
    0x2E: "linker hints",
    0x36: "atom info",
    0x37: "function variants",
    0x38: "variant fixups",
    0x80000033: "exports trie",
    0x80000034: "chained fixups"
}
OUR_SEGMENT = "__TVM"
ZERO_FILL = (1, 12, 18)  # section types without bytes in the file


class NotRead(Exception):
    """A file of a kind that this reader does not know."""


@dataclasses.dataclass
class Section:
    name: str
    segment: str
    address: int
    size: int
    offset: int
    fixed: tuple  # alignment, flags, reserved fields

    def in_file(self):
        return self.fixed[1] & 0xFF not in ZERO_FILL and self.size > 0


@dataclasses.dataclass
class Segment:
    name: str
    address: int
    memory: int
    offset: int
    size: int
    fixed: tuple  # protections, flags
    sections: list


def c_string(raw):
    return raw.split(b"\0")[0].decode("utf-8", "replace")


class Slice:
    """One architecture's image. `data` is the slice alone."""

    def __init__(self, data):
        self.data = data
        if data[:4] != b"\xcf\xfa\xed\xfe":
            raise NotRead(f"magic {bytes(data[:4]).hex()}")
        self.cpu, self.subtype, self.type, count, self.commands_size, self.flags = struct.unpack_from("<6I", data, 4)
        self.commands, self.segments, self.blobs = [], [], {}
        at = 32
        for _ in range(count):
            kind, size = struct.unpack_from("<II", data, at)
            self.commands.append((kind, at, size))
            self.read_command(kind, at)
            at += size
        self.commands_end = at

    def read_command(self, kind, at):
        data = self.data
        if kind == LC_SEGMENT_64:
            name, address, memory, offset, in_file, *fixed, count, flags = struct.unpack_from("<16s4Q4I", data, at + 8)
            sections = []
            for i in range(count):
                fields = struct.unpack_from("<16s16sQQ8I", data, at + 72 + 80 * i)
                sections.append(
                    Section(c_string(fields[0]), c_string(fields[1]), fields[2], fields[3], fields[4],
                            (fields[5], fields[8], *fields[9:])))
            self.segments.append(Segment(c_string(name), address, memory, offset, in_file, (*fixed, flags), sections))
        elif kind == LC_SYMTAB:
            symbols, count, strings, strings_size = struct.unpack_from("<4I", data, at + 8)
            self.blobs |= {"symbols": (symbols, count * 16), "strings": (strings, strings_size)}
        elif kind == LC_DYSYMTAB:
            fields = struct.unpack_from("<18I", data, at + 8)
            for name, index, entry in (("contents", 6, 8), ("modules", 8, 56), ("references", 10, 4), ("indirect symbols", 12, 4),
                                       ("external relocations", 14, 8), ("local relocations", 16, 8)):
                self.blobs[name] = (fields[index], fields[index + 1] * entry)
        elif kind in (LC_DYLD_INFO, LC_DYLD_INFO_ONLY):
            fields = struct.unpack_from("<10I", data, at + 8)
            for i, name in enumerate(("rebase", "bind", "weak bind", "lazy bind", "exports")):
                self.blobs[name] = (fields[2 * i], fields[2 * i + 1])
        elif kind in DATA_COMMANDS:
            self.blobs[DATA_COMMANDS[kind]] = struct.unpack_from("<II", data, at + 8)

    def segment(self, name):
        return next((s for s in self.segments if s.name == name), None)

    def blob(self, name):
        offset, size = self.blobs.get(name, (0, 0))
        return bytes(self.data[offset:offset + size])

    def first_content(self):
        """Where the load commands' room ends."""
        offsets = [s.offset for segment in self.segments for s in segment.sections if s.in_file() and s.offset]
        offsets += [s.offset for s in self.segments if s.offset]
        return min(offsets, default=len(self.data))

    def slack(self):
        return self.first_content() - self.commands_end

    def signature(self):
        """None, "ad hoc" or "identity"."""
        blobs = self.signature_blobs()
        if blobs is None:
            return None
        return "identity" if len(blobs.get(0x10000, b"")) > 8 else "ad hoc"

    def signature_blobs(self):
        if "signature" not in self.blobs:
            return None
        raw = self.blob("signature")
        if len(raw) < 12 or raw[:4] != b"\xfa\xde\x0c\xc0":
            return {}
        count, = struct.unpack_from(">I", raw, 8)
        blobs = {}
        for i in range(count):
            kind, offset = struct.unpack_from(">II", raw, 12 + 8 * i)
            size, = struct.unpack_from(">I", raw, offset + 4)
            blobs[kind] = raw[offset:offset + size]
        return blobs

    def code_directory(self):
        raw = (self.signature_blobs() or {}).get(0)
        if not raw:
            return None
        fields = struct.unpack_from(">9I4BI", raw, 0)
        names = ("magic", "length", "version", "flags", "hashes", "identifier", "special", "slots", "limit", "hash_size",
                 "hash_type", "platform", "page", "spare")
        directory = dict(zip(names, fields))
        directory["raw"] = raw
        directory["identifier"] = c_string(raw[directory["identifier"]:])
        if directory["version"] >= 0x20400:
            directory["executable"] = struct.unpack_from(">QQQ", raw, 64)
        return directory

    # What the rules are is said in docs/format.md and in dyld's sources (UnsafeHeader.cpp, Image.cpp).
    def findings(self):
        """Rules that are broken; empty for a sound image."""
        found = []
        data = self.data
        if self.commands_end - 32 != self.commands_size:
            found.append(f"load commands: {self.commands_end - 32} bytes, the header says {self.commands_size}")
        if self.slack() < 0:
            found.append(f"load commands end {-self.slack()} bytes inside of the first section")
        names = [s.name for s in self.segments]
        if len(set(names)) != len(names):
            found.append(f"segment names are not unique: {names}")
        if names[-1:] != ["__LINKEDIT"]:
            found.append(f"the last segment is {names[-1:]}")
        for i, (kind, at, size) in enumerate(self.commands):
            if size % 8:
                found.append(f"command {i}: size {size}")
            if kind == LC_SEGMENT_64 and size != 72 + 80 * struct.unpack_from("<I", data, at + 64)[0]:
                found.append(f"segment command {i}: size {size}")
        page = 0x4000 if self.cpu == CPU_ARM64 else 0x1000
        for i, s in enumerate(self.segments):
            if s.offset + s.size > len(data):
                found.append(f"{s.name} ends behind the file")
            if s.size > s.memory:
                found.append(f"{s.name}: {s.size} bytes in the file, {s.memory} in memory")
            if s.size and (s.offset % page or s.address % page):
                found.append(f"{s.name} does not begin with a page")
            if s.memory % page:
                found.append(f"{s.name}: in memory no whole number of pages")
            for other in self.segments[:i]:
                if s.size and other.size and s.offset < other.offset + other.size and other.offset < s.offset + s.size:
                    found.append(f"{s.name} overlaps {other.name} in the file")
                if s.address < other.address + other.memory and other.address < s.address + s.memory:
                    found.append(f"{s.name} overlaps {other.name} in memory")
                if s.size and other.size and s.offset < other.offset:
                    found.append(f"{s.name} lies before {other.name} in the file")
                if s.address < other.address:
                    found.append(f"{s.name} lies before {other.name} in memory")
            for section in s.sections:
                if section.segment != s.name or section.address < s.address or \
                        section.address + section.size > s.address + s.memory:
                    found.append(f"{s.name},{section.name} is not within its segment")
                if section.in_file() and section.address - s.address != section.offset - s.offset:
                    found.append(f"{s.name},{section.name}: offset and address disagree")
        text = self.segment("__TEXT")
        if not text or text.offset != 0 or text.size < self.commands_end:
            found.append("__TEXT does not cover the load commands")
        linkedit = self.segment("__LINKEDIT")
        if linkedit:
            found += self.linkedit_findings(linkedit)
        if sum(kind == LC_UUID for kind, *_ in self.commands) != 1:
            found.append("not exactly one LC_UUID")
        fixups = self.chained_fixups()
        if fixups and fixups["count"] != len(self.segments):
            found.append(f"chained fixups: seg_count {fixups['count']}, {len(self.segments)} segments")
        return found + self.signature_findings()

    def linkedit_findings(self, linkedit):
        found = []
        end = linkedit.offset + linkedit.size
        if end != len(self.data):
            found.append(f"__LINKEDIT ends at {end}, the file at {len(self.data)}")
        last, last_name = linkedit.offset, "__LINKEDIT's start"
        for name, (offset, size) in sorted(self.blobs.items(), key=lambda item: item[1]):
            if size == 0:
                if offset and not linkedit.offset <= offset <= end:
                    found.append(f"{name} (empty) is outside of __LINKEDIT")
                continue
            if offset < last:
                found.append(f"{name} overlaps {last_name}")
            if offset + size > end:
                found.append(f"{name} ends behind __LINKEDIT")
            if offset % 8 and name not in ("strings", "indirect symbols"):
                found.append(f"{name} is not aligned")
            last, last_name = offset + size, name
        return found

    def signature_findings(self):
        blobs = self.signature_blobs()
        if blobs is None:
            return []
        found = []
        offset, size = self.blobs["signature"]
        directory = self.code_directory()
        if directory is None or directory["magic"] != 0xFADE0C02:
            return ["signature: no code directory"]
        if offset % 16:
            found.append("signature: not aligned to 16")
        if offset + size != len(self.data):
            found.append("signature: not the file's end")
        if directory["limit"] != offset:
            found.append(f"signature: covers {directory['limit']} bytes, begins at {offset}")
        text = self.segment("__TEXT")
        base, limit, _ = directory.get("executable", (0, 0, 0))  # ld gives the size of __text, others that of __TEXT
        if base or limit > text.size:
            found.append(f"signature: executable segment {base}, {limit}, __TEXT has {text.size}")
        found += [f"signature: page {number} differs" for number in self.wrong_pages()[:3]]
        return found

    def wrong_pages(self):
        """Numbers of the pages whose digest is not the code directory's."""
        directory = self.code_directory()
        make = {1: hashlib.sha1, 2: hashlib.sha256, 3: hashlib.sha256, 4: hashlib.sha384}[directory["hash_type"]]
        page, limit, width = 1 << directory["page"], directory["limit"], directory["hash_size"]
        if directory["slots"] != (limit + page - 1) // page:
            return [directory["slots"]]
        wrong = []
        for i in range(directory["slots"]):
            at = directory["hashes"] + i * width
            if make(self.data[i * page:min(limit, (i + 1) * page)]).digest()[:width] != directory["raw"][at:at + width]:
                wrong.append(i)
        return wrong

    def chained_fixups(self):
        """The header's fields, and each segment's starts by the segment's index."""
        raw = self.blob("chained fixups")
        if not raw:
            return None
        version, starts, imports, symbols, count, imports_format, symbols_format = struct.unpack_from("<7I", raw, 0)
        segments, = struct.unpack_from("<I", raw, starts)
        entries = {}
        for i in range(segments):
            offset, = struct.unpack_from("<I", raw, starts + 4 + 4 * i)
            if offset:
                size, = struct.unpack_from("<I", raw, starts + offset)
                entries[i] = raw[starts + offset:starts + offset + size]
        width = {1: 4, 2: 8, 3: 16}.get(imports_format, 0)
        return {
            "count": segments,
            "starts": entries,
            "imports": raw[imports:imports + count * width],
            "symbols": raw[symbols:].rstrip(b"\0"),
            "formats": (version, count, imports_format, symbols_format)
        }


def slices(data):
    """(cpu, subtype, alignment, Slice) of each architecture, in the file's order."""
    if data[:4] in (b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf"):
        is_wide = data[3] == 0xBF
        count, = struct.unpack_from(">I", data, 4)
        result = []
        for i in range(count):
            layout, width = (">IIQQII", 32) if is_wide else (">5I", 20)
            cpu, subtype, offset, size, align, *_ = struct.unpack_from(layout, data, 8 + width * i)
            if offset % (1 << align) or offset + size > len(data):
                raise NotRead(f"slice {i} at {offset}, {size} bytes, alignment 2^{align}")
            result.append((cpu, subtype, align, Slice(data[offset:offset + size])))
        return result
    image = Slice(data)
    return [(image.cpu, image.subtype, None, image)]


def may_go(image, kind, at):
    """Commands that nobody needs at run time may give way to ours."""
    if kind == LC_SOURCE_VERSION:
        return True
    return kind in (LC_FUNCTION_STARTS, LC_DATA_IN_CODE) and struct.unpack_from("<I", image.data, at + 12)[0] == 0


def other_commands(image):
    """Commands whose bytes embedding leaves alone, and of the others the kinds."""
    moved = {LC_SEGMENT_64, LC_SYMTAB, LC_DYSYMTAB, LC_DYLD_INFO, LC_DYLD_INFO_ONLY, *DATA_COMMANDS}
    result = []
    for kind, at, size in image.commands:
        if kind == LC_CODE_SIGNATURE or may_go(image, kind, at):
            continue
        raw = b"" if kind in moved else bytes(image.data[at:at + size])
        if kind == LC_BUILD_VERSION:
            raw = raw[8:20]  # the tools' versions may give way, too
        if kind != LC_SEGMENT_64:
            result.append((kind, raw))
    return result


def differences(before, after):
    """What embedding changed and should not have, of one slice."""
    found = []
    for field in ("cpu", "subtype", "type", "flags"):
        if getattr(before, field) != getattr(after, field):
            found.append(f"header: {field}")
    names = [s.name for s in before.segments]
    if [s.name for s in after.segments] != names[:-1] + [OUR_SEGMENT] + names[-1:]:
        return found + [f"segments: {[s.name for s in after.segments]}"]
    start = before.first_content()
    if after.slack() < 0:
        found.append("load commands run into the first section")
    for old in before.segments[:-1]:
        new = after.segment(old.name)
        if old != new:
            found.append(f"segment {old.name}: {new}, expected {old}")
        begin = max(old.offset, start)
        if before.data[begin:old.offset + old.size] != after.data[begin:old.offset + old.size]:
            found.append(f"segment {old.name}: its bytes differ")
    if any(after.data[after.commands_end:start]):
        found.append("the rest of the load commands' room is not zero")
    if other_commands(before) != other_commands(after):
        found.append("load commands differ")
    ours, linkedit = after.segment(OUR_SEGMENT), after.segment("__LINKEDIT")
    if ours.fixed != (1, 1, 0):
        found.append(f"{OUR_SEGMENT}: protections and flags {ours.fixed}, expected read only")
    if ours.offset + ours.size != linkedit.offset or ours.address + ours.memory != linkedit.address:
        found.append(f"{OUR_SEGMENT} and __LINKEDIT do not adjoin")
    for name, (_, size) in before.blobs.items():
        if name in ("signature", "chained fixups"):
            continue
        if name not in after.blobs:
            if size:
                found.append(f"{name} is gone")
        elif before.blob(name) != after.blob(name):
            found.append(f"{name}: its bytes differ")
    old, new = before.chained_fixups(), after.chained_fixups()
    if (old is None) != (new is None):
        found.append("chained fixups came or went")
    elif old:
        index = len(names) - 1  # ours
        starts = {i + (i >= index): raw for i, raw in old["starts"].items()}
        if {**old, "count": old["count"] + 1, "starts": starts} != new:
            found.append("chained fixups differ")
    if before.signature() is None and before.cpu != CPU_ARM64 and after.signature() is not None:
        found.append("a signature where none was")
    if (before.signature() or before.cpu == CPU_ARM64) and after.signature() != "ad hoc":
        found.append(f"signature: {after.signature()}, expected ad hoc")
    directory, new_directory = before.code_directory(), after.code_directory()
    if directory and new_directory and directory["identifier"] != new_directory["identifier"]:
        found.append(f"signature: identifier {new_directory['identifier']}, expected {directory['identifier']}")
    return found
