#!/usr/bin/env python3
"""Makes a library like BOLT's out of one of elf_hosts_test.py's: its program headers do not follow the ELF header.

usage: like_bolt.py LIBRARY middle|covered|end|stay [MISSING]

The library (x86-64) has a section "room" that nobody reads. The program headers move to its middle, and the section becomes
shorter, so that none is where they are; or it becomes theirs; or they move to the file's end, where nothing maps them; or
they stay. With MISSING, the symbol "symbol" gets the number of a section that does not exist; 1 is the first such.
"""

import struct
import sys

PT_PHDR, SHT_DYNSYM = 6, 11


def main():
    path, where, missing = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0
    with open(path, "rb") as file:
        data = bytearray(file.read())
    table, headers = struct.unpack_from("<QQ", data, 32)
    entry_size, entries, _, count, names = struct.unpack_from("<HHHHH", data, 54)
    # Name, type, flags, address, offset, size, link.
    sections = [struct.unpack_from("<IIQQQQI", data, headers + 64 * i) for i in range(count)]

    def is_called(strings, offset, name):
        return data[sections[strings][4] + offset:].startswith(name + b"\0")

    room, = (i for i in range(count) if is_called(names, sections[i][0], b"room"))
    place, address = sections[room][4] + 1024, sections[room][3] + 1024
    if where == "middle":
        struct.pack_into("<Q", data, headers + 64 * room + 32, 16)  # size
    elif where == "covered":
        struct.pack_into("<QQQ", data, headers + 64 * room + 16, address, place, entry_size * entries)
    else:
        place = len(data) if where == "end" else table
    data[place:place + entry_size * entries] = data[table:table + entry_size * entries]
    struct.pack_into("<Q", data, 32, place)
    for at in range(place, place + entry_size * entries, entry_size):
        if where in ("middle", "covered") and struct.unpack_from("<I", data, at)[0] == PT_PHDR:
            struct.pack_into("<QQQ", data, at + 8, place, address, address)
    for _, kind, _, _, offset, size, strings in sections:
        for at in range(offset, offset + size, 24) if kind == SHT_DYNSYM and missing else ():
            if is_called(strings, struct.unpack_from("<I", data, at)[0], b"symbol"):
                struct.pack_into("<H", data, at + 6, count + missing - 1)
    with open(path, "wb") as file:
        file.write(data)


if __name__ == "__main__":
    main()
